"""How a network becomes a denoiser: D(x; σ) = c_skip x + c_out F(c_in x; σ), for an F whose output is of order 1.

    EDM   c_skip = s² / (σ² + s²)      c_out = σ s / √(σ² + s²)      c_in = 1 / √(σ² + s²)
    ε     c_skip = 1                   c_out = −σ                    c_in = 1 / √(1 + σ²)
    v     c_skip = 1 / (1 + σ²)        c_out = −σ / √(1 + σ²)        c_in = 1 / √(1 + σ²)

s is the spread of what is clean; a field, where it differs from point to point. With s = 1, EDM is v with F's sign
changed. ε is what DiffDA trains; its error is multiplied by σ, which is why it cannot begin far above σ = 10.
References: Karras et al. (2022), arXiv 2206.00364, table 1; Salimans and Ho (2022), arXiv 2202.00512, appendix D.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Coefficients:
    """c_skip, c_out, c_in; each broadcasts against (member, channel, y, x)."""

    skip: Tensor
    out: Tensor
    into: Tensor

    def target(self, clean: Tensor, noisy: Tensor) -> Tensor:
        """What F should have answered: (clean − c_skip noisy) / c_out."""
        return (clean - self.skip * noisy) / self.out

    def denoised(self, noisy: Tensor, answer: Tensor) -> Tensor:
        """D from F's answer."""
        return self.skip * noisy + self.out * answer


def edm(sigma: Tensor, spread: Tensor) -> Coefficients:
    """Of σ (member,) and s, which broadcasts against (member, channel, y, x)."""
    sigma = per_member(sigma)
    total = (sigma.square() + spread.square()).sqrt()
    return Coefficients((spread / total).square(), sigma * spread / total, 1.0 / total)


def epsilon(sigma: Tensor, spread: Tensor) -> Coefficients:
    """Of σ (member,); s is not looked at."""
    sigma = per_member(sigma)
    return Coefficients(torch.ones_like(sigma), -sigma, (1.0 + sigma.square()).rsqrt())


def velocity(sigma: Tensor, spread: Tensor) -> Coefficients:
    """Of σ (member,); s is not looked at."""
    sigma = per_member(sigma)
    into = (1.0 + sigma.square()).rsqrt()
    return Coefficients(into.square(), -sigma * into, into)


PRECONDITIONING: Mapping[str, Callable[[Tensor, Tensor], Coefficients]] = {
    "edm": edm,
    "epsilon": epsilon,
    "velocity": velocity,
}
"""Coefficients of σ and s, by name."""


@dataclass(frozen=True)
class PreconditionedDenoiser:
    """A denoiser made of a network F(values, sigma), which is given c_in x with the context beside it.

    Attributes:
        network: (member, channel + context, y, x), (member,) → (member, channel, y, x).
        coefficients: one of ``PRECONDITIONING``.
        spread: s.
    """

    network: Callable[[Tensor, Tensor], Tensor]
    coefficients: Callable[[Tensor, Tensor], Coefficients]
    spread: Tensor

    def __call__(self, noisy: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        """D(noisy; sigma, context), like ``noisy``."""
        c = self.coefficients(sigma, self.spread.to(noisy))
        return c.denoised(noisy, self.network(torch.cat([c.into * noisy, context], dim=1), sigma))


def per_member(sigma: Tensor) -> Tensor:
    """(member,) → (member, 1, 1, 1)."""
    return sigma[:, None, None, None]
