"""The page of a run of cycles, ``index.html``: its newest maps, its status, and how the last hours went.

Everything is read from the run's directory, so that any process can draw it at any time; a run has it drawn by a
process of its own (``draw_in_process``), which takes no time from the cycles.
"""

import logging
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from rtma_diffda.cycling.consistency import consistency_table, read_feedback
from rtma_diffda.cycling.status import CycleStatus, status_of
from rtma_diffda.errors import InputError
from rtma_diffda.experiments.status import (
    LATENCY_HEADER,
    TREND_HEADER,
    latency_rows,
    reason_rows,
    sentences,
    trend_rows,
)
from rtma_diffda.io.archive import Archive
from rtma_diffda.io.tables import read_table
from rtma_diffda.observations.flags import Flag
from rtma_diffda.times import compact_time, format_time
from rtma_diffda.verification.display import display_difference, format_interval, format_number, title_of
from rtma_diffda.verification.reports.analysis_figure import AnalysisMaps
from rtma_diffda.verification.reports.cycle_page import (
    departure_figure,
    latency_figure,
    newest_figure,
    write_live_page,
)
from rtma_diffda.verification.reports.maps import StationMarks
from rtma_diffda.verification.reports.page import PageHead, PageSection
from rtma_diffda.verification.reports.report import Picture
from rtma_diffda.verification.reports.tables import Table

_log = logging.getLogger(__name__)

PAGE = "index.html"

_MOST_LISTED = 40
_DEPARTURES = ("ombg", "oman", "withheld_ombg", "withheld_oman")
_CONSISTENCY_HEADER = (
    "",
    "variable",
    "n",
    "innovation variance",
    "stated error",
    "diagnosed error",
    "diagnosed background error",
    "ratio",
    "interval",
)
_CONSISTENCY_NOTE = (
    "Observation errors as they are stated, and as departures say they are (Desroziers et al., 2005): the square root "
    "of the mean of (O−A)(O−B). Ratio: diagnosed over stated, with the 95 % interval over blocks of 3 h; between 0.7 "
    "and 1.4 there is little to say."
)


def write_cycle_page(directory: str | Path, *, hours: float = 24.0) -> Path:
    """Write the page of a run's directory, whole or not at all; returns its path.

    Args:
        directory: of the run.
        hours: that status, graphs and tables look back on.

    Raises:
        InputError: there is no archive, nothing in it, or the page cannot be written.
    """
    directory = Path(directory)
    streams = status_of(directory, hours)
    main = streams[0]
    title = main.title.removesuffix(": analyses")
    head = PageHead(title, " ".join(sentences(main)[1:]), np.datetime64(datetime.now(UTC).replace(tzinfo=None), "s"))
    sections = [
        PageSection("Newest analysis", pictures=newest_pictures(directory, main.archive)),
        *(_status_section(status, text=() if status is main else sentences(status)[1:]) for status in streams),
        _graphs(main),
        _consistency(read_feedback(directory / "feedback", main.start, main.end)),
    ]
    return write_live_page(directory / PAGE, head, sections, warning=_warning(main), incidents=_incidents(main))


def newest_pictures(directory: Path, archive: Archive) -> tuple[Picture, ...]:
    """A picture for each variable of the newest analysis, from the archive and the feedback beside it."""
    time = archive.times()[-1]
    fields = archive.read(time)
    try:
        feedback = read_table(directory / "feedback" / f"{compact_time(time)}.parquet")
    except InputError as error:
        _log.warning("maps are drawn without stations: %s", error)
        feedback = None
    pictures = []
    for name in archive.design.layout.names:
        analysis, background, error = (fields[name + kind].to_numpy() for kind in ("", "_background", "_error"))
        stations = None if feedback is None else _marks(feedback[feedback["variable"] == name])
        stated = error if np.isfinite(error).any() else None
        maps = AnalysisMaps(name, time, background, analysis, stated, stations)
        pictures.append(Picture.of(newest_figure(maps, archive.design.static), _caption(name)))
    return tuple(pictures)


