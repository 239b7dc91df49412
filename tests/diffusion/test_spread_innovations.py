import math

import numpy as np
import pytest
import torch

from rtma_diffda.diffusion.conditioning.spread_innovations import (
    GridPlaces,
    Kriging,
    Linear,
    ObservedPoints,
    on_sphere,
    spread_innovations,
    spread_values,
)
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.sphere import EARTH_RADIUS

REGION = GridPlaces.of_plane(2500.0 * np.arange(24), 2500.0 * np.arange(20))
GLOBE = GridPlaces.of_latitudes(np.linspace(-90.0, 90.0, 19), 10.0 * np.arange(36), periodic=True)
METHODS = pytest.mark.parametrize(
    "method", [Kriging(40e3), Kriging(40e3, constant_drift=True), Linear()], ids=["kriging", "ordinary", "linear"]
)


def places_in_region(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 2, generator=generator, dtype=torch.float64) * torch.tensor([57.5e3, 47.5e3])


def places_on_globe(count: int, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return on_sphere(np.rad2deg(np.arcsin(rng.uniform(-1, 1, count))), rng.uniform(0, 360, count))


def normal(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def krige_one(position, value, target, method: Kriging) -> float:
    """The equations, for one grid point, by numpy."""
    distance = np.linalg.norm(position - target, axis=1)
    near = [i for i in np.argsort(distance)[: method.neighbours] if distance[i] <= method.radius]
    C = np.exp(-np.linalg.norm(position[near][:, None] - position[near][None], axis=2) / method.length)
    c = np.exp(-distance[near] / method.length)
    if method.constant_drift:  # with a Lagrange multiplier, as textbooks print it
        C = np.block([[C, np.ones((len(near), 1))], [np.ones((1, len(near))), 0.0]])
        c = np.append(c, 1.0)
    return float(np.linalg.solve(C, c)[: len(near)] @ value[near])


@pytest.mark.parametrize("constant_drift", [False, True])
@pytest.mark.parametrize(("places", "grid"), [(places_in_region(40), REGION), (places_on_globe(60), GLOBE)])
def test_kriging_equals_the_equations_point_by_point(constant_drift, places, grid):
    size = float(grid.position.flatten(0, 1).std(dim=0).norm())
    method = Kriging(0.3 * size, radius=0.35 * size, constant_drift=constant_drift)
    values, targets = normal(1, len(places)), grid.position.flatten(0, 1)[::7]
    found = method.interpolate(places, values, targets)[0]
    near_enough = torch.cdist(targets, places).amin(dim=1) <= method.radius
    assert torch.equal(~torch.isnan(found), near_enough)
    for i in torch.nonzero(near_enough)[:, 0].tolist():
        expected = krige_one(places.numpy(), values[0].numpy(), targets[i].numpy(), method)
        assert float(found[i]) == pytest.approx(expected, abs=1e-7)


@METHODS
@pytest.mark.parametrize("grid", [REGION, GLOBE], ids=["region", "globe"])
def test_data_on_grid_points_come_back(method, grid):
    cells = torch.randperm(math.prod(grid.shape), generator=torch.Generator().manual_seed(0))[:30]
    if grid is GLOBE:
        cells = cells[(cells >= 36) & (cells < 18 * 36)]  # at a pole, all columns are one place
    values = normal(1, len(cells))
    found = method.interpolate(grid.position.flatten(0, 1)[cells], values, grid.position.flatten(0, 1))[:, cells]
    torch.testing.assert_close(found, values, atol=1e-6, rtol=0.0)


def test_one_datum_fades_with_distance_to_nought_or_fills_the_region():
    position, targets = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([[0.0, 30e3], [50e3, 0.0]]).double()
    values = torch.tensor([[2.0]], dtype=torch.float64)
    fading = Kriging(40e3).interpolate(position, values, targets)[0]
    torch.testing.assert_close(fading, 2.0 * torch.exp(torch.tensor([-0.75, -1.25], dtype=torch.float64)))
    filling = Kriging(40e3, constant_drift=True).interpolate(position, values, targets)[0]
    torch.testing.assert_close(filling, torch.full((2,), 2.0, dtype=torch.float64))


def test_distances_on_the_globe_are_chords_and_have_no_seam():
    position = on_sphere([0.0], [359.0])
    found = Kriging(600e3).interpolate(
        position, torch.ones(1, 1).double(), on_sphere([0.0, 0.0, 90.0], [1.0, 357.0, 0.0])
    )
    chord = 2.0 * EARTH_RADIUS * math.sin(math.radians(1.0))
    assert found[0, :2].tolist() == pytest.approx([math.exp(-chord / 600e3)] * 2)
    assert math.isnan(float(found[0, 2]))  # the pole is farther than the radius


def test_two_data_at_one_place_share_their_weight():
    position = torch.tensor([[0.0, 0.0], [0.0, 0.0], [9e3, 0.0]], dtype=torch.float64)
    values = torch.tensor([[1.0, 3.0, 0.0]], dtype=torch.float64)
    assert float(Kriging(40e3).interpolate(position, values, position[:1])) == pytest.approx(2.0, abs=1e-4)


def test_linear_is_exact_for_a_plane_within_the_hull_and_nearest_outside():
    def plane(position: torch.Tensor) -> torch.Tensor:
        return (2.0 + 1e-4 * position[:, 0] - 3e-5 * position[:, 1])[None]

    corners = torch.tensor([[10e3, 10e3], [10e3, 39e3], [46e3, 10e3], [46e3, 39e3]], dtype=torch.float64)
    position, targets = torch.cat([corners, 10e3 + 0.5 * places_in_region(20)]), REGION.position.flatten(0, 1)
    found = Linear().interpolate(position, plane(position), targets)
    inside = ((targets >= 10e3) & (targets <= torch.tensor([46e3, 39e3]))).all(dim=1)
    torch.testing.assert_close(found[:, inside], plane(targets[inside]))
    nearest = torch.cdist(targets[~inside], position).argmin(dim=1)
    torch.testing.assert_close(found[:, ~inside], plane(position)[:, nearest])


def test_linear_of_too_few_data_is_the_nearest():
    position, targets = places_in_region(2), REGION.position.flatten(0, 1)
    values = torch.tensor([[1.0, 5.0]], dtype=torch.float64)
    nearest = torch.cdist(targets, position).argmin(dim=1)
    assert torch.equal(Linear().interpolate(position, values, targets), values[:, nearest])


def test_linear_on_the_globe_follows_a_smooth_field():
    """Shells keep the sphere within the hull: no grid point needs the nearest datum, not even at the poles."""
    position, targets = places_on_globe(400), GLOBE.position.flatten(0, 1)
    smooth = torch.stack([position @ torch.tensor([0.0, 0.6, 0.8]).double() / EARTH_RADIUS, torch.ones(400)])
    expected = targets @ torch.tensor([0.0, 0.6, 0.8]).double() / EARTH_RADIUS
    found = Linear().interpolate(position, smooth, targets)
    torch.testing.assert_close(found[1], torch.ones_like(found[1]))
    assert float((found[0] - expected).square().mean().sqrt()) < 0.01
    nearest = smooth[0][torch.cdist(targets, position).argmin(dim=1)]
    assert float((nearest - expected).square().mean().sqrt()) > 0.04


@METHODS
def test_values_differ_from_innovations_by_the_interpolation_of_the_background(method):
    """Linearity: I(y) − x_b = I(y − H x_b) + (I(H x_b) − x_b)."""
    position, channel = places_in_region(30), torch.arange(30) % 2
    y, at_data, background = normal(30), normal(30, seed=2), normal(2, *REGION.shape, seed=3)

    def innovations(value: torch.Tensor) -> torch.Tensor:
        return spread_innovations(method, ObservedPoints(channel, position, value), REGION, channels=2)

    of_values = spread_values(method, ObservedPoints(channel, position, y), REGION, background=background)
    torch.testing.assert_close(of_values, innovations(y - at_data) + (innovations(at_data) - background))


def test_channels_and_members_are_spread_apart_from_each_other():
    """Channels 0 and 2 are observed at the same places, 1 elsewhere, 3 nowhere."""
    here, there = places_in_region(12), places_in_region(7, seed=5)
    channel = torch.tensor([0] * 12 + [1] * 7 + [2] * 12)
    observed = ObservedPoints(channel, torch.cat([here, there, here]), normal(3, 31))
    fields = spread_innovations(Kriging(40e3), observed, REGION, channels=4)
    assert fields.shape == (3, 4, *REGION.shape)
    assert float(fields[:, 3].abs().max()) == 0.0
    for index, place in ((0, here), (1, there), (2, here)):
        alone = Kriging(40e3).interpolate(place, observed.value[:, channel == index], REGION.position.flatten(0, 1))
        torch.testing.assert_close(fields[:, index].flatten(1), alone)


def test_beyond_the_radius_the_background_stands():
    observed = ObservedPoints(torch.zeros(1, dtype=torch.int64), places_in_region(1), torch.ones(1).double())
    near = torch.cdist(REGION.position.flatten(0, 1), observed.position).reshape(REGION.shape) <= 8e3
    for method in (Kriging(40e3, radius=8e3), Kriging(40e3, radius=8e3, constant_drift=True)):
        field = spread_innovations(method, observed, REGION, channels=1)[0]
        assert torch.equal(field != 0.0, near)
        background = torch.full((1, *REGION.shape), 9.0)
        assert torch.equal(spread_values(method, observed, REGION, background=background)[0] != 0.0, near)


def test_nearest_grid_point():
    assert REGION.nearest(torch.tensor([[3800.0, 4900.0], [-9e3, 0.0]]).double()).tolist() == [2 * 24 + 2, 0]
    assert GLOBE.nearest(on_sphere([1.0, 44.0], [357.0, 114.0])).tolist() == [9 * 36, 13 * 36 + 11]


def test_refuses_what_makes_no_sense():
    with pytest.raises(InputError, match="expected"):
        ObservedPoints(torch.zeros(2, dtype=torch.int64), torch.zeros(3, 2), torch.zeros(2))
    with pytest.raises(InputError, match="finite"):
        ObservedPoints(torch.zeros(1, dtype=torch.int64), torch.zeros(1, 2), torch.tensor([math.nan]))
    with pytest.raises(UsageError, match="length"):
        Kriging(0.0)
