"""UTC valid times, data windows and the 15-minute slots of a day.

Times are tz-naive ``datetime64[ns]`` in UTC; intervals are ``timedelta64``, never bare hours.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from rtma_diffda.errors import UsageError

SLOT = np.timedelta64(15, "m")
SLOTS_PER_DAY = 96
DAY = np.timedelta64(1, "D")


def parse_time(text: str) -> np.datetime64:
    """Read an ISO 8601 time such as ``2026-01-01T00:15`` (a trailing ``Z`` or an offset is honoured) as UTC.

    Raises:
        UsageError: the text is no ISO 8601 time.
    """
    try:
        moment = datetime.fromisoformat(str(text).strip())
    except ValueError as error:
        raise UsageError(f"time '{text}' is not ISO 8601; expected for example 2026-01-01T00:15") from error
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(moment, "ns")


def format_time(time: np.datetime64) -> str:
    """``2026-01-01T00:15Z``: the form used in logs, titles and on the command line."""
    return f"{np.datetime_as_string(time, unit='m')}Z"


def compact_time(time: np.datetime64) -> str:
    """``20260101T0015Z``: the form used in file names."""
    return format_time(time).replace("-", "").replace(":", "")


def day_of(time: np.datetime64) -> np.datetime64:
    """The midnight (UTC) that opens the day of ``time``, as ``datetime64[ns]``."""
    return time.astype("datetime64[D]").astype("datetime64[ns]")


def slots_of_day(day: np.datetime64) -> np.ndarray:
    """The 96 slot times of the UTC day that contains ``day``, as ``datetime64[ns]``."""
    return day_of(day) + np.arange(SLOTS_PER_DAY) * SLOT


def slot_index(time: np.datetime64) -> int:
    """Position of ``time`` among the 96 slots of its day.

    Raises:
        UsageError: the time is not a multiple of 15 minutes.
    """
    offset = time - day_of(time)
    if offset % SLOT != np.timedelta64(0, "ns"):
        raise UsageError(f"analysis time {np.datetime_as_string(time)} is not on a 15-minute slot")
    return int(offset // SLOT)


@dataclass(frozen=True)
class Window:
    """The times whose data an analysis may use: start ≤ observation time ≤ end, received before the cut-off."""

    start: np.datetime64
    analysis_time: np.datetime64
    end: np.datetime64
    cutoff: np.datetime64

    def __post_init__(self) -> None:
        if not self.start <= self.analysis_time <= self.end:
            raise UsageError(
                f"window {self.start} … {self.end} does not contain its analysis time {self.analysis_time}"
            )

    @classmethod
    def around(
        cls, analysis_time: np.datetime64, half_width: np.timedelta64, cutoff: np.timedelta64 = SLOT
    ) -> "Window":
        """The window of ``half_width`` on either side; data may arrive until ``cutoff`` after the analysis time."""
        time = analysis_time.astype("datetime64[ns]")
        return cls(time - half_width, time, time + half_width, time + cutoff)

    def contains(self, times: np.ndarray) -> np.ndarray:
        """True where ``times`` (n,) lie inside the window, both ends included."""
        return (times >= self.start) & (times <= self.end)
