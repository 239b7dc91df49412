"""Maps on a region's own plane: fields, increments with stations, analysis error, wind.

Axes are the projected coordinates in km, so nothing is warped and no map data are needed: coast (where land covers half
of a cell) and terrain contours come from the region's static fields, meridians and parallels from its projection. Where
a region has no land field, the coast comes from map data if they are installed (``coastlines.py``).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection

from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.geo.wind import convergence, to_grid_relative
from rtma_diffda.verification.display import display_difference, display_field, title_of
from rtma_diffda.verification.reports.canvas import (
    LABEL_SIZE,
    TICK_SIZE,
    colour_bar,
    difference_colours,
    field_colours,
    in_utc,
    new_figure,
)
from rtma_diffda.verification.reports.coastlines import coastlines

_KILOMETRE = 1e-3
_CONTOUR_STEPS = (50, 100, 200, 250, 500, 1000)  # m
_DEGREE_STEPS = (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0)
_ARROWS = 18  # along the longer side
_DARK = "#222222"


@dataclass(frozen=True)
class MapField:
    """One field to draw.

    Attributes:
        values: (y, x) SI: a field, an increment, or a standard deviation.
        name: short name of the variable.
        label: what it is, in words: "background", "analysis", …
        valid_time: UTC; stands in the title where given.
    """

    values: np.ndarray
    name: str
    label: str
    valid_time: np.datetime64 | None = None

    def title(self, unit: str) -> str:
        """Label, variable, unit and valid time; with the label alone and its unit where there is no time."""
        if self.valid_time is None:
            return f"{self.label} ({unit})" if unit else self.label
        variable = title_of(self.name) + (f" ({unit})" if unit else "")
        return f"{self.label}: {variable}\n{in_utc(self.valid_time)}"


@dataclass(frozen=True)
class StationMarks:
    """Stations to draw on an increment map.

    Attributes:
        latitude, longitude: (n,) degrees.
        innovation: (n,) SI, observation minus background.
        withheld: (n,) bool; True where no method has seen the datum.
    """

    latitude: np.ndarray
    longitude: np.ndarray
    innovation: np.ndarray
    withheld: np.ndarray


def field_map(
    field: MapField, static: StaticFields, *, limits: tuple[float, float] | None = None, axis: Axes | None = None
) -> Axes:
    """Map of a variable's field in display units.

    Args:
        field: what to draw.
        static: the region's grid, with coast and terrain where known.
        limits: of the colours, SI; the field's own range where None.
        axis: to draw on; a new figure where None.
    """
    axis = _map_axis(axis, static.grid)
    shown, unit = display_field(field.name, field.values)
    low, high = display_field(field.name, np.array(limits or field_limits(field.values)))[0]
    mesh = _shade(axis, static.grid, shown, limits=(low, high), colours=field_colours(field.name))
    colour_bar(axis, mesh, label=unit, extend="both")
    return _finish(axis, static, field.title(unit))


def error_map(field: MapField, static: StaticFields, *, axis: Axes | None = None) -> Axes:
    """Map of standard deviations, in the unit of differences."""
    axis = _map_axis(axis, static.grid)
    shown, unit = display_difference(field.name, field.values)
    mesh = _shade(axis, static.grid, shown, limits=field_limits(shown), colours="cividis")
    colour_bar(axis, mesh, label=unit, extend="both")
    return _finish(axis, static, field.title(unit))


def increment_map(
    field: MapField,
    static: StaticFields,
    *,
    stations: StationMarks | None = None,
    limit: float | None = None,
    axis: Axes | None = None,
) -> Axes:
    """Map of an increment, colours symmetric about 0, with the innovations of the stations on the same scale.

    Stations that were used are dots in the colour of their innovation; withheld stations are hollow diamonds. Where the
    increment goes beyond the colours, the colour bar's label states its extremes.

    Args:
        field: what to draw; the part of its label before a colon says what the colours mean.
        static: the region's grid, with coast and terrain where known.
        stations: with their innovations; None where they are not to be drawn.
        limit: half-range of the colours, SI, for maps to be compared; from the data where None.
        axis: to draw on; a new figure where None.
    """
    axis = _map_axis(axis, static.grid)
    shown, unit = display_difference(field.name, field.values)
    innovations = np.empty(0) if stations is None else display_difference(field.name, stations.innovation)[0]
    given = None if limit is None else float(display_difference(field.name, limit)[0])
    limit = symmetric_limit(shown, innovations) if given is None else given
    mesh = _shade(axis, static.grid, shown, limits=(-limit, limit), colours=difference_colours(field.name))
    label = increment_label(shown, limit, unit=unit, what=field.label.partition(":")[0])
    colour_bar(axis, mesh, label=label, extend="both")
    if stations is not None:
        _draw_stations(axis, static.grid, stations, innovations, mesh)
    return _finish(axis, static, field.title(unit))


def wind_map(
    u: MapField,
    v: np.ndarray,
    static: StaticFields,
    *,
    limits: tuple[float, float] | None = None,
    axis: Axes | None = None,
) -> Axes:
    """Map of wind: speed in colours, thinned arrows turned from east–north to the axes of the plane.

    Args:
        u: eastward component, with the label of the map.
        v: (y, x) northward component, m/s.
        static, limits, axis: as for ``field_map``.
    """
    speed = MapField(np.hypot(u.values, v), "ws10m", u.label, u.valid_time)
    axis = field_map(speed, static, limits=limits, axis=axis)
    grid = static.grid
    gamma = convergence(grid.projection, grid.latitude(), grid.longitude())
    along_x, along_y = to_grid_relative(u.values, v, gamma)
    every = max(1, round(max(grid.shape) / _ARROWS))
    some = (slice(every // 2, None, every), slice(every // 2, None, every))
    x, y = np.meshgrid(grid.x * _KILOMETRE, grid.y * _KILOMETRE)
    axis.quiver(
        x[some], y[some], along_x[some], along_y[some], color="white", edgecolor=_DARK, linewidth=0.4, width=0.005
    )
    return axis


def field_limits(*fields: np.ndarray) -> tuple[float, float]:
    """Range of colours for fields to be compared: without the outermost half per cent at either end."""
    values = np.concatenate([np.ravel(field)[np.isfinite(np.ravel(field))] for field in fields])
    low, high = np.quantile(values, [0.005, 0.995]) if values.size else (0.0, 1.0)
    margin = 1e-3 * max(abs(low), abs(high), 1e-3) if high - low < 1e-9 else 0.0
    return float(low - margin), float(high + margin)


def symmetric_limit(increment: np.ndarray, innovations: np.ndarray) -> float:
    """Half-range of the colours: nearly all of the increment, and nine tenths of the innovations."""
    sizes = (np.abs(array[np.isfinite(array)]) for array in (np.ravel(increment), innovations))
    quantiles = [np.quantile(size, share) for size, share in zip(sizes, (0.995, 0.9), strict=True) if size.size]
    return float(max([*quantiles, 1e-6]))


def increment_label(increment: np.ndarray, limit: float, *, unit: str, what: str = "increment") -> str:
    """The unit; with it what is shown and its extremes, where they go beyond the colours' half-range."""
    finite = increment[np.isfinite(increment)]
    if not finite.size or np.abs(finite).max() <= limit * (1 + 1e-6):
        return unit
    digits = max(0, 1 - int(np.floor(np.log10(limit))))
    low, high = (f"{value:+.{digits}f}".replace("-", "−") for value in (finite.min(), finite.max()))
    named = f"{what} ({unit})" if unit else what
    return f"{named}, {low} … {high}"


