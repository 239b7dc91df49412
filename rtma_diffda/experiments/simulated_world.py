"""A simulated world on disk: what a forecast office would find in its spool, made from weather that is known.

For each time: the METAR bulletins of a network of stations as text, and a background as a NetCDF file. Readers then
treat them like any other files. The truth stays here, for verification only.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rtma_diffda.dynamics.nature_run import NatureSettings, RunFields, simulate_runs
from rtma_diffda.dynamics.slab.diagnosis import SKY
from rtma_diffda.fields.layout import Channel, Layout
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.fields.state import State
from rtma_diffda.geo.region import Region
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.atomic import write_bytes
from rtma_diffda.io.netcdf import write_netcdf
from rtma_diffda.io.product import Product
from rtma_diffda.observations.metar_writer import write_metar
from rtma_diffda.observations.simulated_errors import ReportErrors
from rtma_diffda.observations.simulated_reports import simulate_reports
from rtma_diffda.observations.simulated_sites import simulated_network
from rtma_diffda.times import compact_time


@dataclass(frozen=True)
class WorldSettings:
    """What to simulate.

    Attributes:
        stations: in the network.
        gross_error_rate: share of reports with one value grossly wrong.
        seed: of everything that is drawn.
    """

    stations: int = 120
    gross_error_rate: float = 0.005
    seed: int = 1


@dataclass(frozen=True)
class SimulatedWorld:
    """The files, and the truth behind them.

    Attributes:
        times: (time,) valid times.
        truth: one state a time.
        station_table: CSV file of the network.
        bulletins: text file of each time.
        backgrounds: NetCDF file of each time.
    """

    times: np.ndarray
    truth: tuple[State, ...]
    station_table: Path
    bulletins: tuple[Path, ...]
    backgrounds: tuple[Path, ...]


def simulate_world(
    region: Region, static: StaticFields, times: np.ndarray, *, settings: WorldSettings, directory: Path
) -> SimulatedWorld:
    """Simulate and write everything that an analysis of ``region`` at ``times`` needs.

    The weather is a nature run over the region's own terrain, the backgrounds are its twin. The generators of weather
    and reports are separate, so that more stations leave the weather as it was.

    Raises:
        UsageError: the region analyses a variable that is not simulated.
    """
    weather, reports = (_generator(settings.seed, stream) for stream in range(2))
    run = simulate_runs([static], times, NatureSettings(), generators=[weather])[0]
    layout = Layout.of(region.grid, region.variables)
    network = simulated_network(region.grid, static, count=settings.stations, generator=reports)
    table = directory / "stations.csv"
    write_bytes(table, network[["station", "latitude", "longitude", "elevation"]].to_csv(index=False).encode())
    errors = ReportErrors(gross_error_rate=settings.gross_error_rate)
    bulletins = [_write_bulletins(directory / "spool", network, state, static, errors, reports) for state in _seen(run)]
    backgrounds = _of_layout(StateSeries(run.background, run.layout, times), layout)
    files = [_write_background(directory / "backgrounds", region, static, state) for state in backgrounds]
    truth = _of_layout(StateSeries(run.truth, run.layout, times), layout)
    return SimulatedWorld(times, tuple(truth), table, tuple(bulletins), tuple(files))


def _seen(run: RunFields) -> StateSeries:
    """All that stations report of: the truth, and its sky."""
    wider = Layout(run.layout.grid, run.layout.channels + tuple(Channel(name) for name in SKY))
    return StateSeries(torch.cat([run.truth, run.sky], dim=1), wider, run.times)


def _of_layout(series: StateSeries, layout: Layout) -> StateSeries:
    """The same states with the channels of another layout of the same grid."""
    rows = [series.layout.index(name) for name in layout.names]
    return StateSeries(series.values[:, rows], layout, series.valid_times)


def truth_rmse(truth: State, states: dict[str, State]) -> pd.DataFrame:
    """RMSE over the whole grid against the truth, by variable and source: known only because all is simulated."""
    errors = {name: (state.mean().values - truth.values).double().square().mean(dim=(0, 2, 3)).sqrt()
              for name, state in states.items()}  # fmt: skip
    return pd.DataFrame(errors, index=pd.Index(truth.layout.names, name="variable"))


def _generator(seed: int, stream: int) -> torch.Generator:
    state = np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def _write_bulletins(
    spool: Path,
    network: pd.DataFrame,
    truth: State,
    static: StaticFields,
    errors: ReportErrors,
    generator: torch.Generator,
) -> Path:
    reports = simulate_reports(truth, network, static=static, errors=errors, generator=generator)
    spool.mkdir(parents=True, exist_ok=True)
    path = spool / f"metar_{compact_time(truth.valid_time).rstrip('Z')}.txt"
    write_bytes(path, write_metar(reports).encode("ascii"))
    return path


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
