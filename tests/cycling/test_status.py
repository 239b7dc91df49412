"""How a run has fared, from its archive, and from its journal where there is one."""

import numpy as np
import pytest
from cycle_runs import DAY_ONE, LAG, SECONDS, make_publisher, publish, record_at

from rtma_diffda.cycling.departures import departures_of
from rtma_diffda.cycling.journal import Journal
from rtma_diffda.cycling.status import TOTAL, status_of
from rtma_diffda.errors import InputError
from rtma_diffda.io.tables import read_table
from rtma_diffda.times import SLOT


def run_of(directory, slots, **changes):
    publisher = make_publisher(directory)
    for slot in slots:
        publish(publisher, DAY_ONE + slot * SLOT, **changes)
    return publisher


def test_the_last_cycle_and_the_share_of_what_is_less_than_usual(tmp_path):
    run_of(tmp_path, [0, 1, 4, 5])
    publish(make_publisher(tmp_path), DAY_ONE + 2 * SLOT, degraded=("few observations: 3 stations",))
    publish(make_publisher(tmp_path), DAY_ONE + 6 * SLOT, degraded=("few observations: 2 stations", "no global run"))
    (status,) = status_of(tmp_path)
    assert status.last.analysis_time == DAY_ONE + 6 * SLOT and status.last.lag == LAG
    assert status.interval == SLOT and status.slots == 7 and status.missing == 1
    assert [status.count(word) for word in ("complete", "degraded", "refused")] == [4, 2, 0]
    assert status.reasons == (("few observations", 2), ("no global run", 1))
    assert status.title == "Small region: analyses"


def test_departures_are_those_of_the_feedback(tmp_path):
    publisher = run_of(tmp_path, [0])
    (status,) = status_of(tmp_path)
    expected = departures_of(read_table(publisher.feedback_path(DAY_ONE)))
    assert status.last.departures["t2m"].used == expected["t2m"].used
    assert status.last.departures["t2m"].oman == pytest.approx(expected["t2m"].oman)
    assert status.last.seconds == SECONDS
    assert status.latency["analysis"].median == 1.0 and status.latency[TOTAL].high == pytest.approx(1.3)


def test_trends_set_the_last_six_hours_against_those_before(tmp_path):
    run_of(tmp_path, range(0, 24, 4), shift=3.0)
    run_of(tmp_path, range(24, 48, 4), shift=1.0)
    (status,) = status_of(tmp_path)
    assert status.interval == 4 * SLOT and status.missing == 0
    trend = status.trends["t2m"]
    assert trend.recent.used == trend.before.used == 6 * status.last.departures["t2m"].used
    assert trend.recent.oman == pytest.approx(status.records[-1].departures["t2m"].oman)
    assert trend.before.oman == pytest.approx(status.records[0].departures["t2m"].oman)
    assert trend.before.ombg == pytest.approx(trend.recent.ombg)


def test_the_journal_adds_refusals_and_the_seconds_of_storing(tmp_path):
    run_of(tmp_path, [0, 1, 3])
    journal = Journal(tmp_path / "journal")
    for slot in (0, 1, 3):
        journal.append(record_at(DAY_ONE + slot * SLOT, seconds={**SECONDS, "store": 0.25}))
    for slot in (2, 3, 4):  # slot 3 was refused only after it had been stored: the archive is right
        journal.append(
            record_at(DAY_ONE + slot * SLOT, status="refused", reasons=("no first guess: none",), seconds={})
        )
    journal.append(record_at(DAY_ONE + 9 * SLOT, stream="urma", status="refused"))
    (status,) = status_of(tmp_path)
    assert [record.status for record in status.records] == ["complete"] * 2 + ["refused", "complete", "refused"]
    assert status.missing == status.count("refused") == 2 and status.reasons == (("no first guess", 2),)
    assert status.records[0].seconds["store"] == 0.25 and "store" not in status.records[3].seconds
    assert status.last.analysis_time == DAY_ONE + 3 * SLOT and status.end == DAY_ONE + 4 * SLOT


def test_hours_limit_what_is_looked_at_and_a_torn_provenance_is_left_out(tmp_path, caplog):
    publisher = run_of(tmp_path, range(8))
    (status,) = status_of(tmp_path, hours=1)
    assert status.slots == len(status.records) == 4
    next(publisher.archive.root.glob("*.zarr/provenance/20260101T0130Z.json")).write_text("{")
    (status,) = status_of(tmp_path, hours=1)
    assert status.missing == 1 and "2026-01-01T01:30Z is left out" in caplog.text


def test_the_late_stream_has_its_own_status(tmp_path):
    run_of(tmp_path, [0, 1])
    run_of(tmp_path / "urma", [0], lag=np.timedelta64(6, "h"))
    main, late = status_of(tmp_path)
    assert main.slots == 2 and late.slots == 1 and late.last.lag == np.timedelta64(6, "h")


def test_without_analyses_there_is_no_status(tmp_path):
    with pytest.raises(InputError, match="no archive"):
        status_of(tmp_path)
    make_publisher(tmp_path)
    with pytest.raises(InputError, match="no analyses yet"):
        status_of(tmp_path)
