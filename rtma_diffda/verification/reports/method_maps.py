"""Maps of one case: the truth, what each method made of it, and each method's error."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.verification.display import display_difference, source_title, title_of
from rtma_diffda.verification.reports.canvas import TITLE_SIZE, in_utc, new_figure
from rtma_diffda.verification.reports.maps import (
    MapField,
    field_limits,
    field_map,
    increment_map,
    panel_height,
    symmetric_limit,
)
from rtma_diffda.verification.reports.weather_maps import StationPlaces, draw_places

_PANEL_WIDTH = 4.9
_COLUMNS = 3


@dataclass(frozen=True)
class MethodMaps:
    """One variable of one case, as several methods analysed it.

    Attributes:
        name: short name of the variable.
        valid_time: UTC.
        truth: (y, x) SI.
        estimates: {method: (y, x) SI}, at least one, the background among them; means over members.
        stations: used and withheld; None to leave them out.
    """

    name: str
    valid_time: np.datetime64
    truth: np.ndarray
    estimates: Mapping[str, np.ndarray]
    stations: StationPlaces | None = None


def method_figure(maps: MethodMaps, static: StaticFields, *, place: str = "") -> Figure:
    """The truth and what each method made of it, colours alike, and below each method its error, colours alike.

    Stations stand on the truth: dots were used, diamonds withheld. Each error map states its root mean square.
    """
    count = 1 + len(maps.estimates)
    columns, blocks = min(_COLUMNS, count), -(-count // _COLUMNS)
    height = 2 * blocks * panel_height(static.grid, _PANEL_WIDTH) + 0.3
    figure = new_figure(columns * _PANEL_WIDTH, height, layout="compressed")
    axes = figure.subplots(2 * blocks, columns, squeeze=False)
    pairs = axes.reshape(blocks, 2, columns).transpose(0, 2, 1).reshape(-1, 2)  # field above, its error below
    for axis in (pairs[0, 1], *pairs[count:].ravel()):
        axis.axis("off")
    limits = field_limits(maps.truth, *maps.estimates.values())
    field_map(MapField(maps.truth, maps.name, "truth"), static, limits=limits, axis=pairs[0, 0])
    if maps.stations is not None:
        draw_places(pairs[0, 0], static.grid, maps.stations)
    errors = {method: _error_field(maps, method) for method in maps.estimates}
    limit = symmetric_limit(np.stack([error.values for error in errors.values()]), np.empty(0))
    for (above, below), (method, error) in zip(pairs[1:], errors.items(), strict=False):
        estimate = MapField(maps.estimates[method], maps.name, source_title(method))
        field_map(estimate, static, limits=limits, axis=above)
        increment_map(error, static, limit=limit, axis=below)
    heading = "  ·  ".join(filter(None, (title_of(maps.name), in_utc(maps.valid_time), place)))
    figure.suptitle(heading, fontsize=TITLE_SIZE + 1, fontweight="bold")
    return figure


def _error_field(maps: MethodMaps, method: str) -> MapField:
    error = maps.estimates[method] - maps.truth
    rms, _ = display_difference(maps.name, np.sqrt(np.mean(error**2)))
    return MapField(error, maps.name, f"{source_title(method)} − truth: RMS {rms:.2f}")
