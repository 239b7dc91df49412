"""The runner: the same fields however it runs, whatever fails; and what it says of every cycle."""

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from small_system import (
    COUNT,
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

from rtma_diffda.cycling.first_guess import FirstOf, Persisted
from rtma_diffda.cycling.runner import Runner
from rtma_diffda.cycling.schedule import Stream
from rtma_diffda.errors import InputError
from rtma_diffda.io.archive_lock import exclusive_lock
from rtma_diffda.io.atomic import explain_failures
from rtma_diffda.times import SLOT, format_time

ARRAYS = 6  # analysis, error and background of two variables; members and spread come on top where they are stored


def full_disk(product):
    with explain_failures(f"analysis of {format_time(product.valid_time)}"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# The same fields however it runs


def test_reading_ahead_and_writing_behind_change_no_bit(tmp_path, uninterrupted):
    assert replayed(tmp_path, overlap=True).stopped == ""
    assert fields_of(tmp_path) == uninterrupted


def test_members_that_are_stored_go_on_alike_from_memory_and_from_the_archive(tmp_path):
    assert replayed(tmp_path / "a", members=3, count=4).stopped == ""
    for job in jobs_of(small_system(tmp_path / "b"), count=4):
        assert Runner([small_system(tmp_path / "b", members=3)]).replay([job]).stopped == ""
    found = fields_of(tmp_path / "a")
    assert len(found) == 4 * (ARRAYS + 4) and found == fields_of(tmp_path / "b")


def test_the_example_depends_on_the_cycle_before_and_on_what_is_drawn(tmp_path, uninterrupted):
    replayed(tmp_path / "seed", seed=2, count=2)
    others = fields_of(tmp_path / "seed")
    assert all(others[name] != uninterrupted[name] for name in others if name.endswith(" t2m"))
    replayed(tmp_path / "gap", first_guess=GuessWithout(TIMES[2]), count=4)
    others = fields_of(tmp_path / "gap")
    assert others[f"{TIMES[1]} t2m"] == uninterrupted[f"{TIMES[1]} t2m"]
    assert others[f"{TIMES[3]} t2m"] != uninterrupted[f"{TIMES[3]} t2m"]


def test_a_rerun_keeps_everything_and_reads_nothing(tmp_path, uninterrupted):
    replayed(tmp_path)
    reports, method = TableReports(), FailsAt(None, None)
    outcome = replayed(tmp_path, reports=reports, method=method)
    assert (outcome.records, outcome.kept, outcome.stopped) == ((), COUNT, "")
    assert reports.asked == [] and method.calls == []
    assert fields_of(tmp_path) == uninterrupted


@pytest.mark.parametrize("overlap", [True, False])
def test_an_interrupted_run_and_its_rerun_equal_an_uninterrupted_one(tmp_path, uninterrupted, overlap):
    with pytest.raises(KeyboardInterrupt):
        replayed(tmp_path, overlap=overlap, method=FailsAt(TIMES[4], KeyboardInterrupt()))
    assert len(fields_of(tmp_path)) == 4 * ARRAYS
    outcome = replayed(tmp_path, overlap=overlap)
    assert outcome.kept == 4 and [record.analysis_time for record in outcome.records] == list(TIMES[4:])
    assert fields_of(tmp_path) == uninterrupted


def test_every_start_anew_goes_on_from_the_same_bits(tmp_path, uninterrupted):
    for job in jobs_of(small_system(tmp_path)):
        assert len(Runner([small_system(tmp_path)]).replay([job]).with_status("complete")) == 1
    assert fields_of(tmp_path) == uninterrupted


def test_two_streams_are_analysed_into_their_own_archives(tmp_path, uninterrupted):
    hourly = Stream("urma", 4 * SLOT, 2 * SLOT, np.timedelta64(6, "h"))
    persisted = FirstOf((("analysis", Persisted()), *FIRST_GUESS.sources))
    systems = [small_system(tmp_path / "ru"), small_system(tmp_path / "urma", stream=hourly, first_guess=persisted)]
    outcome = Runner(systems).replay(jobs_of(*systems))
    assert [record.stream for record in outcome.records] == ["ru"] * COUNT + ["urma"] * 2
    assert fields_of(tmp_path / "ru") == uninterrupted
    assert systems[1].publisher.archive.times().tolist() == TIMES[[1, 5]].tolist()  # 23:00 and 00:00
    assert outcome.records[-1].first_guess == "persistence"


# One at a time


def test_a_second_runner_is_refused_with_the_process_and_age_of_the_first(tmp_path):
    reached, may_go_on, outcomes = threading.Event(), threading.Event(), []

    class Waiting:
        def analyse(self, problem, *, generator):
            reached.set()
            assert may_go_on.wait(20)
            return NoisyNudging().analyse(problem, generator=generator)

    first = threading.Thread(target=lambda: outcomes.append(replayed(tmp_path, method=Waiting(), count=3)))
    first.start()
    try:
        assert reached.wait(20)
        with pytest.raises(InputError) as refusal:
            replayed(tmp_path)
    finally:
        may_go_on.set()
        first.join()
    sentence = str(refusal.value)
    assert sentence.startswith(f"cycling into {tmp_path / 'archive'} is at present the work of process {os.getpid()} ")
    assert " min ago)" in sentence
    assert len(outcomes[0].with_status("complete")) == 3
    assert replayed(tmp_path, count=3).kept == 3  # and the lock is free again


def test_a_runner_of_two_streams_that_is_refused_one_leaves_the_other_free(tmp_path):
    systems = [small_system(tmp_path / "a"), small_system(tmp_path / "b")]
    with exclusive_lock(tmp_path / "b" / "archive" / ".runner.lock", timeout=0.0):
        with pytest.raises(InputError, match=r"cycling into .*b/archive"):
            Runner(systems).replay(jobs_of(*systems))
        assert systems[0].publisher.archive.times().size == 0
        with exclusive_lock(tmp_path / "a" / "archive" / ".runner.lock", timeout=0.0):
            pass


# Disks


@pytest.mark.parametrize(("which", "overlap"), [(0, True), (4, False), (COUNT - 1, True)])
def test_a_full_disk_ends_a_replay_and_the_rerun_completes_it(tmp_path, uninterrupted, monkeypatch, overlap, which):
    write_that_fails(monkeypatch, TIMES[which], full_disk)
    outcome = replayed(tmp_path, overlap=overlap)
    assert outcome.stopped.startswith(f"not stored: cannot write analysis of {format_time(TIMES[which])}: the disk is")
    assert outcome.records[-1].status == "refused" and outcome.records[-1].reasons == (outcome.stopped,)
    assert [record.analysis_time for record in outcome.records] == list(TIMES[: which + 1])
    assert len(fields_of(tmp_path)) == which * ARRAYS  # nothing was stored that began from what was not
    again = replayed(tmp_path, overlap=overlap)
    assert again.kept == which and again.stopped == ""
    assert fields_of(tmp_path) == uninterrupted


def test_the_same_runner_can_take_up_a_replay_that_a_full_disk_ended(tmp_path, uninterrupted, monkeypatch):
    write_that_fails(monkeypatch, TIMES[3], full_disk)
    system = small_system(tmp_path)
    runner = Runner([system])
    assert runner.replay(jobs_of(system)).stopped
    assert runner.replay(jobs_of(system)).stopped == ""
    assert fields_of(tmp_path) == uninterrupted


def test_an_outcome_has_the_records_of_its_own_run(tmp_path):
    system = small_system(tmp_path)
    runner = Runner([system])
    jobs = jobs_of(system, count=3)
    assert len(runner.replay(jobs[:2]).records) == 2
    assert [record.analysis_time for record in runner.replay(jobs).records] == [TIMES[2]]


def test_feedback_that_cannot_be_written_keeps_its_analysis_out_of_the_archive(tmp_path, uninterrupted, monkeypatch):
    rename, failures = Path.replace, iter([True])

    def refuse(path, target):
        if Path(target).name == "20260101T2345Z.parquet" and next(failures, False):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", refuse)
    outcome = replayed(tmp_path)
    assert "not stored" in outcome.stopped and "the disk is full" in outcome.stopped
    assert len(fields_of(tmp_path)) == 4 * ARRAYS
    assert replayed(tmp_path).stopped == "" and fields_of(tmp_path) == uninterrupted
    assert len(list((tmp_path / "feedback").glob("*.parquet"))) == COUNT
