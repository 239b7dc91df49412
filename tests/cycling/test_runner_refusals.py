"""Cycles that are refused, cycles that are less than usual, what is told of them, and to whom."""

from dataclasses import replace

import pytest
from small_system import (
    FIRST_GUESS,
    LAYOUT,
    TIMES,
    FailsAt,
    GuessWithout,
    NoisyNudging,
    TableReports,
    fields_of,
    replayed,
    small_system,
    write_that_fails,
)

from rtma_diffda.cycling.journal import Journal
from rtma_diffda.cycling.method_chain import Alternative, MethodChain
from rtma_diffda.cycling.reports import Reports
from rtma_diffda.errors import InputError
from rtma_diffda.interfaces import Analysis
from rtma_diffda.io.archive import Archive
from rtma_diffda.times import SLOT, format_time


def statuses(outcome):
    return {record.analysis_time: record.status for record in outcome.records}


def refused_at(time, count=4):
    return {one: "refused" if one == time else "complete" for one in TIMES[:count]}


def fewer(source, rows):
    """A report source of the first ``rows`` data of another."""

    class Fewer(TableReports):
        def read(self, window):
            found = source.read(window)
            return Reports(replace(found.result, table=found.result.table.iloc[:rows]), found.problems)

    return Fewer()


# Refused


@pytest.mark.parametrize("overlap", [True, False])
def test_a_cycle_without_a_first_guess_is_refused_and_the_run_goes_on(tmp_path, overlap):
    outcome = replayed(tmp_path, count=4, overlap=overlap, first_guess=GuessWithout(TIMES[2]))
    (refused,) = outcome.with_status("refused")
    assert refused.analysis_time == TIMES[2]
    assert refused.reasons == (f"no first guess for {format_time(TIMES[2])}: nothing has come",)
    assert outcome.stopped == "" and statuses(outcome) == refused_at(TIMES[2])
    assert {name.split()[0] for name in fields_of(tmp_path)} == {str(TIMES[i]) for i in (0, 1, 3)}
    again = replayed(tmp_path, count=4)
    assert again.kept == 3 and statuses(again) == {TIMES[2]: "complete"}  # a rerun tries it again


def test_cycles_are_told_in_their_order_refused_ones_too(tmp_path):
    outcome = replayed(tmp_path, count=4, first_guess=GuessWithout(TIMES[2]))
    assert [record.analysis_time for record in outcome.records] == list(TIMES[:4])


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), MemoryError(), KeyError("t2m"), OSError(5, "I/O error")])
def test_an_unexpected_error_in_one_cycle_is_refused_and_the_run_goes_on(tmp_path, error, caplog):
    outcome = replayed(tmp_path, count=3, method=FailsAt(TIMES[1], error))
    assert statuses(outcome) == refused_at(TIMES[1], 3)
    assert outcome.with_status("refused")[0].reasons[0].startswith(f"unexpected error: {type(error).__name__}")
    assert "Traceback" in caplog.text


def test_an_unexpected_error_of_a_source_refuses_its_cycle_alone(tmp_path, caplog):
    class Breaking(TableReports):
        def read(self, window):
            if window.analysis_time == TIMES[2]:
                raise ZeroDivisionError("a bug of a source")
            return super().read(window)

    outcome = replayed(tmp_path, count=4, reports=Breaking())
    assert statuses(outcome) == refused_at(TIMES[2])
    assert outcome.with_status("refused")[0].reasons == ("unexpected error: ZeroDivisionError: a bug of a source",)


def test_an_unexpected_error_of_storing_ends_in_a_record_too(tmp_path, monkeypatch, caplog):
    def bug(product):
        raise ValueError("a bug of a library")

    write_that_fails(monkeypatch, TIMES[1], bug)
    outcome = replayed(tmp_path, count=3)
    assert outcome.records[-1].status == "refused" and "a bug of a library" in outcome.stopped
    assert replayed(tmp_path, count=3).stopped == "" and len(fields_of(tmp_path)) == 3 * 6


# Less than usual


