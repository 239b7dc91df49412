"""Figures of the exercises: fields and errors of one case, RMSE of every source, and the course of the training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rtma_diffda.verification.reports.canvas import (
    LABEL_SIZE,
    TICK_SIZE,
    colour_bar,
    new_figure,
    source_colours,
    tidy,
)

_SMALL_COUNT, _SMALL_SITE, _LARGE_SITE = 80, 9.0, 22.0


@dataclass(frozen=True)
class FieldRow:
    """One quantity of one case, in shown units.

    Attributes:
        title, unit: of the quantity.
        truth: (y, x).
        observed: (y, x), NaN where nothing is observed.
        estimates: {source: (y, x)}; empty for a quantity that is only observed.
    """

    title: str
    unit: str
    truth: np.ndarray
    observed: np.ndarray
    estimates: Mapping[str, np.ndarray]


def case_figure(rows: Sequence[FieldRow], *, spacing: float) -> Figure:
    """Truth, observations and every estimate, a line a quantity, with the errors on the line below.

    Quantities without estimates stand in the first two columns of the lines of errors, where there is room.

    Args:
        rows: the quantities; those with estimates first, and at least as many of them as of the others.
        spacing: of the cells (km).
    """
    estimated = [row for row in rows if row.estimates]
    others = [row for row in rows if not row.estimates]
    columns, lines = 2 + max(len(row.estimates) for row in estimated), 2 * len(estimated)
    figure = new_figure(2.5 * columns + 0.7, 2.45 * lines, layout="compressed")
    axes = figure.subplots(lines, columns, squeeze=False)
    for axis in axes.reshape(-1):
        axis.axis("off")
    for i, row in enumerate(estimated):
        _draw_fields(axes[2 * i], row, spacing)
        _draw_errors(axes[2 * i + 1, 2:], row, spacing)
    for i, row in enumerate(others):
        _draw_fields(axes[2 * i + 1], row, spacing)
    return figure


def score_figure(scores: pd.DataFrame) -> Figure:
    """Bars of RMSE with intervals, a panel a quantity.

    Args:
        scores: from ``exercise_scores.score_sources``.
    """
    quantities = list(scores["quantity"].unique())
    sources = list(scores["source"].unique())
    figure = new_figure(4.3 * len(quantities) + 1.2, 0.9 + 0.36 * len(sources))
    axes = figure.subplots(1, len(quantities), squeeze=False, sharey=True)[0]
    colours = source_colours(sources)
    for axis, quantity in zip(axes, quantities, strict=True):
        rows = scores[scores["quantity"] == quantity]
        arms = np.abs(rows[["rmse_low", "rmse_high"]].to_numpy().T - rows["rmse"].to_numpy())
        axis.barh(rows["source"], rows["rmse"], color=[colours[name] for name in rows["source"]], height=0.65)
        axis.errorbar(rows["rmse"], rows["source"], xerr=arms, fmt="none", ecolor="#222222", elinewidth=1, capsize=2)
        axis.set_xlabel(f"RMSE ({rows['unit'].iloc[0]})", fontsize=LABEL_SIZE)
        tidy(axis, quantity)
    axes[0].invert_yaxis()
    return figure


def training_figure(updates: Sequence[int], training: Sequence[float], validation: Mapping[int, float]) -> Figure:
    """Loss of the updates and of the validations against the update, on a logarithmic axis.

    Args:
        updates: of the training losses.
        training: their losses.
        validation: {update: loss}.
    """
    figure = new_figure(6.0, 3.0)
    axis = figure.add_subplot()
    axis.plot(updates, training, color="#0072B2", linewidth=0.7, alpha=0.6, label="training batches")
    axis.plot(list(validation), list(validation.values()), color="#D55E00", marker="o", markersize=3,
              label="validation runs, averaged weights")  # fmt: skip
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter("{x:g}")
    axis.tick_params(which="minor", labelsize=TICK_SIZE)
    axis.set_xlabel("update", fontsize=LABEL_SIZE)
    axis.set_ylabel("mean squared error (normalised)", fontsize=LABEL_SIZE)
    axis.legend(fontsize=TICK_SIZE, frameon=False)
    tidy(axis, "Training")
    return figure


def _draw_fields(axes: Sequence[Axes], row: FieldRow, spacing: float) -> None:
    low, high = np.percentile(row.truth, (0.5, 99.5))
    scale = {"vmin": low, "vmax": high, "cmap": "viridis"}
    _image(axes[0], row.truth, f"truth: {row.title}", spacing, **scale)
    y, x = np.nonzero(np.isfinite(row.observed))
    size = _LARGE_SITE if len(y) < _SMALL_COUNT else _SMALL_SITE
    extent = spacing * np.array([-0.5, row.truth.shape[1] - 0.5, -0.5, row.truth.shape[0] - 0.5])
    axes[1].axis("on")
    shown = axes[1].scatter(spacing * x, spacing * y, c=row.observed[y, x], s=size, linewidths=0, **scale)
    axes[1].set(xlim=extent[:2], ylim=extent[2:], aspect="equal", xticks=[], yticks=[], facecolor="#f2f2f2")
    axes[1].set_title(f"{len(y)} observations", fontsize=LABEL_SIZE, loc="left")
    for axis, (name, estimate) in zip(axes[2:], row.estimates.items(), strict=False):
        _image(axis, estimate, name, spacing, **scale)
    colour_bar(axes[1 + len(row.estimates)], shown, label=row.unit, extend="both")


def _draw_errors(axes: Sequence[Axes], row: FieldRow, spacing: float) -> None:
    errors = {name: estimate - row.truth for name, estimate in row.estimates.items()}
    largest = float(np.percentile(np.abs(np.stack(list(errors.values()))), 98.0))
    shown = None
    for axis, error in zip(axes, errors.values(), strict=False):
        title = f"error, RMS {np.sqrt(np.mean(error**2)):.2f} {row.unit}"
        shown = _image(axis, error, title, spacing, vmin=-largest, vmax=largest, cmap="RdBu_r")
    colour_bar(axes[len(errors) - 1], shown, label=row.unit, extend="both")


def _image(axis: Axes, field: np.ndarray, title: str, spacing: float, **scale: object):
    axis.axis("on")
    extent = spacing * np.array([-0.5, field.shape[1] - 0.5, -0.5, field.shape[0] - 0.5])
    shown = axis.imshow(field, origin="lower", extent=extent, interpolation="nearest", **scale)
    axis.set(xticks=[], yticks=[])
    axis.set_title(title, fontsize=LABEL_SIZE, loc="left")
    return shown
