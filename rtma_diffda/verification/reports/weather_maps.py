"""Weather charts: temperature in colours with isobars and wind barbs, and truth beside background.

Barbs are turned from east–north to the axes of the plane; a full one is 10 knots. Isobars are of the pressure at sea
level, reduced hydrostatically from the surface with the area's mean temperature, and smoothed over one grid spacing:

    p_0 = p_s exp(g z / (R T)),    T = mean(T_2m + γ z) − γ z / 2,    γ = 6.5 K/km.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from scipy.ndimage import gaussian_filter

from rtma_diffda.errors import UsageError
from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.height import LAPSE_RATES
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.geo.wind import convergence, to_grid_relative
from rtma_diffda.verification.display import title_of
from rtma_diffda.verification.reports.canvas import TICK_SIZE, TITLE_SIZE, in_utc, new_figure
from rtma_diffda.verification.reports.maps import (
    MapField,
    field_limits,
    field_map,
    increment_map,
    panel_height,
)

WEATHER = ("t2m", "d2m", "u10m", "v10m", "sp")
"""Variables that a chart needs."""

_KNOTS = 1.0 / 0.514444  # per m/s
_GRAVITY_OVER_GAS_CONSTANT = 9.80665 / 287.05  # K/m
_ISOBAR_STEPS = (0.2, 0.5, 1.0, 2.0, 4.0)  # hPa
_MOST_ISOBARS = 10
_BARBS = 12  # along the longer side
_PANEL_WIDTH = 4.9


@dataclass(frozen=True)
class StationPlaces:
    """Where stations are.

    Attributes:
        latitude, longitude: (n,) degrees.
        withheld: (n,) bool; True where no method sees the station. None where none is withheld.
    """

    latitude: np.ndarray
    longitude: np.ndarray
    withheld: np.ndarray | None = None


def weather_figure(
    truth: State, background: State, static: StaticFields, *, stations: StationPlaces | None = None, place: str = ""
) -> Figure:
    """Truth, background, and background − truth: temperature with isobars and barbs, dew point, and wind speed.

    Args:
        truth, background: one member each, with ``WEATHER``, of one valid time.
        static: terrain and land.
        stations: drawn on the truth's dew point; None to leave them out.
        place: the region or run in words, for the title.

    Raises:
        UsageError: a state lacks a variable.
    """
    figure = new_figure(3 * _PANEL_WIDTH, 3 * panel_height(static.grid, _PANEL_WIDTH) + 0.3, layout="compressed")
    axes = figure.subplots(3, 3)
    fields = {"truth": _fields_of(truth), "background": _fields_of(background)}
    for row, name in zip(axes, ("t2m", "d2m", "ws10m"), strict=True):
        pair = [values[name] for values in fields.values()]
        limits = field_limits(*pair)
        for axis, label, values in zip(row, fields, pair, strict=False):
            field_map(MapField(values, name, f"{label}: {title_of(name)}"), static, limits=limits, axis=axis)
        difference = MapField(pair[1] - pair[0], name, f"background − truth: {title_of(name)}")
        increment_map(difference, static, axis=row[2])
    for axis, values in zip(axes[0], fields.values(), strict=False):
        draw_isobars(axis, static.grid, sea_level_pressure(values["sp"], values["t2m"], static))
        draw_barbs(axis, static.grid, values["u10m"], values["v10m"])
    for axis, values in zip(axes[2], fields.values(), strict=False):
        draw_barbs(axis, static.grid, values["u10m"], values["v10m"])
    if stations is not None:
        draw_places(axes[1, 0], static.grid, stations)
    heading = "  ·  ".join(filter(None, (in_utc(truth.valid_time), place)))
    figure.suptitle(heading, fontsize=TITLE_SIZE + 1, fontweight="bold")
    return figure


def sky_figure(sky: State, static: StaticFields, *, place: str = "") -> Figure:
    """Diagnosed weather of one state (gust, cloud, visibility, ceiling, as far as it has them), a panel a variable."""
    names = sky.layout.names
    columns = min(len(names), 2)
    rows = -(-len(names) // columns)
    size = (columns * _PANEL_WIDTH, rows * panel_height(static.grid, _PANEL_WIDTH) + 0.3)
    figure = new_figure(*size, layout="compressed")
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axis in axes[len(names) :]:
        axis.axis("off")
    for axis, name in zip(axes, names, strict=False):
        values = sky.channel(name)[0].double().numpy()
        field_map(MapField(values, name, title_of(name)), static, axis=axis)
    heading = "  ·  ".join(filter(None, (in_utc(sky.valid_time), place)))
    figure.suptitle(heading, fontsize=TITLE_SIZE + 1, fontweight="bold")
    return figure


def draw_barbs(axis: Axes, grid: ProjectedGrid, u: np.ndarray, v: np.ndarray) -> None:
    """Thinned wind barbs (knots) of eastward and northward wind (y, x) in m/s."""
    gamma = convergence(grid.projection, grid.latitude(), grid.longitude())
    along_x, along_y = to_grid_relative(u, v, gamma)
    every = max(1, round(max(grid.shape) / _BARBS))
    some = (slice(every // 2, None, every), slice(every // 2, None, every))
    x, y = np.meshgrid(grid.x / 1e3, grid.y / 1e3)
    knots = (along_x[some] * _KNOTS, along_y[some] * _KNOTS)
    axis.barbs(x[some], y[some], *knots, length=5.0, linewidth=0.7, color="#111111", sizes={"emptybarb": 0.12})


def draw_isobars(axis: Axes, grid: ProjectedGrid, pressure: np.ndarray) -> None:
    """Labelled isobars of pressure (y, x) in Pa, at a step that gives at most ten."""
    shown = gaussian_filter(pressure / 100.0, 1.0)
    step = next((step for step in _ISOBAR_STEPS if np.ptp(shown) / step <= _MOST_ISOBARS), _ISOBAR_STEPS[-1])
    levels = np.arange(np.ceil(shown.min() / step), np.floor(shown.max() / step) + 1) * step
    if levels.size:
        lines = axis.contour(grid.x / 1e3, grid.y / 1e3, shown, levels=levels, colors="white", linewidths=1.1)
        lines.set_path_effects([withStroke(linewidth=2.2, foreground="#333333")])
        for text in axis.clabel(lines, fontsize=TICK_SIZE, fmt="%g"):
            text.set_path_effects([withStroke(linewidth=2.0, foreground="#333333")])


def draw_places(axis: Axes, grid: ProjectedGrid, stations: StationPlaces) -> None:
    """Stations on a map: dots; hollow diamonds where withheld."""
    x, y = (places / 1e3 for places in grid.project(stations.latitude, stations.longitude))
    withheld = np.zeros(len(x), bool) if stations.withheld is None else stations.withheld
    axis.scatter(x[~withheld], y[~withheld], s=9, color="white", edgecolors="black", linewidths=0.6, zorder=4)
    axis.scatter(
        x[withheld], y[withheld], s=16, marker="D", facecolors="none", edgecolors="black", linewidths=0.9, zorder=4
    )


def sea_level_pressure(pressure: np.ndarray, temperature: np.ndarray, static: StaticFields) -> np.ndarray:
    """Pressure (Pa) at sea level from surface pressure (Pa) and 2 m temperature (K), all (y, x)."""
    if static.orography is None:
        return pressure
    lapse = -LAPSE_RATES["t2m"]
    mean = (temperature + lapse * static.orography).mean() - 0.5 * lapse * static.orography
    return pressure * np.exp(_GRAVITY_OVER_GAS_CONSTANT * static.orography / mean)


def _fields_of(state: State) -> dict[str, np.ndarray]:
    missing = [name for name in WEATHER if name not in state.layout.names]
    if missing or state.members != 1:
        raise UsageError(f"a weather chart shows one member with {WEATHER}; {state.members} found, lacking {missing}")
    fields = {name: state.channel(name)[0].double().numpy() for name in WEATHER}
    return fields | {"ws10m": np.hypot(fields["u10m"], fields["v10m"])}
