"""Live cycling on a clock that only goes on when somebody sleeps: when cycles are made, and what does not end them."""

import errno
import os

import numpy as np
import pytest
from fake_clock import MINUTE, FakeClock
from small_system import (
    FIRST_GUESS,
    TIMES,
    FailsAt,
    GuessWithout,
    NoisyNudging,
    TableReports,
    fields_of,
    jobs_of,
    replayed,
    small_system,
    write_that_fails,
)

from rtma_diffda.cycling.runner import Runner
from rtma_diffda.cycling.schedule import LiveSchedule, Stream
from rtma_diffda.errors import InputError
from rtma_diffda.io.archive import Archive
from rtma_diffda.io.atomic import explain_failures
from rtma_diffda.times import SLOT, format_time


def live(directory, *, count=4, began=TIMES[0], watchers=(), policy="backfill", clock=None, **changes):
    """The outcome of live cycling from ``began`` on, and its system."""
    clock = clock or FakeClock(began)
    system = small_system(directory, now=clock.now, **changes)
    schedule = LiveSchedule((system.stream,), clock, TIMES[0], TIMES[count - 1], policy, poll=5 * MINUTE)
    return Runner([system], watchers).live(schedule), system


def full_disk(product):
    with explain_failures(f"analysis of {format_time(product.valid_time)}"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def first(fields, count):
    return {name: found for name, found in fields.items() if name.split()[0] in {str(time) for time in TIMES[:count]}}


def statuses(outcome):
    return [(record.analysis_time, record.status) for record in outcome.records]


def complete(times):
    return [(time, "complete") for time in times]


def test_live_cycles_are_made_at_their_cut_off_and_equal_a_replay(tmp_path, uninterrupted):
    outcome, system = live(tmp_path)
    assert statuses(outcome) == complete(TIMES[:4])
    assert [record.finished for record in outcome.records] == [time + SLOT for time in TIMES[:4]]
    assert [record.lag for record in outcome.records] == [SLOT] * 4
    assert fields_of(tmp_path) == first(uninterrupted, 4)
    assert system.reports.asked == list(TIMES[:4])


def test_idle_time_is_used_to_read_ahead(tmp_path):
    _, system = live(tmp_path, count=2)
    assert system.reports.ahead == [TIMES[0] + i * 5 * MINUTE for i in range(6)]


def test_a_live_run_that_was_away_makes_up_for_what_it_missed_and_equals_a_replay(tmp_path, uninterrupted):
    live(tmp_path, count=1)
    outcome, _ = live(tmp_path, count=5, began=TIMES[5])
    assert statuses(outcome) == complete(TIMES[1:5])
    assert fields_of(tmp_path) == first(uninterrupted, 5)


def test_a_live_run_that_skips_begins_anew_with_the_newest(tmp_path, caplog):
    live(tmp_path, count=1)
    outcome, _ = live(tmp_path, count=5, began=TIMES[5], policy="skip")
    assert statuses(outcome) == complete(TIMES[4:5])
    assert outcome.records[0].first_guess == "background (start)"
    assert "3 analyses from 2026-01-01T23:00Z to 2026-01-01T23:30Z were missed and are skipped" in caplog.text


def test_a_live_run_that_is_interrupted_goes_on_to_the_same_bits(tmp_path, uninterrupted):
    with pytest.raises(KeyboardInterrupt):
        live(tmp_path, count=5, method=FailsAt(TIMES[2], KeyboardInterrupt()))
    assert len(fields_of(tmp_path)) == 2 * 6
    outcome, _ = live(tmp_path, count=5, began=TIMES[3])
    assert statuses(outcome) == complete(TIMES[2:5])
    assert fields_of(tmp_path) == first(uninterrupted, 5)


def test_a_replay_goes_on_where_a_live_run_ended(tmp_path, uninterrupted):
    live(tmp_path, count=3)
    outcome = replayed(tmp_path)
    assert outcome.kept == 3 and outcome.stopped == ""
    assert fields_of(tmp_path) == uninterrupted


def test_cycles_that_take_too_long_are_caught_up_with(tmp_path, uninterrupted):
    clock = FakeClock(TIMES[0])

    class Slow:
        def analyse(self, problem, *, generator):
            clock.time = clock.time + 40 * MINUTE * (problem.window.analysis_time == TIMES[1])
            return NoisyNudging().analyse(problem, generator=generator)

    outcome, _ = live(tmp_path, count=5, clock=clock, method=Slow())
    assert statuses(outcome) == complete(TIMES[:5])
    assert [record.lag // MINUTE for record in outcome.records] == [15, 55, 40, 25, 15]
    assert fields_of(tmp_path) == first(uninterrupted, 5)


def test_a_clock_that_jumps_back_makes_no_analysis_twice(tmp_path, caplog):
    method = FailsAt(None, None)
    outcome, _ = live(tmp_path, clock=FakeClock(TIMES[0], {7: -30}), method=method)
    assert statuses(outcome) == complete(TIMES[:4]) and method.calls == list(TIMES[:4])
    assert "the clock went back" in caplog.text


def test_a_disk_that_is_full_for_one_cycle_refuses_that_one_and_the_next_begin_anew(tmp_path, monkeypatch):
    write_that_fails(monkeypatch, TIMES[1], full_disk)
    outcome, system = live(tmp_path)
    assert statuses(outcome) == [(time, "refused" if time == TIMES[1] else "complete") for time in TIMES[:4]]
    assert "not stored: cannot write analysis" in outcome.records[1].reasons[0]
    assert [record.first_guess for record in outcome.records] == ["background (start)", "", "background (start)",
                                                                  "cycled"]  # fmt: skip
    assert system.history.at(TIMES[1]) is None  # it was never made
    again, _ = live(tmp_path, began=TIMES[4])
    assert statuses(again) == complete(TIMES[1:2])


def test_a_refused_cycle_is_tried_once_and_the_run_goes_on(tmp_path):
    method = FailsAt(TIMES[2], ZeroDivisionError("a bug"))
    outcome, _ = live(tmp_path, first_guess=GuessWithout(TIMES[1], FIRST_GUESS), method=method)
    found = dict(statuses(outcome))
    assert [found[time] for time in TIMES[:4]] == ["complete", "refused", "refused", "complete"]
    assert len(outcome.records) == 4


def test_a_second_live_run_is_refused(tmp_path):
    seen = []

    def another(record):
        with pytest.raises(InputError, match="is at present the work of process"):
            live(tmp_path)
        seen.append(record)

    live(tmp_path, count=1, watchers=[another])
    assert len(seen) == 1


def test_a_source_that_breaks_while_reading_ahead_does_not_end_the_run(tmp_path):
    class Breaking(TableReports):
        def look_ahead(self, time):
            raise ZeroDivisionError("a bug of a source")

    outcome, _ = live(tmp_path, count=2, reports=Breaking())
    assert statuses(outcome) == complete(TIMES[:2])


def test_an_archive_that_cannot_be_looked_at_for_a_moment_does_not_end_the_run(tmp_path, monkeypatch):
    status, failures = Archive.status, iter([True])

    def look(archive, time):
        if time == TIMES[1] and next(failures, False):
            raise InputError("archive store is damaged: its status has 1 bytes")
        return status(archive, time)

    monkeypatch.setattr(Archive, "status", look)
    outcome, _ = live(tmp_path, count=3)
    assert dict(statuses(outcome))[TIMES[2]] == "complete"


def test_an_unexpected_error_of_storing_does_not_end_the_run(tmp_path, monkeypatch):
    def bug(product):
        raise ValueError("a bug of a library")

    write_that_fails(monkeypatch, TIMES[1], bug)
    outcome, _ = live(tmp_path, count=3)
    assert [status for _, status in statuses(outcome)] == ["complete", "refused", "complete"]


def test_two_streams_live_are_each_made_at_their_cut_off(tmp_path):
    clock = FakeClock(TIMES[0])
    late = Stream("late", 2 * SLOT, SLOT, 4 * SLOT)
    systems = [
        small_system(tmp_path / "ru", now=clock.now),
        small_system(tmp_path / "late", now=clock.now, stream=late),
    ]
    schedule = LiveSchedule(tuple(system.stream for system in systems), clock, TIMES[0], TIMES[3], poll=5 * MINUTE)
    outcome = Runner(systems).live(schedule)
    assert [(record.stream, record.lag // MINUTE) for record in outcome.records if record.stream == "late"] == [
        ("late", 60), ("late", 60),
    ]  # fmt: skip
    assert [record.finished for record in outcome.records] == sorted(record.finished for record in outcome.records)
    assert len(jobs_of(*systems, count=4)) == len(outcome.records) == 6
    assert np.array_equal(systems[1].publisher.archive.times(), TIMES[[1, 3]])
