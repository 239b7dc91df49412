"""A landscape, a network and a truth on it that can be checked by hand."""

import numpy as np
import pytest
import torch

from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.region import load_region
from rtma_diffda.geo.static_fields import generate_static_fields
from rtma_diffda.observations.simulated_sites import simulated_network

NAMES = ("t2m", "d2m", "u10m", "v10m", "sp", "gust", "tcc", "vis", "ceil")
TIME = np.datetime64("2026-04-10T20:15", "ns")


@pytest.fixture(scope="session")
def static():
    region = load_region("demo")
    return generate_static_fields(region.static["generator"], region.grid)


@pytest.fixture(scope="session")
def network(static):
    return simulated_network(static.grid, static, count=400, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="session")
def truth(static):
    """Linear in the plane, temperature and pressure in step with terrain, a ceiling in the north only."""
    grid = static.grid
    x, y = np.meshgrid(np.linspace(0, 1, grid.nx), np.linspace(0, 1, grid.ny))
    t2m = 290 - 0.0065 * static.orography + 3 * x
    u, v = 6 + 4 * x, 2 - 5 * y
    fields = [t2m, t2m - 4 - y, u, v, 101000 * (1 - 0.0065 * static.orography / 288.15) ** 5.2559]
    fields += [1.5 * np.hypot(u, v), y, 5000 + 1e4 * x, np.where(y > 0.6, 900.0, np.nan)]
    return State(torch.from_numpy(np.stack(fields))[None], Layout.of(grid, NAMES), TIME)


@pytest.fixture
def seeded():
    """Generators by their seed."""
    return lambda seed: torch.Generator().manual_seed(seed)
