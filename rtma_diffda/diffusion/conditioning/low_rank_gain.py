"""The gain of ``kalman`` for a covariance given by modes: B = G Gᵀ + diag(d), each channel by itself.

With Gᵀ G = Λ diagonal, what a noisy state at level σ leaves open is, but for the product of the two parts,

    C = G σ² (Λ + σ²)⁻¹ Gᵀ + d σ² / (d + σ²),

so that one eigendecomposition serves all noise levels. Modes may come from any B: one that knows terrain, coast and
the background's own values has no spectrum. d, the variance that the modes miss, counts at the data (it adds to their
errors, R below) and not between places. With J = H G (σ² / (Λ + σ²))^½ of m data and k modes the increment is

    G (σ² / (Λ + σ²))^½ a,    a = Jᵀ (J Jᵀ + R)⁻¹ (y − H r0) = (I + Jᵀ R⁻¹ J)⁻¹ Jᵀ R⁻¹ (y − H r0),

of which the smaller system is solved. Reference: Sherman and Morrison (1950), Woodbury (1950); Golub and van Loan
(2013), §2.1.4.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rtma_diffda.diffusion.conditioning.evidence import Evidence
from rtma_diffda.diffusion.conditioning.scaled_cholesky import scale_of, solve, unit_triangle
from rtma_diffda.errors import UsageError

_ROUNDING = 8.0
"""Units of rounding, as a share of what data see of the modes, added to their errors: data may repeat each other."""


@dataclass(frozen=True)
class Modes:
    """B of one channel, in units of s².

    Attributes:
        fields: G (point, k), columns orthogonal to each other.
        variance: Λ (k,), their squared lengths.
        rest: d (point,), variance beside them.
    """

    fields: Tensor
    variance: Tensor
    rest: Tensor


@dataclass(frozen=True)
class _Channel:
    """Data of one channel: rows (m,) of the evidence, H G (m, k), R (m,), weights of H and d there (m, points)."""

    rows: Tensor
    observed: Tensor
    error_variance: Tensor
    weights: Tensor
    rest: Tensor


@dataclass(frozen=True)
class LowRankGain:
    """The gain for one set of observations.

    Attributes:
        modes: of every channel.
        channels: what the data of each channel see of its modes.
    """

    modes: tuple[Modes, ...]
    channels: tuple[_Channel, ...]

    @classmethod
    def of(cls, modes: Sequence[Modes], evidence: Evidence) -> "LowRankGain":
        """Of observations with a stencil.

        Raises:
            UsageError: they have none, being no linear function of few grid points.
        """
        if evidence.stencil is None:
            raise UsageError("a gain by modes needs observations that are linear in few grid points; use a dense one")
        return cls(tuple(modes), tuple(_seen(part, channel, evidence) for channel, part in enumerate(modes)))

    def __call__(self, departures: Tensor, sigma: float, at: Tensor) -> Tensor:
        """See ``kalman.Gain``."""
        increment = torch.zeros_like(at)
        for channel, (modes, seen) in enumerate(zip(self.modes, self.channels, strict=True)):
            if len(seen.rows):
                amplitudes = _amplitudes(modes, seen, departures[:, seen.rows], sigma)
                increment[:, channel] = (amplitudes @ modes.fields.T).view_as(increment[:, channel]).to(at)
        return increment


def _seen(modes: Modes, channel: int, evidence: Evidence) -> _Channel:
    stencil = evidence.stencil
    rows = torch.nonzero(stencil.channel == channel)[:, 0]
    points, weights = stencil.points[rows], stencil.weights[rows].to(modes.fields)
    observed = (modes.fields[points] * weights[:, :, None]).sum(dim=1)
    error_variance = evidence.error_std[rows].to(modes.fields).square()
    return _Channel(rows, observed, error_variance, weights, modes.rest[points])


def _amplitudes(modes: Modes, seen: _Channel, departures: Tensor, sigma: float) -> Tensor:
    """What each mode is to be multiplied with: (member, k)."""
    open_share = (sigma**2 / (modes.variance + sigma**2)).sqrt()
    rest = (seen.weights.square() * seen.rest * (sigma**2 / (seen.rest + sigma**2))).sum(dim=1)
    J, R, d = seen.observed * open_share, seen.error_variance + rest, departures.to(seen.observed).T
    R = (R + _ROUNDING * torch.finfo(J.dtype).eps * J.square().sum(dim=1)).clamp_min(torch.finfo(J.dtype).tiny)
    if len(J) <= J.shape[1]:
        a = J.T @ _solved(J @ J.T, R, d)
    else:
        scaled = J / R[:, None]
        a = _solved(scaled.T @ J, torch.ones_like(open_share), scaled.T @ d)
    return a.T * open_share


def _solved(K: Tensor, R: Tensor, right: Tensor) -> Tensor:
    """(K + diag R)⁻¹ times right (n, member)."""
    D = scale_of(K.diagonal(), R, 0.0).to(K)[:, None]
    A = D * K * D.T
    A.diagonal().fill_(1.0)
    return D * solve(unit_triangle(A), D * right)
