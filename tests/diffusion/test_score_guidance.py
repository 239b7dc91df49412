"""SDA and DPS against their own equations in dense matrices; the guard; limits; inputs that could break them."""

import math

import pytest
import torch

from rtma_diffda.diffusion.conditioning.evidence import Evidence, Stencil
from rtma_diffda.diffusion.conditioning.score_guidance import PosteriorSampling, ScoreGuidance
from rtma_diffda.diffusion.gaussian import Gaussian
from rtma_diffda.diffusion.paths import karras_path
from rtma_diffda.diffusion.sampling import Ancestral, Sampler, sample
from rtma_diffda.errors import UsageError

DOUBLE = torch.float64
SHAPE, SIZE, DATA = (1, 3, 4), 12, 4
SIGMA = torch.tensor([0.3, 4.0], dtype=DOUBLE)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


FACTOR = normal(SIZE, SIZE, seed=1)
PRIOR = Gaussian(normal(*SHAPE, seed=2), FACTOR @ FACTOR.T / SIZE)
POINTS = torch.tensor([0, 3, 7, 11])
NEXT = torch.tensor([1, 4, 8, 10])
WEIGHTS = torch.tensor([1.0, 0.5, 2.0, 1.5], dtype=DOUBLE)
VALUE = 3.0 + normal(DATA, seed=4)
NOISY = 3.0 * normal(2, *SHAPE, seed=5)


def evidence(error: float | torch.Tensor = 0.5, value: torch.Tensor = VALUE, *, stencil: bool = False) -> Evidence:
    rows = Stencil(torch.zeros(DATA, dtype=torch.int64), POINTS[:, None], WEIGHTS[:, None])
    error_std = torch.as_tensor(error, dtype=DOUBLE).expand(DATA)
    return Evidence(lambda r: r.flatten(1)[:, POINTS] * WEIGHTS, value, error_std, rows if stencil else None)


def curved(r: torch.Tensor) -> torch.Tensor:
    return r.flatten(1)[:, POINTS].square() + r.flatten(1)[:, NEXT].exp().clamp(max=1e6)


def denoise(conditioning) -> torch.Tensor:
    return conditioning.denoise(PRIOR, NOISY, SIGMA, NOISY)


def gradient_of(log_likelihood) -> torch.Tensor:
    """∇_x of a function of D(x), by automatic differentiation of the whole."""
    noisy = NOISY.clone().requires_grad_()
    log_likelihood(PRIOR(noisy, SIGMA, noisy)).sum().backward()
    return SIGMA.square()[:, None, None, None] * noisy.grad


@pytest.mark.parametrize("stencil", [True, False], ids=["stencil", "probed"])
@pytest.mark.parametrize("gamma", [0.0, 0.01, 1.0])
def test_sda_is_the_gradient_of_its_likelihood(gamma, stencil):
    seen = evidence(torch.tensor([0.2, 0.5, 1.0, 3.0], dtype=DOUBLE), stencil=stencil)
    variance = seen.error_std.square() + gamma * SIGMA.square()[:, None] * WEIGHTS.square()
    expected = PRIOR(NOISY, SIGMA, NOISY) + gradient_of(
        lambda denoised: -0.5 * (seen.departures(denoised).square() / variance).sum(dim=1)
    )
    found = denoise(ScoreGuidance(seen, gamma, guarded=False, limit=math.inf))
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


def test_dps_is_the_gradient_of_squared_departures_over_their_norm():
    seen = evidence(0.5)
    norm = ((seen.departures(PRIOR(NOISY, SIGMA, NOISY)) / 0.5).norm(dim=1)).detach()
    expected = PRIOR(NOISY, SIGMA, NOISY) + gradient_of(
        lambda denoised: -0.7 * (seen.departures(denoised) / 0.5).square().sum(dim=1) / norm
    )
    found = denoise(PosteriorSampling(seen, zeta=0.7, guarded=False, limit=math.inf))
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


def test_non_linear_operators_enter_by_their_derivative():
    seen = Evidence(curved, VALUE, torch.full((DATA,), 2.0, dtype=DOUBLE))
    expected = PRIOR(NOISY, SIGMA, NOISY) + gradient_of(
        lambda denoised: -0.5 * (seen.departures(denoised) / 2.0).square().sum(dim=1)
    )
    found = denoise(ScoreGuidance(seen, gamma=0.0, guarded=False, limit=math.inf))
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("made", [ScoreGuidance, PosteriorSampling])
@pytest.mark.parametrize("error", [1e-4, 0.3, 50.0])
def test_guarded_updates_are_the_shorter_and_never_go_past_the_data(made, error):
    start, seen = PRIOR(NOISY, SIGMA, NOISY), evidence(error)
    free = denoise(made(seen, guarded=False, limit=math.inf)) - start
    kept = denoise(made(seen, limit=math.inf)) - start
    length = (kept * free).sum(dim=(1, 2, 3)) / free.square().sum(dim=(1, 2, 3))
    torch.testing.assert_close(kept, length[:, None, None, None] * free)
    assert bool(((length >= 0.0) & (length <= 1.0)).all())
    before, after = (seen.departures(r).norm(dim=1) for r in (start, start + kept))
    assert bool((after <= before).all())


