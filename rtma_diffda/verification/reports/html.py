"""The report of a run as one HTML file (``page``): headline, maps, scores, calibration, observations, settings."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from rtma_diffda.io.atomic import write_bytes
from rtma_diffda.verification.calibration import EXPECTED
from rtma_diffda.verification.display import (
    DISPLAY_HEADER,
    display_rows,
    format_interval,
    format_number,
    source_title,
    title_of,
)
from rtma_diffda.verification.reports.headline import headline_sentences
from rtma_diffda.verification.reports.page import figure, render_page, section, settings_table
from rtma_diffda.verification.reports.report import Report
from rtma_diffda.verification.reports.tables import Table


def write_report(path: Path, report: Report) -> Path:
    """Write the report to ``path``, whole or not at all; returns the path.

    Raises:
        InputError: it cannot be written there.
    """
    return write_bytes(Path(path), render_report(report).encode())


def render_report(report: Report) -> str:
    """The page as text."""
    sections = (
        _degraded(report.degraded),
        _headline(report),
        section("Maps", map(figure, report.maps)),
        section("Scores", [*map(figure, report.graphs), *_details(report)]),
        section("Calibration", _calibration(report.calibration)),
        section("Observations", _account(report.account)),
        section("What was run", _provenance(report)),
    )
    return render_page(report.title, report.summary, sections, created=report.created)


def _headline(report: Report) -> str:
    scores = report.scores
    if scores.empty:
        return section("Result", ["<p>No withheld datum could be scored.</p>"])
    sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in headline_sentences(scores, report.published))
    note = (
        f"Stations that no method has seen, up to {scores['stations'].max():,} a variable; withheld-station list "
        f"{report.withheld_list_id}. {report.bootstrap.describe()} ({_number_of_blocks(scores)}; with fewer than about "
        "20 the intervals are too narrow). Error = source − observation."
    )
    summary = f"<ul>{sentences}</ul>" if sentences else ""
    return section(
        "Result at withheld stations", [summary, _score_table(scores), f'<p class="note">{escape(note)}</p>']
    )


def _number_of_blocks(scores: pd.DataFrame) -> str:
    fewest, most = scores["blocks"].min(), scores["blocks"].max()
    return f"{most:,} blocks" if fewest == most else f"{fewest:,} to {most:,} blocks, by variable"


def _score_table(scores: pd.DataFrame) -> str:
    # A narrow screen keeps source, n, and RMSE with its interval; the sentences above state the change.
    minor = {*map(DISPLAY_HEADER.index, ("blocks", "bias", "MAE", "ratio")), len(DISPLAY_HEADER) - 1}
    return Table(DISPLAY_HEADER, list(display_rows(scores)), text_columns=2, minor=minor).grouped_html()


def _details(report: Report) -> list[str]:
    """Fit to the data that were used: beside the withheld scores it shows over-fitting."""
    if report.fit is None or report.fit.empty:
        return []
    note = (
        "Fit to the stations that were used. It is no measure of skill: an analysis drawn too closely to its reports "
        "fits these better and the withheld ones worse."
    )
    return ["<h3>Fit to the data used</h3>", f'<p class="note">{note}</p>', _score_table(report.fit)]


def _calibration(calibration: pd.DataFrame | None) -> list[str]:
    if calibration is None or calibration.empty:
        return []
    note = (
        "Departures at withheld stations against the stated errors of analysis and observation together. Honest errors "
        f"give {100 * EXPECTED['within_1']:.0f} % within one, {100 * EXPECTED['within_2']:.0f} % within two, and a "
        "standardised RMS of 1; above 1 the stated errors are too small."
    )
    header = ("variable", "source", "n", "within 1", "within 2", "standardised RMS", "interval")
    rows = [
        (
            title_of(row["variable"]),
            source_title(row["source"]),
            f"{row['n']:,}",
            _share(row["within_1"]),
            _share(row["within_2"]),
            format_number(row["standardised_rms"]),
            format_interval(row["standardised_rms_low"], row["standardised_rms_high"]),
        )
        for row in calibration.to_dict("records")
    ]
    return [
        Table(header, rows, text_columns=2, minor={header.index("within 2")}).grouped_html(),
        f'<p class="note">{escape(note)}</p>',
    ]


def _share(value: float) -> str:
    return f"{100 * value:.0f} %" if np.isfinite(value) else "–"


def _account(account: pd.DataFrame | None) -> list[str]:
    if account is None or account.empty:
        return []
    header = [name.replace("_", " ") for name in account]
    rows = [(title_of(row[0]), *(f"{count:,}" for count in row[1:])) for row in account.itertuples(index=False)]
    note = (
        "Data by variable: offered = used + withheld + rejected. Columns after these count data by the reason of their "
        "rejection; one datum may have several."
    )
    return [Table(header, rows).html(), f'<p class="note">{note}</p>']


def _provenance(report: Report) -> list[str]:
    return [settings_table({**report.provenance, "withheld-station list": report.withheld_list_id})]


def _degraded(reasons: Sequence[str]) -> str:
    if not reasons:
        return ""
    items = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    return f'<section class="degraded"><p><strong>Degraded run.</strong></p><ul>{items}</ul></section>'
