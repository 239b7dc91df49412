"""The page of a run: what it says, that it needs nothing else, and how it is drawn beside the cycles."""

import re
import sys
import time

import numpy as np
import pytest
from cycle_runs import DAY_ONE, SECONDS, make_publisher, publish, record_at

from rtma_diffda.cycling.journal import Journal
from rtma_diffda.errors import InputError
from rtma_diffda.experiments import page_process
from rtma_diffda.experiments.cycle_page import PAGE, newest_pictures, write_cycle_page
from rtma_diffda.experiments.page_process import PageProcess, draw_in_process, main
from rtma_diffda.times import SLOT


@pytest.fixture
def run(tmp_path):
    publisher, journal = make_publisher(tmp_path), Journal(tmp_path / "journal")
    for slot in (0, 1, 4):
        publish(publisher, DAY_ONE + slot * SLOT, seconds={**SECONDS, "analysis": 1.0 + slot})
    publish(publisher, DAY_ONE + 5 * SLOT, degraded=("few observations: <3> stations",))
    reasons = ("no first guess: /data & more is empty",)
    journal.append(record_at(DAY_ONE + 2 * SLOT, status="refused", reasons=reasons, seconds={}))
    return publisher


def test_the_page_is_one_file_that_loads_itself_again_and_nothing_else(run):
    text = write_cycle_page(run.directory).read_text(encoding="utf-8")
    assert '<meta http-equiv="refresh" content="60">' in text
    assert "<script" not in text and not re.search(r'(src|href)="(?!data:image/png;base64,)', text)
    assert "http:" not in text and "https:" not in text
    assert not [path for path in run.directory.iterdir() if path.suffix == ".tmp"]


def test_the_page_says_how_the_cycles_fared(run):
    text = write_cycle_page(run.directory).read_text(encoding="utf-8")
    assert "<h1>Small region</h1>" in text
    assert "6 analyses due, 3 complete, 1 degraded (16.7 %), 2 missing (33.3 %), 1 of these refused" in text
    assert "<li>2026-01-01T01:15Z, degraded: few observations: &lt;3&gt; stations</li>" in text
    assert "<li>2026-01-01T00:30Z, refused: no first guess: /data &amp; more is empty</li>" in text
    assert 'class="degraded"><p>The cycle of 2026-01-01T01:15Z is degraded' in text
    assert "diagnosed background error" in text and "2 m dew point temperature" in text
    assert text.count("data:image/png;base64,") == 4  # two variables, departures, seconds


def test_a_complete_newest_cycle_gives_no_warning(run):
    publish(run, DAY_ONE + 6 * SLOT)
    assert '<section class="degraded">' not in write_cycle_page(run.directory).read_text(encoding="utf-8")


def test_maps_are_drawn_without_feedback_and_by_archives_of_one_analysis(tmp_path, caplog):
    publisher = make_publisher(tmp_path)
    publish(publisher, DAY_ONE)
    assert write_cycle_page(tmp_path).stat().st_size > 10_000
    with_stations = newest_pictures(tmp_path, publisher.archive)
    publisher.feedback_path(DAY_ONE).unlink()
    without = newest_pictures(tmp_path, publisher.archive)
    assert "maps are drawn without stations" in caplog.text
    assert [picture.png == other.png for picture, other in zip(with_stations, without, strict=True)] == [False, False]
    assert write_cycle_page(tmp_path).exists()


def test_the_late_stream_is_told_too(run):
    publish(make_publisher(run.directory / "urma"), DAY_ONE, lag=np.timedelta64(6, "h"))
    text = write_cycle_page(run.directory).read_text(encoding="utf-8")
    assert "made 360.0 min after its time, complete" in text


def test_without_an_archive_there_is_no_page(tmp_path):
    with pytest.raises(InputError, match="no archive"):
        write_cycle_page(tmp_path)
    assert main([str(tmp_path)]) == 3 and not (tmp_path / PAGE).exists()


def test_a_process_of_its_own_draws_the_page(run):
    drawing = draw_in_process(run.directory)
    assert not drawing.draw()  # the first is still at work
    publish(run, DAY_ONE + 6 * SLOT)
    drawing.close()
    assert "2026-01-01T01:30Z, made" in (run.directory / PAGE).read_text(encoding="utf-8")


def test_a_drawing_that_fails_or_hangs_is_told_and_ended(tmp_path, monkeypatch, caplog):
    failing = PageProcess(tmp_path)
    monkeypatch.setattr(page_process, "_command", lambda directory: [sys.executable, "-c", "raise SystemExit(3)"])
    failing.close()
    assert "was not drawn: exit status 3" in caplog.text
    monkeypatch.setattr(page_process, "_LONGEST_SECONDS", 0.2)
    monkeypatch.setattr(page_process, "_command", lambda directory: ["sleep", "60"])
    begin = time.monotonic()
    failing.close()
    assert "took longer than 0.2 s" in caplog.text and time.monotonic() - begin < 10.0
    assert failing.draw() and not failing.draw()
    time.sleep(0.3)
    assert failing.draw()  # the one that hangs has been ended
    failing.close()
    monkeypatch.setattr(page_process, "_command", lambda directory: ["/no/such/program"])
    assert not failing.draw() and "cannot be drawn" in caplog.text