def test_with_one_datum_the_guarded_update_is_the_analysis():
    """Along V H̃ᵀ there is but one way, and its length is that of the closed form; γ = 0."""
    one = Evidence(lambda r: r.flatten(1)[:, :1], VALUE[:1], torch.tensor([0.1], dtype=DOUBLE))
    found = denoise(ScoreGuidance(one, gamma=0.0))
    for member in range(2):
        noise_variance = (SIGMA[member] ** 2).expand(SIZE)
        given = PRIOR.given(torch.eye(SIZE, dtype=DOUBLE), NOISY[member].flatten(), noise_variance)
        exact = given.given(torch.eye(SIZE, dtype=DOUBLE)[:1], VALUE[:1], torch.tensor([0.01], dtype=DOUBLE))
        torch.testing.assert_close(found[member], exact.mean, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("made", [ScoreGuidance, PosteriorSampling])
def test_useless_data_and_none_leave_the_denoisers_answer(made):
    nothing = Evidence(lambda r: r.flatten(1)[:, :0], VALUE[:0], VALUE[:0])
    assert torch.equal(denoise(made(nothing)), PRIOR(NOISY, SIGMA, NOISY))
    assert (made(nothing).calls(1.0), made(evidence()).calls(1.0)) == (1, 2)
    torch.testing.assert_close(denoise(ScoreGuidance(evidence(1e7))), PRIOR(NOISY, SIGMA, NOISY), rtol=0.0, atol=1e-10)
    agreeing = evidence(0.5, value=PRIOR(NOISY, SIGMA, NOISY)[0].flatten()[POINTS] * WEIGHTS)
    torch.testing.assert_close(denoise(made(agreeing))[0], PRIOR(NOISY, SIGMA, NOISY)[0])  # no departure, no 0 / 0


@pytest.mark.parametrize("made", [ScoreGuidance, PosteriorSampling])
@pytest.mark.parametrize("seen", [evidence(1e-7), evidence(0.1, 1e8 * VALUE), Evidence(curved, VALUE, 0.01 * WEIGHTS)])
def test_sampling_stays_finite_with_perfect_absurd_and_curved_data(made, seen):
    context = torch.zeros(4, 0, 3, 4)
    sampler, generator = Sampler(karras_path(12), Ancestral()), torch.Generator().manual_seed(0)
    drawn = sample(PRIOR, made(seen), sampler, context, channels=1, generator=generator)
    assert drawn.dtype == torch.float32
    assert bool(drawn.isfinite().all())
    assert float(drawn.abs().max()) < 10.0 * 12 + 20.0  # ``limit`` at every evaluation, and the prior


def test_two_dimensional_figures_of_the_published_experiment():
    """``guidance-and-anchors.md`` §1.1: γ = 1, 256 steps, error 0.5 makes 0.678 ± 0.673 of 1.080 ± 0.593."""
    pair = Gaussian(torch.zeros(2, 1, 1, dtype=DOUBLE), torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=DOUBLE))
    first = Evidence(lambda r: r[:, 0, 0], torch.tensor([1.5], dtype=DOUBLE), torch.tensor([0.5], dtype=DOUBLE))
    guidance = ScoreGuidance(first, gamma=1.0, guarded=False, limit=math.inf)
    sampler, generator = Sampler(karras_path(256, lowest=0.002), Ancestral()), torch.Generator().manual_seed(0)
    drawn = sample(pair, guidance, sampler, torch.zeros(3000, 0, 1, 1, dtype=DOUBLE), channels=2, generator=generator)[
        :, 1, 0, 0
    ]
    assert float(drawn.mean()) == pytest.approx(0.678, abs=0.045)
    assert float(drawn.std()) == pytest.approx(0.673, abs=0.03)


def test_refuses_settings_that_are_none():
    for gamma in (-0.1, math.nan, math.inf):
        with pytest.raises(UsageError, match="gamma"):
            ScoreGuidance(evidence(), gamma)
    for zeta in (0.0, math.nan, math.inf):
        with pytest.raises(UsageError, match="zeta"):
            PosteriorSampling(evidence(), zeta)
