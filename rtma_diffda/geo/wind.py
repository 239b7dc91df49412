"""Wind rotation between the axes of a grid and east–north, and between components and speed–direction.

On a conformal projection the grid's y axis makes the angle γ (meridian convergence, positive where grid north lies
east of true north) with the meridian; with the grid-relative components u_g, v_g,

    u = u_g cos γ + v_g sin γ,    v = −u_g sin γ + v_g cos γ.
"""

import numpy as np
from numpy.typing import ArrayLike
from pyproj import Proj


def convergence(projection: str, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """γ (radians): the bearing of the grid's y axis, clockwise from true north, at positions in degrees."""
    return np.deg2rad(Proj(projection).get_factors(longitude, latitude).meridian_convergence)


def to_earth_relative(u_grid: ArrayLike, v_grid: ArrayLike, gamma: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
    """Eastward and northward components of a wind given along the grid's x and y axes."""
    return u_grid * np.cos(gamma) + v_grid * np.sin(gamma), -u_grid * np.sin(gamma) + v_grid * np.cos(gamma)


def to_grid_relative(u: ArrayLike, v: ArrayLike, gamma: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
    """Components along the grid's x and y axes of a wind given eastward and northward: the inverse rotation."""
    return to_earth_relative(u, v, -np.asarray(gamma))


def components(speed: ArrayLike, from_direction: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Eastward and northward components of a wind blowing *from* ``from_direction`` (degrees)."""
    angle = np.deg2rad(from_direction)
    return -np.asarray(speed) * np.sin(angle), -np.asarray(speed) * np.cos(angle)


def speed_and_direction(u: ArrayLike, v: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Speed, and the direction (degrees, 0 < d ≤ 360; 0 when calm) that the wind blows from."""
    speed = np.hypot(u, v)
    direction = np.rad2deg(np.arctan2(-np.asarray(u), -np.asarray(v))) % 360.0
    direction = np.where(direction == 0.0, 360.0, direction)
    return speed, np.where(speed > 0.0, direction, 0.0)
