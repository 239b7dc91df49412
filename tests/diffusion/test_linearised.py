"""The linear maps about the denoiser's answer, against dense matrices and finite differences."""

import math

import pytest
import torch

from rtma_diffda.diffusion.conditioning.evidence import Evidence
from rtma_diffda.diffusion.conditioning.linearised import dot, limited, linearise, ratio_or_zero
from rtma_diffda.diffusion.gaussian import Gaussian
from rtma_diffda.errors import UsageError

DOUBLE = torch.float64
SHAPE, SIZE, DATA = (2, 2, 3), 12, 5
SIGMA = torch.tensor([0.3, 4.0], dtype=DOUBLE)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


FACTOR = normal(SIZE, SIZE, seed=1)
PRIOR = Gaussian(normal(*SHAPE, seed=2), FACTOR @ FACTOR.T / SIZE)
H = normal(DATA, SIZE, seed=3)
ERROR = torch.tensor([0.1, 0.5, 1.0, 2.0, 7.0], dtype=DOUBLE)
LINEAR = Evidence(lambda r: r.flatten(1) @ H.T, normal(DATA, seed=4), ERROR)
CURVED = Evidence(lambda r: (r.flatten(1) @ H.T).tanh() + r.flatten(1)[:, :DATA].square(), normal(DATA, seed=4), ERROR)
NOISY = 3.0 * normal(2, *SHAPE, seed=5)


def at_level(evidence: Evidence, **keywords):
    return linearise(evidence, PRIOR, NOISY, SIGMA, NOISY, **keywords)


def conditional_covariance(sigma: torch.Tensor) -> torch.Tensor:
    B = PRIOR.covariance
    return B - B @ torch.linalg.solve(B + sigma**2 * torch.eye(SIZE, dtype=DOUBLE), B)


def test_departures_are_in_units_of_their_errors():
    about, denoised = at_level(LINEAR), PRIOR(NOISY, SIGMA, NOISY)
    torch.testing.assert_close(about.denoised, denoised)
    torch.testing.assert_close(about.departures, (LINEAR.value - denoised.flatten(1) @ H.T) / ERROR)
    assert not about.denoised.requires_grad


def test_moves_by_the_covariance_of_what_is_still_uncertain():
    about, v = at_level(LINEAR), normal(2, DATA, seed=6)
    for member in range(2):
        expected = conditional_covariance(SIGMA[member]) @ H.T @ (v[member] / ERROR)
        torch.testing.assert_close(about.move(v)[member].flatten(), expected, rtol=1e-7, atol=1e-9)


def test_above_a_level_the_covariance_is_that_of_independent_values():
    v = normal(2, DATA, seed=6)
    about = at_level(LINEAR, isotropic_above=1.0, spread=0.5)
    pulled = (v / ERROR) @ H
    torch.testing.assert_close(about.move(v)[0].flatten(), conditional_covariance(SIGMA[0]) @ H.T @ (v[0] / ERROR))
    torch.testing.assert_close(about.move(v)[1].flatten(), 0.25 * 16.0 / 16.25 * pulled[1])


@pytest.mark.parametrize("evidence", [LINEAR, CURVED], ids=["linear", "curved"])
def test_sees_by_the_derivative_at_the_denoised_state(evidence):
    about, u, step = at_level(evidence), normal(2, *SHAPE, seed=7), 1e-5
    up, down = (evidence.equivalents(about.denoised + sign * step * u) for sign in (1.0, -1.0))
    torch.testing.assert_close(about.see(u), (up - down) / (2.0 * step) / ERROR, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("evidence", [LINEAR, CURVED], ids=["linear", "curved"])
def test_what_is_moved_and_seen_is_symmetric_and_positive(evidence):
    """H̃ V H̃ᵀ, column by column."""
    about = at_level(evidence)
    columns = [about.see(about.move(unit.expand(2, DATA))) for unit in torch.eye(DATA, dtype=DOUBLE)]
    matrix = torch.stack(columns, dim=2)
    torch.testing.assert_close(matrix, matrix.mT, rtol=1e-7, atol=1e-8)
    assert float(torch.linalg.eigvalsh(matrix).min()) > -1e-9


def test_gradients_are_taken_under_no_grad_too_and_asked_for_where_there_are_none():
    with torch.no_grad():
        quiet = at_level(LINEAR).move(normal(2, DATA, seed=6))
    torch.testing.assert_close(quiet, at_level(LINEAR).move(normal(2, DATA, seed=6)))
    blind = linearise(LINEAR, lambda x, s, c: x.detach(), NOISY, SIGMA, NOISY)
    with pytest.raises(UsageError, match="no gradient"):
        blind.move(normal(2, DATA))
    isotropic = linearise(LINEAR, lambda x, s, c: x.detach(), NOISY, SIGMA, NOISY, isotropic_above=0.0)
    assert bool(isotropic.move(normal(2, DATA)).isfinite().all())


def test_small_parts():
    values = torch.tensor([[3.0, -50.0], [0.5, 0.0]], dtype=DOUBLE)
    assert limited(values, 10.0).tolist() == [[3.0, -10.0], [0.5, 0.0]]
    assert torch.equal(limited(values, math.inf), values)
    assert dot(values, values).tolist() == [[2509.0], [0.25]]
    ratio = ratio_or_zero(torch.tensor([1.0, 1.0, 0.0, 1.0]), torch.tensor([4.0, 0.0, 0.0, -2.0]))
    assert ratio.tolist() == [0.25, 0.0, 0.0, 0.0]
