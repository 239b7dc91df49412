"""What preconditioning promises: unit inputs and targets, and the denoiser back from its own targets."""

import pytest
import torch

from rtma_diffda.diffusion.gaussian import Gaussian
from rtma_diffda.diffusion.preconditioning import PRECONDITIONING, PreconditionedDenoiser, edm, epsilon, velocity

DOUBLE = torch.float64
SIGMA = torch.tensor([0.01, 0.3, 1.0, 7.0, 80.0], dtype=DOUBLE)
ONE = torch.ones(1, dtype=DOUBLE)
SPREAD = torch.tensor([0.4, 2.5], dtype=DOUBLE)[:, None, None]  # differs by channel
BOTH = pytest.mark.parametrize("name", PRECONDITIONING)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


@BOTH
def test_the_target_is_the_answer_that_denoises(name):
    clean, noise = normal(5, 2, 3, 4), normal(5, 2, 3, 4, seed=1)
    noisy = clean + SIGMA[:, None, None, None] * noise
    c = PRECONDITIONING[name](SIGMA, SPREAD)
    torch.testing.assert_close(c.denoised(noisy, c.target(clean, noisy)), clean)


@BOTH
def test_inputs_and_targets_have_unit_variance(name):
    """c_in² (s² + σ²) = 1 and (1 − c_skip)² s² + c_skip² σ² = c_out² (Karras et al., eq. 114 and 120), for s = 1."""
    c, sigma = PRECONDITIONING[name](SIGMA, ONE), SIGMA[:, None, None, None]
    torch.testing.assert_close(c.into.square() * (1.0 + sigma.square()), torch.ones_like(sigma))
    torch.testing.assert_close((1.0 - c.skip).square() + (c.skip * sigma).square(), c.out.square())


def test_edm_targets_have_unit_variance_where_spreads_differ():
    c, sigma = edm(SIGMA, SPREAD), SIGMA[:, None, None, None]
    variance = ((1.0 - c.skip) * SPREAD).square() + (c.skip * sigma).square()
    torch.testing.assert_close(variance / c.out.square(), torch.ones(5, 2, 1, 1, dtype=DOUBLE))


def test_epsilon_asks_for_the_noise_and_velocity_for_v():
    clean, noise, sigma = normal(5, 1, 2, 2), normal(5, 1, 2, 2, seed=1), SIGMA[:, None, None, None]
    noisy, share = clean + sigma * noise, (1.0 + sigma.square()).rsqrt()
    torch.testing.assert_close(epsilon(SIGMA, ONE).target(clean, noisy), noise, atol=1e-10, rtol=0.0)
    v = share * noise - sigma * share * clean  # Salimans and Ho: α ε − σ x of the variance-preserving process
    torch.testing.assert_close(velocity(SIGMA, ONE).target(clean, noisy), v, atol=1e-10, rtol=0.0)
    torch.testing.assert_close(edm(SIGMA, ONE).target(clean, noisy), -v, atol=1e-10, rtol=0.0)


def test_an_untrained_edm_network_is_the_denoiser_of_independent_values():
    """F = 0: c_skip x = E[r | x] for r ~ N(0, s²)."""
    denoiser = PreconditionedDenoiser(lambda values, sigma: torch.zeros(5, 2, 3, 4), edm, SPREAD)
    noisy = normal(5, 2, 3, 4)
    exact = Gaussian(torch.zeros(2, 3, 4, dtype=DOUBLE), torch.diag(SPREAD.square().expand(2, 3, 4).flatten()))
    torch.testing.assert_close(denoiser(noisy, SIGMA, noisy[:, :0]), exact(noisy, SIGMA, noisy))


@BOTH
def test_the_exact_denoiser_of_a_gaussian_survives_wrapping(name):
    """A network that is told c_in x and answers the target must come out as the denoiser, context untouched."""
    factor = normal(8, 8, seed=2)
    exact, context, noisy = (
        Gaussian(normal(2, 2, 2, seed=3), factor @ factor.T),
        normal(5, 3, 2, 2),
        9.0 * normal(5, 2, 2, 2),
    )
    coefficients = PRECONDITIONING[name]

    def network(values: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        assert torch.equal(values[:, 2:], context)
        c = coefficients(sigma, SPREAD)
        unscaled = values[:, :2] / c.into
        return c.target(exact(unscaled, sigma, context), unscaled)

    found = PreconditionedDenoiser(network, coefficients, SPREAD)(noisy, SIGMA, context)
    torch.testing.assert_close(found, exact(noisy, SIGMA, context), atol=1e-9, rtol=1e-9)
