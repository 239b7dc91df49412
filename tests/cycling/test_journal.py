"""Records and the journal: a round trip, torn lines, days, and disks that refuse."""

import errno
import json
import math
import os
import resource

import numpy as np
import pandas as pd
import pytest

from rtma_diffda.cycling.departures import Departures, departures_of, in_provenance
from rtma_diffda.cycling.journal import Journal
from rtma_diffda.cycling.record import CycleRecord
from rtma_diffda.errors import InputError
from rtma_diffda.observations.flags import Flag
from rtma_diffda.observations.table import as_table
from rtma_diffda.times import SLOT

NAN = float("nan")
MIDNIGHT = np.datetime64("2026-01-01T00:00", "ns")


def a_record(slot=0, **changes):
    time = MIDNIGHT + slot * SLOT
    content = {
        "stream": "ru",
        "analysis_time": time,
        "status": "degraded",
        "reasons": ("background late: 9 h", "few observations: 3 stations"),
        "finished": time + np.timedelta64(963_250, "ms"),
        "first_guess": "global state",
        "method": "diffusion",
        "global_run": "2025-12-31T18:00Z",
        "offered": 40,
        "rejected_reports": 2,
        "departures": {"t2m": Departures(17, 3, 1.5, 0.75, 2.0, 1.0), "d2m": Departures(2, 0, 0.5, 0.25, NAN, NAN)},
        "seconds": {"reports": 0.25, "first guess": 1.0},
    }
    return CycleRecord(**content | changes)


def same(one, other):
    """Equality, with NaN equal to NaN."""
    return one.to_json() == other.to_json() and one.reasons == other.reasons


def test_a_record_comes_back_from_its_line_nans_included():
    record = a_record()
    line = record.to_json()
    assert "\n" not in line and "NaN" not in line
    again = CycleRecord.from_json(line)
    assert again.departures["t2m"] == record.departures["t2m"]
    assert math.isnan(again.departures["d2m"].withheld_ombg) and again.departures["d2m"].ombg == 0.5
    for name in ("stream", "analysis_time", "status", "reasons", "finished", "first_guess", "method", "global_run",
                 "offered", "rejected_reports", "seconds"):  # fmt: skip
        assert getattr(again, name) == getattr(record, name)
    assert again.finished.dtype == again.analysis_time.dtype == np.dtype("datetime64[ns]")


def test_a_refused_record_without_anything_comes_back():
    record = CycleRecord("ru", MIDNIGHT, "refused", ('no "first guess"\nat all',), MIDNIGHT + SLOT)
    assert "\n" not in record.to_json()
    assert CycleRecord.from_json(record.to_json()) == record


def test_a_line_says_for_other_readers_what_follows_from_the_rest():
    content = json.loads(a_record().to_json())
    assert content["lag_seconds"] == 963.25 and content["used"] == 19
    assert content["analysis_time"] == "2026-01-01T00:00Z" and content["finished"] == "2026-01-01T00:16:03.250Z"
    assert content["departures"]["d2m"]["withheld_oman"] is None


def test_the_summary_is_one_line_with_the_numbers():
    text = a_record().summary()
    assert text == (
        "cycle=2026-01-01T00:00Z stream=ru status=degraded first_guess=global_state offered=40 used=19 "
        "O-B/O-A: t2m=1.5/0.75 d2m=0.5/0.25 seconds: reports=0.25 first_guess=1.00 total=1.25 "
        "reasons=[background late: 9 h; few observations: 3 stations]"
    )
    bare = CycleRecord("ru", MIDNIGHT, "refused", (), MIDNIGHT).summary()
    assert "first_guess=none" in bare and "O-B/O-A: none seconds: none total=0.00" in bare and "reasons" not in bare


def test_departures_by_hand():
    feedback = as_table(
        pd.DataFrame(
            {
                "station": list("ABCDEFG"),
                "variable": ["t2m", "t2m", "t2m", "t2m", "d2m", "gust", "vis"],
                "value": 280.0,
                "latitude": 35.8,
                "longitude": -95.4,
                "valid_time": MIDNIGHT,
                "flags": [0, 0, int(Flag.WITHHELD), int(Flag.WITHHELD | Flag.RANGE), 0, int(Flag.RANGE), 0],
            }
        )
    ).assign(ombg=[3.0, 4.0, -2.0, 99.0, 2.0, 5.0, NAN], oman=[1.0, 1.0, -1.0, 99.0, 1.0, 5.0, NAN])
    found = departures_of(feedback)
    assert list(found) == ["t2m", "d2m"]  # gust has none used or withheld, vis is not analysed
    assert found["t2m"] == Departures(2, 1, math.sqrt(12.5), 1.0, 2.0, 1.0)
    assert found["d2m"].used == 1 and found["d2m"].ombg == 2.0 and math.isnan(found["d2m"].withheld_oman)
    flat = in_provenance(found)
    assert flat["t2m_used"] == 2 and flat["t2m_withheld_ombg"] == 2.0 and "d2m_withheld_ombg" not in flat


