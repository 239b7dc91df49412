"""Clocks of live cycling: the wall clock, or one that runs faster from a moment of the past.

    t = t₀ + f · (u − u₀)

u is the real time, u₀ the real time at which the clock was started, t₀ what it showed then, f how fast it runs. Arrival
times of files are real times and are read on the same clock.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from rtma_diffda.errors import UsageError


class Clock(Protocol):
    """What live cycling lives by."""

    def now(self) -> np.datetime64:
        """The time it shows, UTC, datetime64[ns]; it may jump."""

    def sleep(self, interval: np.timedelta64) -> None:
        """Wait until the clock has gone on by ``interval``."""

    def shown_at(self, real: np.datetime64) -> np.datetime64:
        """What it shows, or showed, at a real time (UTC)."""


def real_time() -> np.datetime64:
    """The machine's clock, UTC, datetime64[ns]."""
    return np.datetime64(time.time_ns(), "ns")


@dataclass(frozen=True)
class WallClock:
    """The machine's clock, or one that is set by it.

    Attributes:
        start: t₀; None: the real time.
        factor: f.
        real: the machine's clock.
        pause: waits for so many real seconds.
        real_start: u₀; None: when it is made.
    """

    start: np.datetime64 | None = None
    factor: float = 1.0
    real: Callable[[], np.datetime64] = field(default=real_time, repr=False)
    pause: Callable[[float], None] = field(default=time.sleep, repr=False)
    real_start: np.datetime64 | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.factor < float("inf"):
            raise UsageError(f"a clock's factor is {self.factor}; it must be positive")
        if self.start is None and self.factor != 1.0:
            raise UsageError(f"a clock that runs {self.factor:g} times as fast needs a time to start from")
        if self.start is not None and self.real_start is None:
            object.__setattr__(self, "real_start", self.real())

    def now(self) -> np.datetime64:
        """See ``Clock``."""
        return self.shown_at(self.real())

    def sleep(self, interval: np.timedelta64) -> None:
        """See ``Clock``."""
        self.pause(max(0.0, float(interval / np.timedelta64(1, "s")) / self.factor))

    def shown_at(self, real: np.datetime64) -> np.datetime64:
        """See ``Clock``."""
        real = real.astype("datetime64[ns]")
        if self.start is None:
            return real
        elapsed = (real - self.real_start) / np.timedelta64(1, "ns")
        return self.start.astype("datetime64[ns]") + np.timedelta64(round(float(elapsed) * self.factor), "ns")
