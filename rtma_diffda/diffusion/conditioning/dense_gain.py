"""``DenseGain``: the gain by dense linear algebra, for small problems and any differentiable H.

With B = U diag(b) Uᵀ and J the Jacobian of H at r0 of a member,

    C = U diag(c) Uᵀ,  c = b σ² / (b + σ²);      increment = C Jᵀ (J C Jᵀ + R)⁻¹ (y − H(r0)),

in float64. For a non-linear H this is one Gauss–Newton step (Rodgers 2000, Inverse Methods, eq. 5.9) from r0; a sampler
repeats it at every call, from a better r0.
"""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from rtma_diffda.diffusion.conditioning.evidence import Evidence
from rtma_diffda.diffusion.conditioning.scaled_cholesky import scale_of, solve, unit_triangle
from rtma_diffda.errors import InputError

_JITTER = 1e-12
"""Share of H C Hᵀ added to its diagonal: keeps repeated data without errors from making it singular."""


@dataclass(frozen=True)
class DenseGain:
    """The gain of a dense B.

    Attributes:
        covariance: B (N, N) over (channel, y, x), in units of s².
        evidence: the observations.
        affine: H is affine, and the same for all members up to a constant, so that J is worked out once; evidence with
            a stencil says so too.
    """

    covariance: Tensor
    evidence: Evidence
    affine: bool = False
    _remembered: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shape = tuple(self.covariance.shape)
        if len(shape) != 2 or shape[0] != shape[1] or not bool(torch.isfinite(self.covariance).all()):
            raise InputError(f"a dense covariance is (N, N) and finite; found one of shape {shape}")

    def __call__(self, departures: Tensor, sigma: float, at: Tensor) -> Tensor:
        """See ``Gain``.

        Raises:
            InputError: r0 has another number of values than B.
        """
        if at[0].numel() != len(self.covariance):
            raise InputError(f"B is of {len(self.covariance)} values, r0 of {at[0].numel()}: {tuple(at.shape[1:])}")
        b, U = self._modes
        c = b * (sigma**2 / (b + sigma**2).clamp_min(1e-300))
        JU = self._jacobian(at.double()) @ U
        K = (JU * c) @ JU.mT
        variance = K.diagonal(dim1=1, dim2=2)
        D = scale_of(variance, self.evidence.error_std.to(K).square(), _JITTER)[:, :, None]
        A = D * K * D.mT
        A.diagonal(dim1=1, dim2=2).fill_(1.0)
        weights = D * solve(unit_triangle(A), D * departures.double()[:, :, None])
        increment = (c[:, None] * (JU.mT @ weights)).mT @ U.T
        return increment.reshape(at.shape).to(at)

    @cached_property
    def _modes(self) -> tuple[Tensor, Tensor]:
        """b (N,) and U (N, N)."""
        B = self.covariance.double()
        b, U = torch.linalg.eigh(0.5 * (B + B.T))
        return b.clamp_min(0.0), U

    def _jacobian(self, at: Tensor) -> Tensor:
        """J (member, n, N), or (1, n, N) where it is the same for all."""
        if not self.affine and self.evidence.stencil is None:
            return jacobian(self.evidence, at)
        if "jacobian" not in self._remembered:
            self._remembered["jacobian"] = jacobian(self.evidence, at)[:1]
        return self._remembered["jacobian"]


def jacobian(evidence: Evidence, at: Tensor) -> Tensor:
    """∂H/∂r at r0 (member, channel, y, x) of each member: (member, n, N)."""
    equivalents, pull = evidence.pulled_back(at)
    J = at.new_empty(*equivalents.shape, at[0].numel())
    for i in range(equivalents.shape[1]):
        unit = torch.zeros_like(equivalents)
        unit[:, i] = 1.0
        J[:, i] = pull(unit).flatten(1)
    return J
