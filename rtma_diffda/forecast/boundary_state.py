"""Forecasts made of the boundary alone: the global state itself, and its change added to what is known here.

    global state:      x(t + Δ) = G(t + Δ)                  global change:    x(t + Δ) = x(t) + G(t + Δ) − G(t)

G is the global state, linear in time, bilinear onto the region, and taken from the global model's terrain to the
region's as backgrounds are (temperature, dew point, pressure). What a limited-area model adds must be seen against
both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.global_on_region import GlobalOnRegion
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.limits import within_limits
from rtma_diffda.fields.state import State
from rtma_diffda.forecast.steps import required_history

NO_BOUNDARY = "this forecast needs the states of a global run around the region, and was given none"


@dataclass(frozen=True)
class BoundaryState:
    """A ``ForecastModel``: the global state, or its change.

    Attributes:
        layout: of the region.
        time_step: Δ.
        on_region: takes global states to the region.
        change: add the global change to the last state, rather than take the global state.
    """

    layout: Layout
    time_step: np.timedelta64
    on_region: GlobalOnRegion
    change: bool = False
    history_length: int = 1

    def step(
        self, history: Sequence[State], boundary: Boundary | None, *, generator: torch.Generator | None = None
    ) -> State:
        """See the module.

        Raises:
            InputError: there is no boundary, or it does not reach.
        """
        if boundary is None:
            raise InputError(NO_BOUNDARY)
        (state,) = required_history(history, 1, layout=self.layout, time_step=self.time_step)
        later = self._global(boundary, state.valid_time + self.time_step)
        if not self.change:
            return later
        moved: Tensor = state.values + (later.values - self._global(boundary, state.valid_time).values)
        return within_limits(State(moved, self.layout, later.valid_time))[0]

    def _global(self, boundary: Boundary, valid_time: np.datetime64) -> State:
        return self.on_region(boundary.interpolated(valid_time), self.layout)
