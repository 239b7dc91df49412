"""Global states on a region: linear in time, adapted to the terrain, refused where they do not serve."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rtma_diffda.errors import InputError
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.global_on_region import GlobalOnRegion, global_state
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.height import LAPSE_RATES
from rtma_diffda.geo.static_fields import StaticFields

PLANE = "+proj=lcc +lat_1=45 +lat_2=45 +lat_0=45 +lon_0=0 +R=6371200 +units=m"
GRID = ProjectedGrid(PLANE, 12, 10, 5e3, 5e3, 0.0, 0.0)
OUTER = ProjectedGrid(PLANE, 6, 6, 2e4, 2e4, -2e4, -2e4)
NAMES = ("t2m", "u10m")
LAYOUT = Layout.of(GRID, NAMES)
NOON = np.datetime64("2026-06-01T12:00", "ns")
HOUR, QUARTER = np.timedelta64(1, "h"), np.timedelta64(15, "m")


def static(grid: ProjectedGrid, height: float) -> StaticFields:
    return StaticFields(grid, np.full(grid.shape, height), np.ones(grid.shape), source="flat")


def state(value: float, time: np.datetime64, names: tuple[str, ...] = ("u10m", "t2m"), grid=OUTER) -> State:
    east = torch.from_numpy(grid.x / 1e4).expand(grid.shape)
    layout = Layout.of(grid, names)
    return State(torch.stack([value + east] * len(names))[None].double(), layout, time)


def boundary(**changes: object) -> Boundary:
    states = tuple(state(280.0 + k, NOON + k * HOUR) for k in range(3))
    return replace(Boundary(states, NOON, "coarse", static(OUTER, 300.0)), **changes)


def test_a_linear_field_is_interpolated_exactly_in_space_and_time_and_taken_to_the_terrain():
    found = global_state(boundary(), static(GRID, 500.0), LAYOUT, NOON + QUARTER)
    expected = 280.25 + torch.from_numpy(GRID.x / 1e4).expand(GRID.shape)
    torch.testing.assert_close(found.channel("u10m")[0], expected, rtol=0, atol=1e-4)
    cooler = expected + LAPSE_RATES["t2m"] * 200.0
    torch.testing.assert_close(found.channel("t2m")[0], cooler, rtol=0, atol=1e-4)
    assert found.layout == LAYOUT and found.valid_time == NOON + QUARTER


@pytest.mark.parametrize("unknown", ["region", "global"])
def test_without_either_terrain_no_height_correction_is_made(unknown):
    here = static(GRID, 500.0) if unknown == "global" else StaticFields(GRID)
    given = boundary(static=None) if unknown == "global" else boundary()
    found = global_state(given, here, LAYOUT, NOON)
    torch.testing.assert_close(found.channel("t2m"), found.channel("u10m"), rtol=0, atol=1e-9)


def test_what_does_not_serve_is_refused_in_words():
    here = static(GRID, 0.0)
    with pytest.raises(InputError, match=r"coarse, run of 2026-06-01T12:00.*reach"):
        global_state(boundary(), here, LAYOUT, NOON + 5 * HOUR)
    with pytest.raises(InputError, match="lacks t2m; it has u10m"):
        GlobalOnRegion(here, static(OUTER, 0.0))(state(1.0, NOON, ("u10m",)), LAYOUT)
    small = replace(OUTER, nx=2, ny=2)
    with pytest.raises(InputError, match=r"does not cover \d+ of the region's points"):
        GlobalOnRegion(here, static(small, 0.0))(state(1.0, NOON, grid=small), LAYOUT)
