"""``GlobalWindows``: states of the globe that follow each other, as global forecast models learn from them.

A member is a history and the states to forecast, one time step apart. Members have their own times.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout


@dataclass(frozen=True)
class GlobalWindows:
    """A batch of windows.

    Attributes:
        values: (member, time, channel, y, x) SI: history, then targets.
        valid_times: (member, time) datetime64[ns].
        layout: grid and channels.
    """

    values: Tensor
    valid_times: np.ndarray
    layout: Layout

    def __post_init__(self) -> None:
        expected = (*self.valid_times.shape, *self.layout.shape)
        if self.valid_times.ndim != 2 or tuple(self.values.shape) != expected:
            raise InputError(f"windows have shape {tuple(self.values.shape)}; expected (member, time, …) = {expected}")

    def __len__(self) -> int:
        return len(self.valid_times)

    def select(self, members: np.ndarray | Tensor | slice) -> "GlobalWindows":
        """The members of an index array (m,)."""
        rows = members if isinstance(members, slice) else np.asarray(members)
        tensors = rows if isinstance(rows, slice) else torch.from_numpy(rows)
        return replace(self, values=self.values[tensors], valid_times=self.valid_times[rows])

    def to(self, device: torch.device | str) -> "GlobalWindows":
        """The same on another device."""
        return replace(self, values=self.values.to(device))
