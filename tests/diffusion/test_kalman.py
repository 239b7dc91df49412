"""``Kalman``: for a Gaussian and its denoiser, exact at every noise level; and what observations may not break."""

import math

import numpy as np
import pytest
import torch
from builders import NOON, random_observations, random_state, small_grid, small_static

from rtma_diffda.diffusion.conditioning.dense_gain import DenseGain
from rtma_diffda.diffusion.conditioning.evidence import Evidence, Stencil, evidence_of
from rtma_diffda.diffusion.conditioning.kalman import Kalman
from rtma_diffda.diffusion.conditioning.low_rank_gain import LowRankGain, Modes
from rtma_diffda.diffusion.conditioning.stationary_gain import StationaryGain
from rtma_diffda.diffusion.gaussian import Gaussian
from rtma_diffda.diffusion.paths import karras_path
from rtma_diffda.diffusion.sampling import Ancestral, Multistep, Sampler, sample
from rtma_diffda.diffusion.stationary_covariance import StationaryCovariance
from rtma_diffda.errors import UsageError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.times import Window

SHAPE, POINTS = (1, 6, 7), 42
NO_CONTEXT = torch.zeros(1)


def prior() -> Gaussian:
    position = torch.cartesian_prod(torch.arange(6.0), torch.arange(7.0)).double()
    B = 1.5 * torch.exp(-torch.cdist(position, position) / 2.5)
    mean = torch.linspace(-0.5, 0.5, POINTS, dtype=torch.float64).view(SHAPE)
    return Gaussian(mean, B)


def bilinear(n: int, error: float = 0.3, seed: int = 0) -> tuple[Evidence, torch.Tensor]:
    """Data with a stencil, and H (n, N)."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 5, (n,), generator=generator) * 7 + torch.randint(0, 6, (n,), generator=generator)
    points = corner[:, None] + torch.tensor([0, 1, 7, 8])
    weights = torch.rand(n, 4, generator=generator, dtype=torch.float64)
    H = torch.zeros(n, POINTS, dtype=torch.float64).scatter_add_(1, points, weights)
    value = torch.randn(n, generator=generator, dtype=torch.float64)
    stencil = Stencil(torch.zeros(n, dtype=torch.long), points, weights)
    error_std = torch.full((n,), error, dtype=torch.float64)
    return Evidence(lambda r: r.flatten(1) @ H.to(r).T, value, error_std, stencil), H


def all_modes(gaussian: Gaussian) -> Modes:
    variance, vectors = torch.linalg.eigh(gaussian.covariance)
    return Modes(vectors * variance.sqrt(), variance, torch.zeros(POINTS, dtype=torch.float64))


def noisy_state(members: int = 3) -> torch.Tensor:
    return torch.randn(members, *SHAPE, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def levels(sigma: float, members: int = 3) -> torch.Tensor:
    return torch.full((members,), sigma, dtype=torch.float64)


@pytest.mark.parametrize("sigma", [0.02, 0.3, 2.0, 80.0])
@pytest.mark.parametrize("n", [5, 60])
def test_exact_for_a_gaussian_at_every_noise_level(sigma, n):
    """The prior's denoiser with a gain is the denoiser of the posterior; 60 data are more than there are modes."""
    gaussian, (evidence, H) = prior(), bilinear(n)
    expected = gaussian.given(H, evidence.value, evidence.error_std.square())
    noisy = sigma * noisy_state()
    for gain in (DenseGain(gaussian.covariance, evidence), LowRankGain.of([all_modes(gaussian)], evidence)):
        found = Kalman(evidence, gain).denoise(gaussian, noisy, levels(sigma), NO_CONTEXT)
        torch.testing.assert_close(found, expected(noisy, levels(sigma), NO_CONTEXT), rtol=0, atol=1e-8)


