"""A structured grid as a mesh of four-cornered cells on the sphere, and the search for the cell of each point.

The grid's points are the corners of the cells: cell (j, i) has the points (j, i), (j, i + 1), (j + 1, i + 1) and
(j + 1, i), in this order. A cell's edges are straight chords, seen from the earth's centre as great circles, so that on
a latitude–longitude grid a point can belong to the cell beside the one whose latitudes enclose it. The search therefore
starts at a first guess and walks: patch coordinates beyond 0 … 1 say which neighbour to try next.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from rtma_diffda.geo.regrid.ray_patch import intersect_patches

INSIDE_TOLERANCE = 0.5e-10
"""How far beyond an edge, in patch coordinates 0 … 1, a point counts as inside (ESMF: 1e-10 in −1 … 1)."""

NEARBY_TOLERANCE = 0.5e-7
"""How far beyond the nearest cell a point in no cell is still mapped, clamped to the edge (ESMF: 1e-7 in −1 … 1)."""

_NEAR_EDGE = 1e-6
_WALKED_ASTRAY = 2.0
_LONGEST_WALK = 200
_BATCH = 20_000


@dataclass(frozen=True)
class QuadMesh:
    """Cells between the points of a structured grid.

    Attributes:
        nodes: (3, y, x) unit vectors of the grid's points.
        periodic: True when cells join the last column to the first.
    """

    nodes: np.ndarray
    periodic: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        rows, columns = self.nodes.shape[1:]
        return rows - 1, columns if self.periodic else columns - 1

    @cached_property
    def _flat_nodes(self) -> np.ndarray:
        return np.ascontiguousarray(self.nodes.reshape(3, -1).T)

    def corner_indices(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """(4, n) flat indices of the grid points around cells."""
        width = self.nodes.shape[2]
        east = (column + 1) % width
        south, north = row * width, (row + 1) * width
        return np.stack([south + column, south + east, north + east, north + column])

    def corners(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """(4, 3, n) corner vectors of cells."""
        return np.ascontiguousarray(self._flat_nodes[self.corner_indices(row, column)].transpose(0, 2, 1))

    def moved(self, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cells brought back onto the mesh: rows clipped, columns wrapped round or clipped."""
        rows, columns = self.shape
        column = column % columns if self.periodic else np.clip(column, 0, columns - 1)
        return np.clip(row, 0, rows - 1), column


@dataclass(frozen=True)
class CellLocation:
    """The cell of each point: row, column, patch coordinates u, v, all (n,); ``inside`` is False without one."""

    row: np.ndarray
    column: np.ndarray
    u: np.ndarray
    v: np.ndarray
    inside: np.ndarray

    def put(self, where: np.ndarray, other: "CellLocation") -> None:
        """Overwrite the entries at ``where`` by another's: for the search, while this location is being built."""
        for name in ("row", "column", "u", "v", "inside"):
            getattr(self, name)[where] = getattr(other, name)


def locate_points(mesh: QuadMesh, points: np.ndarray, guess: tuple[np.ndarray, np.ndarray]) -> CellLocation:
    """Find the cell of every point.

    Args:
        mesh: the cells.
        points: (3, n) unit vectors.
        guess: rows and columns, (n,) int, of cells to start from; any will do that is on the mesh and not far.

    Returns:
        Cells with clamped patch coordinates; where ``inside`` is False, the last cell looked at.
    """
    found = _empty_location(points.shape[1])
    for start in range(0, points.shape[1], _BATCH):
        part = np.arange(start, min(start + _BATCH, points.shape[1]))
        located, unsettled = _walk(mesh, points[:, part], (guess[0][part], guess[1][part]))
        if unsettled.any():
            located.put(unsettled, _settle(mesh, points[:, part[unsettled]], located, unsettled))
        found.put(part, located)
    return found


def _empty_location(size: int) -> CellLocation:
    row, column = np.zeros((2, size), int)
    u, v = np.full((2, size), np.nan)
    return CellLocation(row, column, u, v, np.zeros(size, bool))


