"""First guesses: where the background of a cycle comes from, and what stands in for it.

In order: the given regional forecast; where that is late, a longer forecast; the downscaled global state; persistence.
Whatever is used instead of what is usual carries its reason, which becomes the product's.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from rtma_diffda.cycling.history import History
from rtma_diffda.errors import InputError
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.limits import within_limits
from rtma_diffda.fields.state import State
from rtma_diffda.io.background import Background
from rtma_diffda.times import SLOT, Window, format_time

_log = logging.getLogger(__name__)
_HOUR = np.timedelta64(1, "h")

CYCLED = "cycled"
"""Kind of a first guess that begins from our own analyses."""


@dataclass(frozen=True)
class Asked:
    """What a first guess is made from.

    Attributes:
        window: of the analysis.
        history: earlier analyses.
        boundary: states of a global run around the analysis time; None where there is none.
    """

    window: Window
    history: History = field(repr=False)
    boundary: Boundary | None = field(default=None, repr=False)

    @property
    def time(self) -> np.datetime64:
        """When the first guess shall be valid."""
        return self.window.analysis_time


@dataclass(frozen=True)
class Guess:
    """A first guess.

    Attributes:
        state: the background.
        source: where it comes from, in words.
        kind: in a word or two, for tables: background, global state, persistence, cycled.
        degraded: reasons why it is less than usual.
        terrain_adjusted: variables taken to the region's terrain.
    """

    state: State
    source: str
    kind: str
    degraded: tuple[str, ...] = ()
    terrain_adjusted: tuple[str, ...] = ()


class FirstGuess(Protocol):
    """Makes first guesses."""

    def __call__(self, asked: Asked) -> Guess:
        """The first guess at the time asked for; ``InputError``, with a sentence, where there is none."""


class BackgroundSource(Protocol):
    """Where regional backgrounds come from."""

    def at(self, valid_time: np.datetime64, *, available_at: np.datetime64) -> Background:
        """The background of the newest run that had arrived; ``InputError``, with a sentence, where none serves."""


@dataclass(frozen=True)
class GivenBackground:
    """A ``FirstGuess``: the newest regional forecast that is valid at the time.

    Attributes:
        source: of the forecasts.
        usual_lead: longer ones count as late.
        longest_lead: longer ones are not used.
    """

    source: BackgroundSource
    usual_lead: np.timedelta64 | None = None
    longest_lead: np.timedelta64 | None = None

    def __call__(self, asked: Asked) -> Guess:
        """See ``FirstGuess``."""
        found = self.source.at(asked.time, available_at=asked.window.cutoff)
        lead = None if found.initial_time is None else asked.time - found.initial_time
        if lead is not None and self.longest_lead is not None and lead > self.longest_lead:
            raise InputError(f"the newest background is a forecast of {lead / _HOUR:g} h, longer than is allowed")
        late = lead is not None and self.usual_lead is not None and lead > self.usual_lead
        degraded = (f"background late: a forecast of {lead / _HOUR:g} h is used",) if late else ()
        return Guess(found.state, found.provenance, "background", degraded, found.terrain_adjusted)


@dataclass(frozen=True)
class DownscaledGlobal:
    """A ``FirstGuess``: the global state, taken to the region and its terrain.

    Attributes:
        on_region: from a boundary and a time to the region's state.
    """

    on_region: Callable[[Boundary, np.datetime64], State]

    def __call__(self, asked: Asked) -> Guess:
        """See ``FirstGuess``."""
        if asked.boundary is None:
            raise InputError("there is no global run to take it from")
        state = self.on_region(asked.boundary, asked.time)
        return Guess(state, f"{asked.boundary.name}, on the region", "global state")


@dataclass(frozen=True)
class Persisted:
    """A ``FirstGuess``: the latest analysis, unchanged.

    Attributes:
        longest: how old it may be.
    """

    longest: np.timedelta64 = 3 * _HOUR

    def __call__(self, asked: Asked) -> Guess:
        """See ``FirstGuess``."""
        latest = asked.history.latest(asked.time)
        age = None if latest is None else asked.time - latest
        state = None if age is None or age > self.longest else asked.history.at(latest)
        if state is None:
            newest = "there is none" if latest is None else f"the newest is of {format_time(latest)}"
            raise InputError(f"no analysis of the {self.longest / _HOUR:g} h before can persist: {newest}")
        return Guess(replace(state, valid_time=asked.time), f"analysis of {format_time(latest)}", "persistence")


@dataclass(frozen=True)
class FirstOf:
    """A ``FirstGuess``: the first of several that can be had.

    Attributes:
        sources: by name, in order; all but the first are fallbacks.
    """

    sources: tuple[tuple[str, FirstGuess], ...]

    def __call__(self, asked: Asked) -> Guess:
        """See ``FirstGuess``."""
        reasons: list[str] = []
        for name, source in self.sources:
            try:
                guess = source(asked)
                guess.state.require_finite(f"first guess ({name})")
            except InputError as error:
                reasons.append(f"no {name}: {error}")
                continue
            if not reasons:
                return guess
            for reason in reasons:
                _log.warning("%s: %s", format_time(asked.time), reason)
            first = self.sources[0][0]
            told = (f"no {first}: {name} is the first guess", *guess.degraded)
            return replace(guess, degraded=told, source=f"{guess.source} ({'; '.join(reasons)})")
        raise InputError(f"no first guess for {format_time(asked.time)}: {'; '.join(reasons)}")


@dataclass(frozen=True)
class CycledGuess:
    """A ``FirstGuess``: a short forecast from our own latest analysis, drawn towards the given background.

        x_b(t) = (1 − w) F(x_a(t − Δ)) + w x_g(t)

    Attributes:
        forecast: F: from the history, the time and the boundary to the state; ``InputError`` where it cannot.
        given: x_g; also what a cold start begins with.
        weight: w, of times that blend.
        blend_every: the given background is blended in at multiples of this.
    """

    forecast: Callable[[Asked], State]
    given: FirstGuess
    weight: float = 0.0
    blend_every: np.timedelta64 = SLOT

    def __call__(self, asked: Asked) -> Guess:
        """See ``FirstGuess``."""
        given = _attempted(self.given, asked)
        try:
            forecast = self.forecast(asked)
        except InputError as error:
            if isinstance(given, InputError):
                raise InputError(f"{error}; {given}") from error
            _log.info("%s: cycling begins anew: %s", format_time(asked.time), error)
            return replace(given, kind=f"{given.kind} (start)", source=f"{given.source} (cycling begins: {error})")
        since_midnight = asked.time - asked.time.astype("datetime64[D]")
        if self.weight == 0.0 or since_midnight % self.blend_every:
            return Guess(forecast, "forecast from the latest analyses", CYCLED)
        if isinstance(given, InputError):
            told = (f"not drawn to the background: {given}",)
            return Guess(forecast, "forecast from the latest analyses", CYCLED, told)
        blended = drawn_towards(forecast, given.state, self.weight)
        source = f"forecast from the latest analyses, and {self.weight:g} of {given.source}"
        return Guess(blended, source, CYCLED, given.degraded)


def drawn_towards(forecast: State, given: State, weight: float) -> State:
    """(1 − w) forecast + w given, member by member, within the limits that variables set each other."""
    moved = forecast.values + weight * (given.mean().values - forecast.values)
    return within_limits(forecast.with_values(moved))[0]


def _attempted(source: FirstGuess, asked: Asked) -> Guess | InputError:
    try:
        return source(asked)
    except InputError as error:
        return error
