"""Grids: where the points of a field are.

A field's array always has its grid's ``shape``: (y, x) with y northward and x eastward for target grids. Sources may be
anything that knows the positions of its points; a reduced Gaussian grid has one axis only.
"""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from pyproj import CRS, Proj, Transformer

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.sphere import EARTH_RADIUS, wrap_longitude


class Grid(Protocol):
    """Positions of the points of a field."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a field on this grid: (y, x), or (point,) for a reduced grid."""

    @property
    def key(self) -> str:
        """A short text, equal only for equal grids; names cached weights."""

    def latitude(self) -> np.ndarray:
        """Degrees north of every point, in ``shape``."""

    def longitude(self) -> np.ndarray:
        """Degrees east of every point, −180 … 180, in ``shape``."""

    def cell_area(self) -> np.ndarray:
        """Area (m²) of every point's cell, in ``shape``."""


def _digest(*parts: object) -> str:
    return sha256("|".join(map(str, parts)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class ProjectedGrid:
    """A regular grid in the plane of a map projection.

    Attributes:
        projection: PROJ string, with the sphere or ellipsoid it is defined on.
        nx, ny: number of points eastward and northward.
        dx, dy: spacing (m) in the plane; both positive.
        x0, y0: plane coordinates (m) of the south-western point.
    """

    projection: str
    nx: int
    ny: int
    dx: float
    dy: float
    x0: float
    y0: float

    def __post_init__(self) -> None:
        if self.nx < 2 or self.ny < 2 or self.dx <= 0 or self.dy <= 0:
            raise UsageError(
                f"a projected grid needs nx, ny ≥ 2 and dx, dy > 0; found {self.nx} × {self.ny} points of "
                f"{self.dx} × {self.dy} m"
            )

    @classmethod
    def from_first_point(
        cls, projection: str, *, nx: int, ny: int, dx: float, dy: float, latitude: float, longitude: float
    ) -> "ProjectedGrid":
        """The grid whose south-western point lies at ``latitude``, ``longitude`` (degrees), as GRIB states it."""
        x0, y0 = transformer(projection).transform(longitude, latitude)
        return cls(projection, nx, ny, dx, dy, x0, y0)

    @property
    def shape(self) -> tuple[int, int]:
        return (self.ny, self.nx)

    @property
    def key(self) -> str:
        return _digest(self.projection, self.nx, self.ny, self.dx, self.dy, round(self.x0, 3), round(self.y0, 3))

    @property
    def x(self) -> np.ndarray:
        """Plane coordinates (m) of the columns, (x,)."""
        return self.x0 + self.dx * np.arange(self.nx)

    @property
    def y(self) -> np.ndarray:
        """Plane coordinates (m) of the rows, (y,)."""
        return self.y0 + self.dy * np.arange(self.ny)

    @property
    def crs(self) -> CRS:
        """The coordinate reference system, for CF grid mappings."""
        return CRS.from_user_input(self.projection)

    @cached_property
    def _positions(self) -> tuple[np.ndarray, np.ndarray]:
        longitude, latitude = transformer(self.projection).transform(*np.meshgrid(self.x, self.y), direction="INVERSE")
        return latitude, wrap_longitude(longitude)

    def latitude(self) -> np.ndarray:
        return self._positions[0]

    def longitude(self) -> np.ndarray:
        return self._positions[1]

    def project(self, latitude: ArrayLike, longitude: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Plane coordinates x, y (m) of positions in degrees."""
        x, y = transformer(self.projection).transform(np.asarray(longitude, float), np.asarray(latitude, float))
        return np.asarray(x), np.asarray(y)

    def fractional_index(self, latitude: ArrayLike, longitude: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Row and column, with fractions, of positions in degrees; 0 … ny − 1 and 0 … nx − 1 lie on the grid.

        Positions beyond the outermost points by rounding only (a millionth of the spacing) are put on them.
        """
        x, y = self.project(latitude, longitude)
        return _onto_edges((y - self.y0) / self.dy, self.ny - 1), _onto_edges((x - self.x0) / self.dx, self.nx - 1)

    def contains(self, latitude: ArrayLike, longitude: ArrayLike) -> np.ndarray:
        """True for positions within the hull of the grid's points."""
        row, column = self.fractional_index(latitude, longitude)
        with np.errstate(invalid="ignore"):
            return (row >= 0) & (row <= self.ny - 1) & (column >= 0) & (column <= self.nx - 1)

    def cell_area(self) -> np.ndarray:
        scale = _areal_scale(self.projection, self.latitude(), self.longitude())
        return self.dx * self.dy / scale


@dataclass(frozen=True)
class LatLonGrid:
    """A rectilinear grid of latitudes and longitudes.

    Attributes:
        latitudes: (y,) degrees, strictly increasing.
        longitudes: (x,) degrees, strictly increasing, spanning less than 360; may run past 180.
        periodic: True when the last column is followed by the first.
        radius: of the sphere (m).
    """

    latitudes: np.ndarray = field(repr=False)
    longitudes: np.ndarray = field(repr=False)
    periodic: bool = False
    radius: float = EARTH_RADIUS

    def __post_init__(self) -> None:
        for name, axis in (("latitudes", self.latitudes), ("longitudes", self.longitudes)):
            if axis.ndim != 1 or axis.size < 2 or not np.all(np.diff(axis) > 0):
                raise InputError(f"{name} of a latitude–longitude grid must be 1-D and strictly increasing")
        if np.ptp(self.longitudes) >= 360.0:
            raise InputError("longitudes of a latitude–longitude grid must span less than 360 degrees")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LatLonGrid) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def shape(self) -> tuple[int, int]:
        return (self.latitudes.size, self.longitudes.size)

    @property
    def key(self) -> str:
        axes = (np.round(axis, 9).tobytes().hex() for axis in (self.latitudes, self.longitudes))
        return _digest(*axes, self.periodic, self.radius)

    def latitude(self) -> np.ndarray:
        return np.repeat(self.latitudes[:, None], self.longitudes.size, axis=1)

    def longitude(self) -> np.ndarray:
        return np.repeat(wrap_longitude(self.longitudes)[None, :], self.latitudes.size, axis=0)

    def fractional_index(self, latitude: ArrayLike, longitude: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Row and column, with fractions, of positions in degrees.

        On a periodic grid columns are 0 … nx, where nx is the first column again; positions between the outermost rows
        and the poles are put on those rows. Elsewhere 0 … ny − 1 and 0 … nx − 1 lie on the grid.
        """
        latitude = np.asarray(latitude, float)
        east = (np.asarray(longitude, float) - self.longitudes[0]) % 360.0
        if self.periodic:
            latitude = np.clip(latitude, self.latitudes[0], self.latitudes[-1])
            axis = np.append(self.longitudes - self.longitudes[0], 360.0)
        else:
            axis = self.longitudes - self.longitudes[0]
        row, column = _index_along(self.latitudes, latitude), _index_along(axis, east)
        return _onto_edges(row, self.latitudes.size - 1), _onto_edges(column, axis.size - 1)

    def contains(self, latitude: ArrayLike, longitude: ArrayLike) -> np.ndarray:
        """True for positions within the hull of the grid's points; everywhere on a global grid."""
        row, column = self.fractional_index(latitude, longitude)
        last = self.nx if self.periodic else self.nx - 1
        with np.errstate(invalid="ignore"):
            return (row >= 0) & (row <= self.ny - 1) & (column >= 0) & (column <= last)

    @property
    def ny(self) -> int:
        """Number of rows."""
        return self.latitudes.size

    @property
    def nx(self) -> int:
        """Number of columns."""
        return self.longitudes.size

    def cell_area(self) -> np.ndarray:
        rows = np.diff(np.sin(np.deg2rad(_edges(self.latitudes, -90.0, 90.0))))
        columns = np.diff(np.deg2rad(_edges(self.longitudes)))
        return self.radius**2 * rows[:, None] * columns[None, :]


@dataclass(frozen=True)
class ReducedGaussianGrid:
    """A global grid of latitude rows with fewer points toward the poles (ECMWF's N and O grids).

    Attributes:
        row_latitudes: (row,) degrees, north to south as in GRIB.
        row_sizes: (row,) number of points of each row; the first point of a row lies at longitude 0.
        radius: of the sphere (m).
    """

    row_latitudes: np.ndarray = field(repr=False)
    row_sizes: np.ndarray = field(repr=False)
    radius: float = EARTH_RADIUS

    def __post_init__(self) -> None:
        if self.row_latitudes.shape != self.row_sizes.shape or not np.all(np.diff(self.row_latitudes) < 0):
            raise InputError("a reduced Gaussian grid needs one latitude and one size a row, north to south")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReducedGaussianGrid) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def shape(self) -> tuple[int]:
        return (int(self.row_sizes.sum()),)

    @property
    def key(self) -> str:
        rows = (np.round(axis, 9).tobytes().hex() for axis in (self.row_latitudes, self.row_sizes.astype(float)))
        return _digest(*rows, self.radius)

    def latitude(self) -> np.ndarray:
        return np.repeat(self.row_latitudes, self.row_sizes)

    def longitude(self) -> np.ndarray:
        return wrap_longitude(np.concatenate([np.arange(n) * (360.0 / n) for n in self.row_sizes]))

    def cell_area(self) -> np.ndarray:
        bands = -np.diff(np.sin(np.deg2rad(_edges(self.row_latitudes, -90.0, 90.0, poles=True))))
        return np.repeat(2.0 * np.pi * self.radius**2 * bands / self.row_sizes, self.row_sizes)


def _index_along(axis: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Fractional indices on an increasing axis; extrapolated beyond its ends."""
    below = np.clip(np.searchsorted(axis, position, side="right") - 1, 0, axis.size - 2)
    return below + (position - axis[below]) / (axis[below + 1] - axis[below])


def _onto_edges(index: np.ndarray, last: int) -> np.ndarray:
    """Fractional indices with those within rounding of 0 or ``last`` set there."""
    with np.errstate(invalid="ignore"):
        near = (np.abs(index) < 1e-6, np.abs(index - last) < 1e-6)
    return np.select(near, (0.0, float(last)), index)


@lru_cache(maxsize=64)
def transformer(projection: str) -> Transformer:
    """Degrees (longitude, latitude) → plane metres for a PROJ string, on that projection's own sphere or ellipsoid.

    The geographic side shares the projection's figure of the earth, so that no datum shift ever enters: the grids of
    weather models are defined that way.
    """
    try:
        crs = CRS.from_user_input(projection)
    except Exception as error:
        raise UsageError(f"projection '{projection}' is not understood: {error}") from error
    return Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True)


def _areal_scale(projection: str, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Plane area over true area at each position."""
    return Proj(projection).get_factors(longitude, latitude).areal_scale


def _edges(centres: np.ndarray, lowest: float = -np.inf, highest: float = np.inf, *, poles: bool = False) -> np.ndarray:
    """Cell edges half way between centres; the outer ones extrapolated and clipped, or put on the poles."""
    inner = 0.5 * (centres[1:] + centres[:-1])
    edges = np.concatenate([[1.5 * centres[0] - 0.5 * centres[1]], inner, [1.5 * centres[-1] - 0.5 * centres[-2]]])
    if poles:
        edges[0], edges[-1] = np.copysign(90.0, centres[0]), np.copysign(90.0, centres[-1])
    return np.clip(edges, lowest, highest)
