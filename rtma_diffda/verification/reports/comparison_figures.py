"""Graphs of a comparison: ratios by method, sensitivity to a setting, spread over skill, rank histograms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from rtma_diffda.verification.comparison_text import PLACE_TITLES
from rtma_diffda.verification.display import source_title, title_of
from rtma_diffda.verification.reports.canvas import (
    LABEL_SIZE,
    TICK_SIZE,
    legend_below,
    new_figure,
    source_colours,
    tidy,
)

SCORE_TITLES = {"rmse": "RMSE", "crps": "CRPS", "energy": "energy score", "variogram": "variogram score"}
"""Scores that have ratios, in words."""

_PANEL_WIDTH = 4.6
_LINE = {"color": "black", "linewidth": 0.9}
_GRID_LINES = {"color": "#dddddd", "linewidth": 0.6}
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}


@dataclass(frozen=True)
class Sweep:
    """Settings of the experiment that differ in one number.

    Attributes:
        title: what is varied, in words: ``stations``, ``observation error, times its default``.
        values: {setting: number}.
        logarithmic: True where equal factors shall look equal.
    """

    title: str
    values: Mapping[str, float]
    logarithmic: bool = True


def ratio_figure(ratios: pd.DataFrame, *, score: str, reference: str) -> Figure:
    """Ratios to the reference method as bars, a panel for each kind of place.

    Args:
        ratios: from ``comparison.mean_ratio_table``, one setting, and kinds of place that have the score.
        score: a key of ``SCORE_TITLES``.
        reference: name of that method; its bar ends at the line.
    """
    places = list(ratios["place"].unique())
    methods = ratios["method"].nunique()
    figure = new_figure(_PANEL_WIDTH * max(len(places), 1.6), 1.0 + 0.34 * methods)  # names of methods take room
    axes = figure.subplots(1, len(places), squeeze=False, sharey=True)[0]
    for axis, place in zip(axes, places, strict=True):
        _ratio_bars(axis, ratios[ratios["place"] == place], score)
        axis.set_xlabel(f"{SCORE_TITLES[score]} over that of {source_title(reference)}", fontsize=LABEL_SIZE)
        tidy(axis, PLACE_TITLES[place])
    axes[0].invert_yaxis()
    return figure


def sweep_figure(ratios: pd.DataFrame, sweep: Sweep, *, score: str, reference: str) -> Figure:
    """Ratios to the reference method against the number that is varied, a panel for each kind of place.

    Args:
        ratios: from ``comparison.mean_ratio_table``; settings that the sweep does not name are left out.
        sweep: what is varied.
        score: a key of ``SCORE_TITLES``.
        reference: name of the method that ratios refer to, in each setting anew.
    """
    rows = ratios[ratios["setting"].isin(list(sweep.values))]
    places = list(rows["place"].unique())
    figure = new_figure(_PANEL_WIDTH * max(len(places), 1), 4.2)
    axes = figure.subplots(1, max(len(places), 1), squeeze=False, sharey=True)[0]
    colours = source_colours(list(ratios["method"].unique()))
    for axis, place in zip(axes, places, strict=False):
        _sweep_lines(axis, rows[rows["place"] == place], sweep, score, colours)
        axis.axhline(1.0, **_LINE)
        axis.grid(axis="y", **_GRID_LINES)
        axis.set_xlabel(sweep.title, fontsize=LABEL_SIZE)
        tidy(axis, PLACE_TITLES[place])
    axes[0].set_ylabel(f"{SCORE_TITLES[score]} over that of {source_title(reference)}", fontsize=LABEL_SIZE)
    legend_below(figure, axes[0])
    return figure


def spread_figure(scores: pd.DataFrame) -> Figure:
    """Spread over skill by variable for the methods that state an uncertainty, a panel for each kind of place.

    Args:
        scores: from ``comparison.comparison_table``, one setting.
    """
    stated = scores[scores["spread_skill"].notna()]
    places = list(stated["place"].unique())
    figure = new_figure(_PANEL_WIDTH * max(len(places), 1), 3.6)
    axes = figure.subplots(1, max(len(places), 1), squeeze=False, sharey=True)[0]
    colours = source_colours(list(scores["method"].unique()))
    for axis, place in zip(axes, places, strict=False):
        _spread_points(axis, stated[stated["place"] == place], colours)
        tidy(axis, PLACE_TITLES[place])
    highest = max(1.5, 1.05 * np.nanmax(stated[["spread_skill", "spread_skill_high"]].to_numpy(float), initial=0.0))
    axes[0].set_ylim(0.0, highest)
    axes[0].set_ylabel("spread / RMSE", fontsize=LABEL_SIZE)
    if places:
        axes[0].legend(fontsize=TICK_SIZE, frameon=False)
    return figure


def rank_figure(ranks: pd.DataFrame, *, methods: Sequence[str] = ()) -> Figure:
    """Rank histograms, a row for each method and a column for each variable; 1 is flat, and right.

    Args:
        ranks: from ``comparison.rank_table``, one setting and one kind of place.
        methods: all methods of the comparison, so that each keeps its colour; those of the ranks where empty.
    """
    stated, variables = list(ranks["method"].unique()), list(ranks["variable"].unique())
    shape = (max(len(stated), 1), max(len(variables), 1))
    figure = new_figure(2.4 * shape[1] + 0.6, 1.7 * shape[0] + 0.4)
    axes = figure.subplots(*shape, squeeze=False, sharey="row")
    colours = source_colours(methods or stated)
    for row, method in zip(axes, stated, strict=False):
        for axis, variable in zip(row, variables, strict=False):
            one = ranks[(ranks["method"] == method) & (ranks["variable"] == variable)]
            axis.bar(one["rank"], one["relative"], width=0.9, color=colours[method])
            axis.axhline(1.0, **_LINE)
            axis.set_xticks([])
            tidy(axis, title_of(variable) if axis in axes[0] else "")
        highest = ranks.loc[ranks["method"] == method, "relative"].max()
        row[0].set_ylim(0.0, max(2.0, 1.05 * highest))
        row[0].set_ylabel(source_title(method), fontsize=LABEL_SIZE)
    return figure


def _ratio_bars(axis: Axes, rows: pd.DataFrame, score: str) -> None:
    names = rows["method"].tolist()
    values, low, high = (rows[f"{score}_ratio{end}"].to_numpy(float) for end in ("", "_low", "_high"))
    colours, positions = source_colours(names), np.arange(len(names))
    axis.barh(positions, values, color=[colours[name] for name in names], height=0.62)
    reach = np.nan_to_num(np.abs(np.stack([values - low, high - values])))
    axis.errorbar(values, positions, xerr=reach, fmt="none", ecolor="black", elinewidth=1.2, capsize=3)
    outer = np.fmax(values, high)
    for position, value, end in zip(positions, values, outer, strict=True):
        axis.text(end + 0.02 * np.nanmax(outer), position, f"{value:.2f}", va="center", fontsize=TICK_SIZE, bbox=_PAPER)
    axis.axvline(1.0, **_LINE, linestyle="--")
    axis.set_xlim(0.0, 1.15 * np.nanmax(outer) if np.isfinite(outer).any() else 1.0)
    axis.set_yticks(positions, [source_title(name) for name in names])


def _sweep_lines(axis: Axes, rows: pd.DataFrame, sweep: Sweep, score: str, colours: Mapping[str, str]) -> None:
    for method, of_method in rows.groupby("method", sort=False):
        ordered = of_method.assign(x=of_method["setting"].map(dict(sweep.values)).astype(float)).sort_values("x")
        y, low, high = (ordered[f"{score}_ratio{end}"].to_numpy(float) for end in ("", "_low", "_high"))
        axis.plot(
            ordered["x"], y, marker="o", markersize=4, color=colours[str(method)], label=source_title(str(method))
        )
        axis.fill_between(ordered["x"], low, high, color=colours[str(method)], alpha=0.15, linewidth=0)
    ticks = sorted(set(sweep.values.values()))
    if sweep.logarithmic:
        axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticklabels([f"{tick:g}" for tick in ticks])


def _spread_points(axis: Axes, rows: pd.DataFrame, colours: Mapping[str, str]) -> None:
    variables = list(rows["variable"].unique())
    methods = list(rows["method"].unique())
    for k, method in enumerate(methods):
        one = rows[rows["method"] == method].set_index("variable").reindex(variables)
        x = np.arange(len(variables)) + 0.5 * (k - 0.5 * (len(methods) - 1)) / max(len(methods), 1)
        y, low, high = (one[f"spread_skill{end}"].to_numpy(float) for end in ("", "_low", "_high"))
        reach = np.nan_to_num(np.abs(np.stack([y - low, high - y])))
        style = {"fmt": "o", "markersize": 4, "capsize": 2, "color": colours[method]}
        axis.errorbar(x, y, yerr=reach, label=source_title(method), **style)
    axis.axhspan(0.9, 1.1, color="#eeeeee", zorder=0)
    axis.axhline(1.0, **_LINE)
    axis.set_xticks(np.arange(len(variables)), variables)
