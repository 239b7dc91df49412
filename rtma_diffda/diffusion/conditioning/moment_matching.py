"""Moment matching (MMPS): the likelihood of y given the noisy state has the covariance that the denoiser implies.

    y | x ~ N(H(D), R + H V Hᵀ),   V = Cov[r | x] = σ² ∂D/∂x,
    D + σ² ∇_x log p(y | x) = D + V Hᵀ v,   (R + H V Hᵀ) v = y − H(D),

exact for a Gaussian prior, and without a parameter to tune. v is sought in the Krylov space of A = I + H̃ V H̃ᵀ (units of
the observation errors, ``linearised``). Each dimension costs one vector–Jacobian product; as these are V H̃ᵀ p, the
answer is a sum of them and costs no further one: ``denoise`` is 1 + ``iterations`` calls of the network. H may be
non-linear; it is linearised at D. Reference: Rozet et al. (2024), arXiv 2405.13712; the isotropic V below is that of
Song et al. (2023), Pseudoinverse-guided diffusion models, ICLR.

Guards. A network's Jacobian is not symmetric, and at large σ it is mostly error, which σ² magnifies. The feasibility
study lost its states to NaN by conjugate gradients; the exact denoiser of a Gaussian with a random non-linear error of
0.2 s does the same. The cure is a solver that knows: minimal residuals, which cannot grow (the default), or conjugate
gradients that stop where the curvature contradicts a covariance. Besides, V is isotropic where σ > ``isotropic_above``,
which saves the products as well, and no value is moved by more than ``limit``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rtma_diffda.diffusion.conditioning.evidence import Evidence
from rtma_diffda.diffusion.conditioning.linearised import dot, limited, linearise, ratio_or_zero
from rtma_diffda.errors import UsageError
from rtma_diffda.interfaces import Denoiser

Apply = Callable[[Tensor], tuple[Tensor, Tensor]]
"""p (member, n) → V H̃ᵀ p (member, channel, y, x) and A p = p + H̃ V H̃ᵀ p (member, n)."""
Solver = Callable[[Apply, Tensor, int], Tensor]
"""``apply``, d (member, n) and a number of iterations → V H̃ᵀ v with A v ≈ d; each iteration calls ``apply`` once."""


def conjugate_gradients(apply: Apply, departures: Tensor, iterations: int) -> Tensor:
    """Conjugate gradients, for each member by itself, from v = 0.

    A covariance V makes p · A p ≥ p · p. A member for which less than half of that is found (half, because rounding is
    no contradiction) stops there and keeps what it has: its V is no covariance along p, and a step would be unbounded.
    """
    residual = direction = departures
    update, sound = torch.zeros(()), torch.ones_like(dot(departures, departures), dtype=torch.bool)
    for _ in range(iterations):
        moved, image = apply(direction)
        curvature = dot(direction, image)
        sound = sound & (curvature >= 0.5 * dot(direction, direction))
        before = dot(residual, residual)
        length = torch.where(sound, ratio_or_zero(before, curvature), 0.0)
        update = update + _by_member(length, moved)
        residual = residual - length * image
        direction = residual + ratio_or_zero(dot(residual, residual), before) * direction
    return update


def minimal_residuals(apply: Apply, departures: Tensor, iterations: int) -> Tensor:
    """GMRES, for each member by itself, from v = 0; A need not be symmetric, and the residual never grows.

    Written as generalised conjugate residuals (Eisenstat et al. 1983, SIAM J. Numer. Anal. 20, 345), which has the same
    iterates and needs no least-squares problem: images A p are made orthogonal, and what moved goes with them.
    """
    residual, update = departures, torch.zeros(())
    earlier: list[tuple[Tensor, Tensor]] = []
    for _ in range(iterations):
        moved, image = apply(residual)
        for moved_before, image_before in earlier:
            share = ratio_or_zero(dot(image, image_before), dot(image_before, image_before))
            moved, image = moved - _by_member(share, moved_before), image - share * image_before
        earlier.append((moved, image))
        length = ratio_or_zero(dot(residual, image), dot(image, image))
        update = update + _by_member(length, moved)
        residual = residual - length * image
    return update


@dataclass(frozen=True)
class MomentMatching:
    """MMPS.

    Attributes:
        evidence: y, H and R.
        iterations: of the solver; each is a vector–Jacobian product.
        solver: ``minimal_residuals`` or ``conjugate_gradients``.
        isotropic_above: noise level above which V = s² σ² / (s² + σ²) I, so that no gradient is taken; ``math.inf``:
            nowhere. Much below 30 the large scales of a correlated prior lose data that few steps do not bring back.
        spread: s, of the isotropic V, in units of r.
        limit: largest change of a value, in units of r; ``math.inf`` for none.
    """

    evidence: Evidence
    iterations: int = 2
    solver: Solver = minimal_residuals
    isotropic_above: float = 30.0
    spread: float = 1.0
    limit: float = 10.0

    def __post_init__(self) -> None:
        if self.iterations < 1 or not self.isotropic_above >= 0.0 or not 0.0 < self.spread < math.inf:
            raise UsageError(
                "moment matching needs iterations ≥ 1, isotropic_above ≥ 0 and a positive spread; found "
                f"{self.iterations}, {self.isotropic_above} and {self.spread}"
            )

    def calls(self, sigma: float) -> int:
        """Network calls of one ``denoise`` at a noise level: evaluations and vector–Jacobian products."""
        return 1 if not len(self.evidence) or sigma > self.isotropic_above else 1 + self.iterations

    def denoise(self, denoiser: Denoiser, noisy: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        """E[r | x, y] as far as moments tell: (member, channel, y, x)."""
        if not len(self.evidence):
            return denoiser(noisy, sigma, context)
        about = linearise(
            self.evidence,
            denoiser,
            noisy,
            sigma,
            context,
            isotropic_above=self.isotropic_above,
            spread=self.spread,
        )

        def apply(weights: Tensor) -> tuple[Tensor, Tensor]:
            moved = about.move(weights)
            return moved, weights + about.see(moved)

        return about.denoised + limited(self.solver(apply, about.departures, self.iterations), self.limit)

    def replace(self, noisy: Tensor, sigma: Tensor, generator: torch.Generator) -> Tensor:
        """``noisy``."""
        return noisy


def _by_member(factor: Tensor, values: Tensor) -> Tensor:
    """factor (member, 1) times values (member, channel, y, x)."""
    return factor[:, :, None, None].to(values) * values