def test_the_stationary_gain_is_the_dense_one_of_its_covariance():
    lags = torch.arange(-6, 7, dtype=torch.float64)
    rho = torch.exp(-0.5 * (lags[:, None] ** 2 + lags**2) / 1.5**2)[None, None]
    evidence, H = bilinear(12)
    stationary, d = StationaryCovariance(rho, SHAPE[1:]), evidence.departures(noisy_state())
    B = stationary.conditional(1e6, dtype=torch.float64).apply(torch.eye(POINTS).double().view(-1, *SHAPE)).flatten(1)
    found = StationaryGain(stationary, evidence)(d, 1e4, noisy_state())
    torch.testing.assert_close(found, DenseGain(B, evidence)(d, 1e4, noisy_state()), rtol=0, atol=1e-3)
    assert float((found.flatten(1) @ H.T - d).norm()) < float(d.norm())


@pytest.mark.parametrize(("stepper", "least"), [(Ancestral(), 0.80), (Multistep(eta=1.0), 0.93)])
def test_sampling_draws_from_the_posterior(stepper, least):
    """The ancestral stepper loses spread with 30 levels, whatever conditions it."""
    gaussian, (evidence, H) = prior(), bilinear(6)
    exact = gaussian.given(H, evidence.value, evidence.error_std.square())
    kalman = Kalman(evidence, LowRankGain.of([all_modes(gaussian)], evidence))
    drawn = sample(
        gaussian,
        kalman,
        Sampler(karras_path(30, highest=80.0, lowest=0.02), stepper),
        torch.zeros(1500, *SHAPE, dtype=torch.float64),
        channels=1,
        generator=torch.Generator().manual_seed(2),
    )
    floor = float((exact.std.square() / 1500).mean().sqrt())
    assert float((drawn.mean(dim=0) - exact.mean).square().mean().sqrt()) < 2.0 * floor
    assert least < float((drawn.std(dim=0) / exact.std).mean()) < 1.05


def test_each_datum_counts_once_whatever_the_number_of_calls():
    """Nothing is learnt from a second look: the last denoised state of any path has the posterior's mean."""
    gaussian, (evidence, H) = prior(), bilinear(6)
    exact = gaussian.given(H, evidence.value, evidence.error_std.square())
    kalman = Kalman(evidence, DenseGain(gaussian.covariance, evidence))
    for sigma in (80.0, 1.0, 0.05):
        noisy = exact.draw(2000, generator=torch.Generator().manual_seed(1))
        noisy = noisy + sigma * torch.randn(noisy.shape, generator=torch.Generator().manual_seed(3), dtype=noisy.dtype)
        found = kalman.denoise(gaussian, noisy, levels(sigma, 2000), NO_CONTEXT).mean(dim=0)
        assert float((found - exact.mean).abs().max()) < 0.15


def test_without_observations_the_denoisers_answer_stands():
    evidence, _ = bilinear(0)
    kalman = Kalman(evidence, DenseGain(prior().covariance, evidence))
    noisy = noisy_state()
    assert torch.equal(kalman.denoise(prior(), noisy, levels(1.0), NO_CONTEXT), prior()(noisy, levels(1.0), NO_CONTEXT))
    assert kalman.replace(noisy, levels(1.0), torch.Generator()) is noisy


def test_no_gradient_is_asked_of_the_network():
    evidence, _ = bilinear(5)
    network = torch.nn.Conv2d(1, 1, 3, padding=1, dtype=torch.float64)
    kalman = Kalman(evidence, DenseGain(prior().covariance, evidence))
    found = kalman.denoise(lambda noisy, sigma, context: network(noisy), noisy_state(), levels(1.0), NO_CONTEXT)
    assert not found.requires_grad


def test_members_equal_those_denoised_alone_and_share_one_level():
    evidence, _ = bilinear(8)
    kalman = Kalman(evidence, LowRankGain.of([all_modes(prior())], evidence))
    together = kalman.denoise(prior(), noisy_state(), levels(0.7), NO_CONTEXT)
    for i in range(3):
        alone = kalman.denoise(prior(), noisy_state()[i : i + 1], levels(0.7, 1), NO_CONTEXT)
        torch.testing.assert_close(alone, together[i : i + 1], rtol=0, atol=1e-12)
    with pytest.raises(UsageError, match=r"members at one noise level; found 0\.5 … 0\.7"):
        kalman.denoise(prior(), noisy_state(), torch.tensor([0.7, 0.5, 0.7]), NO_CONTEXT)


