from dataclasses import replace

import numpy as np
import pytest
import torch
from forecast_world import GRID, HOUR, LAYOUT, NAMES, NOON, OUTER, PLACE, STATIC, boundary, encoding, history, sequences
from scipy.sparse import csr_matrix

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.landscape import Landscape
from rtma_diffda.forecast.forcing import BoundarySeries, Forcing
from rtma_diffda.forecast.forecast_inputs import RegionWeights, StatePair, padded_rows, region_reference
from rtma_diffda.geo.height import LAPSE_RATES, pressure_ratio
from rtma_diffda.geo.sun import sun_height

WEIGHTS = RegionWeights(PLACE.boundary_grid, GRID)
EVERYWHERE = torch.arange(PLACE.boundary_grid.nx * PLACE.boundary_grid.ny)


def pair_of(batch) -> StatePair:
    return StatePair(batch.states[:, 0], batch.states[:, 1], batch.valid_times[:, 1])


def standing_air(height: torch.Tensor) -> torch.Tensor:
    """Air whose temperature, dew point and pressure differ by height alone, at rest: (channel, *places)."""
    ratio = torch.from_numpy(pressure_ratio(0.0, height.numpy())).float()
    calm = torch.zeros_like(height)
    return torch.stack(
        [280.0 + LAPSE_RATES["t2m"] * height, 270.0 + LAPSE_RATES["d2m"] * height, calm, calm, 1e5 * ratio]
    )


def test_air_that_differs_by_height_alone_departs_nowhere_at_the_nodes():
    """The region's terrain and the global model's differ; both are seen at sea level."""
    inner, outer = torch.from_numpy(STATIC.orography).float(), torch.full((5, 4), 900.0)
    state = standing_air(inner)[None]
    known = standing_air(outer.flatten())
    times = NOON + HOUR * np.arange(4)
    series = BoundarySeries(
        known.expand(1, 4, -1, -1), outer.reshape(1, -1), torch.ones(1, 20), times[None], torch.tensor([True])
    )
    forcing = Forcing(Landscape(inner[None], torch.ones(1, *GRID.shape)), series)
    found = encoding()
    nodes = found.nodes(StatePair(state, state, times[1:2]), forcing, torch.arange(20))
    assert nodes.shape == (1, 20, found.node_channels)
    departures, change = nodes[..., :15], nodes[..., 39:44]
    assert float(departures.abs().max()) < 2e-3
    mean, std = (s[:, 0, 0] for s in found.difference(state))
    torch.testing.assert_close(change, (-mean / std).expand_as(change), atol=2e-3, rtol=0)
    torch.testing.assert_close(nodes[0, 0, 44:], torch.tensor([900.0 / 500.0, 1.0, 1.0]))


def test_winds_keep_their_mean_and_other_variables_their_reference():
    state = history()[1].values
    reference = region_reference(state, torch.zeros(1, *GRID.shape), NAMES)
    torch.testing.assert_close(reference[0, 0], state[0, 0].mean())
    assert reference[0, 2:4].tolist() == [0.0, 0.0]


def test_every_member_sees_the_states_around_its_own_target():
    batch, found = sequences(3), encoding()
    together = found.nodes(pair_of(batch), Forcing.of_sequences(batch), EVERYWHERE)
    for m in range(3):
        alone = batch.select(np.array([m]))
        single = found.nodes(pair_of(alone), Forcing.of_sequences(alone), EVERYWHERE)
        torch.testing.assert_close(together[m : m + 1], single, rtol=1e-5, atol=1e-5)
    winds = together[0, :, 6:9]  # u10m over the window: an hour before the target, at it, an hour after
    expected = batch.boundary[0, 1:4, 2].flatten(1).T / 4.0
    torch.testing.assert_close(winds, expected)


def test_members_whose_boundaries_begin_at_other_offsets_are_told_apart():
    batch, found = sequences(2), encoding()
    later = replace(batch, boundary_times=batch.boundary_times + np.array([[0], [1]]) * HOUR)
    later = replace(
        later, states=batch.states[[0, 0]], valid_times=batch.valid_times[[0, 0]] + np.array([[0], [2]]) * HOUR
    )
    nodes = found.nodes(pair_of(later), Forcing.of_sequences(later), EVERYWHERE)
    torch.testing.assert_close(nodes[1, :, 6], batch.boundary[1, 1, 2].flatten() / 4.0)


