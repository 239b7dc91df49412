"""The contract of observation operators: adjoint, tangent, exactness on linear fields, height corrections."""

import numpy as np
import pytest
import torch
from builders import random_observations, random_state, random_table, small_grid, small_static

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.observations.table import Observations

LAYOUT = Layout.of(small_grid(), ["t2m", "d2m", "u10m", "sp"])
H = BilinearOperator(LAYOUT, small_static())
FLAT = BilinearOperator(LAYOUT, StaticFields(LAYOUT.grid))


def test_adjoint_of_the_tangent():
    observations = random_observations(LAYOUT, 101)
    x = random_state(LAYOUT, members=3).values
    d = torch.randn(3, 101, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    left = (H.tangent(x, observations) * d).sum()
    right = (x * H.adjoint(d, observations)).sum()
    assert torch.isclose(left, right, rtol=1e-12)


def test_tangent_equals_finite_differences_and_autograd():
    observations = random_observations(LAYOUT, 40)
    x, dx = random_state(LAYOUT, seed=1).values, random_state(LAYOUT, seed=2).values
    difference = H(x + dx, observations) - H(x, observations)
    assert torch.allclose(difference, H.tangent(dx, observations), atol=1e-10)
    variable = x.clone().requires_grad_(True)
    H(variable, observations).sum().backward()
    assert torch.allclose(variable.grad, H.adjoint(torch.ones(1, 40, dtype=torch.float64), observations))


def test_exact_on_fields_linear_in_the_plane():
    grid = LAYOUT.grid
    x, y = np.meshgrid(grid.x, grid.y)
    field = torch.from_numpy(280.0 + 1e-4 * x - 2e-4 * (y - 1.2e6))
    observations = random_observations(LAYOUT, 60)
    px, py = grid.project(observations.latitude.numpy(), observations.longitude.numpy())
    found = FLAT(field.expand(1, 4, -1, -1), observations)[0]
    assert np.allclose(found.numpy(), 280.0 + 1e-4 * px - 2e-4 * (py - 1.2e6), atol=1e-6)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, -1), (-1, 0), (-1, -1), (5, 6), (0, 3), (4, -1)])
def test_grid_points_are_exact_on_the_edges_too(row, column):
    grid = LAYOUT.grid
    place = {"latitude": grid.latitude()[row, column], "longitude": grid.longitude()[row, column]}
    state = random_state(LAYOUT)
    found = FLAT(state.values, Observations.from_table(random_table(LAYOUT, 1).assign(**place), LAYOUT))
    assert grid.contains(**place)
    assert torch.isclose(found[0, 0], state.values[0, 0, row, column], atol=1e-5)


def _one(variable: str, elevation: float) -> Observations:
    grid = LAYOUT.grid
    row = random_table(LAYOUT, 1).assign(
        variable=variable, elevation=elevation, latitude=grid.latitude()[5, 6], longitude=grid.longitude()[5, 6]
    )
    return Observations.from_table(row, LAYOUT)


@pytest.mark.parametrize(("variable", "expected"), [("t2m", -6.5), ("d2m", -1.8), ("u10m", 0.0)])
def test_height_correction_a_kilometre_above_the_grid(variable, expected):
    terrain = np.full(LAYOUT.grid.shape, 250.0)
    operator = BilinearOperator(LAYOUT, StaticFields(LAYOUT.grid, terrain))
    found = operator(torch.full((1, *LAYOUT.shape), 280.0, dtype=torch.float64), _one(variable, 1250.0))
    assert abs(float(found) - 280.0 - expected) < 1e-9


def test_pressure_follows_the_standard_atmosphere():
    operator = BilinearOperator(LAYOUT, StaticFields(LAYOUT.grid, np.zeros(LAYOUT.grid.shape)))
    found = operator(torch.full((1, *LAYOUT.shape), 101325.0, dtype=torch.float64), _one("sp", 1000.0))
    assert abs(float(found) - 89874.6) < 15.0  # ICAO standard atmosphere at 1,000 m


def test_pressure_over_high_terrain_follows_it_too():
    operator = BilinearOperator(LAYOUT, StaticFields(LAYOUT.grid, np.full(LAYOUT.grid.shape, 2000.0)))
    found = operator(torch.full((1, *LAYOUT.shape), 79495.2, dtype=torch.float64), _one("sp", 3000.0))
    assert abs(float(found) - 70108.5) < 15.0  # ICAO standard atmosphere, 2,000 m to 3,000 m


def test_unknown_heights_are_not_corrected():
    values = torch.full((1, *LAYOUT.shape), 280.0, dtype=torch.float64)
    assert float(H(values, _one("t2m", np.nan))) == pytest.approx(280.0)
    assert float(FLAT(values, _one("t2m", 2000.0))) == pytest.approx(280.0)


def test_a_station_outside_the_grid_is_named():
    outside = random_table(LAYOUT, 3).assign(latitude=[0.0, 36.0, 36.0])
    with pytest.raises(InputError, match=r"outside the grid, the first from station S000"):
        H(random_state(LAYOUT).values, Observations.from_table(outside, LAYOUT))


def test_members_do_not_mix_and_dtype_follows_the_state():
    observations = random_observations(LAYOUT, 20)
    state = random_state(LAYOUT, members=3, dtype=torch.float32)
    together = H(state.values, observations)
    assert together.dtype == torch.float32
    for i in range(3):
        assert torch.equal(together[i : i + 1], H(state.values[i : i + 1], observations))
