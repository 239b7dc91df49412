"""The stations of a simulated run and all that they report: a table of stations, one of reports, and METAR text.

    DATA_SET/stations/test_003/stations.csv     by rank: the first n are the network of density n; then withheld ones
    DATA_SET/stations/test_003/reports.parquet  every report of every hour, exactly as the text says it before rounding
    DATA_SET/stations/test_003/metar/*.txt      the same as METAR text, one file an hour

The draws are those of ``osse_cases``: reports here and observations of a comparison have the same errors.
"""

from pathlib import Path

import pandas as pd
import torch

from rtma_diffda.experiments.data_set import DataSetDesign
from rtma_diffda.experiments.osse_cases import ObservingSettings, RunIdentity
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.io.atomic import explain_failures, write_bytes
from rtma_diffda.io.simulation_store import SimulatedRun, read_run
from rtma_diffda.io.tables import write_table
from rtma_diffda.observations.metar_writer import write_metar
from rtma_diffda.observations.simulated_errors import ReportErrors
from rtma_diffda.observations.simulated_reports import simulate_reports
from rtma_diffda.observations.simulated_sites import RankedNetwork
from rtma_diffda.times import compact_time


def write_stations(design: DataSetDesign, observing: ObservingSettings, identity: RunIdentity, *, metar: bool) -> Path:
    """Write the stations and reports of one run; those that are there already stay.

    Args:
        design: of the data set.
        observing: stations and their errors.
        identity: of the run.
        metar: write METAR text too.

    Returns:
        Their directory.

    Raises:
        InputError: the run is absent, or the file system refused.
    """
    directory = design.path(identity.seed) / "stations" / identity.name.replace("/", "_")
    if (directory / "reports.parquet").exists():  # written last
        return directory
    run = read_run(design.run_path(identity.seed, identity.split, identity.number))
    network = identity.network(run.static, observing)
    hours = [_reports(run, network, observing, identity, index=i) for i in range(len(run.times))]
    with explain_failures(f"directory {directory}"):
        (directory / "metar").mkdir(parents=True, exist_ok=True)
    stations = pd.concat([network.stations.assign(withheld=False), network.withheld.assign(withheld=True)])
    write_bytes(directory / "stations.csv", stations.to_csv(index=False).encode())
    if metar:
        for time, reports in zip(run.times, hours, strict=True):
            path = directory / "metar" / f"metar_{compact_time(time).rstrip('Z')}.txt"
            write_bytes(path, write_metar(reports).encode("ascii"))
    write_table(directory / "reports.parquet", pd.concat(hours, ignore_index=True))
    return directory


def _reports(
    run: SimulatedRun, network: RankedNetwork, observing: ObservingSettings, identity: RunIdentity, *, index: int
) -> pd.DataFrame:
    """All reports of one time, withheld stations last; these never have gross errors."""
    truth, time = _seen(run, index), run.times[index]
    parts = []
    for stations, rate, stream in (
        (network.stations, observing.gross_error_rate, "reports"),
        (network.withheld, 0.0, "withheld"),
    ):
        errors, generator = (
            ReportErrors(gross_error_rate=rate, factor=observing.error_factor),
            identity.generator(stream, time),
        )
        reports = simulate_reports(truth, stations, static=run.static, errors=errors, generator=generator)
        parts.append(reports.assign(withheld=stream == "withheld"))
    return pd.concat(parts, ignore_index=True)


def _seen(run: SimulatedRun, index: int) -> State:
    """The truth with its sky, as far as that was kept."""
    state = run.truth.state(index)
    if run.sky is None:
        return state
    sky = run.sky.state(index)
    wider = Layout(state.layout.grid, state.layout.channels + sky.layout.channels)
    return State(torch.cat([state.values, sky.values], dim=1), wider, state.valid_time)
