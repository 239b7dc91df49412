"""Limits that fields of one state set each other: what a set of independent analyses may break.

Each variable is analysed by itself, so that a dew point may come out above the temperature, or a fraction above 1. Such
values are moved to their limit and counted; an analysis that needed none is returned as it is.
"""

import torch
from torch import Tensor

from rtma_diffda.fields.state import State

_BOUNDED = {"tcc": (0.0, 1.0), "r2m": (0.0, 1.0), "q2m": (0.0, None), "ws10m": (0.0, None), "gust": (0.0, None),
            "vis": (0.0, None), "ceil": (0.0, None), "tp": (0.0, None), "swh": (0.0, None)}  # fmt: skip


def within_limits(state: State) -> tuple[State, dict[str, int]]:
    """The state with every value within its limits, and how many values of each variable were moved."""
    values, moved = state.values.clone(), {}
    for name in state.layout.names:
        channel = state.layout.index(name)
        limited = _limited(name, values[:, channel], state)
        count = int((limited != values[:, channel]).logical_and(~limited.isnan()).sum())
        if count:
            values[:, channel] = limited
            moved[name] = count
    return (state.with_values(values), moved) if moved else (state, moved)


def _limited(name: str, values: Tensor, state: State) -> Tensor:
    if name in _BOUNDED:
        return values.clamp(*_BOUNDED[name])
    if name == "d2m" and "t2m" in state.layout.names:
        return torch.minimum(values, state.channel("t2m"))
    return values
