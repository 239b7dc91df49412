"""Bilinear weights: ESMF's fixtures, known answers, seams, poles, date line, reduced and projected sources."""

import numpy as np
import pytest
from scipy.optimize import fsolve

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.curvilinear import CurvilinearGrid
from rtma_diffda.geo.grid import LatLonGrid, ProjectedGrid, ReducedGaussianGrid
from rtma_diffda.geo.regrid.cartesian import cartesian, grid_vectors
from rtma_diffda.geo.regrid.quad_mesh import QuadMesh
from rtma_diffda.geo.regrid.ray_patch import intersect_patches
from rtma_diffda.geo.regrid.regridder import Regridder
from rtma_diffda.geo.regrid.weights import regrid_weights

SPHERE = "+R=6371229 +units=m"
STEREO = ProjectedGrid(f"+proj=stere +lat_0=90 +lat_ts=60 +lon_0=-150 {SPHERE}", 41, 37, 2e5, 2e5, -4e6, -4e6)
LAMBERT = ProjectedGrid(f"+proj=lcc +lat_1=25 +lat_2=25 +lat_0=25 +lon_0=265 {SPHERE}", 60, 40, 1e5, 1e5, -3e6, -5e5)
WITH_POLES = LatLonGrid(np.linspace(-90, 90, 37), np.arange(0, 360, 5.0), periodic=True)
WITHOUT_POLES = LatLonGrid(np.arange(-87.5, 90, 5.0), np.arange(-180, 180, 5.0), periodic=True)
SEAM = LatLonGrid(np.arange(30.0, 60.0, 3.0), np.arange(160.0, 215.0, 3.0))
COARSE = LatLonGrid(np.arange(-88.0, 89.0, 4.0), np.arange(0.0, 360.0, 30.0), periodic=True)


def descending(grid):
    latitude, longitude = np.meshgrid(grid.latitudes[::-1], grid.longitudes, indexing="ij")
    return CurvilinearGrid(latitude, longitude, grid.periodic)


SOURCES = {
    "with poles": WITH_POLES,
    "without poles": WITHOUT_POLES,
    "not periodic": LatLonGrid(WITH_POLES.latitudes, WITH_POLES.longitudes),
    "date line": SEAM,
    "long cells": COARSE,
    "north to south": descending(WITH_POLES),
    "north to south, date line": descending(SEAM),
    "stereographic": STEREO,
    "lambert": LAMBERT,
}


def stations(latitude, longitude):
    return CurvilinearGrid(np.atleast_2d(np.asarray(latitude, float)), np.atleast_2d(np.asarray(longitude, float)))


@pytest.fixture(scope="module")
def places():
    """1,000 places: all over the sphere, dense at the poles, and on lines and points of the source grids."""
    rng = np.random.default_rng(11)
    latitude = np.rad2deg(np.arcsin(rng.uniform(-1, 1, 1000)))
    longitude = rng.uniform(-180, 180, 1000)
    latitude[:100], latitude[100:200] = rng.uniform(84, 90, 100), rng.uniform(-90, -84, 100)
    latitude[200:300] = 5.0 * rng.integers(-17, 18, 100)
    longitude[300:400] = 5.0 * rng.integers(-36, 36, 100)
    latitude[400:450], longitude[400:450] = 3.0 * rng.integers(10, 19, 50), 160.0 + 3.0 * rng.integers(0, 18, 50)
    latitude[450:452] = 90.0, -90.0
    return stations(latitude, longitude)


def hit_by_any_cell(mesh, points):
    """Every cell tried for every point: what the search must find."""
    row, column = np.indices(mesh.shape).reshape(2, -1)
    corners, hit = mesh.corners(row, column), np.zeros(points.shape[1], bool)
    near = np.einsum("cin,ip->pn", corners, points) / 4.0
    reach = np.linalg.norm(corners - corners.mean(axis=0), axis=1).max(axis=0)
    for point in range(points.shape[1]):
        at = np.flatnonzero(near[point] > 1.0 - 2.0 * reach**2 - 1e-9)
        u, v, _ = intersect_patches(corners[:, :, at], np.repeat(points[:, point : point + 1], at.size, axis=1))
        hit[point] = (np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v)) > -1e-9).any()
    return hit


