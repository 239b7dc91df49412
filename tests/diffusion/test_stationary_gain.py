"""The gain of a stationary covariance against explicit matrices, with one factor and with tiles."""

import pytest
import torch

from rtma_diffda.diffusion.conditioning.evidence import Evidence, Stencil
from rtma_diffda.diffusion.conditioning.lattice_data import LatticeData
from rtma_diffda.diffusion.conditioning.place_tiles import lay_tiles
from rtma_diffda.diffusion.conditioning.stationary_gain import Solving, StationaryGain
from rtma_diffda.diffusion.stationary_covariance import StationaryCovariance
from rtma_diffda.errors import InputError, UsageError

SHAPE = (12, 15)
POINTS = 180
EXACT = Solving(jitter=0.0, dtype=torch.float64)
IN_TILES = Solving(direct=1, tile=24, tolerance=1e-10, iterations=300, jitter=0.0, dtype=torch.float64)


def covariance_of(between: float = 0.6) -> StationaryCovariance:
    lags = torch.arange(-8, 9, dtype=torch.float64)
    rho = torch.exp(-0.5 * (lags[:, None] ** 2 + lags**2) / 2.5**2) + 0.01 * (lags[:, None].abs() + lags.abs() == 0)
    return StationaryCovariance(torch.tensor([[1.0, between], [between, 1.5]])[:, :, None, None] * rho, SHAPE)


