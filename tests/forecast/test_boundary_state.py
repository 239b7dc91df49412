from dataclasses import replace

import numpy as np
import pytest
import torch
from forecast_world import GRID, HOUR, LAYOUT, NAMES, NOON, OUTER, OUTER_STATIC, STATIC, boundary, history

from rtma_diffda.errors import InputError
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.global_on_region import GlobalOnRegion
from rtma_diffda.fields.state import State
from rtma_diffda.forecast.boundary_state import BoundaryState
from rtma_diffda.geo.height import LAPSE_RATES, pressure_ratio

ON_REGION = GlobalOnRegion(STATIC, OUTER_STATIC)


def plane(grid, at_origin: float, slope: float) -> torch.Tensor:
    x = torch.from_numpy(np.meshgrid(grid.x, grid.y)[0]).float()
    return at_origin + slope * x / 1e5


def state_of(time: np.datetime64, warmer: float = 0.0) -> State:
    """Planes of temperature, dew point, wind and pressure on the boundary's grid."""
    known = ((285.0 + warmer, 2.0), (275.0, 1.0), (4.0, -1.0), (0.0, 3.0), (9.8e4, 100.0))
    values = torch.stack([plane(OUTER.grid, *numbers) for numbers in known])
    return State(values[None], OUTER, time)


def test_linear_fields_come_to_the_region_exactly_at_its_own_height():
    found = ON_REGION(state_of(NOON), LAYOUT)
    rise = STATIC.orography - 200.0
    expected = {
        "t2m": plane(GRID, 285.0, 2.0) + LAPSE_RATES["t2m"] * torch.from_numpy(rise),
        "d2m": plane(GRID, 275.0, 1.0) + LAPSE_RATES["d2m"] * torch.from_numpy(rise),
        "u10m": plane(GRID, 4.0, -1.0),
        "sp": plane(GRID, 9.8e4, 100.0) * torch.from_numpy(pressure_ratio(200.0, rise)),
    }
    expected["d2m"] = torch.minimum(expected["d2m"], expected["t2m"])
    for name, values in expected.items():
        torch.testing.assert_close(found.channel(name)[0], values.float(), rtol=2e-6, atol=1e-3)


def test_the_global_state_is_linear_in_time():
    given = Boundary((state_of(NOON), state_of(NOON + 4 * HOUR, 8.0)), NOON, "two states", OUTER_STATIC)
    found = BoundaryState(LAYOUT, HOUR, ON_REGION).step(history(), given)
    assert found.valid_time == NOON + HOUR
    warmth = found.channel("t2m") - ON_REGION(state_of(NOON), LAYOUT).channel("t2m")
    torch.testing.assert_close(warmth, torch.full_like(warmth, 2.0), atol=1e-3, rtol=0)


def test_the_global_change_is_added_to_the_last_state():
    given = Boundary((state_of(NOON), state_of(NOON + HOUR, 1.5)), NOON, "two states", OUTER_STATIC)
    known = history()
    found = BoundaryState(LAYOUT, HOUR, ON_REGION, change=True).step(known, given)
    moved = found.values - known[-1].values
    torch.testing.assert_close(moved[:, 0], torch.full_like(moved[:, 0], 1.5), atol=1e-3, rtol=0)
    assert float(moved[:, 2:].abs().max()) < 1e-2


def test_a_dew_point_above_the_temperature_is_cut():
    cold = Boundary((state_of(NOON), state_of(NOON + HOUR, -30.0)), NOON, "two states", OUTER_STATIC)
    for change in (False, True):
        found = BoundaryState(LAYOUT, HOUR, ON_REGION, change).step(history(), cold)
        assert bool((found.channel("d2m") <= found.channel("t2m")).all())


def test_no_boundary_and_too_short_ones_are_refused():
    made = BoundaryState(LAYOUT, HOUR, ON_REGION)
    with pytest.raises(InputError, match="needs the states of a global run"):
        made.step(history(), None)
    with pytest.raises(InputError, match="a made-up model"):
        made.step(history(), boundary(-1, 0))
    assert replace(made, change=True).history_length == 1 and LAYOUT.names == NAMES
