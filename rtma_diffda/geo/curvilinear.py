"""Grids known only by the positions of their points: two arrays of latitude and longitude, (y, x)."""

from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np

from rtma_diffda.errors import InputError
from rtma_diffda.geo.sphere import EARTH_RADIUS, unit_vectors, wrap_longitude


@dataclass(frozen=True)
class CurvilinearGrid:
    """Points in rows and columns whose positions follow no formula that we know, such as a file's 2-D coordinates.

    As a target of regridding any positions will do, a list of stations in one row included; as a source of bilinear
    regridding, neighbours in the array must be neighbours on the earth.

    Attributes:
        latitudes: (y, x) degrees.
        longitudes: (y, x) degrees, any turn.
        periodic: True when the last column is followed by the first.
        radius: of the sphere (m).
    """

    latitudes: np.ndarray = field(repr=False)
    longitudes: np.ndarray = field(repr=False)
    periodic: bool = False
    radius: float = EARTH_RADIUS

    def __post_init__(self) -> None:
        if self.latitudes.ndim != 2 or self.latitudes.shape != self.longitudes.shape:
            raise InputError(
                f"a curvilinear grid needs two (y, x) arrays of one shape; found latitudes {self.latitudes.shape} and "
                f"longitudes {self.longitudes.shape}"
            )
        if not (np.isfinite(self.longitudes).all() and (np.abs(self.latitudes) <= 90.0).all()):
            raise InputError("positions of a curvilinear grid must be finite, with latitudes within -90 … 90 degrees")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CurvilinearGrid) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def shape(self) -> tuple[int, int]:
        return self.latitudes.shape

    @property
    def key(self) -> str:
        digest = sha256(f"curvilinear|{self.shape}|{self.periodic}|{self.radius}".encode())
        for positions in (self.latitudes, self.longitudes):
            # Adding zero turns -0.0 into 0.0, which compare equal but differ in their bytes.
            digest.update((np.round(positions.astype(float), 9) + 0.0).tobytes())
        return digest.hexdigest()[:16]

    def latitude(self) -> np.ndarray:
        return self.latitudes

    def longitude(self) -> np.ndarray:
        return wrap_longitude(self.longitudes)

    def cell_area(self) -> np.ndarray:
        """Area (m²) of each cell, (y, x): corners lie half way between neighbouring points, edges are great circles.

        Raises:
            InputError: fewer than two rows or columns, so that the points bound no cells.
        """
        if min(self.shape) < 2:
            raise InputError(f"cells of a curvilinear grid need two rows and columns; this one is {self.shape}")
        corners = _corners(unit_vectors(self.latitudes, self.longitudes), self.periodic)
        south_west, south_east = corners[:-1, :-1], corners[:-1, 1:]
        north_west, north_east = corners[1:, :-1], corners[1:, 1:]
        excess = _triangle_excess(south_west, south_east, north_east) + _triangle_excess(
            south_west, north_east, north_west
        )
        return self.radius**2 * np.abs(excess)


def _corners(points: np.ndarray, periodic: bool) -> np.ndarray:
    """Unit vectors (y + 1, x + 1, 3) of the cell corners: means of four points, extrapolated past the outer ones."""
    rows = _midpoints(points)
    columns = np.moveaxis(rows, 1, 0)
    if periodic:
        wrapped = np.concatenate([columns[-1:], columns, columns[:1]])
        columns = 0.5 * (wrapped[1:] + wrapped[:-1])
    else:
        columns = _midpoints(columns)
    corners = np.moveaxis(columns, 0, 1)
    return corners / np.linalg.norm(corners, axis=-1, keepdims=True)


def _midpoints(points: np.ndarray) -> np.ndarray:
    first, last = 1.5 * points[:1] - 0.5 * points[1:2], 1.5 * points[-1:] - 0.5 * points[-2:-1]
    return np.concatenate([first, 0.5 * (points[1:] + points[:-1]), last])


def _triangle_excess(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Signed area of spherical triangles on the unit sphere: tan(E / 2) = a·(b × c) / (1 + a·b + b·c + c·a)."""
    volume = np.sum(a * np.cross(b - a, c - a), axis=-1)
    return 2.0 * np.arctan2(volume, 1.0 + np.sum(a * b, -1) + np.sum(b * c, -1) + np.sum(c * a, -1))