def test_records_come_back_in_the_order_in_which_they_were_written(tmp_path):
    journal, records = Journal(tmp_path / "journal"), [a_record(slot) for slot in (3, 1, 2)]
    for record in records:
        journal.append(record)
    found = journal.records()
    assert len(found) == 3 and all(map(same, found, records))


def test_every_day_of_analysis_times_has_its_file(tmp_path):
    journal = Journal(tmp_path)
    for slot in (-1, 0, 95, 96, 200):
        journal.append(a_record(slot))
    names = [path.name for path in journal.files()]
    assert names == [f"cycles_{day}.jsonl" for day in ("20251231", "20260101", "20260102", "20260103")]
    assert [len(journal.records(days)) for days in (1, 2, 3, 4, None)] == [1, 2, 4, 5, 5]
    assert same(journal.records(1)[0], a_record(200))


def test_an_empty_journal_has_no_records(tmp_path):
    assert Journal(tmp_path / "nowhere").records() == [] and Journal(tmp_path / "nowhere").files() == []


def test_other_files_in_the_directory_are_no_journal(tmp_path):
    (tmp_path / "cycles_2026.jsonl").write_text("x")
    (tmp_path / "cycles_20260101.jsonl.bak").write_text("x")
    assert Journal(tmp_path).files() == []


@pytest.mark.parametrize("kept", [1, 40, -2])
def test_a_torn_last_line_is_passed_over_and_ended_by_the_next_writer(tmp_path, kept, caplog):
    journal = Journal(tmp_path)
    journal.append(a_record(0))
    whole = (a_record(1).to_json() + "\n").encode()
    with journal.path_of(MIDNIGHT).open("ab") as file:
        file.write(whole[:kept])
    assert [record.analysis_time for record in journal.records()] == [MIDNIGHT]
    assert "line 2 is torn and passed over" in caplog.text
    journal.append(a_record(2))
    journal.append(a_record(3))
    found = journal.records()
    assert [same(found[0], a_record(0)), same(found[1], a_record(2)), same(found[2], a_record(3))] == [True] * 3


def test_a_record_that_lacks_only_its_line_end_is_whole(tmp_path):
    journal = Journal(tmp_path)
    journal.append(a_record(0))
    path = journal.path_of(MIDNIGHT)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    journal.append(a_record(1))
    assert len(journal.records()) == 2


@pytest.mark.parametrize(
    "line", ["5", "[]", "null", "{}", '{"lag_seconds": 1, "used": 2}', "\x00\x00\x00", "ÿþ",
             a_record().to_json().replace('"2026-01-01T00:00Z"', "null"),
             a_record().to_json().replace('"departures": {', '"departures": [], "x": {'),
             a_record().to_json().replace('"stream"', '"strom"')],
)  # fmt: skip
def test_lines_of_another_kind_are_passed_over(tmp_path, line, caplog):
    journal = Journal(tmp_path)
    journal.path_of(MIDNIGHT).write_text(line + "\n", encoding="utf-8")
    journal.append(a_record(1))
    assert [record.analysis_time for record in journal.records()] == [MIDNIGHT + SLOT]
    assert "line 1 is torn and passed over" in caplog.text


@pytest.mark.parametrize("mark", ["\u2028", "\x85", "\x0b", "\x1e", "\n", "\r"])
def test_reasons_with_strange_marks_stay_on_one_line(tmp_path, mark):
    journal, record = Journal(tmp_path), a_record(reasons=(f"file a{mark}b is left out",))
    journal.append(record)
    assert [found.reasons for found in journal.records()] == [record.reasons]


def test_a_full_disk_ends_in_a_sentence(tmp_path, monkeypatch):
    journal = Journal(tmp_path)
    journal.append(a_record(0))

    def full(descriptor, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("rtma_diffda.cycling.journal.os.write", full)
    with pytest.raises(InputError, match=r"cannot write journal .*cycles_20260101.jsonl: the disk is full"):
        journal.append(a_record(1))
    monkeypatch.undo()
    assert len(journal.records()) == 1
    journal.append(a_record(1))
    assert len(journal.records()) == 2


def test_a_disk_that_fills_within_a_line_is_told_and_costs_that_line_only(tmp_path):
    journal = Journal(tmp_path)
    journal.append(a_record(0))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.path_of(MIDNIGHT).stat().st_size + 50, hard))
    try:
        with pytest.raises(InputError, match="cannot write journal"):
            journal.append(a_record(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    journal.append(a_record(2))
    assert [record.analysis_time for record in journal.records()] == [MIDNIGHT, MIDNIGHT + 2 * SLOT]


def test_a_directory_that_cannot_be_made_ends_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot write journal"):
        Journal(tmp_path / "file").append(a_record())


def test_a_file_that_cannot_be_read_does_not_hide_the_others(tmp_path, caplog):
    journal = Journal(tmp_path)
    journal.append(a_record(0))
    (tmp_path / "cycles_20260102.jsonl").mkdir()
    assert len(journal.records()) == 1 and "cannot be read: Is a directory" in caplog.text
