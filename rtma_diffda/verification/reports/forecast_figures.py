"""Pictures of forecasts: RMSE by lead of every model, and maps of truth, forecast and error with the rim marked."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.verification.display import display_difference, title_of
from rtma_diffda.verification.reports.canvas import (
    LABEL_SIZE,
    TITLE_SIZE,
    in_utc,
    legend_below,
    new_figure,
    panels,
    source_colours,
    tidy,
)
from rtma_diffda.verification.reports.maps import MapField, field_limits, field_map, increment_map, panel_height
from rtma_diffda.verification.reports.weather_maps import draw_barbs

_PANEL_WIDTH = 4.4


def rmse_by_lead_figure(table: pd.DataFrame) -> Figure:
    """RMSE against lead, a panel a variable, a line a method with its interval.

    Args:
        table: lead (hours), variable, method, rmse, rmse_low, rmse_high, SI.
    """
    variables, methods = table["variable"].unique(), table["method"].unique().tolist()
    figure, axes = panels(len(variables))
    colours = source_colours(methods)
    for axis, variable in zip(axes, variables, strict=True):
        for method in methods:
            rows = table[(table["variable"] == variable) & (table["method"] == method)].sort_values("lead")
            ends = ("rmse_low", "rmse", "rmse_high")
            low, rmse, high = (display_difference(variable, rows[end].to_numpy())[0] for end in ends)
            axis.plot(rows["lead"], rmse, marker="o", markersize=3, color=colours[method], label=method)
            axis.fill_between(rows["lead"], low, high, color=colours[method], alpha=0.15, linewidth=0)
        unit = display_difference(variable, 0.0)[1]
        axis.set_ylim(bottom=0.0)
        axis.set_xlabel("lead (h)", fontsize=LABEL_SIZE)
        tidy(axis, f"{title_of(variable)}: RMSE ({unit})")
    legend_below(figure, axes[0])
    return figure


def forecast_maps(
    truth: State, forecast: State, static: StaticFields, *, rim: int, names: Sequence[str] = ("t2m", "ws10m", "sp")
) -> Figure:
    """Truth, forecast and error, a row a variable; a dashed line separates the rim from the interior."""
    height = len(names) * panel_height(static.grid, _PANEL_WIDTH) + 0.4
    figure = new_figure(3 * _PANEL_WIDTH, height, layout="compressed")
    axes = figure.subplots(len(names), 3, squeeze=False)
    for row, name in zip(axes, names, strict=True):
        pair = [_field(state, name) for state in (truth, forecast)]
        limits = field_limits(*pair)
        for axis, label, values in zip(row, ("truth", "forecast"), pair, strict=False):
            field_map(MapField(values, name, f"{label}: {title_of(name)}"), static, limits=limits, axis=axis)
        error = MapField(pair[1] - pair[0], name, f"forecast − truth: {title_of(name)}")
        increment_map(error, static, axis=row[2])
        for axis in row:
            _mark_rim(axis, static.grid, rim)
    wind = axes[list(names).index("ws10m")] if "ws10m" in names else ()
    for axis, state in zip(wind, (truth, forecast), strict=False):
        draw_barbs(axis, static.grid, *(_field(state, component) for component in ("u10m", "v10m")))
    figure.suptitle(in_utc(truth.valid_time), fontsize=TITLE_SIZE + 1, fontweight="bold")
    return figure


def _field(state: State, name: str) -> np.ndarray:
    if name == "ws10m":
        return np.hypot(_field(state, "u10m"), _field(state, "v10m"))
    return state.channel(name).double().mean(dim=0).cpu().numpy()


def _mark_rim(axis: Axes, grid: ProjectedGrid, rim: int) -> None:
    west, south = (grid.x[rim] - grid.dx / 2) / 1e3, (grid.y[rim] - grid.dy / 2) / 1e3
    size = (grid.nx - 2 * rim) * grid.dx / 1e3, (grid.ny - 2 * rim) * grid.dy / 1e3
    axis.add_patch(Rectangle((west, south), *size, fill=False, linestyle="--", linewidth=0.9, edgecolor="black"))
