"""B by lag against B itself, and the gain of ``kalman`` that is made from it."""

from dataclasses import replace

import pytest
import torch
from regression_world import ERRORS, GRID, NAMES, SCALES, STATIC
from test_covariance_modes import SCALE, problem

from rtma_diffda.assimilation import lag_averaged_error as module
from rtma_diffda.assimilation.correlation import CORRELATION_FUNCTIONS, covariance
from rtma_diffda.assimilation.lag_averaged_error import lag_averaged_error
from rtma_diffda.assimilation.places import Surroundings, with_background

PLAIN = {
    name: replace(error, vertical_length=None, background_length=None, land_sea_factor=1.0, height_drift_std=0.0)
    for name, error in ERRORS.items()
}
NY, NX = GRID.shape


def test_where_only_distance_counts_it_is_b_itself():
    table = lag_averaged_error(PLAIN, problem(), STATIC, SCALE).table
    error, (m_y, m_x) = PLAIN["t2m"], (NY - 1, NX - 1)
    y, x = (torch.arange(-m, m + 1, dtype=torch.float64) for m in (m_y, m_x))
    squared = ((y[:, None] * GRID.dy) ** 2 + (x * GRID.dx) ** 2) / error.horizontal_length**2
    expected = error.std**2 * CORRELATION_FUNCTIONS[error.function](squared) + error.bias_std**2
    visited = table[0, 0] > 0
    assert bool(visited.all())
    torch.testing.assert_close(table[0, 0].double(), expected / SCALES["t2m"] ** 2, rtol=1e-3, atol=1e-5)
    assert float(table[0, 1].abs().max()) == 0.0


def test_terrain_enters_as_its_average():
    """With every point averaged over, the mean over all pairs of points of that lag."""
    assert max(GRID.shape) <= module._SIDE
    steep = {name: replace(error, vertical_length=150.0, land_sea_factor=0.5) for name, error in PLAIN.items()}
    table = lag_averaged_error(steep, problem(), STATIC, SCALE).table
    places, background = Surroundings(problem(), STATIC).of_grid(0)
    places = with_background(places, background[0])
    B = (covariance(steep["t2m"], places, places) / SCALES["t2m"] ** 2).view(NY, NX, NY, NX)
    pairs = [B[y, x, y + 1, x + 2] for y in range(NY - 1) for x in range(NX - 2)]
    assert float(table[0, 0, NY, NX + 1]) == pytest.approx(float(torch.stack(pairs).mean()), rel=1e-4)
    assert torch.equal(table, table.flip(2, 3))


def test_long_lags_are_left_out_of_wide_grids(monkeypatch):
    monkeypatch.setattr(module, "_MOST_LAGS", 6)
    table = lag_averaged_error(PLAIN, problem(), STATIC, SCALE).table
    assert tuple(table.shape) == (len(NAMES), len(NAMES), 13, 13)
    error = PLAIN["t2m"]  # the middle keeps its value, the rim none
    assert float(table[0, 0, 0].abs().max()) < 1e-6
    assert float(table[0, 0, 6, 6]) == pytest.approx((error.std**2 + error.bias_std**2) / SCALES["t2m"] ** 2, rel=1e-4)
