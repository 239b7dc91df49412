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
from rtma_diffda.verification.reports.headline import headline_sentences
from rtma_diffda.verification.reports.html import render_report, write_report
from rtma_diffda.verification.reports.report import Picture, Report
from rtma_diffda.verification.reports.tables import Table
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
        published="kriging",
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


def scores_of(**rmse: dict[str, float]) -> pd.DataFrame:
    """A table of scores: {variable: {source: RMSE}}, the interval of every ratio 0.05 to either side."""
    rows = []
    for variable, sources in rmse.items():
        for source, value in sources.items():
            ratio = value / sources.get("background", np.nan)
            ends = {"ratio_low": ratio - 0.05, "ratio_high": ratio + 0.05}
            rows.append({"variable": variable, "source": source, "rmse": value, "ratio_to_background": ratio, **ends})
    return pd.DataFrame(rows, columns=list(SCORE_COLUMNS))


def test_headline_is_about_the_published_source_even_where_another_is_better():
    scores = scores_of(
        sp={"background": 200.0, "some_method": 150.0, "better": 140.0},
        t2m={"background": 1.0, "some_method": 1.2, "better": 1.1},
        u10m={"background": 2.0, "some_method": 1.0, "better": 0.999},
    )
    assert headline_sentences(scores, "some_method") == [
        "surface pressure: RMSE 2.00 → 1.50 hPa by some method (−25 %, interval −30 % to −20 %).",
        "2 m temperature: RMSE 1.00 → 1.20 K by some method (+20 %, interval +15 % to +25 %).",
        "10 m eastward wind: RMSE 2.00 → 1.00 m/s by some method (−50 %, interval −55 % to −45 %).",
        "A lower RMSE than some method at these stations: better for surface pressure (1.40 hPa), "
        "background for 2 m temperature (1.00 K).",
    ]


def test_headline_says_so_where_the_published_source_or_the_background_has_no_score():
    assert headline_sentences(scores_of(sp={"background": 200.0, "other": 90.0}), "some_method") == [
        "surface pressure: some method has no score; the background has 2.00 hPa."
    ]
    assert headline_sentences(scores_of(t2m={"other": 1.0}), "some_method") == [
        "2 m temperature: some method has no score."
    ]
    assert headline_sentences(scores_of(t2m={"some_method": 1.0}), "some_method") == [
        "2 m temperature: RMSE 1.00 K by some method."
    ]
    assert headline_sentences(scores_of(t2m={"background": 1.0}), "background") == [
        "2 m temperature: RMSE 1.00 K by background."
    ]
    assert headline_sentences(scores_of(), "some_method") == []


def test_a_report_names_its_published_source_and_says_whether_it_is_degraded():
    with pytest.raises(TypeError, match="published"):
        Report("title", "summary", scores_of(), "id", BlockBootstrap(), np.datetime64("2026-01-01"), degraded=())
    with pytest.raises(TypeError, match="degraded"):
        Report("title", "summary", scores_of(), "id", BlockBootstrap(), np.datetime64("2026-01-01"), "kriging")


def test_a_group_is_a_row_above_its_rows_and_minor_columns_are_marked():
    table = Table(
        ("kind", "name", "n", "m"), [("a<b", "x", "1", "2"), ("a<b", "y", "3", "4"), ("c", "z", "5", "6")], 2, {3}
    )
    page = table.grouped_html()
    reader = read(page)
    assert reader.seen.count("tr") == 1 + 2 + 3
    assert reader.text == "namenm" + "a<b" + "x12" + "y34" + "c" + "z56"
    assert page.count('<th scope="rowgroup" colspan="3">') == 2
    assert page.count('class="minor"') == 1 + 3
    assert read(table.html()).text == "kindnamenm" + "a<bx12" + "a<by34" + "cz56"


def test_narrow_screens_lose_neither_the_source_nor_n_rmse_and_interval(report):
    page = render_report(report)
    head = page[page.index("<thead>") : page.index("</thead>")]
    kept = [cell.split(">")[1].split("<")[0] for cell in head.split("<th ")[1:] if "minor" not in cell.split(">")[0]]
    assert kept == ["source", "n", "RMSE", "interval"]
    assert "max-width: 40rem" in page and ".minor { display: none; }" in page


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
