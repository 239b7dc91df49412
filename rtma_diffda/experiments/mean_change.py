"""``MeanChange``: persistence corrected by the mean change at this place and time of day, a climatology of truth.

    x_c = x_b + c(time of day),     c = mean of x_t − x_b over the training days

What can be known of a persisted background without any observation or network; who beats optimal interpolation of
*this* background has learned more than the diurnal cycle.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.fields.pairs import Pairs
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import Analysis, AssimilationProblem
from rtma_diffda.times import DAY


@dataclass(frozen=True)
class MeanChange:
    """The correction, as an analysis that looks at no observation.

    Attributes:
        static: not looked at.
        change: {minutes after midnight UTC: c (channel, y, x) SI}.
    """

    static: StaticFields
    change: Mapping[int, Tensor] = field(repr=False)

    @classmethod
    def of(cls, pairs: Pairs, static: StaticFields) -> "MeanChange":
        """From training pairs."""
        minutes, change = _minutes(pairs.valid_time), pairs.truth - pairs.background
        by_time = {int(m): change[torch.from_numpy(minutes == m)].mean(dim=0) for m in np.unique(minutes)}
        return cls(static, by_time)

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        """The corrected background.

        Raises:
            InputError: no training pair had this time of day.
        """
        minutes = int(_minutes(np.array([problem.background.valid_time]))[0])
        if minutes not in self.change:
            raise InputError(f"no mean change is known for {minutes // 60:02d}:{minutes % 60:02d} UTC")
        values = problem.background.values
        return Analysis(problem.background.with_values(values + self.change[minutes].to(values)), problem)


def _minutes(valid_time: np.ndarray) -> np.ndarray:
    """(n,) whole minutes after midnight."""
    times = valid_time.astype("datetime64[ns]")
    return (times - times.astype("datetime64[D]")) % DAY // np.timedelta64(1, "m")
