"""Short forecasts from our own latest analyses, by which cycled first guesses are made.

Δ is the interval of the cycles, τ ≥ Δ the forecast model's time step, x_g the given background.

``BackgroundChange``: what the analysis before knew better persists,

    x(t) = x_g(t) + d,        d = x_a(t − Δ) − x_g(t − Δ).

``DepartureForecast``: what the analysis before knew better is carried on by the model M, whose own systematic errors
cancel in the difference,

    x(t) = x_g(t) + d + (Δ/τ) (M(x_a) − M(x_g) − d),

M(x) being the state one time step after x(t − Δ − τ), x(t − Δ). ``ShortForecast`` needs no background,

    x(t) = x_a(t − Δ) + (Δ/τ) (M(x_a) − x_a(t − Δ)).
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from rtma_diffda.cycling.first_guess import Asked, BackgroundSource
from rtma_diffda.errors import InputError
from rtma_diffda.fields.limits import within_limits
from rtma_diffda.fields.state import State
from rtma_diffda.interfaces import ForecastModel
from rtma_diffda.times import format_time


@dataclass(frozen=True)
class BackgroundChange:
    """From the latest analysis by the change of the given background.

    Attributes:
        source: x_g.
        interval: Δ.
    """

    source: BackgroundSource
    interval: np.timedelta64

    def __call__(self, asked: Asked) -> State:
        """The forecast valid at the time asked for.

        Raises:
            InputError: the analysis before, or one of the two backgrounds is missing.
        """
        start = asked.time - self.interval
        before = _analysis(asked, start)
        now, then = (_given(self.source, asked, time) for time in (asked.time, start))
        return _limited(before.values + (now - then), before, asked)


@dataclass(frozen=True)
class DepartureForecast:
    """From the latest analyses by a forecast of their departure from the given background.

    Attributes:
        source: x_g.
        model: M; members are stepped side by side.
        interval: Δ.
    """

    source: BackgroundSource
    model: ForecastModel
    interval: np.timedelta64

    def __call__(self, asked: Asked) -> State:
        """The forecast valid at the time asked for; where the model cannot begin yet, the departure persists.

        Raises:
            InputError: the analysis before, or one of the two backgrounds is missing.
        """
        start = asked.time - self.interval
        before, now = _analysis(asked, start), _given(self.source, asked, asked.time)
        departure = before.values - _given(self.source, asked, start)
        share = float(self.interval / self.model.time_step)
        moved = departure + share * (self._stepped(asked, start, departure) - departure)
        return _limited(now + moved, before, asked)

    def _stepped(self, asked: Asked, start: np.datetime64, departure: Tensor) -> Tensor:
        """M(x_a) − M(x_g)."""
        times = _beginning(self.model, start)
        analyses = [asked.history.at(time) for time in times]
        if any(state is None for state in analyses) or asked.boundary is None:
            return departure
        given = [state.with_values(_given(self.source, asked, state.valid_time)) for state in analyses]
        ours, theirs = (self.model.step(states, asked.boundary, generator=None) for states in (analyses, given))
        return ours.values - theirs.values


@dataclass(frozen=True)
class ShortForecast:
    """From earlier analyses by a forecast model alone.

    Attributes:
        model: M; members are stepped side by side.
        interval: Δ.
    """

    model: ForecastModel
    interval: np.timedelta64

    def __call__(self, asked: Asked) -> State:
        """The forecast valid at the time asked for.

        Raises:
            InputError: an analysis that it begins with is missing, or what the model says.
        """
        history = [_analysis(asked, time) for time in _beginning(self.model, asked.time - self.interval)]
        step = self.model.step(history, asked.boundary, generator=None)
        share, last = float(self.interval / self.model.time_step), history[-1]
        return _limited(last.values + share * (step.values.to(last.values) - last.values), last, asked)


def _beginning(model: ForecastModel, start: np.datetime64) -> list[np.datetime64]:
    """Times of the states that a forecast from ``start`` begins with, oldest first."""
    return [start - k * model.time_step for k in reversed(range(model.history_length))]


def _analysis(asked: Asked, time: np.datetime64) -> State:
    state = asked.history.at(time)
    if state is None:
        raise InputError(f"there is no analysis of {format_time(time)} to begin with")
    return state


def _given(source: BackgroundSource, asked: Asked, time: np.datetime64) -> Tensor:
    """x_g: (1, channel, y, x), the mean of its members."""
    return source.at(time, available_at=asked.window.cutoff).state.mean().values


def _limited(values: Tensor, like: State, asked: Asked) -> State:
    return within_limits(State(values, like.layout, asked.time))[0]
