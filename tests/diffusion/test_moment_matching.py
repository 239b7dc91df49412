"""MMPS against E[r | noisy, y] in closed form; its solvers; its guards where a Jacobian is no covariance."""

import math

import pytest
import torch

from rtma_diffda.diffusion.conditioning.evidence import Evidence
from rtma_diffda.diffusion.conditioning.moment_matching import (
    MomentMatching,
    conjugate_gradients,
    minimal_residuals,
)
from rtma_diffda.diffusion.gaussian import Gaussian
from rtma_diffda.diffusion.paths import karras_path
from rtma_diffda.diffusion.sampling import Ancestral, Heun, Sampler, sample
from rtma_diffda.errors import UsageError

DOUBLE = torch.float64
SHAPE, SIZE, DATA = (2, 2, 3), 12, 5
SIGMA = torch.tensor([0.3, 4.0], dtype=DOUBLE)
SOLVERS = pytest.mark.parametrize("solver", [conjugate_gradients, minimal_residuals])


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


FACTOR = normal(SIZE, SIZE, seed=1)
PRIOR = Gaussian(normal(*SHAPE, seed=2), FACTOR @ FACTOR.T / SIZE)
H = normal(DATA, SIZE, seed=3)
VALUE = normal(DATA, seed=4)
ERROR = torch.tensor([0.2, 0.5, 1.0, 2.0, 7.0], dtype=DOUBLE)
NOISY = 3.0 * normal(2, *SHAPE, seed=5)


def evidence(error: torch.Tensor = ERROR, value: torch.Tensor = VALUE) -> Evidence:
    return Evidence(lambda r: r.flatten(1) @ H.T.to(r), value, error)


def denoise(conditioning: MomentMatching, noisy: torch.Tensor = NOISY) -> torch.Tensor:
    return conditioning.denoise(PRIOR, noisy, SIGMA, noisy)


def exact(member: int, error: torch.Tensor = ERROR) -> torch.Tensor:
    """E[r | noisy, y]: both are observations of r."""
    noise_variance = (SIGMA[member] ** 2).expand(SIZE)
    seen = PRIOR.given(torch.eye(SIZE, dtype=DOUBLE), NOISY[member].flatten(), noise_variance)
    return seen.given(H, VALUE, error.square()).mean


# --- Against the closed form ------------------------------------------------------------------------------------------


@SOLVERS
def test_with_as_many_iterations_as_data_it_is_exact(solver):
    found = denoise(MomentMatching(evidence(), DATA, solver, isotropic_above=math.inf, limit=math.inf))
    for member in range(2):
        torch.testing.assert_close(found[member], exact(member), rtol=1e-6, atol=1e-8)


@SOLVERS
def test_every_iteration_comes_nearer(solver):
    errors = []
    for iterations in range(1, DATA + 1):
        found = denoise(MomentMatching(evidence(), iterations, solver, isotropic_above=math.inf, limit=math.inf))
        errors.append(float((found[1] - exact(1)).norm()))
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < 0.7 * errors[0]
    assert errors[-1] < 1e-6


def test_above_a_level_the_prior_is_taken_for_independent_values():
    """Pseudo-inverse guidance: V = s² σ² / (s² + σ²), no gradient, one call."""
    conditioning = MomentMatching(evidence(), DATA, isotropic_above=1.0, spread=0.5, limit=math.inf)
    found, variance = denoise(conditioning), 0.25 * 16.0 / 16.25
    torch.testing.assert_close(found[0], exact(0), rtol=1e-6, atol=1e-8)
    denoised = PRIOR(NOISY, SIGMA, NOISY)[1].flatten()
    gain = variance * H.T @ torch.linalg.inv(variance * H @ H.T + torch.diag(ERROR.square()))
    torch.testing.assert_close(found[1].flatten(), denoised + gain @ (VALUE - H @ denoised), rtol=1e-6, atol=1e-8)
    assert (conditioning.calls(1.0), conditioning.calls(1.01)) == (1 + DATA, 1)


def test_the_number_of_calls_is_the_one_stated():
    asked = []

    def counting(noisy: torch.Tensor, sigma: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        answer = PRIOR(noisy, sigma, context)
        asked.append("forward")
        answer.register_hook(lambda gradient: asked.append("backward"))
        return answer

    conditioning = MomentMatching(evidence(), iterations=3)
    conditioning.denoise(counting, NOISY, SIGMA, NOISY)
    assert asked == ["forward", *["backward"] * 3]
    assert conditioning.calls(1.0) == 4


def test_published_figures_of_the_two_dimensional_experiment():
    """``guidance-and-anchors.md`` §1.1: 1.339 ± 0.433, 1.085 ± 0.577, 0.686 ± 0.757 with 256 ancestral steps."""
    pair = Gaussian(torch.zeros(2, 1, 1, dtype=DOUBLE), torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=DOUBLE))
    sampler, context = Sampler(karras_path(256, lowest=0.002), Ancestral()), torch.zeros(3000, 0, 1, 1, dtype=DOUBLE)
    for error, mean, std in ((0.1, 1.339, 0.433), (0.5, 1.085, 0.577), (1.0, 0.686, 0.757)):
        error_std = torch.tensor([error], dtype=DOUBLE)
        first = Evidence(lambda r: r[:, 0, 0], torch.tensor([1.5], dtype=DOUBLE), error_std)
        conditioning, generator = MomentMatching(first, iterations=1), torch.Generator().manual_seed(0)
        drawn = sample(pair, conditioning, sampler, context, channels=2, generator=generator)[:, 1, 0, 0]
        assert float(drawn.mean()) == pytest.approx(mean, abs=4.0 * std / math.sqrt(3000))
        assert float(drawn.std()) == pytest.approx(std, abs=0.03)


