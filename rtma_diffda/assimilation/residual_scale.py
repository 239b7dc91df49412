"""``ResidualScale``: s, what the residuals truth − background of a global forecast are divided by.

DiffDA takes the standard deviation of 6-hour changes, whatever the lead time (``changes``); the residuals' own, of each
lead time used, are what a denoiser with noise levels of order 1 is made for (``of_residuals``). Between two lead times
s is a power of the lead time; beyond them it stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.global_layout import Key
from rtma_diffda.fields.global_statistics import GlobalStatistics

_HOUR = np.timedelta64(1, "h")


@dataclass(frozen=True)
class ResidualScale:
    """s by lead time and channel.

    Attributes:
        hours: lead times, ascending.
        values: (lead, channel) float32, SI.
    """

    hours: tuple[float, ...]
    values: Tensor

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or len(self.values) != len(self.hours) or not len(self.hours):
            raise UsageError(f"a scale of {len(self.hours)} lead times has values of shape {tuple(self.values.shape)}")
        if list(self.hours) != sorted(set(self.hours)) or self.hours[0] <= 0:
            raise UsageError(f"lead times of a scale ascend from above 0; found {self.hours}")
        if not bool((torch.isfinite(self.values) & (self.values > 0)).all()):
            raise InputError("the scale of a residual must be positive and finite in every channel")

    @classmethod
    def changes(cls, statistics: GlobalStatistics, keys: Sequence[Key], hours: float) -> "ResidualScale":
        """DiffDA's: of 6-hour changes, for forecasts of any lead time; ``hours`` names the one it is used with."""
        return cls((float(hours),), statistics.change_std_of(keys)[None])

    @classmethod
    def of_residuals(cls, mean_squares: Mapping[float, Tensor]) -> "ResidualScale":
        """From {hours: (channel,) mean square of truth − background}."""
        hours = tuple(sorted(mean_squares))
        return cls(tuple(map(float, hours)), torch.stack([mean_squares[h].double().sqrt().float() for h in hours]))

    def of(self, lead: np.ndarray | np.timedelta64) -> Tensor:
        """s of lead times (member,): (member, channel, 1, 1) float32, on the CPU."""
        hours = np.atleast_1d(np.asarray(lead) / _HOUR)
        if not (hours > 0).all():
            raise UsageError(f"a lead time is above 0; found {lead}")
        known, logs = np.log(self.hours), self.values.double().log().numpy()
        by_channel = [np.interp(np.log(hours), known, column) for column in logs.T]
        return torch.from_numpy(np.exp(np.stack(by_channel, axis=1))).float()[:, :, None, None]
