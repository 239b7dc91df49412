"""Grids: projections, positions, and areas against independent computations."""

import numpy as np
import pytest
from pyproj import Geod

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.curvilinear import CurvilinearGrid
from rtma_diffda.geo.grid import LatLonGrid, ProjectedGrid, ReducedGaussianGrid, transformer

RADIUS = 6371200.0
SPHERE = f"+a={RADIUS} +b={RADIUS} +units=m"
LAMBERT = ProjectedGrid(f"+proj=lcc +lat_1=25 +lat_2=25 +lat_0=25 +lon_0=265 {SPHERE}", 60, 40, 8e4, 8e4, -2.4e6, -2e5)
POLAR = ProjectedGrid(f"+proj=stere +lat_0=90 +lat_ts=60 +lon_0=210 {SPHERE}", 50, 40, 9e4, 9e4, -2.6e6, -4.8e6)
MERCATOR = ProjectedGrid(f"+proj=merc +lat_ts=20 +lon_0=0 {SPHERE}", 40, 30, 5e4, 5e4, 1.4e7, 1.2e6)
PROJECTED = pytest.mark.parametrize("grid", [LAMBERT, POLAR, MERCATOR], ids=["lambert", "polar", "mercator"])


@PROJECTED
def test_projection_round_trip(grid):
    x, y = grid.project(grid.latitude(), grid.longitude())
    assert np.abs(x - grid.x).max() < 1e-5
    assert np.abs(y - grid.y[:, None]).max() < 1e-5
    rows, columns = grid.fractional_index(grid.latitude(), grid.longitude())
    assert np.allclose(rows, np.arange(grid.ny)[:, None], atol=1e-9)
    assert np.allclose(columns, np.arange(grid.nx), atol=1e-9)


def test_lambert_agrees_with_snyders_formulas():
    """Snyder (1987), eqs. 15-1 to 15-4 for one standard parallel: n = sin φ₁, ρ = a cot φ₁ (tan ¼(π + 2φ₁)/tan …)ⁿ."""
    latitude, longitude, origin = 47.3, -101.7, 25.0

    def rho(phi):
        ratio = np.tan(np.pi / 4 + np.deg2rad(origin) / 2) / np.tan(np.pi / 4 + np.deg2rad(phi) / 2)
        return RADIUS / np.tan(np.deg2rad(origin)) * ratio ** np.sin(np.deg2rad(origin))

    theta = np.sin(np.deg2rad(origin)) * np.deg2rad(longitude + 95.0)
    x, y = LAMBERT.project(latitude, longitude)
    assert abs(x - rho(latitude) * np.sin(theta)) < 1e-6
    assert abs(y - (rho(origin) - rho(latitude) * np.cos(theta))) < 1e-6


@PROJECTED
def test_areas_of_cells_sum_to_the_area_inside_the_rim(grid):
    steps = np.linspace(-0.5, 0.5, 2001)
    west, east = grid.x0 - 0.5 * grid.dx, grid.x0 + (grid.nx - 0.5) * grid.dx
    south, north = grid.y0 - 0.5 * grid.dy, grid.y0 + (grid.ny - 0.5) * grid.dy
    xs, ys = np.interp(steps, [-0.5, 0.5], [west, east]), np.interp(steps, [-0.5, 0.5], [south, north])
    rim_x = np.concatenate([xs, np.full(ys.size, east), xs[::-1], np.full(ys.size, west)])
    rim_y = np.concatenate([np.full(xs.size, south), ys, np.full(xs.size, north), ys[::-1]])
    longitude, latitude = transformer(grid.projection).transform(rim_x, rim_y, direction="INVERSE")
    expected, _ = Geod(a=RADIUS, b=RADIUS).polygon_area_perimeter(longitude, latitude)
    # The cell's area is taken at its centre: a midpoint rule, whose error falls with the square of the spacing.
    assert grid.cell_area().sum() == pytest.approx(abs(expected), rel=2e-4)


