"""Maps of the globe on a plain latitude–longitude plane: errors of several estimates of one field, in one scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.verification.reports.canvas import LABEL_SIZE, TICK_SIZE, new_figure
from rtma_diffda.verification.reports.diffda_figures import MOST_COLUMNS, channel_display, channel_title

_DARK = "#222222"
_MANY = 400


@dataclass(frozen=True)
class ErrorRow:
    """One channel of one case.

    Attributes:
        channel: label.
        truth: (y, x) SI, rows from south to north.
        estimates: {title: (y, x)}.
    """

    channel: str
    truth: np.ndarray
    estimates: Mapping[str, np.ndarray]


def error_maps(
    row: ErrorRow, static: StaticFields, *, latitude: np.ndarray, longitude: np.ndarray, observed: Sequence[str]
) -> Figure:
    """Errors of every estimate in the same colours, with their RMSE by area.

    Args:
        row: the channel.
        static: the grid, with land where known: its coast is drawn.
        latitude, longitude: (k,) degrees of the observed columns.
        observed: titles of the estimates that saw them: these maps have dots there.
    """
    columns = min(MOST_COLUMNS, len(row.estimates))
    lines = -(-len(row.estimates) // columns)
    figure = new_figure(4.3 * columns + 0.9, 2.5 * lines + 0.1, layout="compressed")
    axes = figure.subplots(lines, columns, squeeze=False).reshape(-1)
    area = static.grid.cell_area()
    scale, unit = channel_display(row.channel)
    errors = {title: scale * (values - row.truth) for title, values in row.estimates.items()}
    limit = float(np.quantile(np.abs(np.stack(list(errors.values()))), 0.99)) or 1.0
    for axis, (title, error) in zip(axes, errors.items(), strict=False):
        shown = _field(axis, static, error, limit=limit)
        if title in observed:
            _dots(axis, latitude, longitude)
        rmse = np.sqrt(np.average(error**2, weights=area))
        axis.set_title(f"{title}: RMSE {rmse:.3g} {unit}", fontsize=LABEL_SIZE, loc="left")
    for axis in axes[len(errors) :]:
        axis.axis("off")
    bar = figure.colorbar(shown, ax=list(axes), extend="both", pad=0.015, fraction=0.03, aspect=35)
    bar.ax.tick_params(labelsize=TICK_SIZE)
    bar.set_label(f"error of {channel_title(row.channel)} ({unit})", fontsize=LABEL_SIZE)
    return figure


def _field(axis: Axes, static: StaticFields, field: np.ndarray, *, limit: float) -> ScalarMappable:
    longitudes, columns = _from_the_date_line(static.grid.longitudes)
    latitudes = static.grid.latitudes
    mesh = axis.pcolormesh(
        longitudes, latitudes, field[:, columns], cmap="RdBu_r", vmin=-limit, vmax=limit, shading="nearest"
    )
    mesh.set_rasterized(True)
    land = static.land_fraction
    if land is not None and land.min() < 0.5 < land.max():
        axis.contour(longitudes, latitudes, land[:, columns], levels=[0.5], colors=_DARK, linewidths=0.5)
    axis.set(xlim=(-180, 180), ylim=(-90, 90), aspect="equal", xticks=[-120, -60, 0, 60, 120], yticks=[-60, 0, 60])
    axis.set_xticklabels(["120°W", "60°W", "0°", "60°E", "120°E"])
    axis.set_yticklabels(["60°S", "0°", "60°N"])
    axis.tick_params(labelsize=TICK_SIZE - 1, length=2)
    return mesh


def _dots(axis: Axes, latitude: np.ndarray, longitude: np.ndarray) -> None:
    east = (np.asarray(longitude) + 180.0) % 360.0 - 180.0
    size = 7.0 if len(east) < _MANY else 1.0
    axis.scatter(east, latitude, s=size, facecolors="white", edgecolors=_DARK, linewidths=0.4, zorder=3)


def _from_the_date_line(longitudes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes −180 … 180 in order, and which columns they are."""
    east = (longitudes + 180.0) % 360.0 - 180.0
    order = np.argsort(east, kind="stable")
    return east[order], order
