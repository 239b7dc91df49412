"""Forecasts of several steps with any ``ForecastModel``, and what every model asks of the history that it is given."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.interfaces import ForecastModel
from rtma_diffda.times import format_time


def forecast_states(
    model: ForecastModel,
    history: Sequence[State],
    boundary: Boundary | None,
    *,
    steps: int,
    generator: torch.Generator | None = None,
) -> tuple[State, ...]:
    """States 1, 2, …, ``steps`` time steps after the last of the history; see ``roll_out``."""
    return tuple(roll_out(model, history, boundary, steps=steps, generator=generator))


def roll_out(
    model: ForecastModel,
    history: Sequence[State],
    boundary: Boundary | None = None,
    *,
    steps: int,
    generator: torch.Generator | None = None,
) -> Iterator[State]:
    """States 1, 2, …, ``steps`` time steps after the last of the history, each made when it is asked for.

    Args:
        model: any.
        history: at least ``model.history_length`` states, a time step apart, oldest first.
        boundary: for all steps; None for models that need none.
        steps: at least 1.
        generator: for models that draw.

    Raises:
        UsageError: fewer than one step.
        InputError: what the model says of history or boundary.
    """
    if steps < 1:
        raise UsageError(f"a forecast has {steps} steps; expected 1 or more")
    known = tuple(history)
    for _ in range(steps):
        known = known[-model.history_length :]
        state = model.step(known, boundary, generator=generator)
        yield state
        known = (*known, state)


def required_history(
    history: Sequence[State], length: int, *, layout: Layout, time_step: np.timedelta64
) -> tuple[State, ...]:
    """The last ``length`` states of a history.

    Raises:
        InputError: there are fewer, they are of another layout, not a time step apart, of different members, or not
            finite.
    """
    if len(history) < length:
        raise InputError(f"a forecast begins with {length} states, {_words(time_step)} apart; found {len(history)}")
    states = tuple(history[-length:])
    for state in states:
        if state.layout.names != layout.names:
            raise InputError(
                f"the initial state at {format_time(state.valid_time)} has {', '.join(state.layout.names)}; the "
                f"forecast model takes {', '.join(layout.names)}, in this order"
            )
        if state.layout.grid.key != layout.grid.key:
            raise InputError(f"the initial state at {format_time(state.valid_time)} is on another grid than the model")
        state.require_finite(f"the initial state at {format_time(state.valid_time)}")
    for earlier, later in pairwise(states):
        if later.valid_time - earlier.valid_time != time_step or later.members != earlier.members:
            raise InputError(
                f"initial states at {format_time(earlier.valid_time)} ({earlier.members} members) and "
                f"{format_time(later.valid_time)} ({later.members}); expected {_words(time_step)} apart, equally many"
            )
    return states


def _words(interval: np.timedelta64) -> str:
    minutes = float(interval / np.timedelta64(1, "m"))
    return f"{minutes / 60:g} h" if minutes % 60 == 0 else f"{minutes:g} min"