def test_first_point_is_kept_and_metres_are_metres_at_the_true_latitude():
    grid = ProjectedGrid.from_first_point(
        POLAR.projection, nx=5, ny=5, dx=3000.0, dy=3000.0, latitude=60.0, longitude=-150.0
    )
    assert np.allclose((grid.latitude()[0, 0], grid.longitude()[0, 0]), (60.0, -150.0), atol=1e-10)
    assert grid.cell_area()[0, 0] == pytest.approx(9e6, rel=1e-4)


def test_contains_is_the_hull_of_the_points():
    inside = LAMBERT.contains(LAMBERT.latitude(), LAMBERT.longitude())
    assert inside[1:-1, 1:-1].all()
    assert not LAMBERT.contains([-40.0, 89.0], [80.0, 10.0]).any()
    assert not LAMBERT.contains(np.nan, np.nan)


def test_global_areas_cover_the_sphere():
    sphere = 4.0 * np.pi * RADIUS**2
    with_poles = LatLonGrid(np.linspace(-90, 90, 37), np.arange(0, 360, 5.0), periodic=True)
    assert with_poles.cell_area().sum() == pytest.approx(sphere, rel=1e-12)
    reduced = ReducedGaussianGrid(np.array([80.0, 45.0, 0.0, -45.0, -80.0]), np.array([8, 16, 24, 16, 8]))
    assert reduced.cell_area().sum() == pytest.approx(sphere, rel=1e-12)


def test_curvilinear_areas_match_the_rectilinear_ones():
    regular = LatLonGrid(np.arange(30.0, 60.0, 1.0), np.arange(0.0, 360.0, 1.0), periodic=True)
    latitude, longitude = regular.latitude(), np.broadcast_to(regular.longitudes, regular.shape)
    curvilinear = CurvilinearGrid(latitude, longitude, periodic=True)
    assert np.allclose(curvilinear.cell_area()[1:-1], regular.cell_area()[1:-1], rtol=1e-4)
    projected = CurvilinearGrid(LAMBERT.latitude(), LAMBERT.longitude())
    assert np.allclose(projected.cell_area()[1:-1, 1:-1], LAMBERT.cell_area()[1:-1, 1:-1], rtol=1e-3)
    assert np.allclose(projected.cell_area(), LAMBERT.cell_area(), rtol=1e-2)


def test_keys_tell_grids_apart():
    moved = ProjectedGrid(LAMBERT.projection, 60, 40, 8e4, 8e4, LAMBERT.x0 + 100.0, LAMBERT.y0)
    assert LAMBERT.key != moved.key
    first = CurvilinearGrid(np.zeros((2, 2)), np.zeros((2, 2)))
    assert first == CurvilinearGrid(np.zeros((2, 2)), np.full((2, 2), -0.0))
    assert first != CurvilinearGrid(np.zeros((2, 2)), np.ones((2, 2)))


def test_refusals_name_what_was_found():
    with pytest.raises(UsageError, match="not understood"):
        ProjectedGrid("+proj=nonsense", 4, 4, 1.0, 1.0, 0.0, 0.0).latitude()
    with pytest.raises(UsageError, match="1 × 4"):
        ProjectedGrid(LAMBERT.projection, 1, 4, 1.0, 1.0, 0.0, 0.0)
    with pytest.raises(InputError, match="strictly increasing"):
        LatLonGrid(np.array([50.0, 40.0]), np.array([0.0, 1.0]))
    with pytest.raises(InputError, match="less than 360"):
        LatLonGrid(np.array([40.0, 50.0]), np.array([0.0, 360.0]))
    with pytest.raises(InputError, match=r"\(2, 2\).*\(2, 3\)"):
        CurvilinearGrid(np.zeros((2, 2)), np.zeros((2, 3)))
    with pytest.raises(InputError, match="finite"):
        CurvilinearGrid(np.full((2, 2), 91.0), np.zeros((2, 2)))
