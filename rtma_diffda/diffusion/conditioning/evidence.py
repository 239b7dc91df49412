"""``Evidence``: what observations say of a standardised increment r, y = H(x_b + s r) + ε with ε ~ N(0, R), R diagonal.

All conditionings see the observations through this, so that H may be any differentiable function. Where H is linear
in r with few grid points a datum, as at stations, its rows are also given as a ``Stencil``, which spares most of the
arithmetic.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import forward_ad

from rtma_diffda.errors import InputError
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.observations.table import Observations


@dataclass(frozen=True)
class Stencil:
    """Rows of H with respect to r: each datum looks at k points of one channel.

    Attributes:
        channel: (n,) int64.
        points: (n, k) int64, flat indices into (y, x).
        weights: (n, k), units of y over units of s; the scale of the channel is in them.
    """

    channel: Tensor
    points: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Evidence:
    """Observations as functions of r.

    Attributes:
        equivalents: H(x_b + s r): (member, channel, y, x) → (member, n), differentiable.
        value: y (n,).
        error_std: (n,) positive.
        stencil: the rows of H, where it is affine in r and the same for all members; None where it is not.
    """

    equivalents: Callable[[Tensor], Tensor]
    value: Tensor
    error_std: Tensor
    stencil: Stencil | None = None

    def __post_init__(self) -> None:
        if self.value.ndim != 1 or self.value.shape != self.error_std.shape:
            raise InputError(
                f"observations of shape {tuple(self.value.shape)} with errors of shape {tuple(self.error_std.shape)}; "
                "expected (n,) for both"
            )
        if not bool((torch.isfinite(self.value) & (self.error_std > 0)).all()):
            raise InputError("every observation needs a finite value and a positive error_std")

    def __len__(self) -> int:
        return len(self.value)

    def departures(self, increment: Tensor) -> Tensor:
        """y − H(x_b + s r): (member, n), for r (member, channel, y, x)."""
        return self.value.to(increment) - self.equivalents(increment)

    def pulled_back(self, increment: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """H(x_b + s r) without a graph, and Hᵀ at r: (member, n) → like r.

        By plain automatic differentiation: ``torch.func`` wraps the tensors that operators give to numpy.
        """
        with torch.enable_grad():
            at = increment.detach().requires_grad_()
            predicted = self.equivalents(at)
        return predicted.detach(), lambda d: torch.autograd.grad(predicted, at, d, retain_graph=True)[0]

    def pushed_forward(self, increment: Tensor, change: Tensor) -> Tensor:
        """H at r applied to a change of r: (member, n)."""
        with forward_ad.dual_level():
            seen = self.equivalents(forward_ad.make_dual(increment.detach(), change.detach()))
            primal, tangent = forward_ad.unpack_dual(seen)
            return torch.zeros_like(primal) if tangent is None else tangent.detach()


def evidence_of(problem: AssimilationProblem, scale: Tensor, *, members: int) -> Evidence:
    """The observations of a problem, for ``members`` increments on its background.

    Args:
        problem: its background has as many members, or one that serves all.
        scale: s (channel, 1, 1) SI.
        members: of the increments.

    Raises:
        InputError: another number of members, or a datum outside the grid.
    """
    background, data = problem.background.values, problem.observations
    background = background.expand(members, *background.shape[1:]) if len(background) == 1 else background
    if len(background) != members:
        raise InputError(f"a background of {len(background)} members cannot serve {members} increments")

    rows = problem.operator.rows(data)
    if rows is None:

        def equivalents(increment: Tensor) -> Tensor:
            values = background.double() + scale.double() * increment.double()  # pressure loses digits in float32
            return problem.operator(values, data).to(increment)

        return Evidence(equivalents, data.value, data.error_std)
    weights = rows.weights * scale.flatten().to(rows.weights)[data.channel][:, None]
    return affine_evidence(
        problem.operator(background.double(), data), data, Stencil(data.channel, rows.points, weights)
    )


def affine_evidence(at_background: Tensor, data: Observations, stencil: Stencil) -> Evidence:
    """Observations whose equivalents are H(x_b) (member, n) and what the rows of H make of r."""

    def equivalents(increment: Tensor) -> Tensor:
        points = stencil.points.to(increment.device) + stencil.channel.to(increment.device)[:, None] * (
            increment.shape[-2] * increment.shape[-1]
        )
        seen = (increment.double().flatten(1)[:, points] * stencil.weights.to(increment.device)).sum(dim=-1)
        return (at_background.to(seen) + seen).to(increment)

    return Evidence(equivalents, data.value, data.error_std, stencil)
