"""``Boundary``: the global states that bracket an analysis window, for models with boundary forcing."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from rtma_diffda.errors import InputError
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.fields.state import State
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.times import format_time

BoundaryNeed = Callable[[np.ndarray], np.ndarray]
"""From the valid times (time,) that a run has, increasing, to those needed of it; ``InputError``, with a sentence,
where the run does not reach."""


@dataclass(frozen=True)
class Boundary:
    """Global states around one window.

    Attributes:
        states: ordered by valid time; past, current, future; of one layout, whose grid is the boundary grid.
        initial_time: start of the global run that made them; recorded with every product they fed.
        source: name of that run.
        static: terrain and land of the global model on the boundary grid; None where not known.
    """

    states: tuple[State, ...]
    initial_time: np.datetime64
    source: str
    static: StaticFields | None = None

    def __post_init__(self) -> None:
        times = [state.valid_time for state in self.states]
        if not times or times != sorted(set(times)):
            raise InputError("boundary states must be ordered by distinct valid times, and there must be at least one")
        if any(state.layout != self.states[0].layout for state in self.states):
            raise InputError(f"the boundary states of {self.source} must have one layout; they have several")

    @property
    def valid_times(self) -> np.ndarray:
        """(time,) datetime64[ns]."""
        return np.array([state.valid_time for state in self.states]).astype("datetime64[ns]")

    @property
    def name(self) -> str:
        """Source and initial time, in words, for messages and the metadata of products."""
        return f"{self.source}, run of {format_time(self.initial_time)}"

    def series(self) -> StateSeries:
        """The states of a single forecast one after another: values (time, channel, y, x).

        Raises:
            InputError: the states are those of an ensemble.
        """
        members = self.states[0].members
        if members != 1:
            raise InputError(f"a series takes the states of one forecast; those of {self.name} have {members} members")
        return StateSeries(torch.cat([state.values for state in self.states]), self.states[0].layout, self.valid_times)

    def at(self, valid_time: np.datetime64) -> State:
        """The state at a valid time.

        Raises:
            InputError: there is none.
        """
        for state in self.states:
            if state.valid_time == valid_time:
                return state
        raise InputError(f"{self.name} has no state at {format_time(valid_time)}; it has {self._extent()}")

    def selected(self, need: BoundaryNeed) -> "Boundary":
        """With the states that are needed only; errors are those of ``need``."""
        return replace(self, states=tuple(self.at(time) for time in need(self.valid_times)))

    def between(self, times: np.ndarray) -> "Boundary":
        """With the states that surround ``times`` (n,): from the latest at or before to the earliest at or after them.

        Raises:
            InputError: the states do not reach.
        """
        return self.selected(surrounding(times))

    def interpolated(self, valid_time: np.datetime64) -> State:
        """The state at any time between the first and the last, linear in time; a stored one as it is.

        Raises:
            InputError: the time lies outside.
        """
        try:
            around = self.between(np.atleast_1d(valid_time))
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from error
        before, after = around.states[0], around.states[-1]
        if before is after:
            return before
        valid_time = valid_time.astype("datetime64[ns]")
        share = float((valid_time - before.valid_time) / (after.valid_time - before.valid_time))
        return State(torch.lerp(before.values, after.values, share), before.layout, valid_time)

    def _extent(self) -> str:
        times = self.valid_times
        return f"{len(times)} from {format_time(times[0])} to {format_time(times[-1])}"


def surrounding(times: np.ndarray) -> BoundaryNeed:
    """What surrounds ``times`` (n,): from the latest state at or before all of them to the earliest at or after."""
    first, last = np.min(times), np.max(times)

    def need(available: np.ndarray) -> np.ndarray:
        start = np.searchsorted(available, first, side="right") - 1
        stop = np.searchsorted(available, last, side="left")
        if start < 0 or stop >= len(available):
            there = f"from {format_time(available[0])} to {format_time(available[-1])}" if len(available) else "nowhere"
            raise InputError(f"its states reach {there}; needed are {format_time(first)} to {format_time(last)}")
        return available[start : stop + 1]

    return need
