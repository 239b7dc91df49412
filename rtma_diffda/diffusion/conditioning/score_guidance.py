"""Guidance by the gradient of an approximate likelihood: SDA and DPS. One evaluation and one vector–Jacobian product.

Both add to the denoiser's answer σ² times the gradient of log p(y | x), which is V H̃ᵀ v of ``linearised`` with V by
Tweedie's formula; they differ in v, that is, in what they take R + H V Hᵀ for:

    SDA     y | x ~ N(H(D), R + γ σ² diag(H Hᵀ))        v = d / (1 + γ σ² diag(H̃ H̃ᵀ))
    DPS     − ζ ∇‖d‖² / ‖d‖                             v = 2 ζ d / ‖d‖

γ has no unit because the noise of r, σ, is seen through H; with H the identity it is the published R + γ σ². Departures
are in units of their errors, where the published DPS has them in the data's: its ζ is ours times one error. Neither is
unbiased, even for a Gaussian prior with the exact denoiser: small γ fits too closely, large γ too little. References:
Rozet and Louppe (2023), arXiv 2306.10574; Chung et al. (2023), arXiv 2209.14687, algorithm 1.

Where σ is large or observations are accurate or many, H V H̃ᵀ v is larger than d itself: the step goes past the data,
and the next one further past. ``guarded`` therefore shortens the update u of each member, never lengthens it, to a u,

    a = d · H̃u / (v · H̃u + ‖H̃u‖²),

the length along u that minimises ‖d − a H̃u‖² / 2 + a² uᵀ V⁻¹ u / 2, what an analysis with covariance V would take. It
costs no call.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rtma_diffda.diffusion.conditioning.evidence import Evidence
from rtma_diffda.diffusion.conditioning.linearised import Linearised, dot, limited, linearise, ratio_or_zero
from rtma_diffda.errors import UsageError
from rtma_diffda.interfaces import Denoiser

_PROBES = 16  # of the diagonal of H̃ H̃ᵀ where H has no stencil: a relative error of 0.35 or less


@dataclass(frozen=True)
class ScoreGuidance:
    """SDA.

    Attributes:
        evidence: y, H and R.
        gamma: γ ≥ 0, to be tuned with withheld data. Many data see the same large scales, which calls for a small one;
            the default is the published code's, and was the best of 0.01 … 1 with 60 data on a correlated prior.
        guarded: whether an update that goes past the data is shortened.
        limit: largest change of a value, in units of r; ``math.inf`` for none.
    """

    evidence: Evidence
    gamma: float = 0.01
    guarded: bool = True
    limit: float = 10.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.gamma < math.inf:
            raise UsageError(f"gamma must be ≥ 0; found {self.gamma}")

    def calls(self, sigma: float) -> int:
        """Network calls of one ``denoise``: evaluations and vector–Jacobian products."""
        return _calls(self.evidence)

    def denoise(self, denoiser: Denoiser, noisy: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        """D + σ² ∇ log p(y | x): (member, channel, y, x)."""
        if not len(self.evidence):
            return denoiser(noisy, sigma, context)
        about = linearise(self.evidence, denoiser, noisy, sigma, context)
        tolerated = self.gamma * sigma[:, None].double().square() * _squared_rows(self.evidence, about)
        return _moved(about, about.departures / (1.0 + tolerated), guarded=self.guarded, limit=self.limit)

    def replace(self, noisy: Tensor, sigma: Tensor, generator: torch.Generator) -> Tensor:
        """``noisy``."""
        return noisy


@dataclass(frozen=True)
class PosteriorSampling:
    """DPS, with the step scaled by the norm of the departures.

    Attributes:
        evidence: y, H and R.
        zeta: ζ > 0, to be tuned with withheld data.
        guarded: whether an update that goes past the data is shortened.
        limit: largest change of a value, in units of r; ``math.inf`` for none.
    """

    evidence: Evidence
    zeta: float = 1.0
    guarded: bool = True
    limit: float = 10.0

    def __post_init__(self) -> None:
        if not 0.0 < self.zeta < math.inf:
            raise UsageError(f"zeta must be positive; found {self.zeta}")

    def calls(self, sigma: float) -> int:
        """Network calls of one ``denoise``: evaluations and vector–Jacobian products."""
        return _calls(self.evidence)

    def denoise(self, denoiser: Denoiser, noisy: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        """D − σ² ζ ∇‖d‖² / ‖d‖: (member, channel, y, x)."""
        if not len(self.evidence):
            return denoiser(noisy, sigma, context)
        about = linearise(self.evidence, denoiser, noisy, sigma, context)
        norm = dot(about.departures, about.departures).sqrt()
        weights = 2.0 * self.zeta * ratio_or_zero(about.departures, norm)
        return _moved(about, weights, guarded=self.guarded, limit=self.limit)

    def replace(self, noisy: Tensor, sigma: Tensor, generator: torch.Generator) -> Tensor:
        """``noisy``."""
        return noisy


def _calls(evidence: Evidence) -> int:
    return 2 if len(evidence) else 1


def _moved(about: Linearised, weights: Tensor, *, guarded: bool, limit: float) -> Tensor:
    """D + a V H̃ᵀ v for the weights v (member, n)."""
    update = about.move(weights)
    if guarded:
        update = _step_length(about, weights, update)[:, :, None, None].to(update) * update
    return about.denoised + limited(update, limit)


def _step_length(about: Linearised, weights: Tensor, update: Tensor) -> Tensor:
    """a (member, 1), from 0 to 1."""
    seen = about.see(update)
    return ratio_or_zero(dot(about.departures, seen), dot(weights, seen) + dot(seen, seen)).clamp(0.0, 1.0)


def _squared_rows(evidence: Evidence, about: Linearised) -> Tensor:
    """diag(H̃ H̃ᵀ), (n,) or (member, n): from the stencil, or as the mean of (H̃ z)² over random signs z.

    The signs are the same for every member and call, so that no randomness enters.
    """
    if evidence.stencil is not None:
        return evidence.stencil.weights.to(about.departures).square().sum(dim=1) / about.error_std.square()
    generator, shape = torch.Generator().manual_seed(0), about.denoised.shape[1:]
    signs = (2.0 * torch.randint(2, (_PROBES, *shape), generator=generator) - 1.0).to(about.denoised)
    return torch.stack([about.see(z.expand_as(about.denoised)).square() for z in signs]).mean(dim=0)