def test_reasons_of_every_part_reach_the_record_and_the_archive(tmp_path):
    class Slow(TableReports):
        def read(self, window):
            return replace(super().read(window), problems=("observation source slow: given up",))

    def late(asked):
        return replace(FIRST_GUESS(asked), degraded=("background late: 9 h",))

    chain = MethodChain(
        Alternative("diffusion", FailsAt(TIMES[0], MemoryError())), (Alternative("fewer members", NoisyNudging()),)
    )
    outcome = replayed(tmp_path, count=2, reports=fewer(Slow(), 3), first_guess=late, method=chain)
    assert outcome.records[0].reasons == (
        "observation source slow: given up",
        "background late: 9 h",
        "few observations: 3 stations",
        "diffusion: out of memory; fewer members instead",
    )
    assert [record.status for record in outcome.records] == ["degraded"] * 2 and outcome.stopped == ""
    archive = small_system(tmp_path).publisher.archive
    assert archive.status(TIMES[0]) == "degraded"
    assert tuple(archive.made(TIMES[0])["degraded"]) == outcome.records[0].reasons
    assert replayed(tmp_path, count=2).kept == 2  # a degraded analysis is not made again by a replay


class BackgroundAlone:
    """What a linear method gives without observations."""

    def analyse(self, problem, *, generator):
        return Analysis(problem.background, problem)


@pytest.mark.parametrize(
    ("rows", "reasons"),
    [
        (0, ("no observations: the analysis is made of the background alone",)),
        (1, ("few observations: 1 stations", "no observation of d2m")),
        (16, ()),
    ],
)
def test_scarce_observations_are_labelled_and_the_analysis_is_made(tmp_path, rows, reasons):
    outcome = replayed(tmp_path, count=1, reports=fewer(TableReports(), rows), method=BackgroundAlone())
    (record,) = outcome.records
    assert record.reasons == reasons and record.offered == rows
    assert record.used == max(0, rows - 1) + (rows == 1)  # S003 is withheld where it reports
    assert len(fields_of(tmp_path)) == 6


def test_a_record_says_what_the_cycle_did(tmp_path):
    outcome = replayed(tmp_path, count=2)
    assert outcome.records[0].first_guess == "background (start)"
    record = outcome.records[1]
    assert (record.stream, record.status, record.first_guess, record.method, record.global_run) == (
        "ru", "complete", "cycled", "noisy nudging", "none",
    )  # fmt: skip
    assert record.offered == 16 and record.used == 15
    assert [(found.used, found.withheld) for found in record.departures.values()] == [(8, 0), (7, 1)]
    assert record.departures["t2m"].oman < record.departures["t2m"].ombg
    expected = {"reports", "boundary", "background", "first guess", "quality control", "analysis", "feedback", "store"}
    assert set(record.seconds) == expected and all(value >= 0 for value in record.seconds.values())
    assert record.finished == TIMES[-1] + SLOT and LAYOUT.names == tuple(record.departures)


# Watchers


def test_a_watcher_that_fails_does_not_stop_the_run(tmp_path, caplog):
    told = []

    def failing(record):
        raise InputError("the page cannot be written: the disk is full")

    outcome = replayed(tmp_path, count=3, watchers=[failing, told.append])
    assert len(told) == 3 and outcome.stopped == ""
    assert caplog.text.count("the page cannot be written") == 3


def test_a_bug_of_a_watcher_does_not_stop_the_run_either(tmp_path, caplog):
    def failing(record):
        raise ZeroDivisionError("a bug of a page")

    assert len(replayed(tmp_path, count=3, watchers=[failing]).with_status("complete")) == 3
    assert "a bug of a page" in caplog.text


def test_watchers_are_told_of_a_cycle_when_its_analysis_can_be_read(tmp_path):
    seen = []

    def look(record):
        seen.append(Archive.open(tmp_path / "archive", create=False).status(record.analysis_time))

    replayed(tmp_path, count=3, watchers=[look])
    assert seen == ["complete"] * 3


def test_the_journal_holds_every_cycle_in_its_days(tmp_path):
    journal = Journal(tmp_path / "journal")
    outcome = replayed(tmp_path, watchers=[journal.append], first_guess=GuessWithout(TIMES[2]))
    assert [record.to_json() for record in journal.records()] == [record.to_json() for record in outcome.records]
    assert [path.name for path in journal.files()] == ["cycles_20260101.jsonl", "cycles_20260102.jsonl"]
