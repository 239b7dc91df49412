"""``Clamping``: increments that cannot leave a variable's range, added before a squashing function f:

    x' = f(f⁻¹(x) + Δ)

    two limits:    f(u) = a + (b − a) sigmoid(u)
    lower only:    f(u) = a + softplus(u)
    upper only:    f(u) = b − softplus(−u)

and x' = x + Δ where there is no limit. f⁻¹ clips its argument: a share of the range to [10⁻⁶, 1 − 10⁻⁶], a distance
from one limit to log(1 + 10⁻⁶) or more; above 20 a softplus is the identity. Reference: Neural-LAM 0.7.0.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from rtma_diffda.errors import UsageError

_SMALL, _LINEAR = 1e-6, 20.0


@dataclass(frozen=True)
class Clamping:
    """Limits of standardised variables; infinite where there is none.

    Attributes:
        lower, upper: (channel,).
    """

    lower: Tensor
    upper: Tensor

    def __post_init__(self) -> None:
        if self.lower.shape != self.upper.shape or self.lower.ndim != 1:
            raise UsageError(
                f"limits of shapes {tuple(self.lower.shape)} and {tuple(self.upper.shape)}, not (channel,)"
            )
        if not bool((self.lower < self.upper).all()):
            raise UsageError(f"lower limits {self.lower.tolist()} are not all below {self.upper.tolist()}")

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        lower: Mapping[str, float],
        upper: Mapping[str, float],
        *,
        mean: Tensor,
        std: Tensor,
    ) -> "Clamping":
        """From limits in physical units, by variable.

        Args:
            names: variables in the order of channels.
            lower, upper: limits, of some of them.
            mean, std: (channel,) statistics that standardise them.

        Raises:
            UsageError: a limit of an unknown variable.
        """
        unknown = sorted((set(lower) | set(upper)) - set(names))
        if unknown:
            raise UsageError(f"limits are given for {', '.join(unknown)}; variables are {', '.join(names)}")
        limits = (
            torch.tensor([limit.get(name, default) for name in names], dtype=torch.float32)
            for limit, default in ((lower, -math.inf), (upper, math.inf))
        )
        return cls(*((values - mean) / std for values in limits))

    def added(self, state: Tensor, increment: Tensor) -> Tensor:
        """x' (…, channel) from x and Δ."""
        below, above = self.lower.isfinite(), self.upper.isfinite()
        moved = state + increment
        for kind, where in ((_squashed, below & above), (_raised, below & ~above), (_lowered, ~below & above)):
            if bool(where.any()):
                index = where.nonzero()[:, 0]
                limits = (self.lower[index].to(state), self.upper[index].to(state))
                index = index.to(state.device)
                values = kind(state.index_select(-1, index), increment.index_select(-1, index), *limits)
                moved = moved.index_copy(-1, index, values)
        return moved


def _squashed(state: Tensor, increment: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    share = ((state - lower) / (upper - lower)).clamp(_SMALL, 1.0 - _SMALL)
    return lower + (upper - lower) * torch.sigmoid(torch.log(share / (1.0 - share)) + increment)


def _raised(state: Tensor, increment: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    del upper
    return lower + softplus(_inverse_softplus(state - lower) + increment)


def _lowered(state: Tensor, increment: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    del lower
    return upper - softplus(_inverse_softplus(upper - state) - increment)


def _inverse_softplus(values: Tensor) -> Tensor:
    curved = torch.log(torch.expm1(values.clamp(math.log1p(_SMALL), _LINEAR)))
    return torch.where(values <= _LINEAR, curved, values)