def stations(channel: list[int], *, seed: int = 0, error: float | torch.Tensor = 0.4) -> Evidence:
    """Bilinear data at random places, edges among them, each with a scale of its own."""
    generator, n = torch.Generator().manual_seed(seed), len(channel)
    ny, nx = SHAPE
    place = torch.rand(n, 2, generator=generator, dtype=torch.float64) * torch.tensor([ny - 1, nx - 1])
    place[: n // 10] = torch.tensor([ny - 1.0, nx - 1.0])
    return at_places(place, torch.tensor(channel), error, scale=0.5 + torch.rand(n, generator=generator).double())


def at_places(place: torch.Tensor, channel: torch.Tensor, error, *, scale: torch.Tensor | float = 1.0) -> Evidence:
    ny, nx = SHAPE
    corner = torch.minimum(place.floor(), torch.tensor([ny - 2, nx - 2]))
    (a, b), n = (place - corner).T, len(place)
    weights = torch.stack([(1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b], dim=1)
    points = (corner[:, 0] * nx + corner[:, 1]).long()[:, None] + torch.tensor([0, 1, nx, nx + 1])
    stencil = Stencil(channel.long(), points, weights * (scale * torch.ones(n, dtype=torch.float64))[:, None])
    return evidence(stencil, error)


def evidence(stencil: Stencil, error) -> Evidence:
    n = len(stencil.channel)
    return Evidence(
        lambda r: r.double().flatten(1) @ rows(stencil).T,
        torch.zeros(n, dtype=torch.float64),
        error * torch.ones(n, dtype=torch.float64),
        stencil,
    )


def rows(stencil: Stencil) -> torch.Tensor:
    """H (n, N) of two channels."""
    H = torch.zeros(len(stencil.channel), 2 * POINTS, dtype=torch.float64)
    return H.scatter_add_(1, stencil.points + POINTS * stencil.channel[:, None], stencil.weights)


def dense_increment(covariance: StationaryCovariance, data: Evidence, d: torch.Tensor, sigma: float) -> torch.Tensor:
    units = torch.eye(2 * POINTS, dtype=torch.float64).view(-1, 2, *SHAPE)
    C, H = covariance.conditional(sigma, dtype=torch.float64).apply(units).flatten(1), rows(data.stencil)
    S = H @ C @ H.T + torch.diag(data.error_std.square())
    return (d @ torch.linalg.inv(S) @ H @ C).view(-1, 2, *SHAPE)


def departures(members: int, n: int) -> torch.Tensor:
    return torch.randn(members, n, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


def blank(members: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.zeros(members, 2, *SHAPE, dtype=dtype)


MIXED = [0, 1, 0, 0, 1] * 16


@pytest.mark.parametrize("solving", [EXACT, IN_TILES], ids=["one factor", "tiles"])
@pytest.mark.parametrize("sigma", [0.03, 0.5, 3.0, 80.0])
def test_equals_the_dense_formula(solving, sigma):
    covariance, data, d = covariance_of(), stations(MIXED), departures(3, 80)
    found = StationaryGain(covariance, data, solving)(d, sigma, blank(3))
    torch.testing.assert_close(found, dense_increment(covariance, data, d, sigma), rtol=0, atol=1e-7)


@pytest.mark.parametrize("sigma", [0.03, 0.5, 3.0, 80.0])
def test_default_solving_is_within_its_tolerance(sigma):
    covariance, data, d = covariance_of(), stations(MIXED), departures(3, 80)
    expected = dense_increment(covariance, data, d, sigma)
    at_once = StationaryGain(covariance, data)(d.float(), sigma, blank(3, torch.float32))
    in_tiles = StationaryGain(covariance, data, Solving(direct=1, tile=24))(d, sigma, blank(3))
    assert at_once.dtype == torch.float32
    assert float((at_once - expected).norm() / expected.norm()) < 1e-4
    assert float((in_tiles - expected).norm() / expected.norm()) < 0.02


def test_tiles_alone_are_worse_than_what_iterations_make_of_them():
    """One iteration is a local solution, scaled; the error falls with each more, and no seam stays."""
    covariance, data, d = covariance_of(), stations(MIXED), departures(1, 80)
    expected, errors = dense_increment(covariance, data, d, 10.0), []
    for iterations in (1, 3, 9, 27):
        solving = Solving(direct=1, tile=24, tolerance=1e-9, iterations=iterations, dtype=torch.float64, jitter=0.0)
        found = StationaryGain(covariance, data, solving)(d, 10.0, blank(1))
        errors.append(float((found - expected).norm() / expected.norm()))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.05
    assert errors[-1] < 1e-4


def test_members_are_solved_as_if_alone():
    covariance, data, d = covariance_of(), stations(MIXED), departures(4, 80)
    d[2] *= 1e3
    for solving in (EXACT, IN_TILES):
        gain = StationaryGain(covariance, data, solving)
        together = gain(d, 0.7, blank(4))
        for i in range(4):
            torch.testing.assert_close(gain(d[i : i + 1], 0.7, blank(1)), together[i : i + 1], rtol=1e-7, atol=1e-8)


def test_without_covariance_between_channels_each_is_by_itself():
    d = departures(2, 80)
    data, gain = stations(MIXED), StationaryGain(covariance_of(0.0), stations(MIXED), EXACT)
    found = gain(d, 0.7, blank(2))
    for channel in (0, 1):
        others = torch.where(data.stencil.channel == channel, data.error_std, torch.inf)
        alone = StationaryGain(covariance_of(0.0), evidence(data.stencil, others), EXACT)(d, 0.7, blank(2))
        torch.testing.assert_close(alone[:, channel], found[:, channel], rtol=0, atol=1e-12)
        assert float(alone[:, 1 - channel].abs().max()) < 1e-14


@pytest.mark.parametrize("solving", [EXACT, IN_TILES, Solving()])
def test_only_one_variable_observed(solving):
    """The other moves by its covariance with the first, and not at all where there is none."""
    d, data = departures(1, 40), stations([1] * 40)
    for between in (0.6, 0.0):
        covariance = covariance_of(between)
        found = StationaryGain(covariance, data, solving)(d, 2.0, blank(1))
        torch.testing.assert_close(found, dense_increment(covariance, data, d, 2.0), rtol=0, atol=2e-3)
        assert (float(found[:, 0].abs().max()) > 0.1) == (between > 0)


def test_no_observations():
    found = StationaryGain(covariance_of(), stations([]))(departures(2, 0), 1.0, blank(2))
    assert found.shape == (2, 2, *SHAPE)
    assert float(found.abs().max()) == 0.0


@pytest.mark.parametrize("solving", [Solving(), Solving(direct=1, tile=24, iterations=30)])
def test_small_errors_are_met_and_large_ones_say_nothing(solving):
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(POINTS // 4, generator=generator)[:20]
    place = torch.stack([chosen // 7 * 2, chosen % 7 * 2], dim=1).double()  # some spacings apart: H B Hᵀ is regular
    d, channel = departures(2, 20), torch.arange(20) % 2
    for sigma in (0.03, 1.0, 80.0):
        exact = at_places(place, channel, 1e-9)
        found = StationaryGain(covariance_of(), exact, solving)(d, sigma, blank(2))
        assert float((exact.equivalents(found) - d).abs().max()) < 0.1
        useless = StationaryGain(covariance_of(), at_places(place, channel, 1e6), solving)(d, sigma, blank(2))
        assert float(useless.abs().max()) < 1e-10


def test_a_datum_of_infinite_error_is_none():
    data, d = stations(MIXED), departures(1, 80)
    error = torch.where(torch.arange(80) < 40, data.error_std, torch.inf)
    half = Stencil(data.stencil.channel[:40], data.stencil.points[:40], data.stencil.weights[:40])
    found = StationaryGain(covariance_of(), evidence(data.stencil, error), EXACT)(d, 1.0, blank(1))
    expected = StationaryGain(covariance_of(), evidence(half, 0.4), EXACT)(d[:, :40], 1.0, blank(1))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("solving", [EXACT, IN_TILES])
def test_stations_at_one_place(solving):
    """Four data of 0.4 are one of 0.2, their mean; what is exact and contradicts itself is its mean, too."""
    place, d = torch.tensor([[3.4, 5.2]]).double(), torch.tensor([[0.1, 0.9, -0.3, 0.5]], dtype=torch.float64)
    zero = torch.zeros(4, dtype=torch.long)
    four = StationaryGain(covariance_of(), at_places(place.repeat(4, 1), zero, 0.4), solving)(d, 1.0, blank(1))
    one = StationaryGain(covariance_of(), at_places(place, zero[:1], 0.2), solving)(d.mean(1)[None], 1.0, blank(1))
    torch.testing.assert_close(four, one, rtol=0, atol=1e-9)
    exact = at_places(place.repeat(4, 1), zero, 1e-12)
    contradicting = StationaryGain(covariance_of(), exact, solving)(d, 1.0, blank(1))
    torch.testing.assert_close(exact.equivalents(contradicting), d.mean().expand(1, 4), rtol=0, atol=1e-5)


@pytest.mark.parametrize("solving", [Solving(), Solving(direct=1, tile=24)])
@pytest.mark.parametrize("apart", [1e-9, 1e-5, 1e-2])
def test_stations_almost_at_one_place_stay_sane(solving, apart):
    """H C Hᵀ is singular to rounding; differences of exact data are trusted up to the share of the jitter."""
    place = torch.tensor([[4.3, 6.6]]).double() + apart * torch.randn(40, 2, generator=torch.Generator().manual_seed(3))
    d = departures(2, 40)
    for error in (1e-8, 0.4):
        data = at_places(place, torch.arange(40) % 2, error)
        found = StationaryGain(covariance_of(), data, solving)(d, 1.0, blank(2))
        assert bool(torch.isfinite(found).all())
        assert float(found.abs().max()) < solving.jitter**-0.5 * float(d.abs().max())


@pytest.mark.parametrize("sigma", [1e-9, 1e-3, 1.0, 1e9])
@pytest.mark.parametrize("error", [1e-30, 1e30])
@pytest.mark.parametrize("size", [0.0, 1.0, 1e30])
def test_extremes_stay_finite(sigma, error, size):
    for solving in (Solving(), Solving(direct=1, tile=24)):
        gain = StationaryGain(covariance_of(), stations(MIXED, error=error), solving)
        found = gain(size * departures(2, 80), sigma, blank(2))
        assert bool(torch.isfinite(found).all())
        assert size > 0 or float(found.abs().max()) == 0.0


def test_observed_and_spread_are_adjoint_and_are_H():
    stencil = stations(MIXED).stencil
    data = LatticeData.of(stencil, torch.full((80,), 0.4), 2, SHAPE)
    generator = torch.Generator().manual_seed(5)
    fields = torch.randn(3, 2, *SHAPE, generator=generator, dtype=torch.float64)
    values = torch.randn(3, len(data.corner), 2, generator=generator, dtype=torch.float64)
    left, right = (data.observed(fields) * values).sum(), (fields * data.spread(values)).sum()
    assert torch.isclose(left, right, rtol=1e-12)
    seen = data.observed(fields).flatten(1)[:, data.target] * stencil.weights.sum(dim=1)
    torch.testing.assert_close(seen, fields.flatten(1) @ rows(stencil).T, rtol=0, atol=1e-12)


def test_tiles_hold_every_place_and_their_shares_add_up():
    position = torch.rand(500, 2, generator=torch.Generator().manual_seed(1)) ** 3  # crowded in a corner
    tiles = lay_tiles(position, size=40, core=13)
    assert tiles.places.shape[1] == 40
    total = torch.zeros(500, dtype=torch.float64).index_add_(0, tiles.places.flatten(), tiles.share.square().flatten())
    torch.testing.assert_close(total, torch.ones(500, dtype=torch.float64))
    assert lay_tiles(position, size=500, core=100).places.shape == (1, 500)


def test_the_latest_noise_level_is_kept(monkeypatch):
    made, of = [], StationaryCovariance.conditional

    def counted(self, sigma, **others):
        made.append(sigma)
        return of(self, sigma, **others)

    monkeypatch.setattr(StationaryCovariance, "conditional", counted)
    gain = StationaryGain(covariance_of(), stations(MIXED))
    for sigma in (2.0, 2.0, 1.0, 1.0, 2.0):
        gain(departures(1, 80), sigma, blank(1))
    assert made == [2.0, 1.0, 2.0]


def test_what_it_does_not_take():
    data = stations(MIXED)
    with pytest.raises(InputError, match="there is DenseGain"):
        StationaryGain(covariance_of(), Evidence(data.equivalents, data.value, data.error_std))
    with pytest.raises(InputError, match="cannot serve"):
        StationaryGain(covariance_of(), data)(departures(1, 80), 1.0, torch.zeros(1, 1, *SHAPE))
    wide = Stencil(torch.zeros(1, dtype=torch.long), torch.tensor([[0, 2]]), torch.ones(1, 2))
    with pytest.raises(InputError, match="1 of 1 data look at points farther apart"):
        StationaryGain(covariance_of(), evidence(wide, 1.0))(departures(1, 1), 1.0, blank(1))
    with pytest.raises(UsageError, match="counts"):
        Solving(tile=0)