@pytest.mark.parametrize("name", SOURCES)
def test_the_search_finds_every_cell_and_the_weights_point_at_the_destination(name, places):
    """The weighted mean of the corners' unit vectors lies on the ray through the destination: the defining equation."""
    source = SOURCES[name]
    weights, points = regrid_weights(source, places, engine="embedded"), grid_vectors(places).reshape(3, -1)
    mesh = QuadMesh(grid_vectors(source), getattr(source, "periodic", False))
    hit = hit_by_any_cell(mesh, points)
    mapped = weights.mapped().ravel()
    assert (mapped[hit]).all()
    assert mapped.all() if mesh.periodic else np.array_equal(mapped, hit)
    matrix = weights.matrix()
    assert np.allclose(np.asarray(matrix.sum(axis=1)).ravel()[mapped], 1.0, atol=1e-12)
    assert weights.weight.min() >= 0.0
    direction = np.stack([matrix @ component.ravel() for component in mesh.nodes])[:, hit]
    direction /= np.linalg.norm(direction, axis=0)
    assert np.abs(direction - points[:, hit]).max() < 2e-10


def test_a_cell_agrees_with_a_root_finder():
    """u and v of one point against SciPy's solution of the same three equations."""
    corners = cartesian([40.0, 41.0, 44.0, 42.0], [10.0, 14.0, 15.0, 11.0]).T
    point = cartesian(42.0, 12.5)

    def distance(unknown):
        u, v, t = unknown
        patch = (
            (1 - u) * (1 - v) * corners[0] + u * (1 - v) * corners[1] + u * v * corners[2] + (1 - u) * v * corners[3]
        )
        return patch - t * point

    u, v, met = intersect_patches(corners[:, :, None], point[:, None])
    assert met[0]
    assert np.allclose((u[0], v[0]), fsolve(distance, [0.5, 0.5, 1.0], xtol=1e-13)[:2], atol=1e-9)
    behind = intersect_patches(corners[:, :, None], -point[:, None])
    assert not behind[2][0]


def test_constant_fields_stay_constant(places):
    for source in SOURCES.values():
        values = Regridder.between(source, places, engine="embedded")(np.full(source.shape, 281.5))
        assert np.allclose(values[np.isfinite(values)], 281.5, rtol=1e-13)


def test_linear_fields_are_exact_on_small_cells():
    """On cells of a few kilometres the patch is flat: a field linear in the plane comes back to its curvature."""
    source = ProjectedGrid(LAMBERT.projection, 30, 25, 2500.0, 2500.0, -4e4, -3e4)
    target = ProjectedGrid(LAMBERT.projection, 20, 15, 3111.0, 2777.0, -3.3e4, -2.2e4)

    def field(grid):
        return 3.0 + 2e-3 * grid.x[None, :] - 5e-4 * grid.y[:, None]

    regridded = Regridder.between(source, target, engine="embedded")(field(source))
    assert np.abs(regridded - field(target)).max() < 1e-4
    same = Regridder.between(source, source, engine="embedded")(field(source))
    assert np.array_equal(same, field(source))


def test_the_seam_of_a_periodic_source_is_closed_and_of_another_is_not():
    places = stations([40.0, 40.0], [-1.25, 358.75])
    values = np.broadcast_to(np.cos(np.deg2rad(WITH_POLES.longitudes)), WITH_POLES.shape)
    closed = Regridder.between(WITH_POLES, places, engine="embedded")(values)
    assert np.allclose(closed, np.cos(np.deg2rad(1.25)), atol=2e-3)
    assert closed[0, 0] == pytest.approx(closed[0, 1], abs=1e-12)
    opened = Regridder.between(SOURCES["not periodic"], places, engine="embedded")(values)
    assert np.isnan(opened).all()


def test_caps_have_the_mean_of_the_last_row_at_the_pole():
    values = np.random.default_rng(0).normal(size=WITHOUT_POLES.shape)
    poles = Regridder.between(WITHOUT_POLES, stations([90.0, -90.0], [12.0, 77.0]), engine="embedded")(values)
    assert np.allclose(poles[0], [values[-1].mean(), values[0].mean()], atol=1e-12)
    belt = LatLonGrid(np.arange(20.0, 50.0, 5.0), np.arange(0.0, 360.0, 10.0), periodic=True)
    middle = regrid_weights(belt, stations(88.0, 33.0), engine="embedded")
    assert middle.mapped().all()
    assert middle.matrix().sum() == pytest.approx(1.0)


def test_a_destination_on_a_pole_row_takes_its_first_point():
    weights = regrid_weights(WITH_POLES, stations([90.0, -90.0], [33.0, -140.0]), engine="embedded")
    dense = weights.matrix().toarray()
    last_row = (WITH_POLES.shape[0] - 1) * WITH_POLES.shape[1]
    assert dense[0, last_row] == dense[1, 0] == 1.0


