"""``State``: an atmosphere, or an ensemble of them, at one instant."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout


@dataclass(frozen=True)
class State:
    """Fields at one valid time.

    Attributes:
        values: (member, channel, y, x), SI.
        layout: what the axes mean.
        valid_time: when the state is true, UTC.
    """

    values: Tensor
    layout: Layout
    valid_time: np.datetime64

    def __post_init__(self) -> None:
        if self.values.ndim != 4 or tuple(self.values.shape[1:]) != self.layout.shape:
            raise InputError(
                f"state has shape {tuple(self.values.shape)}; expected (member, channel, y, x) with "
                f"(channel, y, x) = {self.layout.shape}"
            )

    @property
    def members(self) -> int:
        """Number of members."""
        return self.values.shape[0]

    def channel(self, name: str) -> Tensor:
        """Values (member, y, x) of one variable."""
        return self.values[:, self.layout.index(name)]

    def mean(self) -> "State":
        """The mean over members, as a state of one member."""
        return replace(self, values=self.values.mean(dim=0, keepdim=True))

    def with_values(self, values: Tensor) -> "State":
        """Other values at the same places and time."""
        return replace(self, values=values)

    def require_finite(self, what: str) -> "State":
        """Return self.

        Raises:
            InputError: some values are not finite; the message names the variables and counts them.
        """
        bad = (~torch.isfinite(self.values)).sum(dim=(0, 2, 3)).tolist()
        found = [f"{name} ({count} values)" for name, count in zip(self.layout.names, bad, strict=True) if count]
        if found:
            raise InputError(f"{what} has values that are not finite: {', '.join(found)}")
        return self
