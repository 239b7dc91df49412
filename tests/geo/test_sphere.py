"""Distances and unit vectors on the sphere against known values."""

import numpy as np
import pytest
from pyproj import Geod

from rtma_diffda.geo.sphere import (
    EARTH_RADIUS,
    chord_to_distance,
    distance_to_chord,
    great_circle_distance,
    unit_vectors,
    wrap_longitude,
)


def test_unit_vectors_point_where_they_should():
    places = unit_vectors([0.0, 0.0, 90.0, 0.0], [0.0, 90.0, 17.0, 180.0])
    assert np.allclose(places, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]], atol=1e-15)


def test_distances_agree_with_a_geodesic_library():
    rng = np.random.default_rng(3)
    lat_1, lat_2 = rng.uniform(-90, 90, (2, 200))
    lon_1, lon_2 = rng.uniform(-180, 180, (2, 200))
    _, _, expected = Geod(a=EARTH_RADIUS, b=EARTH_RADIUS).inv(lon_1, lat_1, lon_2, lat_2)
    assert np.allclose(great_circle_distance(lat_1, lon_1, lat_2, lon_2), expected, rtol=1e-6)


def test_short_distances_keep_their_digits_across_the_date_line():
    distance = great_circle_distance(10.0, 179.99999, 10.0, -179.99999)
    assert distance == pytest.approx(np.deg2rad(2e-5) * np.cos(np.deg2rad(10.0)) * EARTH_RADIUS, rel=1e-8)


def test_chords_and_distances_are_inverse():
    distances = np.array([0.0, 1.0, 5e4, 1e6, 1.9e7])
    assert np.allclose(chord_to_distance(distance_to_chord(distances)), distances, rtol=1e-12)
    assert chord_to_distance(2.0) == pytest.approx(np.pi * EARTH_RADIUS)


def test_longitudes_wrap_into_the_users_range():
    assert np.array_equal(wrap_longitude([0.0, 180.0, 190.0, 359.5, -181.0, 720.0]), [0, -180, -170, -0.5, 179, 0])
