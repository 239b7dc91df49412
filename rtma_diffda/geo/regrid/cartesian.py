"""Positions as ESMF's three-dimensional unit vectors.

ESMF computes them from longitude and colatitude and sets the poles exactly; the same formula here lets coincident points
and ties in distance come out as they do there.
"""

import numpy as np
from numpy.typing import ArrayLike


def cartesian(latitude: ArrayLike, longitude: ArrayLike) -> np.ndarray:
    """Unit vectors (3, ...) of positions in degrees, component first."""
    latitude = np.asarray(latitude, float)
    theta, phi = np.deg2rad(np.asarray(longitude, float)), np.deg2rad(90.0 - latitude)
    across = np.where(np.abs(latitude) == 90.0, 0.0, np.sin(phi))
    along = np.where(np.abs(latitude) == 90.0, np.sign(latitude), np.cos(phi))
    return np.stack([np.cos(theta) * across, np.sin(theta) * across, along])
