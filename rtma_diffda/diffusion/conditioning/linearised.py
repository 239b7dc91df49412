"""Observations about what the denoiser says: the parts that every guidance by gradients is made of.

With D = D(x; σ), H linearised at D and everything in units of the observation errors, H̃ = R^-½ H,

    d = R^-½ (y − H(D)),        v moves D by V H̃ᵀ v,        of u is seen H̃ u,

where V is what is still uncertain of r at noise level σ: by Tweedie's formula Cov[r | x] = σ² ∂D/∂x, a vector–Jacobian
product of the network, or V = s² σ² / (s² + σ²) I, that of independent values of spread s, which needs none. Vectors in
observation space are float64. Reference: Rozet et al. (2024), arXiv 2405.13712.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rtma_diffda.diffusion.conditioning.evidence import Evidence
from rtma_diffda.diffusion.preconditioning import per_member
from rtma_diffda.errors import UsageError
from rtma_diffda.interfaces import Denoiser


@dataclass(frozen=True)
class Linearised:
    """Departures at D, and the linear maps about it.

    Attributes:
        denoised: D (member, channel, y, x), without a graph.
        departures: d (member, n).
        evidence: y, H and R.
        pull: Hᵀ at D, of (member, n).
        covariance: V, of fields like D; a call of the network where it is Tweedie's.
        error_std: of y (n,).
    """

    denoised: Tensor
    departures: Tensor
    evidence: Evidence
    pull: Callable[[Tensor], Tensor]
    covariance: Callable[[Tensor], Tensor]
    error_std: Tensor

    def see(self, update: Tensor) -> Tensor:
        """H̃ u (member, n) of u (member, channel, y, x)."""
        return self.evidence.pushed_forward(self.denoised, update).double() / self.error_std

    def move(self, weights: Tensor) -> Tensor:
        """V H̃ᵀ v (member, channel, y, x) of v (member, n)."""
        return self.covariance(self.pull((weights / self.error_std).to(self.denoised)))


def linearise(
    evidence: Evidence,
    denoiser: Denoiser,
    noisy: Tensor,
    sigma: Tensor,
    context: Tensor,
    *,
    isotropic_above: float = math.inf,
    spread: float = 1.0,
) -> Linearised:
    """One evaluation of the denoiser, and the observations about its answer.

    Args:
        evidence: y, H and R; H's answers are of the type of what it is given.
        denoiser: D.
        noisy: x (member, channel, y, x).
        sigma: (member,).
        context: for the denoiser.
        isotropic_above: the noise level above which V is the isotropic one.
        spread: s, of the isotropic V.

    Raises:
        UsageError: Tweedie's V is asked of a denoiser that cannot be differentiated.
    """
    by_tweedie = sigma <= isotropic_above
    with torch.set_grad_enabled(bool(by_tweedie.any())):
        noisy = noisy.detach().requires_grad_(torch.is_grad_enabled())
        answer = denoiser(noisy, sigma, context)
    isotropic = per_member(spread**2 * sigma.square() / (spread**2 + sigma.square()))

    def covariance(values: Tensor) -> Tensor:
        if not bool(by_tweedie.any()):
            return isotropic * values
        if not answer.requires_grad:
            raise UsageError("the denoiser's answer has no gradient, which guidance by gradients needs")
        (product,) = torch.autograd.grad(answer, noisy, values, retain_graph=True)
        return torch.where(per_member(by_tweedie), per_member(sigma.square()) * product, isotropic * values)

    denoised, error_std = answer.detach(), evidence.error_std.to(answer.device).double()
    predicted, pull = evidence.pulled_back(denoised)
    departures = (evidence.value.to(answer.device).double() - predicted.double()) / error_std
    return Linearised(denoised, departures, evidence, pull, covariance, error_std)


def limited(update: Tensor, limit: float) -> Tensor:
    """``update`` with no value beyond ± ``limit``, in units of r.

    A guard: a standardised increment of ten spreads is not weather but a gross error or a Jacobian gone wrong, and one
    point of it must not carry the next noise levels away. ``math.inf`` turns it off.
    """
    return update.clamp(-limit, limit)


def dot(first: Tensor, second: Tensor) -> Tensor:
    """Inner products (member, 1) of (member, n)."""
    return (first * second).sum(dim=1, keepdim=True)


def ratio_or_zero(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The ratio where the denominator is positive, else 0: no step where there is nothing to divide by."""
    positive = denominator > 0.0
    return torch.where(positive, numerator / torch.where(positive, denominator, 1.0), 0.0)
