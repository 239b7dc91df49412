"""Clocks: what they show, how long they sleep, and what they refuse; the real clock is set by hand."""

import numpy as np
import pytest

from rtma_diffda.cycling.clock import WallClock, real_time
from rtma_diffda.errors import UsageError

PAST = np.datetime64("2019-07-01T12:00", "ns")
REAL = np.datetime64("2026-03-05T08:00:00", "ns")


class RealClock:
    """The machine's clock, set by hand."""

    def __init__(self):
        self.time, self.pauses = REAL, []

    def __call__(self):
        return self.time

    def pass_by(self, **parts):
        for unit, count in parts.items():
            self.time = self.time + np.timedelta64(count, unit)


def a_clock(factor=1.0, start=PAST, **extra):
    real = RealClock()
    return WallClock(start, factor, real=real, pause=real.pauses.append, **extra), real


def test_without_a_start_the_clock_shows_the_real_time():
    clock, real = a_clock(start=None)
    assert clock.now() == REAL and clock.shown_at(PAST) == PAST
    real.pass_by(m=7)
    assert clock.now() == REAL + np.timedelta64(7, "m")


def test_the_machines_clock_is_utc_in_nanoseconds_and_near_numpys():
    numpys = np.datetime64("now", "s")
    assert real_time().dtype == np.dtype("datetime64[ns]")
    assert abs(real_time() - numpys) < np.timedelta64(5, "s")
    assert abs(WallClock().now() - numpys) < np.timedelta64(5, "s")


def test_a_clock_set_back_starts_at_its_start_and_runs_as_fast_as_is_asked():
    for factor in (1.0, 60.0, 0.5):
        clock, real = a_clock(factor)
        assert clock.now() == PAST
        real.pass_by(s=90)
        assert clock.now() == PAST + np.timedelta64(round(90 * factor), "s")


def test_accelerated_time_is_exact_to_the_microsecond_after_a_year():
    clock, real = a_clock(60.0)
    real.pass_by(D=365, us=1)
    expected = PAST + np.timedelta64(365 * 60, "D") + np.timedelta64(60, "us")
    assert abs(clock.now() - expected) <= np.timedelta64(1, "us")


def test_jumps_of_the_real_clock_are_shown_enlarged_and_none_is_hidden():
    clock, real = a_clock(10.0)
    real.pass_by(h=1)
    real.pass_by(h=-2)
    assert clock.now() == PAST - np.timedelta64(10, "h")
    real.pass_by(D=1)
    assert clock.now() == PAST + np.timedelta64(230, "h")


def test_sleep_waits_a_shorter_real_time_on_a_faster_clock_and_never_a_negative_one():
    clock, real = a_clock(60.0)
    clock.sleep(np.timedelta64(15, "m"))
    clock.sleep(np.timedelta64(500, "ms"))
    clock.sleep(np.timedelta64(-3, "s"))
    assert real.pauses == [pytest.approx(15.0), pytest.approx(0.5 / 60.0), 0.0]


def test_real_times_of_files_are_shown_on_the_same_clock():
    clock, _ = a_clock(4.0)
    assert clock.shown_at(REAL + np.timedelta64(15, "m")) == PAST + np.timedelta64(1, "h")
    assert clock.shown_at(np.datetime64("2026-03-05T07:59", "m")) == PAST - np.timedelta64(4, "m")
    assert clock.shown_at(REAL).dtype == np.dtype("datetime64[ns]")


def test_a_clock_taken_up_again_goes_on_from_its_first_start():
    first, real = a_clock(60.0)
    real.pass_by(m=10)
    again = WallClock(PAST, 60.0, real=real, real_start=first.real_start)
    fresh = WallClock(PAST, 60.0, real=real)
    assert again.now() == first.now() == PAST + np.timedelta64(10, "h")
    assert fresh.now() == PAST


@pytest.mark.parametrize("factor", [0.0, -1.0, float("inf"), float("nan")])
def test_factors_that_are_not_positive_numbers_are_refused(factor):
    with pytest.raises(UsageError, match="must be positive"):
        WallClock(PAST, factor)


def test_a_clock_that_runs_fast_needs_a_time_to_start_from():
    with pytest.raises(UsageError, match="60 times as fast needs a time to start from"):
        WallClock(factor=60.0)
