"""``GraphCastRuns``: GraphCast's forecasts from the analyses of an archive, as boundaries: a ``BoundarySource``.

A run starts at every analysis that has another six hours before it, arrives some time after that, and has its analysis
and a state every six hours. Only as many steps are made as are asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Protocol

import numpy as np

from rtma_diffda.errors import UsageError
from rtma_diffda.fields.boundary import Boundary, BoundaryNeed
from rtma_diffda.fields.boundary_runs import Availability, GlobalRun, latest_boundary
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.forecast.steps import roll_out
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import ForecastModel
from rtma_diffda.io.global_to_boundary import GlobalToBoundary

_KEPT_RUNS = 4


class GlobalAnalyses(Protocol):
    """Analyses of the globe, such as ``io.weatherbench.GlobalArchive``."""

    valid_times: np.ndarray
    static: StaticFields

    def state(self, valid_time: np.datetime64) -> State:
        """The analysis at a valid time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GraphCastRuns:
    """Attributes:
    analyses: of the model's channels.
    model: ``GraphCastForecast``, or any other of the globe.
    layout: the boundary grid, and the variables wanted.
    latency: how long after its initial time a run arrives.
    steps: of a run.
    run_interval: initial times are its multiples since midnight; None: every analysis.
    source: name, for messages and products.
    """

    analyses: GlobalAnalyses
    model: ForecastModel
    layout: Layout
    latency: np.timedelta64
    steps: int = 40
    run_interval: np.timedelta64 | None = None
    source: str = "graphcast"
    _made: dict[np.datetime64, "_Run"] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        zero = np.timedelta64(0, "s")
        if self.latency < zero or self.steps < 1 or (self.run_interval is not None and not self.run_interval > zero):
            raise UsageError(
                "global runs need a latency of 0 or more, a step or more, and an interval above 0; found "
                f"{self.latency}, {self.steps} and {self.run_interval}"
            )

    def bracketing(
        self, need: BoundaryNeed, *, available_at: np.datetime64, before: np.datetime64 | None = None
    ) -> Boundary:
        """As in ``BoundarySource``.

        Raises:
            InputError: there is no run, none is old enough, or none reaches.
        """
        availability = Availability(available_at, available_at if before is None else before, self.latency)
        return latest_boundary(self.runs(), need, availability=availability, source=self.source)

    def runs(self) -> tuple[GlobalRun, ...]:
        """All runs, oldest first; none has made a step yet."""
        offsets = np.arange(self.steps + 1) * self.model.time_step
        return tuple(GlobalRun(start, start + offsets, partial(self._load, start)) for start in self._starts)

    @cached_property
    def _starts(self) -> np.ndarray:
        times = self.analyses.valid_times.astype("datetime64[ns]")
        whole = np.ones(len(times), bool)
        for k in range(1, self.model.history_length):
            whole &= np.isin(times - k * self.model.time_step, times)
        if self.run_interval is not None:
            of_day = times - times.astype("datetime64[D]")
            whole &= of_day % self.run_interval == np.timedelta64(0, "ns")
        return times[whole]

    @cached_property
    def _to_boundary(self) -> GlobalToBoundary:
        return GlobalToBoundary(self.layout, self.analyses.static, self.source)

    def _load(self, start: np.datetime64, times: np.ndarray) -> tuple[tuple[State, ...], StaticFields | None]:
        steps = ((times - start) // self.model.time_step).astype(int)
        run = self._made.pop(start, None) or _Run(self._states(start))
        states = tuple(run.state(step) for step in steps)
        self._made[start] = run  # the latest last; one that failed is begun anew when it is asked for again
        while len(self._made) > _KEPT_RUNS:
            self._made.pop(next(iter(self._made)))
        return states, self._to_boundary.static

    def _states(self, start: np.datetime64) -> Iterator[State]:
        """The analysis, and the states of the roll-out, each on the boundary grid, made when asked for."""
        back = reversed(range(self.model.history_length))
        history = tuple(self.analyses.state(start - k * self.model.time_step) for k in back)
        yield self._to_boundary(history[-1])
        yield from map(self._to_boundary, roll_out(self.model, history, steps=self.steps))


class _Run:
    """States of one run, as far as they were asked for."""

    def __init__(self, states: Iterator[State]) -> None:
        self._coming, self._made = states, []

    def state(self, step: int) -> State:
        while len(self._made) <= step:
            self._made.append(next(self._coming))
        return self._made[step]
