"""A small world on disk for cycles: weather that is a formula, backgrounds beside it, METAR text, some of it late."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from rtma_diffda.experiments.simulated_spool import with_late_ones, write_reports_by_arrival
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.region import Region, load_region
from rtma_diffda.io.netcdf import write_netcdf
from rtma_diffda.io.product import Product
from rtma_diffda.io.static_fields import load_static_fields
from rtma_diffda.observations.simulated_errors import ReportErrors
from rtma_diffda.observations.simulated_reports import simulate_reports
from rtma_diffda.observations.simulated_sites import simulated_network
from rtma_diffda.times import SLOT

START = np.datetime64("2026-06-15T22:45", "ns")  # a run from here crosses midnight
COUNT = 9
TIMES = START + np.arange(COUNT) * SLOT
BEFORE = START - np.arange(4, 0, -1) * SLOT
REGION_FILE = """\
name: hill
title: A hill
projection: {proj: lcc, lat_1: 45, lat_2: 45, lat_0: 45, lon_0: 10, a: 6371200, b: 6371200}
grid: {nx: 24, ny: 20, dx: 5000, dy: 5000, centre: {latitude: 45.0, longitude: 10.0}}
static: {generator: ridge_and_coast}
variables: [t2m, d2m, u10m, v10m, sp]
"""


@dataclass(frozen=True)
class CycleWorld:
    """Where everything is."""

    directory: Path
    region: Region

    @property
    def backgrounds(self) -> Path:
        return self.directory / "backgrounds"

    @property
    def spool(self) -> Path:
        return self.directory / "spool"

    @property
    def layout(self) -> Layout:
        return Layout.of(self.region.grid, self.region.variables)

    def arguments(self, output: Path, *more: str, end: np.datetime64 = TIMES[-1]) -> list[str]:
        """A command line that cycles, by optimal interpolation."""
        return [
            "cycle",
            f"region={self.directory / 'hill.yaml'}",
            f"start={START}",
            f"end={end}",
            f"background.path={self.backgrounds}",
            f"observations.path={self.spool}",
            f"observations.stations={self.directory / 'stations.csv'}",
            "method.name=optimal_interpolation",
            "method.tuning_hours=0",
            "verification.withheld_fraction=0.3",
            "verification.block_degrees=0.15",
            "page=false",
            f"output={output}",
            "log.level=error",
            *more,
        ]


def truth(layout: Layout, time: np.datetime64) -> State:
    """Waves that wander north-east."""
    ny, nx = layout.grid.shape
    y, x = torch.meshgrid(torch.arange(ny), torch.arange(nx), indexing="ij")
    phase = float((time - START) / SLOT) / 4.0
    wave = torch.sin((x + y) / 6.0 - phase)
    fields = torch.stack(
        [288.0 + 3.0 * wave, 279.0 + 2.0 * wave, 5.0 + 3.0 * wave, 4.0 - 3.0 * wave, 95_000.0 + 150.0 * wave]
    )
    return State(fields[None].float(), layout, time)


def background(layout: Layout, time: np.datetime64) -> State:
    """The truth, late and too warm."""
    late = truth(layout, time - 3 * SLOT)
    return State(late.values + torch.tensor([1.0, 0.5, 0.5, -0.5, 40.0])[:, None, None], layout, time)


def make_world(directory: Path) -> CycleWorld:
    """Write it."""
    (directory / "hill.yaml").write_text(REGION_FILE, encoding="utf-8")
    region = load_region(str(directory / "hill.yaml"))
    world, static = CycleWorld(directory, region), load_static_fields(region)
    generator = torch.Generator().manual_seed(5)
    network = simulated_network(region.grid, static, count=40, generator=generator)
    network[["station", "latitude", "longitude", "elevation"]].to_csv(directory / "stations.csv", index=False)
    times = [*BEFORE, *TIMES]
    reports = [
        simulate_reports(
            truth(world.layout, time), network, static=static, errors=ReportErrors(factor=0.3), generator=generator
        )
        for time in times
    ]
    for frame, time in zip(with_late_ones(reports, generator=generator), times, strict=True):
        write_reports_by_arrival(world.spool, frame, time)
        write_background(world, background(world.layout, time))
    return world


def write_background(world: CycleWorld, state: State, directory: Path | None = None) -> Path:
    """One background as a NetCDF file."""
    product = Product(
        "hill_background",
        state,
        load_static_fields(world.region),
        created=state.valid_time,
        obs_cutoff=state.valid_time,
    )
    return write_netcdf(product, directory or world.backgrounds)
