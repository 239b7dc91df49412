"""Columns: how places are drawn, and what they report."""

import numpy as np
import pytest
import torch

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.layout import Channel, Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.observations.columns import ColumnPlaces, drawn_by_area, drawn_by_index, observe_columns
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.times import Window

NOON = np.datetime64("2020-01-01T12:00", "ns")
GRID = LatLonGrid(np.linspace(-87.5, 87.5, 36), np.arange(72) * 5.0, periodic=True)
LAYOUT = Layout(GRID, (Channel("z", 500.0), Channel("t2m")))
ERRORS = torch.tensor([5.0, 0.1])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def truth() -> State:
    """z500 is the longitude east of 0, t2m the latitude: bilinear reading is exact but across the seam."""
    longitude = np.broadcast_to(GRID.longitudes, GRID.shape)
    fields = np.stack([longitude, GRID.latitude()])[None].copy()
    return State(torch.from_numpy(fields).float(), LAYOUT, NOON)


def test_drawing_by_index_crowds_the_poles_and_repeats():
    """Published: uniform in row numbers, so half of them lie poleward of 45°, on 29 % of the area."""
    drawn = drawn_by_index(GRID, 20_000, generator=seeded())
    assert np.mean(np.abs(drawn.latitude) > 45.0) == pytest.approx(0.5, abs=0.01)
    assert 2500 < len(drawn.distinct()) <= GRID.ny * GRID.nx
    assert set(drawn.latitude) <= set(GRID.latitudes) and set(drawn.longitude) <= set(GRID.longitudes)


def test_drawing_by_area_is_even_and_never_repeats():
    draws = [drawn_by_area(GRID, 60, generator=seeded(seed)) for seed in range(100)]
    assert all(len(drawn.distinct()) == 60 for drawn in draws)
    share = np.mean([np.mean(np.abs(drawn.latitude) > 45.0) for drawn in draws])
    assert share == pytest.approx(1.0 - np.sin(np.pi / 4), abs=0.02)
    everything = drawn_by_area(GRID, GRID.ny * GRID.nx, generator=seeded())
    assert len(everything.distinct()) == GRID.ny * GRID.nx


@pytest.mark.parametrize("draw", [drawn_by_index, drawn_by_area])
def test_draws_follow_their_generator(draw):
    first, second, other = (draw(GRID, 30, generator=seeded(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.latitude, second.latitude) and np.array_equal(first.longitude, second.longitude)
    assert not np.array_equal(first.latitude, other.latitude)


def test_columns_report_every_channel_at_the_true_place():
    places = ColumnPlaces(np.array([12.3, -40.0]), np.array([101.2, -90.0]))
    data = observe_columns(truth(), places, ERRORS)
    assert data.channel.tolist() == [0, 0, 1, 1] and data.station.tolist() == ["column0", "column1"] * 2
    assert data.value.tolist() == pytest.approx([101.2, 270.0, 12.3, -40.0], abs=1e-4)
    assert data.error_std.tolist() == pytest.approx([5.0, 5.0, 0.1, 0.1])
    assert data.longitude.tolist() == pytest.approx([101.2, -90.0] * 2)


def test_columns_lie_across_the_seam_and_beyond_the_outermost_rows():
    places = ColumnPlaces(np.array([0.0, 90.0]), np.array([357.5, 0.0]))
    data = observe_columns(truth(), places, ERRORS)
    assert data.value.tolist() == pytest.approx([177.5, 0.0, 0.0, 87.5], abs=1e-4)


def test_chosen_channels_only():
    data = observe_columns(truth(), ColumnPlaces(np.array([12.3]), np.array([7.0])), ERRORS, channels=("t2m",))
    assert data.channel.tolist() == [1] and data.value.tolist() == pytest.approx([12.3], abs=1e-4)


def test_noise_has_the_error_that_is_stated():
    places = drawn_by_index(GRID, 5000, generator=seeded())
    clean, noisy = (observe_columns(truth(), places, ERRORS, generator=g) for g in (None, seeded(3)))
    departures = (noisy.value - clean.value).view(2, -1)
    assert departures.std(dim=1).tolist() == pytest.approx([5.0, 0.1], rel=0.05)


def test_columns_make_a_problem():
    data = observe_columns(truth(), drawn_by_index(GRID, 20, generator=seeded()), ERRORS)
    operator = BilinearOperator(LAYOUT, StaticFields(GRID), {})
    problem = AssimilationProblem(truth(), data, operator, Window.around(NOON, np.timedelta64(3, "h")))
    assert float(problem.innovations().abs().max()) < 1e-6


def test_places_move_to_the_nearest_point():
    places = ColumnPlaces(np.array([12.3, 89.0]), np.array([358.0, 2.4]))
    moved = places.on_points(GRID)
    assert moved.latitude.tolist() == [12.5, 87.5] and moved.longitude.tolist() == [0.0, 0.0]


def test_the_size_of_the_published_experiments_is_no_trouble():
    """40,000 columns of 82 channels; here on a coarse grid, of which only the reading depends."""
    channels = tuple(Channel("t", float(level)) for level in range(1, 83))
    state = State(torch.zeros(1, 82, *GRID.shape), Layout(GRID, channels), NOON)
    data = observe_columns(state, drawn_by_index(GRID, 40_000, generator=seeded()), torch.ones(82))
    assert len(data) == 3_280_000 and data.station[40_001] is data.station[1]


def test_what_cannot_be_observed_is_refused():
    places = ColumnPlaces(np.array([12.3]), np.array([7.0]))
    with pytest.raises(InputError, match="positive errors"):
        observe_columns(truth(), places, torch.tensor([5.0, 0.0]))
    with pytest.raises(InputError, match="positive errors"):
        observe_columns(truth(), places, torch.tensor([5.0]))
    with pytest.raises(InputError, match="one member"):
        observe_columns(truth().with_values(truth().values.expand(2, -1, -1, -1)), places, ERRORS)
    with pytest.raises(UsageError, match="not 'q500'"):
        observe_columns(truth(), places, ERRORS, channels=("q500",))
    with pytest.raises(InputError, match="number 1 at latitude 91"):
        ColumnPlaces(np.array([0.0, 91.0]), np.array([0.0, 0.0]))
    with pytest.raises(InputError, match="as many latitudes"):
        ColumnPlaces(np.zeros(2), np.zeros(3))
    with pytest.raises(UsageError, match="of a grid of 2592 points"):
        drawn_by_area(GRID, 2593, generator=seeded())
    with pytest.raises(UsageError, match="one or more"):
        drawn_by_index(GRID, 0, generator=seeded())
