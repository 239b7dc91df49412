"""The HTML report: well-formed, escaped, self-contained, and it says what the tables say."""

from base64 import b64encode
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from rtma_diffda.errors import InputError
from rtma_diffda.verification.account import observation_account
from rtma_diffda.verification.bootstrap import BlockBootstrap
from rtma_diffda.verification.calibration import calibration_table
from rtma_diffda.verification.reports.html import headline_sentences, render_report, write_report
from rtma_diffda.verification.reports.report import Picture, Report
from rtma_diffda.verification.scores import SCORE_COLUMNS, score_table

VOID = {"meta", "img", "br"}
PIXEL = b"\x89PNG\r\n\x1a\n not much of a picture"


class Reader(HTMLParser):
    """Checks that every element is closed in order; gathers text, attributes and tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def report(case) -> Report:
    bootstrap = BlockBootstrap(block_degrees=0.25, iterations=200)
    scores = score_table(case.pairs, bootstrap=bootstrap)
    return Report(
        title="Made-up region <test>",
        summary="A simulated truth & simulated stations.",
        scores=scores,
        withheld_list_id="7e18f737311b",
        bootstrap=bootstrap,
        created=np.datetime64("2026-01-02T03:04", "ns"),
        provenance={"method": '<script>alert("x")</script>', "seed": 1},
        maps=(Picture(PIXEL, 'A map "quoted" & escaped'),),
        graphs=(Picture(PIXEL, "Scores"),),
        calibration=calibration_table(case.pairs, bootstrap=bootstrap),
        account=observation_account(pd.DataFrame({"variable": ["t2m"] * 3, "flags": [0, 4, 2048]})),
        fit=scores,
        degraded=("background was <old>",),
    )


def test_page_is_well_formed_escaped_and_self_contained(report):
    reader = read(render_report(report))
    assert "script" not in reader.seen and "link" not in reader.seen
    assert '<script>alert("x")</script>' in reader.text
    assert "Made-up region <test>" in reader.text
    assert "background was <old>" in reader.text
    assert ("alt", 'A map "quoted" & escaped') in reader.attributes
    sources = [value for name, value in reader.attributes if name in ("src", "href")]
    assert sources == [f"data:image/png;base64,{b64encode(PIXEL).decode()}"] * 2


def test_headline_names_the_list_the_intervals_and_every_source(report):
    text = " ".join(read(render_report(report)).text.split())
    assert "withheld-station list 7e18f737311b" in text
    assert "95 % intervals by 200 resamplings of 0.25° blocks of stations × periods of 1 day" in text
    assert "Made 2026-01-02T03:04Z" in text
    for row in report.scores.to_dict("records"):
        assert f"{row['rmse']:.2f}" in text
        assert f"[{row['rmse_low']:.2f}, {row['rmse_high']:.2f}]" in text
    for heading in (
        "Result at withheld stations",
        "Maps",
        "Calibration",
        "Observations",
        "What was run",
        "Degraded run",
    ):
        assert heading in text


def test_headline_sentence_states_the_change_with_its_interval():
    values = {"n": 10, "bias": 0.1, "rmse_low": 1.0, "rmse_high": 2.0}
    rows = [
        {"variable": "sp", "source": "background", "rmse": 200.0, "ratio_to_background": 1.0, **values},
        {"variable": "sp", "source": "some_method", "rmse": 150.0, "ratio_to_background": 0.75, **values}
        | {"ratio_low": 0.7, "ratio_high": 1.03},
        {"variable": "sp", "source": "worse", "rmse": 190.0, "ratio_to_background": 0.95, **values},
    ]
    scores = pd.DataFrame(rows, columns=list(SCORE_COLUMNS))
    assert headline_sentences(scores) == [
        "surface pressure: RMSE 2.00 → 1.50 hPa by some method (−25 %, interval −30 % to +3 %)."
    ]
    assert headline_sentences(scores[:1]) == []


def test_empty_parts_are_left_out(report):
    bare = replace(
        report, maps=(), graphs=(), calibration=None, account=None, fit=None, degraded=(), scores=report.scores[:0]
    )
    text = read(render_report(bare)).text
    assert "No withheld datum could be scored." in text
    for heading in ("Maps", "Calibration", "Degraded"):
        assert heading not in text


def test_written_whole_or_refused(report, tmp_path):
    path = write_report(tmp_path / "report.html", report)
    assert path.read_text(encoding="utf-8") == render_report(report)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError):
        write_report(tmp_path / "report.html" / "inside.html", report)
