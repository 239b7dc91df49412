"""Distances and directions on the sphere.

Neighbour searches use unit vectors and chords, never degrees: the chord c and the great-circle distance s of two points
on a sphere of radius a are related by s = 2 a arcsin(c / 2).
"""

import numpy as np
from numpy.typing import ArrayLike

EARTH_RADIUS = 6371200.0
"""Radius in metres of the sphere that the RTMA grids use; grids carry their own radius, distances between stations use
this one."""


def unit_vectors(latitude: ArrayLike, longitude: ArrayLike) -> np.ndarray:
    """Unit vectors (..., 3) of positions in degrees."""
    phi, lam = np.deg2rad(np.asarray(latitude, float)), np.deg2rad(np.asarray(longitude, float))
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)


def chord_to_distance(chord: ArrayLike, radius: float = EARTH_RADIUS) -> np.ndarray:
    """Great-circle distance (m) of two points whose unit vectors are ``chord`` apart."""
    return 2.0 * radius * np.arcsin(np.clip(np.asarray(chord, float) / 2.0, 0.0, 1.0))


def distance_to_chord(distance: ArrayLike, radius: float = EARTH_RADIUS) -> np.ndarray:
    """Chord between unit vectors of points that are ``distance`` (m) apart along a great circle."""
    return 2.0 * np.sin(np.asarray(distance, float) / (2.0 * radius))


def great_circle_distance(
    latitude_1: ArrayLike,
    longitude_1: ArrayLike,
    latitude_2: ArrayLike,
    longitude_2: ArrayLike,
    *,
    radius: float = EARTH_RADIUS,
) -> np.ndarray:
    """Great-circle distance (m) between positions in degrees (haversine; the arguments broadcast)."""
    difference = unit_vectors(latitude_1, longitude_1) - unit_vectors(latitude_2, longitude_2)
    return chord_to_distance(np.linalg.norm(difference, axis=-1), radius)


def wrap_longitude(longitude: ArrayLike) -> np.ndarray:
    """Longitude in −180 … 180 (180 itself becomes −180), as we write it for users."""
    return (np.asarray(longitude, float) + 180.0) % 360.0 - 180.0
