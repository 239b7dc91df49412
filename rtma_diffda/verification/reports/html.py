"""The report as one HTML file: pictures inside, no script, nothing fetched; it reads on phones and on paper.

On a narrow screen tables lose their less important columns, and pictures keep a legible size and scroll sideways.

All text that comes from outside (station names, file names, settings) is escaped.
"""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

import numpy as np
import pandas as pd

from rtma_diffda.io.atomic import write_bytes
from rtma_diffda.times import format_time
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
from rtma_diffda.verification.reports.report import Picture, Report
from rtma_diffda.verification.reports.tables import Table

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: #1b1b1b; background: #fff;
  max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid #ccc; padding-bottom: .2rem; }
p, li { max-width: 46rem; }
.note { color: #555; font-size: .9rem; }
.degraded { border-left: .3rem solid #d55e00; background: #fff4ec; padding: .4rem .8rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; margin: .4rem 0; }
caption { text-align: left; color: #555; font-size: .9rem; padding-bottom: .3rem; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #e3e3e3; white-space: nowrap; }
thead th { border-bottom: 2px solid #888; vertical-align: bottom; }
th[scope=row] { font-weight: normal; }
th[scope=row], th[scope=rowgroup], .text { text-align: left; }
tr.group th { border-top: 2px solid #bbb; padding-top: .5rem; white-space: normal; }
.settings th { vertical-align: top; }
.settings td { white-space: pre-wrap; overflow-wrap: anywhere; }
figure { margin: 1rem 0; overflow-x: auto; }
img { max-width: 100%; height: auto; }
figcaption { color: #444; font-size: .92rem; max-width: 46rem; }
@media screen and (max-width: 40rem) { body { padding: .7rem; } h1 { font-size: 1.4rem; }
  ul { padding-left: 1.1rem; } table { font-size: .82rem; } th, td { padding: .2rem .35rem; } .minor { display: none; }
  thead th { white-space: normal; } .settings th { white-space: normal; } .settings td { min-width: 12rem; }
  img { max-width: 46rem; } figcaption { position: sticky; left: 0; } }
@media print { body { font-size: 10pt; max-width: none; padding: 0; } h2 { break-after: avoid; }
  figure, table { break-inside: avoid; } .wide, figure { overflow: visible; } }
"""

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header><h1>$title</h1><p>$summary</p></header>
<main>
$body
</main>
<footer><p class="note">Made $created by rtma_diffda.</p></footer>
</body>
</html>
""")


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
        _section("Maps", map(_figure, report.maps)),
        _section("Scores", [*map(_figure, report.graphs), *_details(report)]),
        _section("Calibration", _calibration(report.calibration)),
        _section("Observations", _account(report.account)),
        _section("What was run", _provenance(report)),
    )
    return _PAGE.substitute(
        title=escape(report.title),
        summary=escape(report.summary),
        style=_STYLE,
        body="\n".join(filter(None, sections)),
        created=format_time(report.created),
    )


def _headline(report: Report) -> str:
    scores = report.scores
    if scores.empty:
        return _section("Result", ["<p>No withheld datum could be scored.</p>"])
    sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in headline_sentences(scores, report.published))
    note = (
        f"Stations that no method has seen, up to {scores['stations'].max():,} a variable; withheld-station list "
        f"{report.withheld_list_id}. {report.bootstrap.describe()} ({_number_of_blocks(scores)}; with fewer than about "
        "20 the intervals are too narrow). Error = source − observation."
    )
    summary = f"<ul>{sentences}</ul>" if sentences else ""
    return _section(
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
    entries = {**report.provenance, "withheld-station list": report.withheld_list_id}
    rows = "".join(
        f'<tr><th scope="row">{escape(str(name))}</th><td class="text">{escape(str(value))}</td></tr>'
        for name, value in entries.items()
    )
    return [f'<table class="settings"><tbody>{rows}</tbody></table>']


def _degraded(reasons: Sequence[str]) -> str:
    if not reasons:
        return ""
    items = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    return f'<section class="degraded"><p><strong>Degraded run.</strong></p><ul>{items}</ul></section>'


def _figure(picture: Picture) -> str:
    data, caption = b64encode(picture.png).decode("ascii"), escape(picture.caption)
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
    )


def _section(title: str, parts: Iterable[str]) -> str:
    """A section with its heading; nothing where there is nothing in it."""
    content = "\n".join(filter(None, parts))
    return f"<section><h2>{escape(title)}</h2>\n{content}\n</section>" if content else ""
