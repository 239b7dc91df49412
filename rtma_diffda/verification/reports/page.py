"""The frame of every page: one HTML file, pictures inside, no script, nothing fetched; it reads on phones and on paper.

On a narrow screen tables lose their less important columns, and pictures keep a legible size and scroll sideways.

All text that comes from outside (station names, file names, settings) is escaped.
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template

import numpy as np

from rtma_diffda.io.atomic import write_bytes
from rtma_diffda.times import format_time
from rtma_diffda.verification.reports.report import Picture
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
<meta name="viewport" content="width=device-width, initial-scale=1">$refresh
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


@dataclass(frozen=True)
class PageSection:
    """One section of a page, before it is laid out.

    Attributes:
        title: its heading.
        text: paragraphs in plain words, first.
        tables: (heading, table) each; rows with the same first cell stand together under it.
        pictures: after the tables.
        remark: in small print, last.
    """

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[tuple[str, Table], ...] = ()
    pictures: tuple[Picture, ...] = ()
    remark: str = ""

    def html(self) -> str:
        """The section; empty where there is neither text, table nor picture."""
        parts = [f"<p>{escape(paragraph)}</p>" for paragraph in self.text]
        for heading, table in self.tables:
            parts += [f"<h3>{escape(heading)}</h3>" if heading else "", table.grouped_html()]
        parts += map(figure, self.pictures)
        return section(self.title, [*parts, note(self.remark)] if parts else ())


@dataclass(frozen=True)
class PageHead:
    """What a page says of itself.

    Attributes:
        title: heading.
        summary: what was run, in a few plain sentences; says what is real and what is simulated.
        created: when the page was made (wall clock, UTC).
        provenance: {what: value} of the run: settings, files, versions, seed, …
    """

    title: str
    summary: str
    created: np.datetime64
    provenance: Mapping[str, object] = field(default_factory=dict)


def write_page(path: Path, head: PageHead, sections: Iterable[PageSection]) -> Path:
    """Write a page of these sections, and of what was run, to ``path``, whole or not at all; returns the path.

    Raises:
        InputError: it cannot be written there.
    """
    parts = [part.html() for part in sections]
    parts.append(section("What was run", [settings_table(head.provenance)]))
    return write_bytes(Path(path), render_page(head.title, head.summary, parts, created=head.created).encode())


def render_page(
    title: str, summary: str, sections: Iterable[str], *, created: np.datetime64, refresh_seconds: int | None = None
) -> str:
    """The page as text.

    Args:
        title: heading.
        summary: below it, in a few plain sentences.
        sections: from ``section``; empty ones are left out.
        created: when the page was made (wall clock, UTC).
        refresh_seconds: how often a browser is to load it again; None: never.
    """
    refresh = "" if refresh_seconds is None else f'\n<meta http-equiv="refresh" content="{refresh_seconds}">'
    return _PAGE.substitute(
        refresh=refresh,
        title=escape(title),
        summary=escape(summary),
        style=_STYLE,
        body="\n".join(filter(None, sections)),
        created=format_time(created),
    )


def section(title: str, parts: Iterable[str]) -> str:
    """A section with its heading; nothing where there is nothing in it."""
    content = "\n".join(filter(None, parts))
    return f"<section><h2>{escape(title)}</h2>\n{content}\n</section>" if content else ""


def figure(picture: Picture) -> str:
    """A picture with its caption."""
    data, caption = b64encode(picture.png).decode("ascii"), escape(picture.caption)
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
    )


def note(text: str) -> str:
    """A remark in small print; nothing where there is none."""
    return f'<p class="note">{escape(text)}</p>' if text else ""


def settings_table(entries: Mapping[str, object]) -> str:
    """What was run: a row for each name and its value."""
    rows = "".join(
        f'<tr><th scope="row">{escape(str(name))}</th><td class="text">{escape(str(value))}</td></tr>'
        for name, value in entries.items()
    )
    return f'<table class="settings"><tbody>{rows}</tbody></table>' if rows else ""