def _excess(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Distance, in patch coordinates, by which points lie outside; 0 inside and infinite where there is none."""
    outside = np.hypot(np.abs(u - np.clip(u, 0.0, 1.0)), np.abs(v - np.clip(v, 0.0, 1.0)))
    return np.where(np.isnan(outside), np.inf, outside)


def _is_inside(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    low, high = -INSIDE_TOLERANCE, 1.0 + INSIDE_TOLERANCE
    return (u >= low) & (u <= high) & (v >= low) & (v <= high)


def _walk(mesh: QuadMesh, points: np.ndarray, guess: tuple[np.ndarray, np.ndarray]) -> tuple[CellLocation, np.ndarray]:
    """The cell in which each point's walk ends, and which points need a closer look at the cells around."""
    found = _empty_location(points.shape[1])
    active = np.arange(points.shape[1])
    row, column = guess
    for _ in range(_LONGEST_WALK):
        u, v, _ = intersect_patches(mesh.corners(row, column), points[:, active])
        found.put(active, CellLocation(row, column, u, v, _is_inside(u, v)))
        next_row, next_column = mesh.moved(row + _direction(v), column + _direction(u))
        going = (next_row != row) | (next_column != column)
        if not going.any():
            active = active[:0]
            break
        active, row, column = active[going], next_row[going], next_column[going]
    unsettled = _needs_a_closer_look(found)
    unsettled[active] = True
    return found, unsettled


def _direction(coordinate: np.ndarray) -> np.ndarray:
    """−1, 0 or 1: the neighbour on the side where the coordinate lies; 0 for NaN."""
    return (coordinate > 1.0 + INSIDE_TOLERANCE).astype(int) - (coordinate < -INSIDE_TOLERANCE).astype(int)


def _needs_a_closer_look(found: CellLocation) -> np.ndarray:
    """Points on an edge, where several cells qualify, and points that a ragged rim may have led astray."""
    margin = np.minimum(np.minimum(found.u, 1.0 - found.u), np.minimum(found.v, 1.0 - found.v))
    return np.where(found.inside, margin < _NEAR_EDGE, _excess(found.u, found.v) < _WALKED_ASTRAY)


def _settle(mesh: QuadMesh, points: np.ndarray, located: CellLocation, which: np.ndarray) -> CellLocation:
    """ESMF's choice among the nine cells around: the first cell that the point is inside of, else the nearest one."""
    home_row, home_column = located.row[which], located.column[which]
    best = _empty_location(points.shape[1])
    best.row[:], best.column[:] = home_row, home_column
    best_rank = np.full(points.shape[1], np.inf)
    for offset in np.ndindex(3, 3):
        row, column = mesh.moved(home_row + offset[0] - 1, home_column + offset[1] - 1)
        u, v, _ = intersect_patches(mesh.corners(row, column), points)
        inside, excess = _is_inside(u, v), _excess(u, v)
        # Inside: negative, lowest for the first cell in storage order. Outside: the distance itself.
        rank = np.where(inside, (row * mesh.shape[1] + column) - float(np.prod(mesh.shape)), excess)
        better = (rank < best_rank) & (excess <= NEARBY_TOLERANCE)
        chosen = CellLocation(row[better], column[better], u[better], v[better], np.ones(better.sum(), bool))
        best.put(better, chosen)
        best_rank[better] = rank[better]
    return _snapped(mesh, points, best)


def _snapped(mesh: QuadMesh, points: np.ndarray, located: CellLocation) -> CellLocation:
    """Points that coincide with a corner of their cell get its coordinates exactly, whatever the iteration left."""
    coincide = (mesh.corners(located.row, located.column) == points).all(axis=1) & located.inside
    u, v = located.u.copy(), located.v.copy()
    for at, corner_u, corner_v in zip(coincide, (0.0, 1.0, 1.0, 0.0), (0.0, 0.0, 1.0, 1.0), strict=True):
        u[at], v[at] = corner_u, corner_v
    return replace(located, u=u, v=v)
