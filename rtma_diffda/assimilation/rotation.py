"""Fields turned by right angles: more weather from the same runs.

On a plane with one Coriolis parameter, a world turned by 90° obeys the same equations: terrain, fields and vectors turn
together. A mirror image would not, because the earth turns one way only. What is *not* turned is a prevailing wind or
a coast that all runs share, so that a network trained on turned fields cannot lean on them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rtma_diffda.errors import UsageError

Pair = tuple[int, int]


def possible_turns(shape: tuple[int, int]) -> tuple[int, ...]:
    """Quarter turns that bring a region of (y, x) points onto itself, none of them first."""
    return (0, 1, 2, 3) if shape[0] == shape[1] else (0, 2)


def turned(fields: Tensor, turns: int, *, vectors: Sequence[Pair] = (), axes: Sequence[Pair] = ()) -> Tensor:
    """Fields turned clockwise, as seen on a map with north up.

    Args:
        fields: (member, channel, y, x), rows running northward.
        turns: quarter turns.
        vectors: channels that are eastward and northward components: (u, v) → (v, −u).
        axes: channels that belong to the two components and have no sign, such as their uncertainty: they swap.

    Raises:
        UsageError: the fields do not fit onto themselves.
    """
    if turns % 4 not in possible_turns(tuple(fields.shape[-2:])):
        raise UsageError(f"a region of {tuple(fields.shape[-2:])} points cannot be turned by {turns} right angles")
    result = torch.rot90(fields, turns, dims=(-2, -1)).clone()
    for _ in range(turns % 4):
        for u, v in vectors:
            result[:, u], result[:, v] = result[:, v].clone(), -result[:, u]
        for u, v in axes:
            result[:, u], result[:, v] = result[:, v].clone(), result[:, u].clone()
    return result