def test_the_gain_is_worked_out_without_autocast():
    evidence, _ = bilinear(8)
    modes = all_modes(prior())
    modes = Modes(modes.fields.float(), modes.variance.float(), modes.rest.float())
    kalman, noisy = Kalman(evidence, LowRankGain.of([modes], evidence)), noisy_state().float()
    plain = kalman.denoise(prior(), noisy, levels(1.0).float(), NO_CONTEXT)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        within = kalman.denoise(prior(), noisy, levels(1.0).float(), NO_CONTEXT)
    torch.testing.assert_close(within, plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("error", [1e-30, 1e-9, 1e9, 1e30])
@pytest.mark.parametrize("sigma", [0.002, 1.0, 800.0])
def test_repeated_exact_and_useless_data_stay_finite_in_float32(error, sigma):
    """80 data at 30 places, of which some repeat each other: H C Hᵀ is singular."""
    evidence, _ = bilinear(80, error=error)
    modes = all_modes(prior())
    modes = Modes(modes.fields.float(), modes.variance.float(), modes.rest.float())
    for n in (12, 80):
        rows = torch.arange(n) % 10 if n == 12 else torch.arange(n)
        stencil = Stencil(*(part[rows] for part in vars(evidence.stencil).values()))
        some = Evidence(lambda r, rows=rows: evidence.equivalents(r)[:, rows], evidence.value[:n],
                        evidence.error_std[:n], stencil)  # fmt: skip
        found = Kalman(some, LowRankGain.of([modes], some)).denoise(
            prior(), sigma * noisy_state().float(), levels(sigma).float(), NO_CONTEXT
        )
        assert bool(torch.isfinite(found).all())


LAYOUT = Layout.of(small_grid(), ["t2m", "u10m", "sp"])
H = BilinearOperator(LAYOUT, small_static())
SCALE = torch.tensor([1.5, 2.0, 80.0], dtype=torch.float64).view(3, 1, 1)


class WithoutRows:
    """The same H, which does not tell its rows."""

    def __call__(self, values, observations):
        return H(values, observations)

    def rows(self, observations):
        return None


def kalman_of(operator) -> Kalman:
    """On a problem of three variables in SI; B is of one variable's size at each point."""
    window = Window.around(NOON, np.timedelta64(30, "m"))
    problem = AssimilationProblem(random_state(LAYOUT), random_observations(LAYOUT, 30), operator, window)
    evidence, size = evidence_of(problem, SCALE, members=2), math.prod(LAYOUT.shape)
    return Kalman(evidence, DenseGain(torch.eye(size, dtype=torch.float64), evidence))


def test_an_operator_without_rows_is_linearised():
    noisy = random_state(LAYOUT, members=2, seed=8).values
    found, expected = (
        kalman_of(operator).denoise(lambda r, sigma, context: 0.5 * r, noisy, levels(1.0, 2), NO_CONTEXT)
        for operator in (WithoutRows(), H)
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    assert float((found - 0.5 * noisy).abs().max()) > 1.0


def test_the_rows_of_the_operator_its_tangent_and_its_adjoint_agree():
    observations, x = random_observations(LAYOUT, 40), random_state(LAYOUT, members=2).values
    rows, d = H.rows(observations), torch.randn(2, 40, generator=torch.Generator().manual_seed(3)).double()
    seen = (x.flatten(2)[:, observations.channel[:, None], rows.points] * rows.weights).sum(dim=-1)
    torch.testing.assert_close(seen, H.tangent(x, observations), rtol=0, atol=1e-12)
    assert torch.isclose((seen * d).sum(), (x * H.adjoint(d, observations)).sum(), rtol=1e-12)
