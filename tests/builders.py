"""Small grids, states and observations that many tests build on."""

import numpy as np
import pandas as pd
import torch

from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.static_fields import StaticFields, ridge_and_coast
from rtma_diffda.observations.table import Observations, as_table

PROJECTION = "+proj=lcc +lat_1=25 +lat_2=25 +lat_0=25 +lon_0=265 +a=6371200 +b=6371200 +units=m"
NOON = np.datetime64("2026-01-01T12:00", "ns")


def small_grid(nx: int = 12, ny: int = 10, spacing: float = 2500.0) -> ProjectedGrid:
    return ProjectedGrid(PROJECTION, nx, ny, spacing, spacing, -50000.0, 1.2e6)


def small_static(grid: ProjectedGrid | None = None) -> StaticFields:
    return ridge_and_coast(grid or small_grid())


def random_state(layout: Layout, *, members: int = 1, seed: int = 0, dtype: torch.dtype = torch.float64) -> State:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(members, *layout.shape, generator=generator, dtype=dtype)
    return State(values, layout, NOON)


def random_table(layout: Layout, count: int, *, seed: int = 0) -> pd.DataFrame:
    """``count`` data at random places within the grid, variables in turn, each its own station."""
    rng = np.random.default_rng(seed)
    grid = layout.grid
    x = grid.x0 + rng.uniform(0, (grid.nx - 1) * grid.dx, count)
    y = grid.y0 + rng.uniform(0, (grid.ny - 1) * grid.dy, count)
    rows, columns = (y - grid.y0) / grid.dy, (x - grid.x0) / grid.dx
    latitude, longitude = _positions(grid, x, y)
    assert np.allclose(grid.fractional_index(latitude, longitude), (rows, columns), atol=1e-6)
    return as_table(
        pd.DataFrame(
            {
                "station": [f"S{i:03d}" for i in range(count)],
                "network": "metar",
                "variable": [layout.names[i % len(layout.names)] for i in range(count)],
                "value": rng.normal(280.0, 5.0, count),
                "error_std": 1.0,
                "latitude": latitude,
                "longitude": longitude,
                "elevation": rng.uniform(0.0, 800.0, count),
                "valid_time": NOON,
            }
        )
    )


def random_observations(layout: Layout, count: int, *, seed: int = 0) -> Observations:
    return Observations.from_table(random_table(layout, count, seed=seed), layout)


def _positions(grid: ProjectedGrid, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points = [ProjectedGrid(grid.projection, 2, 2, 1.0, 1.0, px, py) for px, py in zip(x, y, strict=True)]
    return np.array([p.latitude()[0, 0] for p in points]), np.array([p.longitude()[0, 0] for p in points])
