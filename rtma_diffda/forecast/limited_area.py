"""``LimitedAreaForecast``: a trained network as a ``ForecastModel`` of one region, forced at its rim by a global run.

A forecast begins with two states and steps from one to the next. Members of an ensemble are stepped side by side. A
forecast without boundary states is refused, unless it was allowed explicitly; then its result says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from rtma_diffda.errors import InputError
from rtma_diffda.fields.boundary import Boundary, BoundaryNeed, surrounding
from rtma_diffda.fields.landscape import Landscape
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.forecast.boundary_state import NO_BOUNDARY
from rtma_diffda.forecast.forcing import BoundarySeries, Forcing
from rtma_diffda.forecast.forecast_design import ForecastPlace
from rtma_diffda.forecast.forecast_inputs import ForecastEncoding, StatePair
from rtma_diffda.forecast.forecast_network import HISTORY, ForecastNetwork
from rtma_diffda.forecast.steps import forecast_states, required_history
from rtma_diffda.geo.static_fields import StaticFields


@dataclass(frozen=True)
class Forecast:
    """States that follow each other.

    Attributes:
        states: after 1, 2, … time steps.
        initial_time: of the last state that was known.
        boundary: the global run that forced it; None without.
        degraded: reasons, in words, why this is less than the model normally gives; empty when it is not.
    """

    states: tuple[State, ...]
    initial_time: np.datetime64
    boundary: Boundary | None = field(default=None, repr=False)
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True)
class LimitedAreaForecast:
    """A ``ForecastModel``.

    Attributes:
        network: trained, for this place.
        static: terrain and land of the region.
        place: the grids of region and boundary.
        without_boundary: whether a forecast may be made without boundary states.
    """

    network: ForecastNetwork = field(repr=False)
    static: StaticFields = field(repr=False)
    place: ForecastPlace
    without_boundary: bool = False
    history_length: int = HISTORY

    def __post_init__(self) -> None:
        if self.static.grid.key != self.place.grid.key:
            raise InputError("terrain and land of a forecast model are on another grid than its region")
        if self.static.orography is None or self.static.land_fraction is None:
            raise InputError(f"a limited-area forecast needs terrain and land of its region ({self.static.source})")

    @property
    def layout(self) -> Layout:
        """Of its states."""
        return Layout.of(self.place.grid, self.network.encoding.names)

    @property
    def time_step(self) -> np.timedelta64:
        """Δ."""
        return self.network.encoding.time_step

    def need(self, initial_time: np.datetime64, steps: int) -> BoundaryNeed:
        """Which states of a global run forecasts of so many steps need, for a ``BoundarySource``."""
        return self.needed_by(self.network.encoding, initial_time, steps)

    @staticmethod
    def needed_by(encoding: ForecastEncoding, initial_time: np.datetime64, steps: int) -> BoundaryNeed:
        """As ``need``, of a model with this encoding."""
        targets = initial_time + encoding.time_step * np.arange(1, steps + 1)

        def needed(available: np.ndarray) -> np.ndarray:
            window = encoding.window.needed(targets, available, source="the run")
            return np.union1d(window, surrounding(np.append(targets, initial_time))(available))

        return needed

    @torch.no_grad()
    def step(
        self, history: Sequence[State], boundary: Boundary | None, *, generator: torch.Generator | None = None
    ) -> State:
        """The state one time step after the last of ``history``; nothing is drawn.

        Raises:
            InputError: the history does not fit, the boundary is missing without permission, is on another grid, or
                does not reach.
        """
        states = required_history(history, HISTORY, layout=self.layout, time_step=self.time_step)
        last = states[-1]
        values = [state.values.float() for state in states]
        pair = StatePair(*values, np.full(last.members, last.valid_time.astype("datetime64[ns]")))
        forecast = self.network(pair, self._forcing(boundary, last))
        return State(forecast.to(last.values), self.layout, last.valid_time + self.time_step)

    def rollout(self, history: Sequence[State], boundary: Boundary | None, *, steps: int) -> Forecast:
        """A forecast of several steps; errors as for ``step``."""
        states = forecast_states(self, history, boundary, steps=steps)
        degraded = () if boundary is not None else ("made without boundary states",)
        return Forecast(states, history[-1].valid_time, boundary, degraded)

    def _forcing(self, boundary: Boundary | None, state: State) -> Forcing:
        fields = (
            torch.from_numpy(np.asarray(f, np.float32)) for f in (self.static.orography, self.static.land_fraction)
        )
        landscape = Landscape(*(f.to(state.values.device).expand(state.members, *f.shape) for f in fields))
        if boundary is None:
            if not self.without_boundary:
                raise InputError(f"{NO_BOUNDARY}; without_boundary=true makes a degraded forecast without them")
            return Forcing(landscape, None)
        found = ForecastPlace(self.place.grid, boundary.states[0].layout.grid)
        if found.margins != self.place.margins:
            raise InputError(
                f"the boundary {boundary.name} is on {found.boundary_grid.nx} × {found.boundary_grid.ny} points of "
                f"{found.boundary_grid.dx / 1e3:g} km; the forecast model's graph has its boundary on "
                f"{self.place.boundary_grid.nx} × {self.place.boundary_grid.ny} points of "
                f"{self.place.boundary_grid.dx / 1e3:g} km around the region"
            )
        names = self.network.encoding.names
        series = BoundarySeries.of_boundary(boundary, names=names, members=state.members)
        return Forcing(landscape, series)
