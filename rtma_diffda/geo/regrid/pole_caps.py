"""The caps that close a periodic grid toward the poles, as ESMF does by default (``ESMF_POLEMETHOD_ALLAVG``).

A made-up point at the centre of the outermost row, lifted onto the sphere, is joined to that row by triangles. Its
value is the mean of the row, so that a point in the cap has weights on every point of the row. A row that lies on the
pole itself needs no cap and gets none.
"""

from dataclasses import dataclass

import numpy as np

from rtma_diffda.geo.regrid.quad_mesh import NEARBY_TOLERANCE, QuadMesh

_LARGEST_DEGENERATE_RING = 1e-15


@dataclass(frozen=True)
class CapLocation:
    """Points found in a cap.

    Attributes:
        found: (n,) True for points in the cap.
        column: (n,) the triangle: columns ``column`` and ``column`` + 1 of the row, and the pole.
        shares: (3, n) weights on those two points and on the mean of the row.
    """

    found: np.ndarray
    column: np.ndarray
    shares: np.ndarray


def cap_entries(mesh: QuadMesh, points: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sparse entries (point, grid point, weight) of points that lie in either cap of a periodic mesh.

    Args:
        mesh: the mesh below the caps.
        points: (3, n) unit vectors of points outside all its cells.
        column: (n,) int, columns to start the search from.
    """
    rows, width = mesh.nodes.shape[1:]
    parts = [(np.empty(0, int), np.empty(0, int), np.empty(0))]
    left = np.arange(points.shape[1])
    for row in (0, rows - 1):
        ring = mesh.nodes[:, row]
        if np.ptp(ring, axis=1).max() < _LARGEST_DEGENERATE_RING:
            continue
        cap = _locate_in_cap(ring, points[:, left], column[left])
        point, source, weight = _entries(cap, row * width, width)
        parts.append((left[point], source, weight))
        left = left[~cap.found]
    point, source, weight = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return point, source, weight


def _locate_in_cap(ring: np.ndarray, points: np.ndarray, column: np.ndarray) -> CapLocation:
    """Walk round the ring (3, x) until each point's triangle is found, or the point turns out to lie elsewhere."""
    width = ring.shape[1]
    pole = ring.mean(axis=1)
    pole /= np.linalg.norm(pole)
    columns, shares = column % width, np.full((3, points.shape[1]), np.nan)
    active = np.flatnonzero(pole @ points > 0.0)
    for _ in range(width):
        if not active.size:
            break
        here = columns[active]
        shares[:, active] = _triangle_shares(ring[:, here], ring[:, (here + 1) % width], pole, points[:, active])
        turn = _turn(shares[:, active])
        columns[active] = (here + turn) % width
        active = active[turn != 0]
    with np.errstate(invalid="ignore"):
        found = (shares >= -NEARBY_TOLERANCE).all(axis=0)
    found[active] = False
    clamped = np.clip(shares, 0.0, 1.0)
    return CapLocation(found, columns, clamped / np.where(found, clamped.sum(axis=0), 1.0))


def _turn(shares: np.ndarray) -> np.ndarray:
    """East (1) of points beyond the triangle's second side, west (−1) of those beyond the first, else 0."""
    west_share, east_share, _ = shares
    east = (west_share < -NEARBY_TOLERANCE) & ~(east_share < west_share)
    west = (east_share < -NEARBY_TOLERANCE) & ~east
    return east.astype(int) - west.astype(int)


def _triangle_shares(a: np.ndarray, b: np.ndarray, pole: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Barycentric coordinates (3, n) on a, b and the pole of where each point's ray meets the triangle's plane."""
    system = np.stack([points, a - b, a - pole[:, None]], axis=-1).transpose(1, 0, 2)
    t, east, poleward = np.linalg.solve(system, a.T[:, :, None])[:, :, 0].T
    shares = np.stack([1.0 - east - poleward, east, poleward])
    return np.where(t > 0.0, shares, np.nan)


def _entries(cap: CapLocation, first: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Entries of the points found: the row's mean spread over its points, plus the two points of the triangle."""
    point = np.flatnonzero(cap.found)
    west, east, pole = cap.shares[:, point]
    weight = np.repeat(pole[:, None] / width, width, axis=1)
    at = np.arange(point.size)
    np.add.at(weight, (at, cap.column[point]), west)
    np.add.at(weight, (at, (cap.column[point] + 1) % width), east)
    return np.repeat(point, width), np.tile(first + np.arange(width), point.size), weight.ravel()
