"""Graphs of a data set: maps of background error, RMSE by run and by lead time, and means over the area by hour."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.verification.data_set_statistics import RunStatistics
from rtma_diffda.verification.display import display_difference, display_field, title_of
from rtma_diffda.verification.reports.canvas import LABEL_SIZE, legend_below, new_figure, panels, tidy
from rtma_diffda.verification.reports.maps import MapField, error_map, increment_map, panel_height

_TRUTH, _BACKGROUND = "#0072B2", "#D55E00"
_PANEL_WIDTH = 4.9
_MAP_COLUMNS = 3


def error_map_figure(runs: Sequence[RunStatistics], static: StaticFields) -> Figure:
    """Root mean square error of the background at every point, a panel a variable.

    Args:
        runs: whose squares are averaged; one run, or all.
        static: the terrain of that run; ``without_terrain`` for runs of different terrains.
    """
    rms = np.sqrt(np.mean([run.error_map**2 for run in runs], axis=0))
    figure, axes = _map_panels(static, len(rms))
    for axis, name, values in zip(axes, runs[0].names, rms, strict=True):
        error_map(MapField(values, name, f"RMSE: {title_of(name)}"), static, axis=axis)
    return figure


def bias_map_figure(runs: Sequence[RunStatistics], static: StaticFields) -> Figure:
    """Mean error of the background at every point, a panel a variable; arguments as of ``error_map_figure``."""
    mean = np.mean([run.bias_map for run in runs], axis=0)
    figure, axes = _map_panels(static, len(mean))
    for axis, name, values in zip(axes, runs[0].names, mean, strict=True):
        increment_map(MapField(values, name, f"mean error: {title_of(name)}"), static, axis=axis)
    return figure


def without_terrain(static: StaticFields) -> StaticFields:
    """The same grid, for maps that belong to no terrain: no contours, no coast."""
    return StaticFields(static.grid, land_fraction=np.ones(static.grid.shape), source="none")


def drift_figure(runs: Sequence[RunStatistics]) -> Figure:
    """Means over the area against the hour of the run, a panel a variable: runs thin, their mean thick."""
    names = runs[0].names
    figure, axes = panels(len(names))
    for i, (axis, name) in enumerate(zip(axes, names, strict=True)):
        for attribute, colour, label in (
            ("truth_mean", _TRUTH, "truth"),
            ("background_mean", _BACKGROUND, "background"),
        ):
            series = {}
            for run in runs:
                values, unit = display_field(name, getattr(run, attribute)[:, i])
                hours = (run.times - run.times[0]) / np.timedelta64(1, "h")
                axis.plot(hours, values, color=colour, linewidth=0.5, alpha=0.35)
                series[run.run] = pd.Series(values, index=hours)
            mean = pd.DataFrame(series).dropna().mean(axis=1)  # only hours that all runs have: no jumps
            axis.plot(mean.index, mean, color=colour, linewidth=2.2, label=f"{label}, mean of {len(runs)} runs")
        axis.set_xlabel("hour of the run", fontsize=LABEL_SIZE)
        axis.set_ylabel(unit, fontsize=LABEL_SIZE)
        axis.grid(color="#eeeeee", linewidth=0.6)
        tidy(axis, f"{title_of(name)}: mean over the area")
    legend_below(figure, axes[0])
    return figure


def run_figure(runs_by_split: Mapping[str, Sequence[RunStatistics]]) -> Figure:
    """The background's RMSE of every run as a dot, a panel a variable, a row for each split with its median.

    Args:
        runs_by_split: {``train``, ``validation``, ``test``: runs}.
    """
    splits = {name: runs for name, runs in runs_by_split.items() if runs}
    names = next(iter(splits.values()))[0].names
    figure, axes = panels(len(names), height=0.9 + 0.5 * len(splits))
    for i, (axis, name) in enumerate(zip(axes, names, strict=True)):
        for row, runs in enumerate(splits.values()):
            rmse, unit = display_difference(name, np.array([run.rmse[i] for run in runs]))
            scatter = 0.3 * ((np.arange(len(rmse)) * 0.618) % 1.0 - 0.5)  # spreads the dots evenly, without chance
            axis.plot(rmse, row + scatter, "o", markersize=3.5, color=_BACKGROUND, alpha=0.6, markeredgewidth=0)
            axis.plot(np.median(rmse), row, "|", markersize=18, color="black", markeredgewidth=1.6)
        axis.set_yticks(range(len(splits)), [f"{split} ({len(runs)})" for split, runs in splits.items()])
        axis.set_ylim(len(splits) - 0.5, -0.5)
        axis.set_xlim(0.0, 1.08 * axis.dataLim.x1)
        axis.set_xlabel(f"RMSE of a run's background ({unit})", fontsize=LABEL_SIZE)
        tidy(axis, title_of(name))
    return figure


def lead_figure(errors: pd.DataFrame) -> Figure:
    """RMSE of forecasts against lead time, a panel a variable: runs thin, root mean square over runs thick.

    Args:
        errors: from ``data_set_statistics.lead_errors``, runs put together.
    """
    names = list(errors["variable"].unique())
    figure, axes = panels(len(names), height=2.8)
    for axis, name in zip(axes, names, strict=True):
        by_run = errors[errors["variable"] == name].pivot_table(index="lead", columns="run", values="rmse")
        shown, unit = display_difference(name, by_run.to_numpy(float))
        axis.plot(by_run.index, shown, color=_BACKGROUND, linewidth=0.5, alpha=0.4)
        together = np.sqrt(np.nanmean(shown**2, axis=1))
        axis.plot(by_run.index, together, color=_BACKGROUND, linewidth=2.2, marker="o", markersize=4)
        axis.set_ylim(0.0, None)
        axis.set_xlabel("lead time (h)", fontsize=LABEL_SIZE)
        axis.set_ylabel(f"RMSE ({unit})", fontsize=LABEL_SIZE)
        tidy(axis, title_of(name))
    return figure


def _map_panels(static: StaticFields, count: int) -> tuple[Figure, list[Axes]]:
    columns = min(_MAP_COLUMNS, count)
    rows = -(-count // columns)
    size = (columns * _PANEL_WIDTH, rows * panel_height(static.grid, _PANEL_WIDTH) + 0.1)
    figure = new_figure(*size, layout="compressed")
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axis in axes[count:]:
        axis.axis("off")
    return figure, list(axes[:count])
