"""Bilinear weights as ESMF defines them on the sphere.

A destination's weights are those of the point where the ray through it meets the bilinear patch spanned by the corner
vectors of its source cell: (1 − u)(1 − v), u (1 − v), u v, (1 − u) v on corners 0 to 3. This is not bilinear in
latitude and longitude. All four corners get an entry, zeros included, so that a missing corner spreads as it does with
xESMF. Destinations outside the source have no entry. Periodic sources are closed toward the poles by caps
(``pole_caps``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch

import numpy as np
from scipy.spatial import cKDTree

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.curvilinear import CurvilinearGrid
from rtma_diffda.geo.grid import Grid, LatLonGrid, ProjectedGrid, ReducedGaussianGrid
from rtma_diffda.geo.regrid.cartesian import cartesian, grid_vectors
from rtma_diffda.geo.regrid.pole_caps import cap_entries
from rtma_diffda.geo.regrid.quad_mesh import CellLocation, QuadMesh, locate_points
from rtma_diffda.geo.regrid.reduced_rows import reduced_row_entries

Entries = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Sparse entries: destination index, source index (flat, from 0), weight."""


@singledispatch
def bilinear_entries(source: Grid, target: Grid) -> Entries:
    """Sparse entries of bilinear interpolation from ``source`` to the points of ``target``.

    Raises:
        UsageError: a kind of source grid that bilinear interpolation is not defined for.
    """
    raise UsageError(f"bilinear regridding from a {type(source).__name__} is not built")


@bilinear_entries.register
def _from_reduced_gaussian(source: ReducedGaussianGrid, target: Grid) -> Entries:
    return reduced_row_entries(source, target.latitude().ravel(), target.longitude().ravel())


@bilinear_entries.register
def _from_latlon(source: LatLonGrid, target: Grid) -> Entries:
    mesh = QuadMesh(grid_vectors(source), source.periodic)
    return _from_quads(_Source(mesh, lambda lat, lon: _rectilinear_cell(source, lat, lon)), target)


@bilinear_entries.register
def _from_projected(source: ProjectedGrid, target: Grid) -> Entries:
    mesh = QuadMesh(grid_vectors(source), periodic=False)
    return _from_quads(_Source(mesh, lambda lat, lon: _projected_cell(source, lat, lon)), target)


@bilinear_entries.register
def _from_curvilinear(source: CurvilinearGrid, target: Grid) -> Entries:
    if min(source.shape) < 2:
        raise InputError(f"bilinear regridding needs two rows and columns; the source grid has shape {source.shape}")
    mesh = QuadMesh(grid_vectors(source), source.periodic)
    return _from_quads(_Source(mesh, lambda lat, lon: _cell_of_nearest_centre(mesh, lat, lon)), target)


@dataclass(frozen=True)
class _Source:
    """A mesh, and a first guess of row and column of the cell of positions in degrees."""

    mesh: QuadMesh
    guess: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def _from_quads(source: _Source, target: Grid) -> Entries:
    latitude, longitude = target.latitude().ravel(), target.longitude().ravel()
    mesh, points = source.mesh, grid_vectors(target).reshape(3, -1)
    guess = mesh.moved(*source.guess(latitude, longitude))
    located = locate_points(mesh, points, guess)
    _put_on_pole_rows(mesh, points, located)
    entries = _cell_entries(mesh, located)
    if not mesh.periodic or located.inside.all():
        return entries
    left = np.flatnonzero(~located.inside)
    point, column, weight = cap_entries(mesh, points[:, left], located.column[left])
    return tuple(np.concatenate(pair) for pair in zip(entries, (left[point], column, weight), strict=True))


def _cell_entries(mesh: QuadMesh, located: CellLocation) -> Entries:
    inside = np.flatnonzero(located.inside)
    u, v = np.clip(located.u[inside], 0.0, 1.0), np.clip(located.v[inside], 0.0, 1.0)
    weight = np.stack([(1.0 - u) * (1.0 - v), u * (1.0 - v), u * v, (1.0 - u) * v], axis=1)
    column = mesh.corner_indices(located.row[inside], located.column[inside]).T
    return np.repeat(inside, 4), column.ravel(), weight.ravel()


def _put_on_pole_rows(mesh: QuadMesh, points: np.ndarray, located: CellLocation) -> None:
    """Give destinations exactly at a pole the first point of a source row that lies there: ESMF's exact match."""
    for end, v in ((0, 0.0), (mesh.nodes.shape[1] - 1, 1.0)):
        ring = mesh.nodes[:, end]
        if not (np.abs(ring[2]) == 1.0).all():
            continue
        at = np.flatnonzero((points == ring[:, :1]).all(axis=0))
        row, column = np.full(at.size, min(end, mesh.shape[0] - 1)), np.zeros(at.size, int)
        location = CellLocation(row, column, np.zeros(at.size), np.full(at.size, v), np.ones(at.size, bool))
        located.put(at, location)


def _rectilinear_cell(grid: LatLonGrid, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    row = np.searchsorted(grid.latitudes, latitude, side="right") - 1
    offsets = grid.longitudes - grid.longitudes[0]
    east = (longitude - grid.longitudes[0]) % 360.0
    column = np.searchsorted(offsets, east, side="right") - 1
    if not grid.periodic:
        # West of the first column rather than east of the last: start at the western rim.
        column = np.where(east > 0.5 * (offsets[-1] + 360.0), 0, column)
    return row, column


def _projected_cell(grid: ProjectedGrid, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = grid.fractional_index(latitude, longitude)
    limits = ((rows, grid.ny), (columns, grid.nx))
    # Positions that the projection cannot reach come as infinite; any cell will do as their start.
    row, column = (np.clip(np.nan_to_num(index, posinf=0.0, neginf=0.0), 0, size) for index, size in limits)
    return row.astype(int), column.astype(int)


def _cell_of_nearest_centre(
    mesh: QuadMesh, latitude: np.ndarray, longitude: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    # Centres of cells, not grid points: a whole row of points may coincide on a pole, centres never do.
    row, column = np.indices(mesh.shape).reshape(2, -1)
    centres = mesh.corners(row, column).sum(axis=0)
    tree = cKDTree((centres / np.linalg.norm(centres, axis=0)).T)
    nearest = tree.query(cartesian(latitude, longitude).T)[1]
    return row[nearest], column[nearest]
