"""When a report was made: ``ddhhmm`` carries no month, so the month is the one that brings it nearest a reference time.

A report of day 31 read on the 1st belongs to the month before; one that is hours off or two days ahead keeps its own
time, and the window of the analysis decides about it.
"""

from collections.abc import Sequence

import numpy as np


def resolve_times(day_times: Sequence[str], reference_time: np.datetime64) -> np.ndarray:
    """Times (n,) datetime64[ns] of ``ddhhmm`` texts (n,); NaT where there is no such day, hour or minute.

    The candidates are the month of the reference and its two neighbours; among equally near ones the earlier counts.
    """
    number = np.array([int(text) if text else 0 for text in day_times], np.int64)
    day, hour, minute = number // 10000, number // 100 % 100, number % 100
    minutes = (day - 1) * 1440 + hour * 60 + minute
    month = reference_time.astype("datetime64[M]")
    candidates = np.stack([_in_month(month + shift, day, minutes) for shift in (-1, 0, 1)])
    apart = np.abs((candidates - reference_time.astype("datetime64[m]")).astype(np.float64))
    apart[np.isnat(candidates)] = np.inf
    nearest = np.take_along_axis(candidates, apart.argmin(axis=0)[None], axis=0)[0]
    possible = (hour < 24) & (minute < 60) & (day >= 1) & np.isfinite(apart.min(axis=0))
    return np.where(possible, nearest, np.datetime64("NaT")).astype("datetime64[ns]")


def _in_month(month: np.datetime64, day: np.ndarray, minutes: np.ndarray) -> np.ndarray:
    days = ((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")).astype(int)
    times = month.astype("datetime64[m]") + minutes.astype("timedelta64[m]")
    return np.where(day <= days, times, np.datetime64("NaT", "m"))
