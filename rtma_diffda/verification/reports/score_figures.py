"""Graphs of scores: bars with intervals, and RMSE against valid time."""

from math import ceil

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from rtma_diffda.verification.display import display_difference, source_title, title_of
from rtma_diffda.verification.reports.canvas import (
    LABEL_SIZE,
    TICK_SIZE,
    axis_or_new,
    new_figure,
    source_colours,
    tidy,
)

_COLUMNS = 2


def score_bars(scores: pd.DataFrame, variable: str, *, axis: Axes | None = None) -> Axes:
    """RMSE of each source of one variable as horizontal bars, with its interval and value."""
    rows = scores[scores["variable"] == variable]
    axis = axis_or_new(axis, height=0.9 + 0.42 * len(rows))
    values, unit = display_difference(variable, rows["rmse"].to_numpy(float))
    low, high = (display_difference(variable, rows[f"rmse_{end}"].to_numpy(float))[0] for end in ("low", "high"))
    colours = source_colours(rows["source"].tolist())
    positions = np.arange(len(rows))
    axis.barh(positions, values, color=[colours[name] for name in rows["source"]], height=0.62)
    reach = np.nan_to_num(np.abs(np.stack([values - low, high - values])))
    axis.errorbar(values, positions, xerr=reach, fmt="none", ecolor="black", elinewidth=1.2, capsize=3)
    outer = np.fmax(values, high)
    for position, value, end in zip(positions, values, outer, strict=True):
        axis.text(end + 0.02 * outer.max(), position, f"{value:.2f}", va="center", fontsize=TICK_SIZE)
    axis.set_yticks(positions, [source_title(name) for name in rows["source"]])
    axis.invert_yaxis()
    axis.set_xlim(0.0, 1.15 * outer.max() if len(rows) and outer.max() > 0 else 1.0)
    axis.set_xlabel(f"RMSE ({unit})" if unit else "RMSE", fontsize=LABEL_SIZE)
    tidy(axis, f"{title_of(variable)}, n = {rows['n'].max():,}" if len(rows) else title_of(variable))
    return axis


def score_figure(scores: pd.DataFrame) -> Figure:
    """``score_bars`` of every variable."""
    variables = list(scores["variable"].unique())
    columns = min(_COLUMNS, max(len(variables), 1))
    rows = max(1, ceil(len(variables) / columns))
    sources = scores["source"].nunique()
    figure = new_figure(5.2 * columns, rows * (1.0 + 0.34 * max(sources, 1)))
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axis, variable in zip(axes, variables, strict=False):
        score_bars(scores, variable, axis=axis)
    for axis in axes[len(variables) :]:
        axis.axis("off")
    return figure


def rmse_series(series: pd.DataFrame, variable: str, *, axis: Axes | None = None) -> Axes:
    """RMSE of each source against valid time.

    Args:
        series: from ``scores.rmse_by_time``.
        variable: short name, for title and unit.
        axis: to draw on; a new figure where None.
    """
    axis = axis_or_new(axis, width=7.0, height=3.2)
    sources = [name for name in series if name != "n"]
    for source, colour in source_colours(sources).items():
        values, _ = display_difference(variable, series[source].to_numpy(float))
        axis.plot(series.index, values, marker="o", markersize=3, color=colour, label=source_title(source))
    locator = AutoDateLocator(minticks=3, maxticks=8)
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    unit = display_difference(variable, 0.0)[1]
    axis.set_ylabel(f"RMSE ({unit})" if unit else "RMSE", fontsize=LABEL_SIZE)
    axis.set_xlabel("valid time (UTC)", fontsize=LABEL_SIZE)
    axis.set_ylim(0.0, 1.12 * axis.dataLim.y1 if len(series) else 1.0)
    axis.grid(axis="y", color="#dddddd", linewidth=0.6)
    axis.legend(fontsize=TICK_SIZE, frameon=False, ncols=3, loc="lower left")
    tidy(axis, f"{title_of(variable)}: RMSE at withheld stations")
    return axis
