"""A simulated world on disk: what a forecast office would find in its spool, made from weather that is known.

For each time: the METAR bulletins of a network of stations as text, and a background as a NetCDF file; on request, runs
of a global model, and reports that come late. Readers then treat them like any other files. The truth stays here, for
verification only.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rtma_diffda.dynamics.nature_run import NatureSettings, RunFields, simulate_runs
from rtma_diffda.dynamics.slab.diagnosis import SKY
from rtma_diffda.experiments.simulated_global_runs import margin_for, times_with_reach, write_global_runs
from rtma_diffda.experiments.simulated_spool import with_late_ones, write_reports, write_reports_by_arrival
from rtma_diffda.fields.layout import Channel, Layout
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.fields.state import State
from rtma_diffda.geo.region import Region
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.atomic import write_bytes
from rtma_diffda.io.netcdf import write_netcdf
from rtma_diffda.io.product import Product
from rtma_diffda.observations.simulated_errors import ReportErrors
from rtma_diffda.observations.simulated_reports import simulate_reports
from rtma_diffda.observations.simulated_sites import simulated_network

STATION_TABLE, SPOOL, BACKGROUNDS, GLOBAL_RUNS = "stations.csv", "spool", "backgrounds", "global_runs"
"""What a world's directory holds."""


@dataclass(frozen=True)
class WorldSettings:
    """What to simulate.

    Attributes:
        stations: in the network.
        gross_error_rate: share of reports with one value grossly wrong.
        seed: of everything that is drawn.
        global_runs: write runs of a global model too; the weather is another one then, of a wider domain.
        late_reports: some reports are received late, and bulletins are files by arrival; nothing else changes.
    """

    stations: int = 120
    gross_error_rate: float = 0.005
    seed: int = 1
    global_runs: bool = False
    late_reports: bool = False


@dataclass(frozen=True)
class SimulatedWorld:
    """The files, and the truth behind them.

    Attributes:
        times: (time,) valid times.
        truth: one state a time.
        station_table: CSV file of the network.
        bulletins: text files by valid time, then by arrival; one a time where no reports are late.
        backgrounds: NetCDF file of each time.
        global_runs: directory of forecast files; None where none were asked for.
    """

    times: np.ndarray
    truth: tuple[State, ...]
    station_table: Path
    bulletins: tuple[Path, ...]
    backgrounds: tuple[Path, ...]
    global_runs: Path | None = None


def simulate_world(
    region: Region, static: StaticFields, times: np.ndarray, *, settings: WorldSettings, directory: Path
) -> SimulatedWorld:
    """Simulate and write everything that an analysis of ``region`` at ``times`` needs.

    The weather is a nature run over the region's own terrain, the backgrounds are its twin. The generators of weather
    and reports are separate, so that more stations leave the weather as it was.

    Raises:
        UsageError: the region analyses a variable that is not simulated.
    """
    return write_world(
        region, simulate_weather(region, static, times, settings), settings=settings, directory=directory
    )


def simulate_weather(region: Region, static: StaticFields, times: np.ndarray, settings: WorldSettings) -> RunFields:
    """The weather of a world: truth, sky and background at ``times``, and the large scale, which may reach further."""
    nature = nature_of(region, settings)
    wanted = times_with_reach(times, nature) if settings.global_runs else times
    run = simulate_runs([static], wanted, nature, generators=[_generator(settings.seed, 0)])[0]
    count = len(times)
    return replace(
        run,
        times=run.times[:count],
        truth=run.truth[:count],
        background=run.background[:count],
        sky=run.sky[:count],
    )


def nature_of(region: Region, settings: WorldSettings) -> NatureSettings:
    """How a world's nature is simulated: as by default, or on a domain wide enough for global runs."""
    nature = NatureSettings()
    return replace(nature, margin=margin_for(region, nature)) if settings.global_runs else nature


def write_world(region: Region, run: RunFields, *, settings: WorldSettings, directory: Path) -> SimulatedWorld:
    """Write the files of a world whose weather is known.

    Raises:
        UsageError: the region analyses a variable that is not simulated.
        InputError: the file system refused.
    """
    layout, static = Layout.of(region.grid, region.variables), run.static
    generator = _generator(settings.seed, 1)
    network = simulated_network(region.grid, static, count=settings.stations, generator=generator)
    table = directory / STATION_TABLE
    write_bytes(table, network[["station", "latitude", "longitude", "elevation"]].to_csv(index=False).encode())
    bulletins = _write_bulletins(directory / SPOOL, run, network, settings, generator)
    backgrounds = states_on(layout, StateSeries(run.background, run.layout, run.times))
    files = [_write_background(directory / BACKGROUNDS, region, static, state) for state in backgrounds]
    truth = states_on(layout, StateSeries(run.truth, run.layout, run.times))
    runs = write_global_runs(directory / GLOBAL_RUNS, region, run.large_scale) if settings.global_runs else None
    return SimulatedWorld(run.times, truth, table, bulletins, tuple(files), runs)


def states_on(layout: Layout, series: StateSeries) -> tuple[State, ...]:
    """The states of a series, with the channels of another layout of the same grid."""
    rows = [series.layout.index(name) for name in layout.names]
    return tuple(StateSeries(series.values[:, rows], layout, series.valid_times))


def truth_rmse(truth: State, states: dict[str, State]) -> pd.DataFrame:
    """RMSE over the whole grid against the truth, by variable and source: known only because all is simulated."""
    errors = {name: (state.mean().values - truth.values).double().square().mean(dim=(0, 2, 3)).sqrt()
              for name, state in states.items()}  # fmt: skip
    return pd.DataFrame(errors, index=pd.Index(truth.layout.names, name="variable"))


def _generator(seed: int, stream: int) -> torch.Generator:
    """Of the weather (stream 0) or of the network and its reports (1)."""
    state = np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def _write_bulletins(
    spool: Path, run: RunFields, network: pd.DataFrame, settings: WorldSettings, generator: torch.Generator
) -> tuple[Path, ...]:
    """What the stations report, time after time; delays are drawn after all else."""
    errors = ReportErrors(gross_error_rate=settings.gross_error_rate)
    reports = [
        simulate_reports(state, network, static=run.static, errors=errors, generator=generator) for state in _seen(run)
    ]
    if not settings.late_reports:
        return tuple(write_reports(spool, frame, time) for frame, time in zip(reports, run.times, strict=True))
    late = with_late_ones(reports, generator=generator)
    written = [write_reports_by_arrival(spool, frame, time) for frame, time in zip(late, run.times, strict=True)]
    return tuple(path for paths in written for path in paths)


def _seen(run: RunFields) -> StateSeries:
    """All that stations report of: the truth, and its sky."""
    wider = Layout(run.layout.grid, run.layout.channels + tuple(Channel(name) for name in SKY))
    return StateSeries(torch.cat([run.truth, run.sky], dim=1), wider, run.times)


def _write_background(directory: Path, region: Region, static: StaticFields, state: State) -> Path:
    product = Product(
        domain=f"{region.name}_background",
        analysis=replace(state, valid_time=state.valid_time.astype("datetime64[ns]")),
        static=static,
        created=state.valid_time,
        obs_cutoff=state.valid_time,
        provenance={"source": "simulated background"},
    )
    return write_netcdf(product, directory)
