"""Which global run feeds a boundary: the newest that an office would have had, and that reaches far enough.

A run is usable at a time of day ``available_at`` if

    initial time + latency ≤ available_at    and    initial time < before,

``before`` being the start of the regional forecast or the time of the analysis: a run that starts with ours is replaced
by the previous one, as in operations. Where the newest usable run lacks a time, the one before it is asked.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.boundary import Boundary, BoundaryNeed
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.fields.state import State
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.times import format_time

logger = logging.getLogger(__name__)

_TOLD_RUNS = 3
_HOUR = np.timedelta64(1, "h")


@dataclass(frozen=True)
class GlobalRun:
    """One forecast of a global model, its states not yet read.

    Attributes:
        initial_time: its start; None for a series of analyses, each a start of its own.
        valid_times: (time,) datetime64[ns], increasing.
        load: the states at some of these times, and the model's terrain and land where known; ``InputError`` with a
            sentence where they cannot be had.
    """

    initial_time: np.datetime64 | None
    valid_times: np.ndarray = field(repr=False)
    load: Callable[[np.ndarray], tuple[tuple[State, ...], StaticFields | None]] = field(repr=False)

    def start(self, latest: np.datetime64, before: np.datetime64) -> np.datetime64 | None:
        """The initial time if it is not after ``latest`` and older than ``before``; else None.

        A series of analyses starts at the latest of them for which that holds.
        """
        starts = self.valid_times if self.initial_time is None else np.atleast_1d(self.initial_time)
        usable = starts[(starts <= latest) & (starts < before)]
        return usable.max() if len(usable) else None

    @property
    def newest_start(self) -> np.datetime64:
        """The initial time, or the last of the analyses."""
        return self.valid_times[-1] if self.initial_time is None else self.initial_time


@dataclass(frozen=True)
class Availability:
    """Attributes:
    available_at: the time of day at which the choice is made.
    before: start of the regional forecast, or time of the analysis.
    latency: how long after its initial time a run arrives.
    """

    available_at: np.datetime64
    before: np.datetime64
    latency: np.timedelta64

    def __str__(self) -> str:
        return (
            f"at {format_time(self.available_at)}: a run arrives {float(self.latency / _HOUR):g} h after its initial "
            f"time, which must be older than {format_time(self.before)}"
        )


def latest_boundary(
    runs: Sequence[GlobalRun], need: BoundaryNeed, *, availability: Availability, source: str
) -> Boundary:
    """The states needed, of the newest usable run that has them.

    Args:
        runs: in any order.
        need: from a run's valid times to those needed.
        availability: when, and for what.
        source: name of the global model, for messages and for the boundary.

    Raises:
        InputError: there is no run, none is old enough, or none of those that are has what is needed.
    """
    if not runs:
        raise InputError(f"there is no global run of {source} at all")
    latest = availability.available_at - availability.latency
    starts = [(run.start(latest, availability.before), run) for run in runs]
    usable = sorted(((start, i) for i, (start, _) in enumerate(starts) if start is not None), reverse=True)
    if not usable:
        oldest, newest = (format_time(pick(run.newest_start for run in runs)) for pick in (min, max))
        raise InputError(
            f"none of the {len(runs)} runs of {source}, of {oldest} to {newest}, is old enough {availability}"
        )
    return _first_reaching([(start, runs[i]) for start, i in usable], need, source)


def _first_reaching(usable: Sequence[tuple[np.datetime64, GlobalRun]], need: BoundaryNeed, source: str) -> Boundary:
    reasons = []
    for start, run in usable:
        try:
            states, static = run.load(need(run.valid_times))
        except InputError as error:
            reasons.append(f"run of {format_time(start)}: {error}")
            continue
        if reasons:
            logger.warning(
                "%s: the run of %s is used instead of newer ones; %s", source, format_time(start), _told(reasons)
            )
        return Boundary(states, start, source, static)
    raise InputError(f"none of the {len(usable)} usable runs of {source} has what is needed: {_told(reasons)}")


def _told(reasons: Sequence[str]) -> str:
    older = f"; and {len(reasons) - _TOLD_RUNS} older ones" if len(reasons) > _TOLD_RUNS else ""
    return "; ".join(reasons[:_TOLD_RUNS]) + older


@dataclass(frozen=True)
class SeriesRuns:
    """Global runs made of one series of states, as in simulations: a ``BoundarySource``.

    A run starts every ``run_interval``, counted from the first state, and has the states at and after its start.

    Attributes:
        states: on the boundary grid.
        latency: how long after its initial time a run arrives.
        run_interval: between initial times.
        spacing: time between the states of a run; None for that of the series. Others are left out.
        longest_lead: of a run; None for no end.
        static: terrain and land of the boundary grid; None where not known.
        source: name, for messages and products.
    """

    states: StateSeries = field(repr=False)
    latency: np.timedelta64
    run_interval: np.timedelta64
    spacing: np.timedelta64 | None = None
    longest_lead: np.timedelta64 | None = None
    static: StaticFields | None = field(default=None, repr=False)
    source: str = "simulated"

    def __post_init__(self) -> None:
        zero = np.timedelta64(0, "s")
        if not self.run_interval > zero or (self.spacing is not None and not self.spacing > zero):
            raise UsageError(
                f"simulated runs need intervals longer than 0; found {self.run_interval} between runs and "
                f"{self.spacing} between their states"
            )
        if self.latency < zero:
            raise UsageError(f"the latency of simulated runs must not be negative; found {self.latency}")

    def runs(self) -> tuple[GlobalRun, ...]:
        """All runs, oldest first."""
        times = self.states.valid_times
        return tuple(map(self._run, np.arange(times[0], times[-1] + np.timedelta64(1, "ns"), self.run_interval)))

    def bracketing(
        self, need: BoundaryNeed, *, available_at: np.datetime64, before: np.datetime64 | None = None
    ) -> Boundary:
        """As in ``BoundarySource``."""
        availability = Availability(available_at, available_at if before is None else before, self.latency)
        return latest_boundary(self.runs(), need, availability=availability, source=self.source)

    def _run(self, initial_time: np.datetime64) -> GlobalRun:
        lead = self.states.valid_times - initial_time
        chosen = lead >= np.timedelta64(0, "ns")
        if self.spacing is not None:
            chosen &= lead % self.spacing == np.timedelta64(0, "ns")
        if self.longest_lead is not None:
            chosen &= lead <= self.longest_lead
        return GlobalRun(initial_time, self.states.valid_times[chosen], self._load)

    def _load(self, times: np.ndarray) -> tuple[tuple[State, ...], StaticFields | None]:
        return tuple(self.states.at(time) for time in times), self.static
