"""Terrain from the heights of stations."""

import numpy as np
import pytest

from rtma_diffda.errors import InputError
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.station_terrain import station_terrain

GRID = ProjectedGrid("+proj=lcc +lat_1=45 +lat_2=45 +lat_0=45 +lon_0=10 +R=6371200 +units=m", 41, 31, 1e4, 1e4, -2e5,
                     -1.5e5)  # fmt: skip


def scattered(count, seed=0):
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(0, GRID.ny, count), rng.integers(0, GRID.nx, count)
    return GRID.latitude()[rows, columns], GRID.longitude()[rows, columns]


def test_equal_heights_make_a_plain():
    terrain = station_terrain(GRID, *scattered(40), np.full(40, 321.0))
    np.testing.assert_allclose(terrain, 321.0)


def test_stays_within_the_stations_heights_and_follows_a_slope():
    latitude, longitude = scattered(300)
    height = 1000.0 * (latitude - latitude.min())
    terrain = station_terrain(GRID, latitude, longitude, height)
    assert height.min() <= terrain.min() and terrain.max() <= height.max()
    assert np.corrcoef(terrain.ravel(), GRID.latitude().ravel())[0, 1] > 0.97


def test_is_continuous_where_neighbours_change():
    latitude, longitude = scattered(200, seed=2)
    height = np.random.default_rng(3).uniform(0, 2000, 200)
    fine = ProjectedGrid(GRID.projection, 4001, 2, 100.0, 100.0, GRID.x0, 0.0)
    terrain = station_terrain(fine, latitude, longitude, height)
    assert np.abs(np.diff(terrain[0])).max() < 15.0


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_stations_are_enough(count):
    terrain = station_terrain(GRID, *scattered(count), np.linspace(100.0, 200.0, count))
    assert np.isfinite(terrain).all() and 99.999 < terrain.min() <= terrain.max() < 200.001


def test_stations_without_height_are_left_out_and_none_is_refused():
    latitude, longitude = scattered(10)
    height = np.where(np.arange(10) < 3, 50.0, np.nan)
    np.testing.assert_allclose(station_terrain(GRID, latitude, longitude, height), 50.0)
    with pytest.raises(InputError, match="no station has a position and a height"):
        station_terrain(GRID, latitude, longitude, np.full(10, np.nan))
