"""Rectilinear axes as files give them (any direction, any wrap) made into a ``LatLonGrid`` and the order of its points.

Latitudes may run southward, longitudes may lie in 0 … 360 or −180 … 180 and cross either seam, and a global file may
repeat its first meridian at the end; a ``LatLonGrid`` wants both axes increasing and less than 360° wide.
"""

from dataclasses import dataclass

import numpy as np

from rtma_diffda.errors import InputError
from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.geo.sphere import EARTH_RADIUS

_SEAM_TOLERANCE = 0.01
"""In column spacings. Longitudes are rounded in files (GRIB1: 0.001°, float32: 2e-5°); a gap this near to the spacing
closes the circle."""


@dataclass(frozen=True)
class Rectilinear:
    """A grid, and where its rows and columns stand in the file.

    Attributes:
        grid: with increasing axes.
        rows: (y,) index into the file's latitudes.
        columns: (x,) index into the file's longitudes.
    """

    grid: LatLonGrid
    rows: np.ndarray
    columns: np.ndarray

    def arrange(self, values: np.ndarray) -> np.ndarray:
        """Values (latitude, longitude) in the file's order → (y, x) of the grid."""
        return values[np.ix_(self.rows, self.columns)]


def rectilinear(latitudes: np.ndarray, longitudes: np.ndarray, *, radius: float = EARTH_RADIUS) -> Rectilinear:
    """The grid of a file's axes.

    Args:
        latitudes: (row,) degrees, monotonic in either direction.
        longitudes: (column,) degrees, in the order of the file; neighbours less than 180° apart going east or west.
        radius: of the sphere (m).

    Raises:
        InputError: an axis is not 1-D and monotonic, or holds a position twice.
    """
    latitudes, longitudes = np.asarray(latitudes, float), np.asarray(longitudes, float)
    if latitudes.ndim != 1 or longitudes.ndim != 1 or min(latitudes.size, longitudes.size) < 2:
        raise InputError(
            f"latitude and longitude axes must be 1-D with at least two points; found {latitudes.shape} and "
            f"{longitudes.shape}"
        )
    if not (np.isfinite(latitudes).all() and np.isfinite(longitudes).all() and np.abs(latitudes).max() <= 90.001):
        raise InputError("latitude and longitude axes must be finite, latitudes within −90 … 90 degrees")
    rows = np.arange(latitudes.size) if latitudes[-1] > latitudes[0] else np.arange(latitudes.size)[::-1]
    columns, east = _eastward(longitudes)
    columns, east, periodic = _without_repeated_meridian(columns, east)
    ordered = np.clip(latitudes[rows], -90.0, 90.0)
    return Rectilinear(LatLonGrid(ordered, east, periodic, radius), rows, columns)


def _eastward(longitudes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns from west to east, and their longitudes unwrapped, starting within −180 … 180."""
    unwrapped = np.unwrap(longitudes, period=360.0)
    columns = np.arange(longitudes.size)
    if unwrapped[-1] < unwrapped[0]:
        columns, unwrapped = columns[::-1], unwrapped[::-1]
    start = (unwrapped[0] + 180.0) % 360.0 - 180.0
    return columns, np.round(unwrapped - unwrapped[0] + start, 9)


def _without_repeated_meridian(columns: np.ndarray, east: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    spacing = float(np.median(np.diff(east)))
    slack = _SEAM_TOLERANCE * abs(spacing)
    inside = east < east[0] + 360.0 - slack
    columns, east = columns[inside], east[inside]
    periodic = abs(360.0 - (east[-1] - east[0]) - spacing) <= slack
    return columns, east, bool(periodic)
