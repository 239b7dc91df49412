"""Graphs of spectra: variance, amplitude over the truth's, error, and coherence against wavelength."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from rtma_diffda.verification.display import display_difference, source_title, title_of
from rtma_diffda.verification.reports.canvas import LABEL_SIZE, TICK_SIZE, legend_below, panels, source_colours, tidy

_WAVELENGTHS = (10, 20, 50, 100, 200, 500, 1000)  # km, where ticks stand
_TRUTH = {"color": "black", "linewidth": 2.0, "label": "truth"}
_BACKGROUND, _ERROR = "#7a7a7a", "#D55E00"


def amplitude_figure(spectra: pd.DataFrame) -> Figure:
    """Amplitude over the truth's by wavelength, a panel a variable: analysis means solid, members of ensembles dashed.

    Args:
        spectra: from ``case_spectra.mean_spectra``, one setting.
    """

    def draw(axis: Axes, rows: pd.DataFrame, colours: Mapping[str, str]) -> None:
        for method, one in rows.groupby("method", sort=False):
            style = {"color": colours[str(method)], "linewidth": 1.5}
            mean, members = (np.sqrt(one[kind] / one["truth"]) for kind in ("mean", "members"))
            axis.plot(_kilometres(one), mean, label=source_title(str(method)), **style)
            if not np.allclose(mean, members, equal_nan=True):
                label = f"{source_title(str(method))}, members"
                axis.plot(_kilometres(one), members, label=label, linestyle="--", **style)
        axis.axhline(1.0, **{name: _TRUTH[name] for name in ("color", "linewidth")})
        axis.set_ylim(0.0, max(1.5, min(2.5, 1.05 * axis.dataLim.y1)))

    return _by_variable(spectra, draw, "amplitude / truth's amplitude")


def error_spectra_figure(spectra: pd.DataFrame) -> Figure:
    """Amplitude of the error over the truth's by wavelength: at 1 an analysis knows no more than the mean weather.

    Args:
        spectra: from ``case_spectra.mean_spectra``, one setting.
    """

    def draw(axis: Axes, rows: pd.DataFrame, colours: Mapping[str, str]) -> None:
        for method, one in rows.groupby("method", sort=False):
            ratio = np.sqrt(one["error"] / one["truth"])
            axis.plot(_kilometres(one), ratio, label=source_title(str(method)), color=colours[str(method)])
        axis.axhline(1.0, color="black", linewidth=0.9)
        axis.set_ylim(0.0, max(1.5, min(2.5, 1.05 * axis.dataLim.y1)))

    return _by_variable(spectra, draw, "amplitude of error / truth's amplitude")


def background_spectra_figure(spectra: pd.DataFrame) -> Figure:
    """Variance by wavelength of truth, background and background error, with their coherence on an axis of its own.

    Args:
        spectra: from ``data_set_statistics.background_spectra``.
    """
    variables = list(spectra["variable"].unique())
    figure, axes = panels(len(variables))
    for axis, variable in zip(axes, variables, strict=True):
        rows = _resolved(spectra[spectra["variable"] == variable])
        scale, unit = display_difference(variable, 1.0)
        lines = {"truth": _TRUTH, "background": {"color": _BACKGROUND}, "error": {"color": _ERROR}}
        for kind, style in lines.items():
            axis.loglog(_kilometres(rows), rows[kind] * scale**2, **{"label": kind, "linewidth": 1.5} | style)
        axis.set_ylabel(f"variance in the band ({unit})²", fontsize=LABEL_SIZE)
        known = axis.twinx()
        known.plot(_kilometres(rows), rows["coherence"], color="#0072B2", linewidth=1.0, linestyle=":")
        known.set_ylim(0.0, 1.0)
        known.set_ylabel("coherence (dotted)", fontsize=TICK_SIZE, color="#0072B2")
        known.tick_params(labelsize=TICK_SIZE)
        _wavelength_axis(axis, rows)
        tidy(axis, title_of(variable))
    legend_below(figure, axes[0])
    return figure


def _by_variable(
    spectra: pd.DataFrame, draw: Callable[[Axes, pd.DataFrame, Mapping[str, str]], None], label: str
) -> Figure:
    variables = list(spectra["variable"].unique())
    colours = source_colours(list(spectra["method"].unique()))
    figure, axes = panels(len(variables))
    for axis, variable in zip(axes, variables, strict=True):
        rows = _resolved(spectra[spectra["variable"] == variable])
        draw(axis, rows, colours)
        axis.set_xscale("log")
        _wavelength_axis(axis, rows)
        axis.set_ylabel(label, fontsize=LABEL_SIZE)
        axis.grid(color="#eeeeee", linewidth=0.6)
        tidy(axis, title_of(variable))
    legend_below(figure, axes[0])
    return figure


def _resolved(rows: pd.DataFrame) -> pd.DataFrame:
    """Without the corners of the wave number plane, which hold few waves each: their bands are beyond 1/√2 of all."""
    whole = int(np.ceil(rows["band"].max() / np.sqrt(2.0)))
    return rows[rows["band"] <= whole]


def _kilometres(rows: pd.DataFrame) -> pd.Series:
    return rows["wavelength"] / 1e3


def _wavelength_axis(axis: Axes, rows: pd.DataFrame) -> None:
    """Long waves at the left, as spectra are read; ticks at round numbers."""
    shortest, longest = _kilometres(rows).min(), _kilometres(rows).max()
    axis.set_xlim(longest, shortest)
    ticks = [tick for tick in _WAVELENGTHS if shortest <= tick <= longest]
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticklabels([f"{tick}" for tick in ticks])
    axis.set_xlabel("wavelength (km)", fontsize=LABEL_SIZE)
