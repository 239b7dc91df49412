"""Graphs of departures at stations: histograms of observation minus source, scatter, standardised departures."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from rtma_diffda.verification.calibration import standardised_departures
from rtma_diffda.verification.display import display_difference, display_field, source_title, title_of
from rtma_diffda.verification.matching import sources_of
from rtma_diffda.verification.reports.canvas import LABEL_SIZE, TICK_SIZE, axis_or_new, source_colours, tidy

_FEWEST_BINS, _MOST_BINS = 9, 41


def departure_histograms(pairs: pd.DataFrame, variable: str, *, axis: Axes | None = None) -> Axes:
    """Histograms of observation − source ("O−B", "O−A") of each source, with mean and standard deviation."""
    axis = axis_or_new(axis)
    rows = pairs[pairs["variable"] == variable]
    shown = {source: _finite(rows["observed"] - rows[source], variable) for source in sources_of(pairs)}
    shown = {source: departures for source, departures in shown.items() if departures.size}
    everything = np.concatenate([*shown.values(), np.zeros(1)])
    reach = max(float(np.quantile(np.abs(everything), 0.995)), 1e-6)
    bins = np.linspace(-reach, reach, _bin_count(rows.shape[0]))
    for source, colour in source_colours(list(shown)).items():
        departures = shown[source]
        label = f"{source_title(source)}: mean {departures.mean():+.2f}, std {departures.std():.2f}"
        clipped = np.clip(departures, -reach, reach)  # the outermost bins hold what lies beyond
        axis.hist(clipped, bins, histtype="stepfilled", color=colour, alpha=0.18)
        axis.hist(clipped, bins, histtype="step", color=colour, linewidth=1.6, label=label)
    axis.axvline(0.0, color="black", linewidth=0.8)
    axis.margins(y=0.25)  # room for the legend
    axis.set_xlabel(_with_unit("observation − source", display_difference(variable, 0.0)[1]), fontsize=LABEL_SIZE)
    axis.set_ylabel("data", fontsize=LABEL_SIZE)
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    if shown:
        axis.legend(fontsize=TICK_SIZE, frameon=False, loc="upper left")
    tidy(axis, f"{title_of(variable)}: departures")
    return axis


def withheld_scatter(pairs: pd.DataFrame, variable: str, *, axis: Axes | None = None) -> Axes:
    """Each source against the observations; perfect sources lie on the diagonal."""
    axis = axis_or_new(axis, width=4.6, height=4.4)
    rows = pairs[pairs["variable"] == variable]
    observed, unit = display_field(variable, rows["observed"].to_numpy(float))
    values = {source: display_field(variable, rows[source].to_numpy(float))[0] for source in sources_of(pairs)}
    size = float(np.clip(4000.0 / max(len(rows), 1), 4.0, 22.0))
    for source, colour in source_colours(list(values)).items():
        axis.scatter(
            observed, values[source], s=size, color=colour, alpha=0.55, linewidths=0, label=source_title(source)
        )
    together = np.concatenate([observed, *values.values()])
    together = together[np.isfinite(together)]
    if together.size:
        margin = 0.04 * np.ptp(together) + 1e-6
        ends = (together.min() - margin, together.max() + margin)
        axis.plot(ends, ends, color="black", linewidth=0.8)
        axis.set(xlim=ends, ylim=ends)
    axis.set_aspect("equal")
    axis.set_xlabel(_with_unit("observed", unit), fontsize=LABEL_SIZE)
    axis.set_ylabel(_with_unit("source", unit), fontsize=LABEL_SIZE)
    axis.legend(fontsize=TICK_SIZE, frameon=False, loc="upper left", markerscale=1.5)
    tidy(axis, f"{title_of(variable)} at stations")
    return axis


def standardised_histogram(pairs: pd.DataFrame, variable: str, source: str, *, axis: Axes | None = None) -> Axes:
    """Histogram of (observation − source) / stated error against the standard normal density."""
    axis = axis_or_new(axis)
    departures = standardised_departures(pairs[pairs["variable"] == variable], source)
    departures = departures[np.isfinite(departures)]
    edges = np.linspace(-4.0, 4.0, _bin_count(departures.size))
    if departures.size:
        colour = source_colours([source])[source]
        axis.hist(
            np.clip(departures, -4.0, 4.0), edges, density=True, color=colour, alpha=0.6, label=source_title(source)
        )
    z = np.linspace(-4.0, 4.0, 161)
    axis.plot(z, np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi), color="black", linewidth=1.4, label="honest errors: N(0, 1)")
    axis.margins(y=0.25)
    axis.set_xlabel("(observation − source) / stated error", fontsize=LABEL_SIZE)
    axis.set_ylabel("density", fontsize=LABEL_SIZE)
    axis.legend(fontsize=TICK_SIZE, frameon=False, loc="upper left")
    tidy(axis, f"{title_of(variable)}: calibration")
    return axis


def _bin_count(count: int) -> int:
    """Twice the square root of the data, an odd number so that one bin is centred on 0."""
    return int(np.clip(2.0 * np.sqrt(count), _FEWEST_BINS, _MOST_BINS)) // 2 * 2


def _finite(departures: pd.Series, variable: str) -> np.ndarray:
    shown, _ = display_difference(variable, departures.to_numpy(float))
    return shown[np.isfinite(shown)]


def _with_unit(text: str, unit: str) -> str:
    return f"{text} ({unit})" if unit else text
