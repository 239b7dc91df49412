"""``Persistence``: tomorrow is like today. The forecast that every other one has to beat."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.forecast.steps import required_history


@dataclass(frozen=True)
class Persistence:
    """A ``ForecastModel``: x(t + Δ) = x(t).

    Attributes:
        layout: of the states.
        time_step: Δ.
    """

    layout: Layout
    time_step: np.timedelta64
    history_length: int = 1

    def step(
        self, history: Sequence[State], boundary: Boundary | None, *, generator: torch.Generator | None = None
    ) -> State:
        """The last state, a time step later; the boundary is not looked at."""
        (state,) = required_history(history, 1, layout=self.layout, time_step=self.time_step)
        return replace(state, valid_time=state.valid_time + self.time_step)