def draw_graticule(axis: Axes, grid: ProjectedGrid) -> None:
    """Parallels and meridians as dotted lines, labelled along the western and southern edges."""
    latitude, longitude = grid.latitude(), grid.longitude()
    middle = longitude[grid.ny // 2, grid.nx // 2]
    unbroken = middle + (longitude - middle + 180.0) % 360.0 - 180.0  # no jump at the date line
    x, y = _plane(grid)
    for angle, position in _lines(axis, grid, latitude, (y, latitude[:, 0])):
        _edge_label(axis, _degrees(angle, "S", "N"), at=(x[0], position), offset=(3, 0))
    for angle, position in _lines(axis, grid, unbroken, (x, unbroken[0])):
        wrapped = (angle + 180.0) % 360.0 - 180.0
        _edge_label(axis, _degrees(wrapped, "W", "E"), at=(position, y[0]), offset=(0, 3))


def draw_static(axis: Axes, static: StaticFields) -> None:
    """Coast and terrain contours, where they are known; without a land field, shorelines from map data if installed."""
    if static.orography is not None and np.ptp(static.orography) > 0:
        step = _step_for(float(static.orography.max()), _CONTOUR_STEPS, at_most=5)
        levels = np.arange(step, static.orography.max(), step)
        if levels.size:
            axis.contour(*_plane(static.grid), static.orography, levels=levels, colors="#00000050", linewidths=0.5)
    fraction = static.land_fraction
    if fraction is None:
        lines = [line * _KILOMETRE for line in coastlines(static.grid)]
        axis.add_collection(LineCollection(lines, colors=_DARK, linewidths=0.6), autolim=False)
    elif fraction.min() < 0.5 < fraction.max():
        axis.contour(*_plane(static.grid), fraction, levels=[0.5], colors="black", linewidths=1.3)


def panel_height(grid: ProjectedGrid, width: float) -> float:
    """Height of a map panel (inches) of this width that leaves room for its colour bar, title and labels."""
    map_width = width - 1.35
    return float(np.clip(map_width * (grid.ny * grid.dy) / (grid.nx * grid.dx), 1.5, 12.0)) + 0.85


def _map_axis(axis: Axes | None, grid: ProjectedGrid) -> Axes:
    if axis is not None:
        return axis
    return new_figure(6.0, panel_height(grid, 6.0), layout="compressed").add_subplot()


def _plane(grid: ProjectedGrid) -> tuple[np.ndarray, np.ndarray]:
    return grid.x * _KILOMETRE, grid.y * _KILOMETRE


def _shade(
    axis: Axes, grid: ProjectedGrid, shown: np.ndarray, *, limits: tuple[float, float], colours: str
) -> ScalarMappable:
    mesh = axis.pcolormesh(*_plane(grid), shown, cmap=colours, vmin=limits[0], vmax=limits[1], shading="nearest")
    mesh.set_rasterized(True)
    return mesh


def _draw_stations(
    axis: Axes, grid: ProjectedGrid, stations: StationMarks, innovations: np.ndarray, mesh: ScalarMappable
) -> None:
    x, y = grid.project(stations.latitude, stations.longitude)
    x, y, used = x * _KILOMETRE, y * _KILOMETRE, ~stations.withheld
    size = float(np.clip(6000.0 / max(len(x), 1), 7.0, 34.0))
    edge = 0.4 if len(x) > 400 else 0.7
    axis.scatter(
        x[used], y[used], c=innovations[used], s=size, cmap=mesh.cmap, norm=mesh.norm, edgecolors=_DARK, linewidths=edge
    )
    axis.scatter(
        x[~used], y[~used], s=1.3 * size, facecolors="none", edgecolors="black", marker="D", linewidths=edge + 0.4
    )
    _station_legend(axis, int(used.sum()), int((~used).sum()))


def _station_legend(axis: Axes, used: int, withheld: int) -> None:
    """Above the map at the right, where it hides no station. Its marks stand for a kind of station: grey, no value."""
    dot = {"color": "#bbbbbb", "edgecolors": _DARK, "linewidths": 0.7}
    handles = [axis.scatter([], [], s=26, label=f"used, O − B ({used:,})", **dot)]
    if withheld:
        hollow = {"facecolors": "none", "edgecolors": "black", "marker": "D", "linewidths": 1.1}
        handles.append(axis.scatter([], [], s=28, label=f"withheld ({withheld:,})", **hollow))
    axis.legend(
        handles=handles,
        fontsize=TICK_SIZE,
        loc="lower right",
        bbox_to_anchor=(1.02, 0.99),
        ncols=2,
        frameon=False,
        handletextpad=0.0,
        columnspacing=0.6,
    )


def _finish(axis: Axes, static: StaticFields, title: str) -> Axes:
    draw_graticule(axis, static.grid)
    draw_static(axis, static)
    x, y = _plane(static.grid)
    axis.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), aspect="equal")
    axis.set_xlabel("x (km)", fontsize=LABEL_SIZE)
    axis.set_ylabel("y (km)", fontsize=LABEL_SIZE)
    axis.tick_params(labelsize=TICK_SIZE)
    axis.set_title(title, fontsize=LABEL_SIZE + 1, loc="left")
    return axis


