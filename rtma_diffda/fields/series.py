"""``StateSeries``: states of one layout at several valid times, as simulations and stores hold them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State


@dataclass(frozen=True)
class StateSeries:
    """Fields at increasing valid times.

    Attributes:
        values: (time, channel, y, x), SI.
        layout: what the axes mean.
        valid_times: (time,) datetime64[ns], increasing.
    """

    values: Tensor
    layout: Layout
    valid_times: np.ndarray

    def __post_init__(self) -> None:
        if tuple(self.values.shape) != (len(self.valid_times), *self.layout.shape):
            raise InputError(
                f"a series has shape {tuple(self.values.shape)}; expected (time, channel, y, x) = "
                f"{(len(self.valid_times), *self.layout.shape)}"
            )
        if (np.diff(self.valid_times) <= np.timedelta64(0, "ns")).any():
            raise InputError(f"the valid times of a series must increase; found {self.valid_times}")

    def __len__(self) -> int:
        return len(self.valid_times)

    def __iter__(self) -> Iterator[State]:
        return (self.state(i) for i in range(len(self)))

    def state(self, index: int) -> State:
        """The state (one member) at position ``index``."""
        return State(self.values[index][None], self.layout, self.valid_times[index])

    def at(self, valid_time: np.datetime64) -> State:
        """The state at a valid time.

        Raises:
            InputError: the series has no such time.
        """
        found = np.flatnonzero(self.valid_times == valid_time)
        if not len(found):
            raise InputError(
                f"no state at {valid_time}; the series runs from {self.valid_times[0]} to {self.valid_times[-1]}"
            )
        return self.state(int(found[0]))
