"""The page that watches a run of cycles, and its figures: the newest analysis, departures and seconds against time.

It is drawn anew after each cycle, while the next one is at work: small pictures, laid out by hand, since fitting panels
to their labels takes several times as long as drawing them.
"""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.atomic import write_bytes
from rtma_diffda.verification.display import display_difference, title_of
from rtma_diffda.verification.reports.analysis_figure import AnalysisMaps
from rtma_diffda.verification.reports.canvas import LABEL_SIZE, TICK_SIZE, in_utc, source_colours, tidy
from rtma_diffda.verification.reports.maps import MapField, error_map, field_map, increment_map
from rtma_diffda.verification.reports.page import PageHead, PageSection, render_page, section

REFRESH_SECONDS = 60
"""How often browsers load the page again."""

_DOTS_PER_INCH = 90
_PANEL = 4.3
_MARGINS = {"left": 0.05, "right": 0.945, "bottom": 0.12, "top": 0.83, "wspace": 0.32}
_ABOVE_LEGEND = 18  # points
_GRAPH_WIDTH, _GRAPH_HEIGHT = 9.6, 2.3
_LINES = {
    "ombg": ("O−B, used", "-", "#7a7a7a"),
    "oman": ("O−A, used", "-", "#0072B2"),
    "withheld_ombg": ("O−B, withheld", ":", "#7a7a7a"),
    "withheld_oman": ("O−A, withheld", ":", "#D55E00"),
}


def write_live_page(
    path: Path, head: PageHead, sections: Iterable[PageSection], *, warning: str = "", incidents: Sequence[str] = ()
) -> Path:
    """Write a page that loads itself again every minute, whole or not at all; returns its path.

    Args:
        path: of the file.
        head: what it says of itself; its provenance is left out.
        sections: in order.
        warning: stands first, set apart; empty where all is well.
        incidents: cycles that were less than usual, a sentence each; they stand last.

    Raises:
        InputError: it cannot be written there.
    """
    box = f'<section class="degraded"><p>{escape(warning)}</p></section>' if warning else ""
    items = "".join(f"<li>{escape(incident)}</li>" for incident in incidents)
    listed = section("Degraded and refused cycles", [f"<ul>{items}</ul>"] if incidents else ())
    parts = [box, *(found.html() for found in sections), listed]
    text = render_page(head.title, head.summary, parts, created=head.created, refresh_seconds=REFRESH_SECONDS)
    return write_bytes(path, text.encode())


def newest_figure(maps: AnalysisMaps, static: StaticFields) -> Figure:
    """Three panels: analysis, increment with stations, stated error (where there is one)."""
    names = 2 if maps.error_std is None else 3
    grid = static.grid
    shape = np.clip((grid.ny * grid.dy) / (grid.nx * grid.dx), 0.3, 2.0)
    figure = _small_figure(names * _PANEL, 0.75 * _PANEL * shape + 0.95)
    axes = figure.subplots(1, names, gridspec_kw=_MARGINS)
    field_map(MapField(maps.analysis, maps.name, "analysis"), static, axis=axes[0])
    increment = MapField(maps.analysis - maps.background, maps.name, "increment")
    increment_map(increment, static, stations=maps.stations, axis=axes[1])
    if maps.error_std is not None:
        error_map(MapField(maps.error_std, maps.name, "stated error"), static, axis=axes[2])
    for axis in axes:
        axis.set_title(axis.get_title(loc="left"), loc="left", fontsize=LABEL_SIZE + 1, pad=_ABOVE_LEGEND)
    heading = f"{title_of(maps.name)}  ·  {in_utc(maps.valid_time)}"
    figure.suptitle(heading, x=_MARGINS["left"], ha="left", fontsize=LABEL_SIZE + 2, fontweight="bold")
    return figure


def departure_figure(series: pd.DataFrame) -> Figure:
    """Root mean squares of departures against time, a panel for each variable.

    Args:
        series: index: valid time; ``variable``, ``ombg``, ``oman``, ``withheld_ombg``, ``withheld_oman``, SI; rows of
            NaN where a cycle is missing, so that lines break there.
    """
    names = list(series["variable"].unique())
    figure = _small_figure(_GRAPH_WIDTH, _GRAPH_HEIGHT * len(names) + 0.4)
    top = 1.0 - 0.6 / figure.get_figheight()
    places = {"left": 0.075, "right": 0.99, "bottom": 0.4 / figure.get_figheight(), "top": top, "hspace": 0.35}
    axes = figure.subplots(len(names), 1, squeeze=False, sharex=True, gridspec_kw=places)[:, 0]
    for axis, name in zip(axes, names, strict=True):
        _draw_departures(axis, series[series["variable"] == name], name)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper right", ncols=4, fontsize=TICK_SIZE, frameon=False)
    _time_axis(axes[-1])
    return figure


def latency_figure(seconds: pd.DataFrame) -> Figure:
    """Seconds of each stage against time, on top of each other.

    Args:
        seconds: index: valid time; a column for each stage; rows of NaN where a cycle is missing.
    """
    figure = _small_figure(_GRAPH_WIDTH, _GRAPH_HEIGHT + 0.9)
    axis = figure.subplots(gridspec_kw={"left": 0.075, "right": 0.8, "bottom": 0.15, "top": 0.88})
    colours = source_colours(list(seconds))
    axis.stackplot(
        seconds.index, seconds.to_numpy(float).T, labels=list(seconds), colors=list(colours.values()), alpha=0.75
    )
    total = seconds.sum(axis=1, min_count=1)
    axis.plot(seconds.index, total, color="black", linewidth=0.8, marker="o", markersize=2.5, label="all stages")
    axis.set_ylim(0.0, 1.08 * max(float(total.max()), 1e-3))
    axis.set_ylabel("s", fontsize=LABEL_SIZE)
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), fontsize=TICK_SIZE, frameon=False, reverse=True)
    tidy(axis, "Seconds by stage")
    _time_axis(axis)
    return figure


def _draw_departures(axis: Axes, rows: pd.DataFrame, name: str) -> None:
    for column, (label, style, colour) in _LINES.items():
        values, unit = display_difference(name, rows[column].to_numpy(float))
        axis.plot(rows.index, values, style, color=colour, label=label, linewidth=1.3, marker="o", markersize=2.5)
    axis.set_ylim(bottom=0.0)
    axis.set_ylabel(unit, fontsize=LABEL_SIZE)
    axis.grid(axis="y", color="#dddddd", linewidth=0.6)
    tidy(axis, title_of(name))


def _small_figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), dpi=_DOTS_PER_INCH)


def _time_axis(axis: Axes) -> None:
    locator = AutoDateLocator(minticks=3, maxticks=9)
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axis.set_xlabel("valid time (UTC)", fontsize=LABEL_SIZE)