def _marks(feedback: pd.DataFrame) -> StationMarks:
    """Stations whose data were used or withheld, where H could be applied."""
    rows = feedback[feedback["flags"].isin([0, int(Flag.WITHHELD)]) & np.isfinite(feedback["ombg"])]
    columns = (rows[column].to_numpy(float) for column in ("latitude", "longitude", "ombg"))
    return StationMarks(*columns, withheld=rows["flags"].to_numpy() != 0)


def _caption(name: str) -> str:
    return f"{title_of(name)}: analysis, increment with O − B of the stations, and the error that the analysis states."


def _status_section(status: CycleStatus, *, text: tuple[str, ...]) -> PageSection:
    latency = [("Seconds", *row) for row in latency_rows(status.latency)]
    reasons = [("Less than usual", *row) for row in reason_rows(status)]
    tables = (
        ("Departures: the last 6 h against the hours before", Table(TREND_HEADER, trend_rows(status.trends), 2)),
        ("", Table(("", "stage", *LATENCY_HEADER[1:]), latency, 2)),
        ("", Table(("", "reason", "cycles"), reasons, 2)),
    )
    name = f"Status of {status.stream}" if status.stream else "Status"
    return PageSection(name, text=text, tables=tuple((heading, table) for heading, table in tables if table.rows))


def _graphs(status: CycleStatus) -> PageSection:
    times = pd.DatetimeIndex(status.start + np.arange(status.slots) * status.interval)
    rows = [
        {"time": record.analysis_time, "variable": name} | {what: getattr(found, what) for what in _DEPARTURES}
        for record in status.made
        for name, found in record.departures.items()
    ]
    seconds = pd.DataFrame({record.analysis_time: record.seconds for record in status.made if record.seconds}).T
    pictures = []
    if rows:
        caption = "Departures of the data used, and of withheld stations, which no analysis has seen: O−B and O−A."
        pictures.append(Picture.of(departure_figure(_with_gaps(pd.DataFrame(rows), times)), caption))
    if len(seconds):
        caption = "Seconds of each stage of the cycles; stages of one cycle overlap with those of its neighbours."
        pictures.append(Picture.of(latency_figure(seconds.reindex(times)), caption))
    return PageSection("The last hours", pictures=tuple(pictures))


def _with_gaps(rows: pd.DataFrame, times: pd.DatetimeIndex) -> pd.DataFrame:
    """Rows of NaN where a variable lacks a time."""
    parts = [
        part.set_index("time").reindex(times).assign(variable=name)
        for name, part in rows.groupby("variable", sort=False)
    ]
    return pd.concat(parts)


def _incidents(status: CycleStatus) -> list[str]:
    """Cycles that were degraded or refused, the newest first."""
    found = [record for record in reversed(status.records) if record.reasons]
    told = [f"{format_time(r.analysis_time)}, {r.status}: {'; '.join(r.reasons)}" for r in found[:_MOST_LISTED]]
    more = len(found) - _MOST_LISTED
    return [*told, f"and {more} older ones"] if more > 0 else told


def _consistency(feedback: pd.DataFrame) -> PageSection:
    table = consistency_table(feedback)
    rows = [_consistency_row(row) for row in table.to_dict("records")]
    remarks = tuple(filter(None, table["remark"]))
    tables = (("", Table(_CONSISTENCY_HEADER, rows, 2)),) if rows else ()
    return PageSection("Stated and diagnosed errors", text=remarks, tables=tables, remark=_CONSISTENCY_NOTE)


def _consistency_row(row: dict) -> tuple[str, ...]:
    scale, unit = display_difference(row["variable"], 1.0)
    title = title_of(row["variable"]) + (f" ({unit})" if unit else "")
    errors = (row[f"{what}_error"] * scale for what in ("stated", "diagnosed", "diagnosed_background"))
    return (
        "Data used",
        title,
        f"{row['n']:,}",
        format_number(row["innovation_variance"] * scale**2),
        *map(format_number, errors),
        format_number(row["ratio"]),
        format_interval(row["ratio_low"], row["ratio_high"]),
    )


def _warning(status: CycleStatus) -> str:
    """What is wrong at present; empty where the newest cycle is complete."""
    newest = status.records[-1]
    if newest.status == "complete":
        return ""
    return f"The cycle of {format_time(newest.analysis_time)} is {newest.status}: {'; '.join(newest.reasons)}."
