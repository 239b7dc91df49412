"""Forecasts made of the boundary alone: the global state itself, and its change added to what is known here.

    global state:      x(t + Δ) = G(t + Δ)                  global change:    x(t + Δ) = x(t) + G(t + Δ) − G(t)

G is the global state, linear in time, bilinear onto the region, and taken from the global model's terrain to the
region's as backgrounds are (temperature, dew point, pressure). What a limited-area model adds must be seen against
both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.limits import within_limits
from rtma_diffda.fields.state import State
from rtma_diffda.forecast.steps import required_history
from rtma_diffda.geo.height import at_height
from rtma_diffda.geo.regrid.regridder import Regridder
from rtma_diffda.geo.static_fields import StaticFields

NO_BOUNDARY = "this forecast needs the states of a global run around the region, and was given none"


@dataclass(frozen=True)
class GlobalOnRegion:
    """Takes global states to the region.

    Attributes:
        static: the region's grid and terrain.
        global_static: the global model's, on the boundary's grid.
    """

    static: StaticFields
    global_static: StaticFields

    @cached_property
    def _regridder(self) -> Regridder:
        return Regridder.between(self.global_static.grid, self.static.grid, method="bilinear")

    @cached_property
    def _height(self) -> np.ndarray:
        return self._regridder(np.asarray(self.global_static.orography, np.float64))

    def __call__(self, state: State, layout: Layout) -> State:
        """A state of the boundary's grid with the variables of ``layout``, on the region."""
        rise = self.static.orography - self._height
        fields = []
        for name in layout.names:
            values = self._regridder(state.channel(name).double().cpu().numpy())
            fields.append(at_height(values, name, height=self._height, rise=rise))
        values = torch.from_numpy(np.stack(fields, axis=1)).to(state.values)
        return within_limits(State(values, layout, state.valid_time))[0]


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
