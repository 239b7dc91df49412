"""Layouts of global states: channels by the published names of GraphCast and WeatherBench 2, on grids of the globe."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.layout import Channel, Layout
from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.variables import GLOBAL_NAMES

Key = tuple[str, float | None]
"""A variable's published name, and its pressure level (hPa); None near the surface."""

_NEAR = 1e-3
_PUBLISHED = {short: published for published, short in GLOBAL_NAMES.items()}


def global_layout(keys: Sequence[Key], grid: LatLonGrid) -> Layout:
    """The layout with these channels, in this order.

    Args:
        keys: such as a GraphCast task's ``prognostic``.
        grid: of the globe.

    Raises:
        UsageError: a name that is not among those of global states.
    """
    unknown = sorted({name for name, _ in keys} - set(GLOBAL_NAMES))
    if unknown:
        raise UsageError(f"global states have no {', '.join(unknown)}; known are {', '.join(sorted(GLOBAL_NAMES))}")
    return Layout(grid, tuple(Channel(GLOBAL_NAMES[name], level) for name, level in keys))


def keys_of(layout: Layout) -> tuple[Key, ...]:
    """Published name and level of each channel: the inverse of ``global_layout``.

    Raises:
        UsageError: a channel has no published name.
    """
    nameless = [channel.label for channel in layout.channels if channel.name not in _PUBLISHED]
    if nameless:
        raise UsageError(f"{', '.join(nameless)} are no channels of global states")
    return tuple((_PUBLISHED[channel.name], channel.level) for channel in layout.channels)


def key_label(key: Key) -> str:
    """``geopotential at 500 hPa``: a key in words."""
    name, level = key
    return name if level is None else f"{name} at {level:g} hPa"


def global_grid(latitudes: ArrayLike, longitudes: ArrayLike) -> LatLonGrid:
    """The periodic grid of these rows and columns (degrees, ascending).

    Evenly spaced ones are put where they were meant: files give them in single precision, and grids are compared.

    Raises:
        InputError: the columns are not evenly spaced around the globe from 0 on, or rows lie beyond the poles.
    """
    rows, columns = np.asarray(latitudes, np.float64), np.asarray(longitudes, np.float64)
    even = np.arange(columns.size) * (360.0 / max(columns.size, 1))
    if not np.allclose(columns, even, atol=_NEAR):
        raise InputError(
            f"longitudes of a global grid go from 0 around the globe in equal steps; found {columns.size} from "
            f"{columns.min():g} to {columns.max():g}"
        )
    if np.abs(rows).max() > 90.0 + _NEAR:
        raise InputError(f"latitudes of a global grid reach from {rows.min():g} to {rows.max():g}; expected −90 … 90")
    return LatLonGrid(_even_rows(rows), even, periodic=True)


def _even_rows(rows: np.ndarray) -> np.ndarray:
    """Rows in equal steps, with or without the poles, without the rounding of single precision; others as they are."""
    half = 90.0 / rows.size
    for exact in (np.linspace(-90.0, 90.0, rows.size), np.linspace(-90.0 + half, 90.0 - half, rows.size)):
        if np.allclose(rows, exact, rtol=0.0, atol=_NEAR):
            return exact
    return rows
