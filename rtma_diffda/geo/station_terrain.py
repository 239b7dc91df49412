"""Terrain made from the heights of stations: a stand-in where no terrain field is at hand.

Modified Shepard weights (Franke and Nielson 1980) over the k nearest stations, R being the distance of the next one:

    z(p) = Σ w_i z_i / Σ w_i,   w_i = ((R − s_i) / (R (s_i + s_0)))²,

which are continuous in p, because a station leaves the neighbourhood with weight 0. Stations stand in valleys, so the
result is lower and smoother than terrain; between stations it says at what height people live there, which is what an
analysis of station reports can know.
"""

import numpy as np
from scipy.spatial import cKDTree

from rtma_diffda.errors import InputError
from rtma_diffda.geo.grid import ProjectedGrid

_SOFTENING = 10e3
"""s_0 (m): stations closer than this share a point instead of each having its own spike."""


def station_terrain(
    grid: ProjectedGrid, latitude: np.ndarray, longitude: np.ndarray, elevation: np.ndarray, *, neighbours: int = 12
) -> np.ndarray:
    """Heights (y, x) in metres above sea level on ``grid`` from stations (n,) in degrees and metres.

    Stations without a finite height are left out; with fewer stations than ``neighbours`` all are used everywhere.

    Raises:
        InputError: no station has a position and a height.
    """
    x, y = grid.project(latitude, longitude)
    stations = np.column_stack([x, y, elevation])
    stations = stations[np.isfinite(stations).all(axis=1)]
    if not len(stations):
        raise InputError("no station has a position and a height to make terrain from")
    near = min(neighbours, len(stations))
    points = np.stack(np.meshgrid(grid.x, grid.y), axis=-1).reshape(-1, 2)
    distance, index = cKDTree(stations[:, :2]).query(points, k=np.arange(1, near + 2))
    heights = np.append(stations[:, 2], 0.0)[index[:, :near]]
    reach = distance[:, near:]
    if len(stations) == near:
        reach = 2.0 * distance[:, near - 1 : near] + _SOFTENING
    weights = ((reach - distance[:, :near]) / (reach * (distance[:, :near] + _SOFTENING))) ** 2
    weights = np.where(weights.sum(axis=1, keepdims=True) > 0, weights, 1.0)
    return ((weights * heights).sum(axis=1) / weights.sum(axis=1)).reshape(grid.shape)
