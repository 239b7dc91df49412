"""Positions as ESMF's three-dimensional unit vectors.

ESMF computes them from longitude and colatitude and sets the poles exactly; the same formula here lets coincident
points and ties in distance come out as they do there.
"""

from functools import singledispatch

import numpy as np
from numpy.typing import ArrayLike

from rtma_diffda.geo.curvilinear import CurvilinearGrid
from rtma_diffda.geo.grid import Grid, LatLonGrid


def cartesian(latitude: ArrayLike, longitude: ArrayLike) -> np.ndarray:
    """Unit vectors (3, ...) of positions in degrees, component first."""
    latitude = np.asarray(latitude, float)
    theta, phi = np.deg2rad(np.asarray(longitude, float)), np.deg2rad(90.0 - latitude)
    across = np.where(np.abs(latitude) == 90.0, 0.0, np.sin(phi))
    along = np.where(np.abs(latitude) == 90.0, np.sign(latitude), np.cos(phi))
    return np.stack([np.cos(theta) * across, np.sin(theta) * across, along])


@singledispatch
def grid_vectors(grid: Grid) -> np.ndarray:
    """Unit vectors (3, *shape) of a grid's points.

    Stored longitudes are taken as they are: to wrap them first would round them, and so break ties otherwise than ESMF.
    """
    return cartesian(grid.latitude(), grid.longitude())


@grid_vectors.register
def _of_latlon(grid: LatLonGrid) -> np.ndarray:
    return cartesian(*np.meshgrid(grid.latitudes, grid.longitudes, indexing="ij"))


@grid_vectors.register
def _of_curvilinear(grid: CurvilinearGrid) -> np.ndarray:
    return cartesian(grid.latitudes, grid.longitudes)
