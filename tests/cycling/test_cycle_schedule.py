"""Schedules: times of streams by hand, the order of replays, and live cycling on a clock that jumps."""

import itertools

import numpy as np
import pytest
from fake_clock import MINUTE, FakeClock

from rtma_diffda.cycling.schedule import POLICIES, Job, LiveSchedule, Stream, replay_jobs
from rtma_diffda.errors import UsageError

RU = Stream("ru")
URMA = Stream("urma", 60 * MINUTE, 30 * MINUTE, np.timedelta64(6, "h"))


def at(text):
    return np.datetime64(f"2026-01-{text}", "ns")


def texts(times):
    return [str(time)[8:16] for time in times]


def run(schedule, *, settled=(), costs=lambda job: 0, limit=1000, idle=lambda: None):
    """(when, job) of all jobs; each takes ``costs`` minutes."""
    clock, found = schedule.clock, []
    for job in itertools.islice(schedule.jobs(settled=lambda job: job.analysis_time in settled, idle=idle), limit):
        found.append((clock.now(), job))
        clock.time = clock.time + costs(job) * MINUTE
    return found


def live(now, start="01T00:00", end="01T01:00", streams=(RU,), jumps=None, **extra):
    stop = None if end is None else at(end)
    return LiveSchedule(streams, FakeClock(at(now), jumps), at(start), stop, **extra)


def times_of(found):
    return texts(job.analysis_time for _, job in found)


# Streams


def test_analysis_times_are_whole_quarters_and_both_ends_count():
    assert texts(RU.times(at("01T00:00"), at("01T00:45"))) == ["01T00:00", "01T00:15", "01T00:30", "01T00:45"]
    assert texts(RU.times(at("01T00:01"), at("01T00:44"))) == ["01T00:15", "01T00:30"]
    assert RU.times(at("01T00:01"), at("01T00:14")).size == 0
    assert RU.times(at("01T01:00"), at("01T00:00")).size == 0
    assert RU.times(at("01T00:00"), at("01T00:45")).dtype == np.dtype("datetime64[ns]")


def test_analysis_times_go_on_across_midnight():
    assert texts(RU.times(at("01T23:40"), at("02T00:15"))) == ["01T23:45", "02T00:00", "02T00:15"]
    assert texts(URMA.times(at("01T22:10"), at("02T01:59"))) == ["01T23:00", "02T00:00", "02T01:00"]


def test_longer_intervals_start_at_midnight_of_every_day():
    six = Stream("six", np.timedelta64(6, "h"))
    assert texts(six.times(at("01T01:00"), at("02T06:00"))) == ["01T06:00", "01T12:00", "01T18:00", "02T00:00",
                                                                "02T06:00"]  # fmt: skip
    assert texts(six.times(np.datetime64("1969-12-31T23:00", "ns"), np.datetime64("1970-01-01T00:00", "ns"))) == [
        "01T00:00"
    ]


def test_windows_lie_around_the_analysis_time_and_end_with_the_cut_off():
    window = URMA.window(np.datetime64("2026-01-01T12:00", "m"))
    assert (window.start, window.end, window.cutoff) == (at("01T11:30"), at("01T12:30"), at("01T18:00"))
    window = RU.window(at("01T00:00"))
    assert window.start == np.datetime64("2025-12-31T23:52:30", "ns") and window.cutoff == at("01T00:15")


def test_the_windows_of_the_rapid_update_leave_no_gap_between_them():
    windows = [RU.window(time) for time in RU.times(at("01T00:00"), at("01T03:00"))]
    assert all(one.end == next_one.start for one, next_one in itertools.pairwise(windows))


@pytest.mark.parametrize("minutes", [0, -15, 10, 20, 75, 1000, 2880])
def test_intervals_must_be_quarters_of_an_hour_that_divide_a_day(minutes):
    with pytest.raises(UsageError, match=r"stream x has an interval of .*quarters of an hour"):
        Stream("x", minutes * MINUTE)


@pytest.mark.parametrize("minutes", [15, 30, 45, 60, 90, 180, 1440])
def test_intervals_that_divide_a_day_are_taken(minutes):
    assert len(Stream("x", minutes * MINUTE).times(at("01T00:00"), at("02T00:00"))) == 1440 // minutes + 1


