"""Fractional indices of latitude–longitude grids: rows and columns found again, seams, poles and edges."""

import numpy as np
import pytest

from rtma_diffda.geo.grid import LatLonGrid

GLOBE = LatLonGrid(np.linspace(-87.1875, 87.1875, 32), np.arange(64) * 5.625, periodic=True)
UNEVEN = LatLonGrid(np.array([40.0, 41.0, 43.0, 47.0]), np.array([350.0, 352.0, 355.0]))


def test_grid_points_have_their_own_indices():
    row, column = GLOBE.fractional_index(GLOBE.latitude(), GLOBE.longitude())
    rows, columns = np.meshgrid(np.arange(32.0), np.arange(64.0), indexing="ij")
    assert np.array_equal(row, rows) and np.array_equal(column, columns)


def test_positions_between_uneven_rows_are_in_proportion():
    row, column = UNEVEN.fractional_index([42.0, 46.0], [351.0, -6.5])
    assert np.allclose(row, [1.5, 2.75]) and np.allclose(column, [0.5, 1.5])


def test_the_seam_lies_between_the_last_column_and_the_first():
    _, column = GLOBE.fractional_index([0.0, 0.0, 0.0], [357.1875, -2.8125, 360.0])
    assert np.allclose(column[:2], 63.5) and column[2] == 0.0


def test_places_beyond_the_last_row_of_a_globe_are_put_on_it():
    row, _ = GLOBE.fractional_index([-90.0, 90.0], [10.0, 10.0])
    assert np.array_equal(row, [0.0, 31.0]) and GLOBE.contains([-90.0, 90.0], [0.0, 359.9]).all()


@pytest.mark.parametrize(("latitude", "longitude"), [(39.9, 352.0), (47.1, 352.0), (42.0, 349.0), (42.0, 356.0)])
def test_a_part_of_the_globe_does_not_contain_what_lies_outside(latitude, longitude):
    assert not UNEVEN.contains(latitude, longitude)
    assert UNEVEN.contains(42.0, 352.0)