# --- Limits -----------------------------------------------------------------------------------------------------------


def test_perfect_data_are_fitted_and_useless_ones_left():
    perfect = denoise(MomentMatching(evidence(0.0 * ERROR + 1e-4), DATA, isotropic_above=math.inf, limit=math.inf))
    torch.testing.assert_close(perfect.flatten(1) @ H.T, VALUE.expand(2, DATA), rtol=0.0, atol=1e-4)
    useless = denoise(MomentMatching(evidence(1e7 * ERROR)))
    torch.testing.assert_close(useless, PRIOR(NOISY, SIGMA, NOISY), rtol=0.0, atol=1e-10)
    none = MomentMatching(Evidence(lambda r: r.flatten(1)[:, :0], VALUE[:0], VALUE[:0]))
    assert torch.equal(denoise(none), PRIOR(NOISY, SIGMA, NOISY))
    assert none.calls(1.0) == 1


def test_a_non_linear_operator_is_linearised_at_the_denoised_state():
    """Equal to the linear problem with the Jacobian and the departures of that place."""
    curved = Evidence(lambda r: (r.flatten(1) @ H.T).exp(), VALUE + 2.0, ERROR)
    found = denoise(MomentMatching(curved, DATA, isotropic_above=math.inf, limit=math.inf))
    for member in range(2):
        at = PRIOR(NOISY, SIGMA, NOISY)[member].flatten()
        J = (H @ at).exp()[:, None] * H
        B = PRIOR.covariance
        C = B - B @ torch.linalg.solve(B + SIGMA[member] ** 2 * torch.eye(SIZE, dtype=DOUBLE), B)
        gain = C @ J.T @ torch.linalg.inv(J @ C @ J.T + torch.diag(ERROR.square()))
        expected = at + gain @ (VALUE + 2.0 - (H @ at).exp())
        torch.testing.assert_close(found[member].flatten(), expected, rtol=1e-5, atol=1e-7)


# --- Guards -----------------------------------------------------------------------------------------------------------


def applied(matrix: torch.Tensor):
    """A solver's view of A = I + M, with V H̃ᵀ p = M p as a field of one row."""

    def apply(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        moved = weights @ matrix.T
        return moved[:, None, None, :], weights + moved

    return apply


def test_minimal_residuals_never_grow_whatever_the_matrix():
    d = normal(3, 6, seed=8)
    for seed in range(20):
        M, before = 30.0 * normal(6, 6, seed=seed), d.norm(dim=1)  # not symmetric, of either sign
        for iterations in range(1, 7):
            update = minimal_residuals(applied(M), d, iterations)[:, 0, 0]
            v = torch.linalg.solve(M, update.T).T
            after = (d - v - update).norm(dim=1)
            assert bool((after <= before * (1.0 + 1e-6) + 1e-6).all())
            before = after


def test_conjugate_gradients_stop_where_curvature_contradicts_a_covariance():
    d, M = torch.ones(2, 2, dtype=DOUBLE), torch.diag(torch.tensor([-0.999, -0.999], dtype=DOUBLE))
    assert float(conjugate_gradients(applied(M), d, 3).abs().max()) == 0.0  # unguarded: -999
    sound = torch.diag(torch.tensor([3.0, 1.0], dtype=DOUBLE))
    found = conjugate_gradients(applied(sound), d, 2)[:, 0, 0]
    torch.testing.assert_close(found, torch.tensor([0.75, 0.5], dtype=DOUBLE).expand(2, 2))


def wild(noisy: torch.Tensor, sigma: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """The exact answer and an error of 0.2 that turns quickly: its Jacobian, times σ², is all error."""
    return PRIOR(noisy, sigma, context) + 0.2 * torch.sin(7.0 * noisy.flip(-1)).to(noisy)


@SOLVERS
@pytest.mark.parametrize("stepper", [Ancestral(), Heun()], ids=["ancestral", "Heun"])
@pytest.mark.parametrize("denoiser", [PRIOR, wild], ids=["exact", "wild"])
@pytest.mark.parametrize(("error", "value"), [(1e-6, 1.0), (0.3, 1.0), (0.3, 1e8)], ids=["perfect", "usual", "absurd"])
def test_sampling_is_finite_and_within_bounds(solver, stepper, denoiser, error, value):
    conditioning = MomentMatching(evidence(error + 0.0 * ERROR, value * VALUE), solver=solver)
    context, generator = torch.zeros(4, 0, 2, 3), torch.Generator().manual_seed(0)
    drawn = sample(denoiser, conditioning, Sampler(karras_path(10), stepper), context, channels=2, generator=generator)
    assert bool(drawn.isfinite().all())
    assert float(drawn.abs().max()) < 10.0 * 19 + 20.0  # ``limit`` at every evaluation, and the prior


def test_refuses_settings_that_are_none():
    for keywords in ({"iterations": 0}, {"isotropic_above": -1.0}, {"isotropic_above": math.nan}, {"spread": 0.0}):
        with pytest.raises(UsageError, match="moment matching needs"):
            MomentMatching(evidence(), **keywords)
