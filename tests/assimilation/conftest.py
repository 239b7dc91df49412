"""Small problems with terrain and coast that the tests of the methods share."""

import numpy as np
import pytest
import torch

from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import ProjectedGrid, transformer
from rtma_diffda.geo.static_fields import ridge_and_coast
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.observations.table import Observations
from rtma_diffda.times import Window

NOON = np.datetime64("2026-01-01T12:00", "ns")


@pytest.fixture(scope="session")
def make_problem():
    return small_problem


def small_problem(*, count: int = 30, members: int = 1, names=("t2m",), seed: int = 0, shape=(14, 17)):
    """A problem on a grid of 10 km, and its static fields; half of the data know their elevation."""
    rng = np.random.default_rng(seed)
    grid = ProjectedGrid("+proj=lcc +lat_1=45 +lat_2=45 +lat_0=45 +lon_0=10 +R=6371200 +units=m", shape[1], shape[0],
                         1e4, 1e4, -8e4, -7e4)  # fmt: skip
    static, layout = ridge_and_coast(grid), Layout.of(grid, names)
    values = 280.0 + rng.normal(0.0, 2.0, (members, *layout.shape)).cumsum(axis=-1)
    background = State(torch.from_numpy(values), layout, NOON)
    observations = scattered(layout, count, rng)
    problem = AssimilationProblem(
        background, observations, BilinearOperator(layout, static), Window.around(NOON, np.timedelta64(30, "m"))
    )
    return problem, static


def scattered(layout: Layout, count: int, rng: np.random.Generator) -> Observations:
    """``count`` data of random channels within the grid."""
    grid = layout.grid
    rows, columns = rng.uniform(0, grid.ny - 1, count), rng.uniform(0, grid.nx - 1, count)
    lon, lat = _inverse(grid, grid.x0 + grid.dx * columns, grid.y0 + grid.dy * rows)
    elevation = np.where(rng.random(count) < 0.5, rng.uniform(0, 1500, count), np.nan)
    return Observations(
        value=torch.from_numpy(280.0 + rng.normal(0, 3, count)),
        error_std=torch.from_numpy(rng.uniform(0.5, 1.5, count)),
        latitude=torch.from_numpy(lat),
        longitude=torch.from_numpy(lon),
        elevation=torch.from_numpy(elevation),
        channel=torch.from_numpy(rng.integers(0, len(layout.channels), count)),
        valid_time=np.full(count, NOON),
        station=np.array([f"S{i}" for i in range(count)], dtype=object),
        network=np.array(rng.choice(["metar", "buoy", "unknown"], count), dtype=object),
        flags=np.zeros(count, np.int32),
        bound=np.zeros(count, np.int8),
    )


def _inverse(grid: ProjectedGrid, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return transformer(grid.projection).transform(x, y, direction="INVERSE")
