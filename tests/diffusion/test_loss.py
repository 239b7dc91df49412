"""The denoising loss: its equivalents in other papers, its expectation for a known prior, its weights by hand."""

import pytest
import torch

from rtma_diffda.diffusion.gaussian import Gaussian
from rtma_diffda.diffusion.loss import denoising_loss, loss_weights
from rtma_diffda.diffusion.preconditioning import edm, epsilon
from rtma_diffda.errors import UsageError

DOUBLE = torch.float64
SIGMA = torch.tensor([0.05, 0.8, 20.0], dtype=DOUBLE)
SPREAD = torch.tensor(0.6, dtype=DOUBLE)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def noised(clean: torch.Tensor, sigma: torch.Tensor, seed: int) -> torch.Tensor:
    return clean + sigma[:, None, None, None] * normal(*clean.shape, seed=seed)


def test_is_edms_loss_with_its_weight():
    """λ(σ) ‖D − clean‖², λ = (σ² + s²) / (σ s)²."""
    clean, answer = normal(3, 2, 4, 5), normal(3, 2, 4, 5, seed=1)
    noisy, c = noised(clean, SIGMA, seed=2), edm(SIGMA, SPREAD)
    weight = (SIGMA.square() + SPREAD**2) / (SIGMA * SPREAD).square()
    expected = weight[:, None] * (c.denoised(noisy, answer) - clean).square().mean(dim=(2, 3))
    torch.testing.assert_close(denoising_loss(answer, clean, noisy, c), expected, rtol=1e-9, atol=0.0)


def test_is_ddpms_loss_for_noise():
    clean, noise, answer = normal(3, 2, 4, 5), normal(3, 2, 4, 5, seed=2), normal(3, 2, 4, 5, seed=1)
    noisy = clean + SIGMA[:, None, None, None] * noise
    expected = (answer - noise).square().mean(dim=(2, 3))
    torch.testing.assert_close(denoising_loss(answer, clean, noisy, epsilon(SIGMA, SPREAD)), expected)


def test_every_noise_level_of_an_untrained_network_counts_alike():
    clean = 0.6 * normal(3, 1, 150, 150)
    noisy = noised(clean, SIGMA, seed=1)
    loss = denoising_loss(torch.zeros_like(clean), clean, noisy, edm(SIGMA, SPREAD))
    assert loss.flatten().tolist() == pytest.approx([1.0, 1.0, 1.0], rel=0.05)


def test_the_exact_denoiser_is_a_minimum():
    """Its loss is tr C(σ) / (N c_out²), and no answer beside it has less."""
    factor = normal(4, 4)
    exact, level = Gaussian(torch.zeros(1, 2, 2, dtype=DOUBLE), factor @ factor.T), torch.tensor([0.7], dtype=DOUBLE)
    clean = exact.draw(20_000, generator=torch.Generator().manual_seed(2))
    sigma = level.expand(20_000)
    noisy, c = noised(clean, sigma, seed=3), edm(sigma, SPREAD)
    answer = c.target(exact(noisy, sigma, noisy), noisy)
    C = exact.covariance - exact.covariance @ torch.linalg.solve(
        exact.covariance + level**2 * torch.eye(4, dtype=DOUBLE), exact.covariance
    )
    losses = [float(denoising_loss(other, clean, noisy, c).mean()) for other in (answer, 0.9 * answer, 1.1 * answer)]
    assert losses[0] == pytest.approx(float(C.trace() / 4 / c.out[0, 0, 0, 0] ** 2), rel=0.03)
    assert losses[0] < min(losses[1:])


def test_weights_are_products_of_mean_one():
    area = torch.tensor([[1.0, 3.0]], dtype=DOUBLE)
    weights = loss_weights([1.0, 0.5], area)
    assert weights.flatten().tolist() == pytest.approx([2 / 3, 2.0, 1 / 3, 1.0])
    squared = torch.tensor([[[[3.0, 1.0]], [[6.0, 2.0]]]], dtype=DOUBLE)
    c, nought = epsilon(torch.ones(1, dtype=DOUBLE), SPREAD), torch.zeros(1, 2, 1, 2, dtype=DOUBLE)
    assert denoising_loss(squared.sqrt(), nought, nought, c, weights).flatten().tolist() == pytest.approx([2.0, 2.0])


@pytest.mark.parametrize("channels", [(1.0, -0.1), (0.0, 0.0), (float("nan"), 1.0)])
def test_refuses_weights_that_are_none(channels):
    with pytest.raises(UsageError, match="≥ 0"):
        loss_weights(channels, torch.ones(2, 2))