def test_negative_windows_and_cut_offs_are_refused():
    for half_window, cutoff in ((-MINUTE, MINUTE), (MINUTE, -MINUTE)):
        with pytest.raises(UsageError, match="must not be negative"):
            Stream("x", half_window=half_window, cutoff=cutoff)


# Replays


def test_a_replay_of_two_streams_goes_by_when_each_analysis_is_due():
    jobs = replay_jobs([RU, URMA], at("01T00:00"), at("01T07:00"))
    assert [job.due for job in jobs] == sorted(job.due for job in jobs)
    first_re_analysis = next(i for i, job in enumerate(jobs) if job.place == 1)
    assert jobs[first_re_analysis] == Job(at("01T06:00"), 1, at("01T00:00"))
    # of two that are due together, the rapid one comes first: the re-analysis may build on it
    assert jobs[first_re_analysis - 1] == Job(at("01T06:00"), 0, at("01T05:45"))
    assert [job.place for job in jobs].count(0) == 29 and [job.place for job in jobs].count(1) == 8
    assert jobs[-1] == Job(at("01T13:00"), 1, at("01T07:00"))


def test_a_replay_of_a_period_without_an_analysis_time_has_no_jobs():
    assert replay_jobs([URMA], at("01T00:01"), at("01T00:59")) == []
    assert replay_jobs([RU, URMA], at("02T00:00"), at("01T00:00")) == []


# Live


def test_every_job_is_done_once_at_its_cut_off_and_not_before():
    found = run(live("01T00:07"))
    assert times_of(found) == ["01T00:00", "01T00:15", "01T00:30", "01T00:45", "01T01:00"]
    for when, job in found:
        assert job.due == job.analysis_time + RU.cutoff
        assert job.due <= when < job.due + np.timedelta64(20, "s")


def test_an_analysis_time_before_the_start_is_never_made():
    assert times_of(run(live("01T00:31", start="01T00:20"))) == ["01T00:30", "01T00:45", "01T01:00"]


def test_a_start_in_the_future_is_waited_for():
    found = run(live("01T00:00", start="01T03:00", end="01T03:15"))
    assert [texts([when]) for when, _ in found] == [["01T03:15"], ["01T03:30"]]


def test_the_schedule_ends_when_the_last_stream_has_had_its_last_cut_off():
    schedule = live("01T00:00", end="01T00:30", streams=(RU, URMA))
    found = run(schedule)
    assert times_of(found) == ["01T00:00", "01T00:15", "01T00:30", "01T00:00"]
    assert [job.place for _, job in found] == [0, 0, 0, 1]
    assert at("01T06:30") <= schedule.clock.now() < at("01T06:31")


def test_without_an_end_jobs_go_on_for_days():
    found = run(live("01T00:00", end=None, poll=5 * MINUTE), limit=300)
    assert times_of(found)[-1] == "04T02:45"
    assert len(set(times_of(found))) == 300


def test_two_streams_are_each_done_at_their_own_cut_off():
    found = run(live("01T00:00", end="01T02:00", streams=(RU, URMA)))
    late = [(texts([when])[0], texts([job.analysis_time])[0]) for when, job in found if job.place == 1]
    assert late == [("01T06:00", "01T00:00"), ("01T07:00", "01T01:00"), ("01T08:00", "01T02:00")]


def test_settled_jobs_are_left_out():
    assert times_of(run(live("01T00:00"), settled={at("01T00:15"), at("01T01:00")})) == [
        "01T00:00", "01T00:30", "01T00:45",
    ]  # fmt: skip


def test_a_job_that_settles_nothing_is_not_tried_again():
    attempts = times_of(run(live("01T05:00")))  # nothing is ever settled here
    assert len(attempts) == len(set(attempts)) == 5


def test_backfill_makes_up_for_missed_analyses_oldest_first():
    found = run(live("01T03:00", end="01T03:00"))
    assert times_of(found) == [f"01T{h:02d}:{m:02d}" for h in range(3) for m in (0, 15, 30, 45)] + ["01T03:00"]
    assert [when for when, _ in found[:12]] == [at("01T03:00")] * 12


