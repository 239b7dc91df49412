"""Nearest-point weights: each destination takes the closest source point (ESMF's ``nearest_s2d``).

Distances are chords between unit vectors. Of points at the very same distance the first in storage order wins, as in
ESMF. No destination is left unmapped, however far away.
"""

import numpy as np
from scipy.spatial import cKDTree

from rtma_diffda.errors import InputError
from rtma_diffda.geo.grid import Grid
from rtma_diffda.geo.regrid.cartesian import grid_vectors

_CANDIDATES = 9
_TIE = 1.0 + 1e-12


def nearest_entries(source: Grid, target: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sparse entries (destination, source, weight 1) from the points of ``source`` to those of ``target``.

    Raises:
        InputError: the source has fewer than two points.
    """
    points = grid_vectors(source).reshape(3, -1).T
    places = grid_vectors(target).reshape(3, -1).T
    if len(points) < 2:
        raise InputError(f"nearest-point regridding needs two source points; found {len(points)}")
    tree = cKDTree(points)
    distance, index = tree.query(places, k=2)
    nearest = index[:, 0]
    tied = np.flatnonzero(distance[:, 1] <= distance[:, 0] * _TIE)
    nearest[tied] = _first_of_tied(tree, places[tied])
    return np.arange(nearest.size), nearest, np.ones(nearest.size)


def _first_of_tied(tree: cKDTree, places: np.ndarray) -> np.ndarray:
    """The lowest index among the closest points of each place, (n,)."""
    distance, candidates = tree.query(places, k=min(_CANDIDATES, tree.n))
    first = _first_closest(tree.data, places, candidates)
    # More ties than candidates: only where many source points coincide, as on a pole.
    for place in np.flatnonzero(distance[:, -1] <= distance[:, 0] * _TIE):
        reach = distance[place, 0] * _TIE + np.finfo(float).tiny
        everyone = np.asarray(tree.query_ball_point(places[place], reach))
        first[place] = _first_closest(tree.data, places[place : place + 1], everyone[None])[0]
    return first


def _first_closest(points: np.ndarray, places: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Of each place's candidates, (n, k), the lowest index with the smallest squared distance."""
    ordered = np.sort(candidates, axis=1)
    squares = np.sum((points[ordered] - places[:, None]) ** 2, axis=2)
    return np.take_along_axis(ordered, np.argmin(squares, axis=1)[:, None], axis=1)[:, 0]
