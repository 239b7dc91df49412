"""Nearest-point weights: brute force, ties, and no destination left out."""

import numpy as np
import pytest

from rtma_diffda.errors import InputError
from rtma_diffda.geo.curvilinear import CurvilinearGrid
from rtma_diffda.geo.grid import LatLonGrid, ReducedGaussianGrid
from rtma_diffda.geo.regrid.cartesian import grid_vectors
from rtma_diffda.geo.regrid.weights import regrid_weights

GLOBE = LatLonGrid(np.linspace(-90, 90, 19), np.arange(0, 360, 10.0), periodic=True)


def nearest(source, latitude, longitude):
    target = CurvilinearGrid(np.atleast_2d(latitude).astype(float), np.atleast_2d(longitude).astype(float))
    weights = regrid_weights(source, target, method="nearest_s2d", engine="embedded")
    assert (weights.weight == 1.0).all()
    assert weights.mapped().all()
    return weights.col


def test_nearest_is_the_nearest():
    rng = np.random.default_rng(2)
    latitude, longitude = rng.uniform(-90, 90, 400), rng.uniform(-180, 360, 400)
    reduced = ReducedGaussianGrid(np.array([70.0, 30.0, -10.0, -50.0]), np.array([6, 12, 18, 10]))
    for source in (GLOBE, reduced, LatLonGrid(np.arange(40.0, 60.0, 2.0), np.arange(170.0, 200.0, 2.0))):
        points = grid_vectors(source).reshape(3, -1).T
        places = grid_vectors(CurvilinearGrid(latitude[None], longitude[None])).reshape(3, -1).T
        distances = np.linalg.norm(places[:, None] - points[None], axis=2)
        found = distances[np.arange(400), nearest(source, latitude, longitude)]
        assert np.allclose(found, distances.min(axis=1), atol=1e-14)


def test_ties_go_to_the_first_point_in_storage_order():
    """On the pole row all 36 points coincide; half way between two points of the equator both are as near."""
    pole_row = 18 * 36
    assert nearest(GLOBE, [90.0, 89.0, -90.0], [123.0, 240.0, 5.0]).tolist() == [pole_row, pole_row, 0]
    equator = 9 * 36
    symmetric = LatLonGrid(np.array([0.0, 5.0]), np.array([-10.0, 10.0]))
    assert nearest(symmetric, 0.0, 0.0).tolist() == [0]
    assert nearest(GLOBE, 0.0, 20.0).tolist() == [equator + 2]


def test_one_point_is_no_source():
    with pytest.raises(InputError, match="found 1"):
        nearest(CurvilinearGrid(np.zeros((1, 1)), np.zeros((1, 1))), 0.0, 0.0)
