"""Old days go with all that belongs to them; nothing else does, whatever is in the way."""

import logging
from pathlib import Path

import numpy as np
import pytest
from cycle_runs import DAY_ONE, make_publisher, publish, record_at

from rtma_diffda.cycling.journal import Journal
from rtma_diffda.cycling.retention import Retention, enforce
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.io.archive import Archive
from rtma_diffda.times import DAY


@pytest.fixture
def run(tmp_path):
    """Five days with an analysis at noon, and one of the newest day at 12:15, each in the journal."""
    publisher, journal = make_publisher(tmp_path), Journal(tmp_path / "journal")
    times = [*(DAY_ONE + n * DAY + np.timedelta64(12, "h") for n in range(5))]
    for time in [*times, times[-1] + np.timedelta64(15, "m")]:
        publisher.write_netcdf(publish(publisher, time))
        journal.append(record_at(time))
    return publisher, journal


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))


def test_days_before_the_kept_ones_go_with_everything(run):
    publisher, journal = run
    removed = enforce(publisher, journal, 2)
    assert [str(day)[:10] for day in removed] == ["2026-01-01", "2026-01-02"]
    assert names(publisher.archive.root) == ["20260103.zarr", "20260104.zarr", "20260105.zarr"]
    assert names(publisher.directory / "feedback")[0] == "20260103T1200Z.parquet"
    assert names(publisher.directory / "netcdf")[0] == "rtma_diffda.small.20260103T1200Z.nc"
    assert names(journal.directory)[0] == "cycles_20260103.jsonl"
    assert [len(names(publisher.directory / name)) for name in ("feedback", "netcdf", "journal")] == [4, 4, 3]
    assert enforce(publisher, journal, 2) == ()


def test_the_newest_day_stays_and_no_clock_is_asked(run):
    publisher, journal = run
    assert enforce(publisher, journal, 400) == ()
    enforce(publisher, journal, 1)
    assert names(publisher.archive.root) == ["20260104.zarr", "20260105.zarr"]
    with pytest.raises(UsageError, match="at least one"):
        enforce(publisher, journal, 0)
    assert Retention(3).first_kept(np.datetime64("2026-03-02T17:00", "ns")) == np.datetime64("2026-02-27")


def test_an_archive_without_analyses_loses_nothing(tmp_path):
    assert enforce(make_publisher(tmp_path), Journal(tmp_path / "journal"), 1) == ()


def test_files_of_other_names_stay(run):
    publisher, journal = run
    (publisher.directory / "feedback" / "20260101.parquet").touch()
    (journal.directory / "notes_20260101.jsonl").touch()
    (publisher.archive.root / "20260101.zarr.bak").mkdir()
    enforce(publisher, journal, 1)
    assert (publisher.directory / "feedback" / "20260101.parquet").exists()
    assert (journal.directory / "notes_20260101.jsonl").exists()
    assert (publisher.archive.root / "20260101.zarr.bak").exists()


def test_what_a_killed_call_left_is_removed_by_the_next(run):
    publisher, journal = run
    publisher.archive.remove_day(DAY_ONE)  # killed after the first store: its files are orphans
    removed = enforce(publisher, journal, 3)
    assert removed == ()
    assert names(publisher.directory / "feedback")[0] == "20260102T1200Z.parquet"
    assert names(journal.directory)[0] == "cycles_20260102.jsonl"


def test_a_failure_is_logged_and_the_rest_is_done(run, monkeypatch, caplog):
    publisher, journal = run
    remove_day = Archive.remove_day

    def refuse_the_first(self, day):
        if day == DAY_ONE:
            raise InputError("the disk does not answer")
        return remove_day(self, day)

    monkeypatch.setattr(Archive, "remove_day", refuse_the_first)
    with caplog.at_level(logging.INFO, logger="rtma_diffda"):
        removed = enforce(publisher, journal, 1)
    assert [str(day)[:10] for day in removed] == ["2026-01-02", "2026-01-03"]
    assert "the analyses of 2026-01-01 stay: the disk does not answer" in caplog.text
    assert "removed the analyses of 2026-01-02" in caplog.text and "removed 1 files of 2026-01-03" in caplog.text
    assert names(publisher.directory / "feedback")[:2] == ["20260101T1200Z.parquet", "20260104T1200Z.parquet"]