def test_the_boundarys_change_is_interpolated_to_the_region():
    """A warming that is linear in space is met exactly, in units of one-step differences."""
    batch, found = sequences(1), encoding()
    x, y = np.meshgrid(OUTER.grid.x, OUTER.grid.y)
    plane = torch.from_numpy(1.0 + x / 1e5 - y / 2e5).float()
    times = batch.boundary_times[0]
    warming = batch.boundary[:, :1].repeat(1, len(times), 1, 1, 1)
    warming[0, :, 0] += torch.arange(len(times))[:, None, None] * plane
    batch = replace(batch, boundary=warming)
    points = found.points(pair_of(batch), Forcing.of_sequences(batch), GRID, WEIGHTS)
    assert points.shape == (1, found.point_channels, *GRID.shape)
    x, y = np.meshgrid(GRID.x, GRID.y)
    mean, std = found.difference(points)
    expected = (torch.from_numpy(1.0 + x / 1e5 - y / 2e5).float() - mean[0]) / std[0]
    torch.testing.assert_close(points[0, -5], expected, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(points[0, -4], (-mean[1] / std[1]).expand(GRID.shape), atol=1e-3, rtol=0)


def test_points_are_told_their_tendency_and_the_sun():
    batch, found = sequences(1), encoding(interpolated=False)
    pair = pair_of(batch)
    points = found.points(pair, Forcing.of_sequences(batch), GRID, None)
    mean, std = found.difference(points)
    torch.testing.assert_close(points[:, 6:11], (pair.current - pair.previous - mean) / std)
    suns = sun_height(np.array([pair.time[0], pair.time[0] + HOUR]), GRID.latitude(), GRID.longitude())
    np.testing.assert_allclose(points[0, -2:], suns, rtol=1e-6)


def test_a_member_without_boundary_knows_nothing_of_it():
    batch, found = sequences(2), encoding()
    known = Forcing.of_sequences(batch, torch.tensor([False, True]))
    nodes = found.nodes(pair_of(batch), known, EVERYWHERE)
    points = found.points(pair_of(batch), known, GRID, WEIGHTS)
    assert float(nodes[0].abs().max()) == 0.0 and float(points[0, -5:].abs().max()) == 0.0
    assert float(nodes[1].abs().max()) > 1.0 and float(points[1, -5:].abs().max()) > 0.1
    none = Forcing(known.landscape, None)
    torch.testing.assert_close(found.nodes(pair_of(batch), none, EVERYWHERE)[0], nodes[0])
    torch.testing.assert_close(found.points(pair_of(batch), none, GRID, WEIGHTS)[0], points[0])


def test_weights_of_any_number_of_columns_become_an_array():
    matrix = csr_matrix(np.array([[0.0, 0.25, 0.75], [1.0, 0.0, 0.0]]))
    index, weight = padded_rows(matrix)
    assert weight.tolist() == [[0.25, 0.75], [1.0, 0.0]] and index[0].tolist() == [1, 2] and index[1, 0] == 0


def test_what_does_not_fit_is_said():
    batch, found = sequences(1), encoding()
    forcing = Forcing.of_sequences(batch)
    with pytest.raises(UsageError, match="no weights"):
        found.points(pair_of(batch), forcing, GRID, None)
    with pytest.raises(InputError, match="has 42 points; point 42"):
        found.nodes(pair_of(batch), forcing, torch.tensor([42]))
    with pytest.raises(InputError, match="does not cover"):
        RegionWeights(GRID, PLACE.boundary_grid)
    with pytest.raises(InputError, match="terrain and land"):
        BoundarySeries.of_boundary(replace(boundary(), static=None), names=NAMES, members=1)
    with pytest.raises(InputError, match=r"lacks gust"):
        BoundarySeries.of_boundary(boundary(), names=("gust",), members=1)
    with pytest.raises(InputError, match="not finite"):
        bad = boundary()
        bad.states[0].values[0, 0, 0, 0] = torch.nan
        BoundarySeries.of_boundary(bad, names=NAMES, members=1)


def test_variables_are_picked_by_name():
    given = boundary()
    series = BoundarySeries.of_boundary(given, names=("sp", "t2m"), members=2)
    assert series.values.shape[:3] == (2, len(given.states), 2)
    torch.testing.assert_close(series.values[1, 3, 1], given.states[3].values[0, 0].flatten())
    assert LAYOUT.names[0] == "t2m"