def test_destinations_on_source_points_take_their_value():
    values = np.random.default_rng(1).normal(size=SEAM.shape)
    target = stations(SEAM.latitude(), SEAM.longitude())
    assert np.allclose(Regridder.between(SEAM, target, engine="embedded")(values), values, atol=1e-9)


def test_destinations_just_outside_are_clamped_and_further_out_unmapped():
    edge = stations([30.0 - 1e-8, 30.0 - 1e-5, 45.0, 45.0], [161.5 - 1.5, 161.0, 214.0 + 1e-8, 214.0 + 1e-5])
    assert regrid_weights(SEAM, edge, engine="embedded").mapped().tolist() == [[True, False, True, False]]


def test_projected_sources_cover_their_hull(places):
    inside = STEREO.contains(places.latitude(), places.longitude())
    assert np.array_equal(regrid_weights(STEREO, places, engine="embedded").mapped(), inside)
    values = Regridder.between(STEREO, places, engine="embedded")(smooth(STEREO.latitude(), STEREO.longitude()))
    assert np.abs(values - smooth(places.latitude(), places.longitude()))[inside].max() < 0.02


def gaussian_grid(rows=48):
    """A full set of Gaussian latitudes with ever fewer points toward the poles, like ECMWF's octahedral grids."""
    latitudes = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(rows)[0]))[::-1].copy()
    ring = np.minimum(np.arange(rows), np.arange(rows)[::-1])
    return ReducedGaussianGrid(latitudes, 20 + 4 * ring)


def smooth(latitude, longitude):
    phi, lam = np.deg2rad(latitude), np.deg2rad(longitude)
    return 270.0 + 20.0 * np.sin(phi) + 8.0 * np.cos(phi) * np.cos(lam - 0.4)


def test_reduced_gaussian_rows():
    grid = gaussian_grid()
    field = smooth(grid.latitude(), grid.longitude())
    rng = np.random.default_rng(5)
    places = stations(np.rad2deg(np.arcsin(rng.uniform(-1, 1, 800))), rng.uniform(-180, 180, 800))
    regridder = Regridder.between(grid, places, engine="embedded")
    assert np.allclose(regridder(np.full(grid.shape, 7.5)), 7.5, atol=1e-12)
    # Second-order error: (Δφ)²/8 · |f''| along the meridian plus (Δλ)²/8 along the row, below 0.05 + 0.05 here.
    assert np.abs(regridder(field) - smooth(places.latitude(), places.longitude())).max() < 0.1


def test_reduced_gaussian_by_hand():
    """Two rows of 4 and 8 points: at 10 N, 30 E, a third of the way from 20 N to 10 S."""
    grid = ReducedGaussianGrid(np.array([20.0, -10.0]), np.array([4, 8]))
    dense = regrid_weights(grid, stations(10.0, 30.0)).matrix().toarray()[0]
    expected = np.zeros(12)
    expected[[0, 1]] = 2 / 3 * np.array([2 / 3, 1 / 3])
    expected[[4, 5]] = 1 / 3 * np.array([1 / 3, 2 / 3])
    assert np.allclose(dense, expected, atol=1e-14)


def test_reduced_gaussian_poles_rows_and_seam():
    grid = ReducedGaussianGrid(np.array([60.0, 0.0, -60.0]), np.array([4, 8, 4]))
    values = np.arange(16.0)
    north, above, on_row, seam = Regridder.between(grid, stations([90.0, 75.0, 0.0, 0.0], [50.0, 0.0, 45.0, -22.5]))(
        values
    )[0]
    assert north == pytest.approx(1.5)
    assert above == pytest.approx(0.5 * 0.0 + 0.5 * 1.5)
    assert on_row == pytest.approx(5.0)
    assert seam == pytest.approx(0.5 * (11.0 + 4.0))


def test_refusals():
    with pytest.raises(UsageError, match="bilinear, nearest_s2d"):
        regrid_weights(SEAM, LAMBERT, method="cubic")
    with pytest.raises(UsageError, match="embedded"):
        regrid_weights(SEAM, LAMBERT, engine="esmf")
    with pytest.raises(InputError, match="two rows and columns"):
        regrid_weights(stations([1.0, 2.0], [1.0, 2.0]), LAMBERT, engine="embedded")


def test_xesmf_asked_for_and_absent_is_explained(monkeypatch):
    from rtma_diffda.geo.regrid import xesmf_engine

    monkeypatch.setattr(xesmf_engine, "_is_installed", lambda module: False)
    with pytest.raises(UsageError, match="conda"):
        regrid_weights(SEAM, LAMBERT, engine="xesmf")
    assert regrid_weights(SEAM, LAMBERT, engine="auto").method == "bilinear"
