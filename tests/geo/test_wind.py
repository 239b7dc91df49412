"""Wind rotation: inverse, and a known angle near a domain's edge."""

import numpy as np
import pytest
from pyproj import Geod

from rtma_diffda.geo.grid import transformer
from rtma_diffda.geo.region import load_region
from rtma_diffda.geo.wind import components, convergence, speed_and_direction, to_earth_relative, to_grid_relative


@pytest.mark.parametrize("name", ["conus", "alaska", "hawaii", "hrrr_conus"])
def test_convergence_is_the_bearing_of_the_y_axis(name):
    """The bearing from a point to one slightly along y, by geodesics on the sphere, at the corners of the domain."""
    grid = load_region(name).grid
    sphere = Geod(a=6371200.0, b=6371200.0)
    for column, row in ((0, 0), (grid.nx - 1, 0), (0, grid.ny - 1), (grid.nx - 1, grid.ny - 1)):
        x, y = grid.x0 + column * grid.dx, grid.y0 + row * grid.dy
        start, end = _position(grid, x, y - 50.0), _position(grid, x, y + 50.0)
        bearing = sphere.inv(start[1], start[0], end[1], end[0])[0]
        middle = _position(grid, x, y)
        gamma = np.rad2deg(convergence(grid.projection, np.array([middle[0]]), np.array([middle[1]])))[0]
        assert (bearing - gamma + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=1e-3)


def _position(grid, x, y):
    longitude, latitude = transformer(grid.projection).transform(x, y, direction="INVERSE")
    return latitude, longitude


def test_lambert_convergence_is_the_cone_constant_times_the_longitude():
    """γ = (λ − λ₀) sin φ₁ for one standard parallel: 10.5° at 70.2 W in the CONUS grid, negative in the west."""
    projection = load_region("conus").grid.projection
    gamma = np.rad2deg(convergence(projection, np.array([45.0, 30.0]), np.array([-70.2, -125.0])))
    assert np.allclose(gamma, np.array([24.8, -30.0]) * np.sin(np.deg2rad(25.0)), atol=1e-9)


def test_a_wind_along_the_y_axis_in_the_east_blows_toward_the_east_of_north():
    u, v = to_earth_relative(np.array([0.0]), np.array([10.0]), np.deg2rad([10.5]))
    assert np.allclose((u[0], v[0]), (10.0 * np.sin(np.deg2rad(10.5)), 10.0 * np.cos(np.deg2rad(10.5))))


def test_rotation_inverts_and_keeps_the_speed():
    rng = np.random.default_rng(0)
    u, v = rng.normal(size=(2, 50, 40))
    gamma = rng.uniform(-np.pi, np.pi, (50, 40))
    u_grid, v_grid = to_grid_relative(u, v, gamma)
    assert np.allclose(np.hypot(u_grid, v_grid), np.hypot(u, v))
    back = to_earth_relative(u_grid, v_grid, gamma)
    assert np.allclose(back, (u, v), atol=1e-14)


def test_directions_follow_the_meteorological_convention():
    u, v = components([10.0, 10.0, 10.0], [360.0, 90.0, 225.0])
    assert np.allclose(u, [0.0, -10.0, 10.0 * np.sqrt(0.5)], atol=1e-12)
    assert np.allclose(v, [-10.0, 0.0, 10.0 * np.sqrt(0.5)], atol=1e-12)
    speed, direction = speed_and_direction(u, v)
    assert np.allclose(speed, 10.0)
    assert np.allclose(direction, [360.0, 90.0, 225.0])
    assert speed_and_direction(0.0, 0.0)[1] == 0.0