def test_backfill_does_not_reach_beyond_the_horizon(caplog):
    found = run(live("02T00:00", start="01T00:00", end="02T00:00", horizon=np.timedelta64(1, "h")))
    assert times_of(found) == ["01T22:45", "01T23:00", "01T23:15", "01T23:30", "01T23:45", "02T00:00"]


def test_slow_cycles_are_caught_up_with_in_order():
    found = run(live("01T00:10", end="01T02:00"), costs=lambda job: 40 if job.analysis_time == at("01T00:15") else 1)
    assert times_of(found) == sorted(times_of(found)) and len(found) == 9


def test_skip_does_the_newest_and_leaves_out_the_others_with_a_warning(caplog):
    found = run(live("01T03:00", end="01T03:30", policy="skip"))
    assert times_of(found) == ["01T02:45", "01T03:00", "01T03:15", "01T03:30"]
    assert "11 analyses from 2026-01-01T00:00Z to 2026-01-01T02:30Z were missed and are skipped" in caplog.text


def test_skip_keeps_the_newest_of_every_stream(caplog):
    found = run(live("01T10:00", end="01T10:00", streams=(RU, URMA), policy="skip"))
    first = [(job.place, texts([job.analysis_time])[0]) for _, job in found[:2]]
    assert first == [(0, "01T09:45"), (1, "01T04:00")]
    assert [job.place for _, job in found].count(1) == 7  # 04, and 05 to 10 as they fall due


def test_skip_does_not_count_as_missed_what_is_in_the_archive(caplog):
    settled = {at("01T00:00") + i * 15 * MINUTE for i in range(12)}
    assert times_of(run(live("01T03:00", end="01T03:00", policy="skip"), settled=settled)) == ["01T03:00"]
    assert "skipped" not in caplog.text


def test_a_clock_that_jumps_forward_leaves_a_gap_that_is_made_up_for_or_skipped(caplog):
    # after 46 sleeps of 20 s it is 00:15:20 and the first job is done; then two hours pass at once
    backfilled = run(live("01T00:00", end="01T02:30", jumps={46: 120}))
    assert len(times_of(backfilled)) == 11 and times_of(backfilled) == sorted(times_of(backfilled))
    skipped = run(live("01T00:00", end="01T02:30", jumps={46: 120}, policy="skip"))
    assert times_of(skipped) == ["01T00:00", "01T02:00", "01T02:15", "01T02:30"]


def test_a_clock_that_jumps_back_does_nothing_twice_and_warns(caplog):
    found = run(live("01T00:00", end="01T01:00", jumps={200: -45}))
    assert times_of(found) == ["01T00:00", "01T00:15", "01T00:30", "01T00:45", "01T01:00"]
    assert caplog.text.count("the clock went back from 2026-01-01T01:06Z to 2026-01-01T00:21Z") == 1


def test_a_clock_that_jumps_back_behind_the_start_waits_again():
    schedule = live("01T00:00", end="01T00:15", jumps={50: -600})
    assert times_of(run(schedule)) == ["01T00:00", "01T00:15"]
    assert schedule.clock.now() >= at("01T00:30")


def test_idle_is_called_about_every_poll_while_nothing_is_due_and_not_while_catching_up():
    schedule, calls = live("01T00:00", end="01T00:00"), []
    run(schedule, idle=lambda: calls.append(schedule.clock.now()))
    assert len(calls) == len(schedule.clock.sleeps) == 45  # 15 minutes of 20 s
    assert all(when < at("01T00:15") for when in calls)
    behind, calls = live("01T05:00", end="01T04:00"), []
    run(behind, idle=lambda: calls.append(1))
    assert calls == []


def test_sleeps_never_run_past_the_next_cut_off():
    schedule = live("01T00:00", end="01T00:30", poll=np.timedelta64(7, "m"))
    found = run(schedule)
    assert [when for when, job in found] == [job.due for _, job in found]
    assert max(schedule.clock.sleeps) == np.timedelta64(7, "m")
    assert all(interval > np.timedelta64(0) for interval in schedule.clock.sleeps)


def test_unknown_policies_are_refused():
    with pytest.raises(UsageError, match=f"may be {POLICIES[0]} or {POLICIES[1]}"):
        live("01T00:00", policy="forget")
