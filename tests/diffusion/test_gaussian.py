"""The Gaussian against independent forms of its own formulas: precisions, derivatives, draws."""

import math

import pytest
import torch

from rtma_diffda.diffusion.gaussian import Gaussian
from rtma_diffda.errors import InputError

DOUBLE = torch.float64
SHAPE, SIZE = (2, 2, 3), 12
EYE = torch.eye(SIZE, dtype=DOUBLE)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def correlated() -> Gaussian:
    factor = normal(SIZE, SIZE, seed=1)
    return Gaussian(normal(*SHAPE, seed=2), factor @ factor.T / SIZE + 0.05 * EYE)


def test_the_denoiser_is_the_posterior_mean_of_an_observation_of_everything():
    prior, noisy = correlated(), normal(3, *SHAPE, seed=3)
    sigma = torch.tensor([0.1, 1.0, 30.0], dtype=DOUBLE)
    found = prior(noisy, sigma, noisy)
    for member in range(3):
        exact = prior.given(EYE, noisy[member].flatten(), (sigma[member] ** 2).expand(SIZE))
        torch.testing.assert_close(found[member], exact.mean)


def test_tweedies_formula_gives_the_covariance():
    """σ² ∂D/∂x = Cov[r | x] = (B⁻¹ + I / σ²)⁻¹."""
    prior, sigma, at = correlated(), torch.tensor([0.8], dtype=DOUBLE), normal(1, *SHAPE)
    slope = torch.func.jacrev(lambda x: prior(x, sigma, x))(at).view(SIZE, SIZE)
    expected = torch.linalg.inv(torch.linalg.inv(prior.covariance) + EYE / 0.64)
    torch.testing.assert_close(0.64 * slope, expected)


@pytest.mark.parametrize("diagonal", [True, False])
def test_given_equals_the_precision_form(diagonal):
    prior, H, y = correlated(), normal(4, SIZE, seed=4), normal(4, seed=5)
    factor = normal(4, 4, seed=6)
    R = torch.diag(torch.tensor([0.1, 0.4, 1.0, 9.0], dtype=DOUBLE)) if diagonal else factor @ factor.T + EYE[:4, :4]
    posterior = prior.given(H, y, R.diagonal() if diagonal else R)
    precision = torch.linalg.inv(prior.covariance) + H.T @ torch.linalg.solve(R, H)
    pull = torch.linalg.solve(prior.covariance, prior.mean.flatten()) + H.T @ torch.linalg.solve(R, y)
    torch.testing.assert_close(posterior.covariance, torch.linalg.inv(precision))
    torch.testing.assert_close(posterior.mean.flatten(), torch.linalg.solve(precision, pull))


def test_data_one_after_the_other_are_data_together():
    prior, H, y, R = correlated(), normal(5, SIZE, seed=4), normal(5, seed=5), torch.linspace(0.1, 2.0, 5).double()
    together, apart = prior.given(H, y, R), prior.given(H[:2], y[:2], R[:2]).given(H[2:], y[2:], R[2:])
    torch.testing.assert_close(together.mean, apart.mean)
    torch.testing.assert_close(together.covariance, apart.covariance)


def test_published_pair_with_one_of_two_observed():
    """``guidance-and-anchors.md`` §1.1, error 0.5: the unobserved variable is 1.080 ± 0.593."""
    pair = Gaussian(torch.zeros(2, 1, 1, dtype=DOUBLE), torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=DOUBLE))
    for error, mean, std in ((0.1, 1.337, 0.445), (0.5, 1.080, 0.593), (1.0, 0.675, 0.771)):
        posterior = pair.given(torch.tensor([[1.0, 0.0]]), torch.tensor([1.5]), torch.tensor([error**2]))
        assert float(posterior.mean[1]) == pytest.approx(mean, abs=6e-4)
        assert float(posterior.std[1]) == pytest.approx(std, abs=6e-4)


def test_draws_have_mean_and_covariance():
    prior, count = correlated(), 20_000
    drawn = prior.draw(count, generator=torch.Generator().manual_seed(7)).flatten(1)
    assert float(((drawn.mean(0) - prior.mean.flatten()) / prior.std.flatten()).abs().max()) < 4.0 / math.sqrt(count)
    variance = prior.covariance.diagonal()
    error = ((variance[:, None] * variance + prior.covariance.square()) / count).sqrt()
    assert float(((torch.cov(drawn.T) - prior.covariance) / error).abs().max()) < 4.5
    assert torch.equal(drawn, prior.draw(count, generator=torch.Generator().manual_seed(7)).flatten(1))


def test_a_singular_covariance_is_served_and_types_are_kept():
    """Two values that are always equal stay so, in float32 too."""
    alike = Gaussian(torch.zeros(1, 1, 2, dtype=DOUBLE), torch.ones(2, 2, dtype=DOUBLE))
    noisy = torch.tensor([[[[3.0, 1.0]]]])
    denoised = alike(noisy, torch.tensor([1.0]), noisy)
    assert denoised.dtype == torch.float32
    assert denoised.flatten().tolist() == pytest.approx([4 / 3, 4 / 3])


def test_refuses_what_is_no_covariance():
    mean = torch.zeros(1, 1, 2, dtype=DOUBLE)
    with pytest.raises(InputError, match="a row and a column"):
        Gaussian(mean, torch.eye(3, dtype=DOUBLE))
    with pytest.raises(InputError, match="float64"):
        Gaussian(mean.float(), torch.eye(2))
    negative = Gaussian(mean, torch.diag(torch.tensor([1.0, -1.0], dtype=DOUBLE)))
    with pytest.raises(InputError, match="eigenvalue -1"):
        negative(mean[None], torch.ones(1), mean[None])