def _lines(
    axis: Axes, grid: ProjectedGrid, angles: np.ndarray, edge: tuple[np.ndarray, np.ndarray]
) -> Iterator[tuple[float, float]]:
    """Draw lines of equal angle (y, x) and yield each angle with its position along the edge (positions, angles)."""
    positions, along = edge
    step = _step_for(float(np.ptp(along)), _DEGREE_STEPS, at_most=5)
    levels = np.arange(np.ceil(angles.min() / step), np.floor(angles.max() / step) + 1) * step
    if not levels.size:
        return
    axis.contour(*_plane(grid), angles, levels=levels, colors="#00000066", linewidths=0.6, linestyles=":")
    if not (np.diff(along) > 0).all():  # a pole is near: an angle may meet the edge twice
        return
    margin = 0.04 * (along[-1] - along[0])  # a label at the corner would be cut
    for level in levels[(levels > along[0] + margin) & (levels < along[-1] - margin)]:
        yield round(float(level), 6), float(np.interp(level, along, positions))


def _degrees(angle: float, negative: str, positive: str) -> str:
    return f"{abs(angle):g}°{negative if angle < 0 else positive if angle > 0 else ''}"


def _edge_label(axis: Axes, text: str, *, at: tuple[float, float], offset: tuple[int, int]) -> None:
    """Small text just inside the map's edge, legible on any colour."""
    alignment = {"ha": "left", "va": "center"} if offset[0] else {"ha": "center", "va": "bottom"}
    box = {"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.65}
    axis.annotate(
        text,
        at,
        xytext=offset,
        textcoords="offset points",
        fontsize=TICK_SIZE - 1.5,
        color=_DARK,
        bbox=box,
        **alignment,
    )


def _step_for(extent: float, steps: tuple[float, ...], *, at_most: int) -> float:
    """The smallest step that divides the extent into ``at_most`` parts."""
    return next((step for step in steps if extent / step <= at_most), steps[-1])
