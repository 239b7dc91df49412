"""Grids from GRIB: ecCodes' keys of a message → a grid on the message's own figure of the earth, and values in order.

Values come from ``codes_get_values`` as a flat vector in the order of the scanning mode. ecCodes does *not* undo
alternating rows there (measured on the NBM file: mean difference of neighbouring rows 5.5 K raw, 0.26 K with every odd
row reversed; cfgrib does it itself), so all four flags are honoured here.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.earth_figure import earth_figure
from rtma_diffda.geo.gaussian import gaussian_latitudes
from rtma_diffda.geo.grid import Grid, ProjectedGrid, ReducedGaussianGrid, transformer
from rtma_diffda.geo.rectilinear import Rectilinear, rectilinear

Keys = Mapping[str, Any]

GRID_KEYS = (
    "edition", "gridType", "shapeOfTheEarth", "earthIsOblate",
    "scaleFactorOfRadiusOfSphericalEarth", "scaledValueOfRadiusOfSphericalEarth",
    "scaleFactorOfEarthMajorAxis", "scaledValueOfEarthMajorAxis",
    "scaleFactorOfEarthMinorAxis", "scaledValueOfEarthMinorAxis",
    "Nx", "Ny", "Ni", "Nj", "N", "DxInMetres", "DyInMetres", "DiInMetres", "DjInMetres",
    "LaDInDegrees", "LoVInDegrees", "Latin1InDegrees", "Latin2InDegrees", "orientationOfTheGridInDegrees",
    "projectionCentreFlag", "latitudeOfFirstGridPointInDegrees", "longitudeOfFirstGridPointInDegrees",
    "latitudeOfLastGridPointInDegrees", "longitudeOfLastGridPointInDegrees",
    "iDirectionIncrementInDegrees", "jDirectionIncrementInDegrees",
    "iScansNegatively", "jScansPositively", "jPointsAreConsecutive", "alternativeRowScanning", "uvRelativeToGrid",
    "numberOfValues", "numberOfDataPoints",
)  # fmt: skip
"""Keys that a reader must look up; those that a message lacks are left out of the mapping. ``pl`` comes beside them."""


def grid_from_grib(keys: Keys) -> Grid:
    """The grid of a message.

    Args:
        keys: ecCodes' names → values: those of ``GRID_KEYS`` that the message has, and ``pl`` (row sizes) of a reduced
            grid.

    Raises:
        InputError: the grid type is not read here, or its keys contradict themselves.
    """
    kind = keys.get("gridType")
    if kind not in _GRIDS:
        raise InputError(f"grid type '{kind}' is not read; known are {', '.join(sorted(_GRIDS))}")
    if kind != "reduced_gg":
        _require_size(keys)
    try:
        return _GRIDS[kind](keys)
    except (KeyError, UsageError) as error:
        raise InputError(f"the keys of a {kind} grid are incomplete or contradictory: {error}") from error


def to_grid_order(values: np.ndarray, keys: Keys) -> np.ndarray:
    """Values of a message, flat and in scanning order → in the shape and order of ``grid_from_grib(keys)``.

    Raises:
        InputError: their number is not that of the grid.
    """
    if keys["gridType"] == "reduced_gg":
        _require_count(values, int(np.sum(keys["pl"])))
        return values
    nx, ny = int(keys["Nx"]), int(keys["Ny"])
    _require_count(values, nx * ny)
    lines = values.reshape((nx, ny) if keys.get("jPointsAreConsecutive") else (ny, nx))
    if keys.get("alternativeRowScanning"):
        lines = lines.copy()
        lines[1::2] = lines[1::2, ::-1]
    rows = lines.T if keys.get("jPointsAreConsecutive") else lines
    if keys["gridType"] in ("regular_ll", "regular_gg"):
        return _axes(keys).arrange(rows)
    rows = rows if keys["jScansPositively"] else rows[::-1]
    return rows[:, ::-1] if keys["iScansNegatively"] else rows


def _require_size(keys: Keys) -> None:
    """Sizes first: corrupt ones would otherwise ask for axes of billions of points."""
    nx, ny = int(keys.get("Nx", 0)), int(keys.get("Ny", 0))
    points = int(keys.get("numberOfDataPoints", nx * ny))
    if nx < 2 or ny < 2 or nx * ny != points:
        raise InputError(f"a grid of {nx} × {ny} points cannot hold the {points} data points of its message")


def _require_count(values: np.ndarray, expected: int) -> None:
    if values.size != expected:
        raise InputError(f"the message has {values.size} values; its grid has {expected} points")


def _lambert(keys: Keys) -> ProjectedGrid:
    lat_1, lat_2 = float(keys["Latin1InDegrees"]), float(keys["Latin2InDegrees"])
    # The latitude of origin only shifts y, which the first point fixes; RTMA's files state it equal to Latin1.
    projection = f"+proj=lcc +lat_1={lat_1!r} +lat_2={lat_2!r} +lat_0={lat_1!r} +lon_0={float(keys['LoVInDegrees'])!r}"
    return _projected(projection, keys, keys["DxInMetres"], keys["DyInMetres"])


def _polar_stereographic(keys: Keys) -> ProjectedGrid:
    pole = -90.0 if int(keys.get("projectionCentreFlag", 0)) & 128 else 90.0
    true_at = float(np.copysign(abs(float(keys.get("LaDInDegrees", 60.0))), pole))
    longitude = float(keys["orientationOfTheGridInDegrees"])
    projection = f"+proj=stere +lat_0={pole!r} +lat_ts={true_at!r} +lon_0={longitude!r}"
    return _projected(projection, keys, keys["DxInMetres"], keys["DyInMetres"])


def _mercator(keys: Keys) -> ProjectedGrid:
    if float(keys.get("orientationOfTheGridInDegrees", 0.0)) != 0.0:
        raise InputError("a Mercator grid that is turned against the equator is not read")
    # The central meridian only shifts x; put on the first point it keeps any grid clear of the seam.
    longitude = float(keys["longitudeOfFirstGridPointInDegrees"])
    projection = f"+proj=merc +lat_ts={float(keys['LaDInDegrees'])!r} +lon_0={longitude!r}"
    return _projected(projection, keys, keys["DiInMetres"], keys["DjInMetres"])


def _projected(projection: str, keys: Keys, dx: float, dy: float) -> ProjectedGrid:
    projection = f"{projection} {earth_figure(keys).proj} +units=m"
    nx, ny, dx, dy = int(keys["Nx"]), int(keys["Ny"]), float(dx), float(dy)
    x, y = transformer(projection).transform(
        float(keys["longitudeOfFirstGridPointInDegrees"]), float(keys["latitudeOfFirstGridPointInDegrees"])
    )
    if not (np.isfinite(x) and np.isfinite(y)):
        raise InputError("the first grid point cannot be projected")
    west = x - (nx - 1) * dx if keys["iScansNegatively"] else x
    south = y if keys["jScansPositively"] else y - (ny - 1) * dy
    return ProjectedGrid(projection, nx, ny, dx, dy, west, south)


def _axes(keys: Keys) -> Rectilinear:
    nx, ny = int(keys["Nx"]), int(keys["Ny"])
    latitudes = _gaussian_rows(keys, ny) if keys["gridType"] == "regular_gg" else _even_rows(keys, ny)
    longitudes = float(keys["longitudeOfFirstGridPointInDegrees"]) + _column_step(keys, nx) * np.arange(nx)
    return rectilinear(latitudes, longitudes, radius=earth_figure(keys).mean_radius)


def _even_rows(keys: Keys, ny: int) -> np.ndarray:
    first, last = (float(keys[f"latitudeOf{end}GridPointInDegrees"]) for end in ("First", "Last"))
    if (last > first) != bool(keys["jScansPositively"]):
        raise InputError(f"rows run from {first}° to {last}°, against the scanning mode")
    return np.linspace(first, last, ny)


def _gaussian_rows(keys: Keys, ny: int) -> np.ndarray:
    latitudes = gaussian_latitudes(int(keys["N"]))
    latitudes = latitudes[::-1] if keys["jScansPositively"] else latitudes
    start = int(np.argmin(np.abs(latitudes - float(keys["latitudeOfFirstGridPointInDegrees"]))))
    if start + ny > latitudes.size:
        raise InputError(f"{ny} rows from row {start} do not fit in the {latitudes.size} of a Gaussian grid")
    return latitudes[start : start + ny]


def _column_step(keys: Keys, nx: int) -> float:
    """Degrees from one column to the next; from the ends, which are stated more finely than the increment."""
    first, last = (float(keys[f"longitudeOf{end}GridPointInDegrees"]) for end in ("First", "Last"))
    westward = bool(keys["iScansNegatively"])
    width = (first - last if westward else last - first) % 360.0
    stated = float(keys.get("iDirectionIncrementInDegrees", -1.0))
    if width == 0.0 and stated > 0:  # the last column repeats the first meridian
        width = 360.0
    step = width / (nx - 1)
    if 0 < stated <= 360 and abs(step - stated) > 0.02 * stated:
        raise InputError(f"columns of {step:.6f}° between the end points, of {stated:.6f}° as stated")
    return -step if westward else step


def _reduced_gaussian(keys: Keys) -> ReducedGaussianGrid:
    sizes, number = np.asarray(keys["pl"], int), int(keys["N"])
    if sizes.size != 2 * number or (sizes <= 0).any() or keys["jScansPositively"]:
        raise InputError(
            f"a reduced Gaussian grid with {sizes.size} rows of N = {number} is not read: only global ones, north to "
            "south, are"
        )
    if float(keys.get("longitudeOfFirstGridPointInDegrees", 0.0)) != 0.0:
        raise InputError("a reduced Gaussian grid whose rows do not start at longitude 0 is not read")
    return ReducedGaussianGrid(gaussian_latitudes(number), sizes, earth_figure(keys).mean_radius)


_GRIDS: Mapping[str, Callable[[Keys], Grid]] = {
    "lambert": _lambert,
    "polar_stereographic": _polar_stereographic,
    "mercator": _mercator,
    "regular_ll": lambda keys: _axes(keys).grid,
    "regular_gg": lambda keys: _axes(keys).grid,
    "reduced_gg": _reduced_gaussian,
}
