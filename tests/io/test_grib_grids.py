"""Grids from GRIB keys: positions against independent formulas, order of values under every scanning mode."""

import numpy as np
import pytest

from rtma_diffda.errors import InputError
from rtma_diffda.geo.gaussian import gaussian_latitudes
from rtma_diffda.geo.grib_grids import grid_from_grib, to_grid_order

SPHERE = {"edition": 2, "shapeOfTheEarth": 6}
FLAGS = {"iScansNegatively": 0, "jScansPositively": 1, "jPointsAreConsecutive": 0, "alternativeRowScanning": 0}
LAMBERT = {
    **SPHERE, **FLAGS, "gridType": "lambert", "Nx": 4, "Ny": 3, "DxInMetres": 3000.0, "DyInMetres": 3000.0,
    "Latin1InDegrees": 38.5, "Latin2InDegrees": 38.5, "LaDInDegrees": 38.5, "LoVInDegrees": 262.5,
    "latitudeOfFirstGridPointInDegrees": 41.881421, "longitudeOfFirstGridPointInDegrees": 243.070146,
}  # fmt: skip
STEREO = {
    **SPHERE, **FLAGS, "gridType": "polar_stereographic", "Nx": 5, "Ny": 4, "DxInMetres": 2976.563,
    "DyInMetres": 2976.563, "LaDInDegrees": 60.0, "orientationOfTheGridInDegrees": 210.0, "projectionCentreFlag": 0,
    "latitudeOfFirstGridPointInDegrees": 40.530101, "longitudeOfFirstGridPointInDegrees": 181.429,
}  # fmt: skip
MERCATOR = {
    **SPHERE, **FLAGS, "shapeOfTheEarth": 8, "gridType": "mercator", "Nx": 321, "Ny": 225, "DiInMetres": 2500.0,
    "DjInMetres": 2500.0, "LaDInDegrees": 20.0, "latitudeOfFirstGridPointInDegrees": 18.072699,
    "longitudeOfFirstGridPointInDegrees": 198.474999,
}  # fmt: skip
LAT_LON = {
    **SPHERE, **FLAGS, "gridType": "regular_ll", "Nx": 4, "Ny": 3, "latitudeOfFirstGridPointInDegrees": 40.0,
    "latitudeOfLastGridPointInDegrees": 42.0, "longitudeOfFirstGridPointInDegrees": 358.0,
    "longitudeOfLastGridPointInDegrees": 1.0, "iDirectionIncrementInDegrees": 1.0, "jDirectionIncrementInDegrees": 1.0,
}  # fmt: skip


def test_hawaii_mercator_reaches_its_published_last_point():
    grid = grid_from_grib(MERCATOR)
    assert grid.latitude()[-1, -1] == pytest.approx(23.087799, abs=1e-4)
    assert grid.longitude()[-1, -1] + 360 == pytest.approx(206.130999, abs=1e-4)


def test_lambert_starts_at_its_first_point_on_its_own_sphere():
    grid = grid_from_grib(LAMBERT)
    assert "6371229" in grid.projection
    assert grid.latitude()[0, 0] == pytest.approx(41.881421, abs=1e-9)
    other = grid_from_grib({**LAMBERT, "shapeOfTheEarth": 8})
    assert np.abs(other.latitude() - grid.latitude()).max() > 1e-7


def test_secant_lambert_has_unit_scale_on_both_parallels():
    grid = grid_from_grib({**LAMBERT, "Latin1InDegrees": 30.0, "Latin2InDegrees": 60.0})
    n = np.log(np.cos(np.pi / 6) / np.cos(np.pi / 3)) / np.log(np.tan(5 * np.pi / 12) / np.tan(np.pi / 3))
    x, y = grid.project([41.0, 41.0], [-97.5, -87.5])
    radius = (x[1] ** 2 + (y[1] - y[0]) ** 2) / (2 * (y[1] - y[0]))  # of the parallel's circle, from chord and sagitta
    assert np.arcsin(x[1] / radius) == pytest.approx(n * np.deg2rad(10.0), rel=1e-6)


@pytest.mark.parametrize(("flag", "sign"), [(0, 1.0), (128, -1.0)])
def test_polar_stereographic_agrees_with_the_formula_at_either_pole(flag, sign):
    keys = {**STEREO, "projectionCentreFlag": flag, "latitudeOfFirstGridPointInDegrees": sign * 40.530101}
    x, y = grid_from_grib(keys).project(sign * 70.0, -100.0)
    radius = 6371229.0 * (1 + np.sin(np.deg2rad(60))) * np.tan(np.deg2rad(10))
    angle = np.deg2rad(-100.0 - (210.0 - 360.0))
    assert x == pytest.approx(radius * np.sin(angle), abs=0.01)
    assert y == pytest.approx(-sign * radius * np.cos(angle), abs=0.01)


@pytest.mark.parametrize("keys", [LAMBERT, STEREO, MERCATOR | {"Nx": 6, "Ny": 5}], ids=lambda keys: keys["gridType"])
@pytest.mark.parametrize("west", [0, 1])
@pytest.mark.parametrize("north", [0, 1])
@pytest.mark.parametrize("columns_first", [0, 1])
@pytest.mark.parametrize("alternating", [0, 1])
def test_every_scanning_mode_gives_the_same_field_at_the_same_places(keys, west, north, columns_first, alternating):
    plain = grid_from_grib(keys)
    corner = (0 if north else -1, -1 if west else 0)
    flags = {"iScansNegatively": west, "jScansPositively": north, "jPointsAreConsecutive": columns_first,
             "alternativeRowScanning": alternating}  # fmt: skip
    first = {"latitudeOfFirstGridPointInDegrees": plain.latitude()[corner],
             "longitudeOfFirstGridPointInDegrees": plain.longitude()[corner]}  # fmt: skip
    scanned = keys | flags | first
    field = np.arange(plain.nx * plain.ny, dtype=float).reshape(plain.shape)
    lines = field[:: 1 if north else -1, :: -1 if west else 1]
    lines = (lines.T if columns_first else lines).copy()
    if alternating:
        lines[1::2] = lines[1::2, ::-1]
    grid = grid_from_grib(scanned)
    np.testing.assert_allclose(grid.latitude(), plain.latitude(), atol=1e-8)
    np.testing.assert_allclose(grid.longitude(), plain.longitude(), atol=1e-8)
    np.testing.assert_array_equal(to_grid_order(lines.ravel(), scanned), field)


def test_latitudes_from_the_north_and_longitudes_across_greenwich():
    north = {"jScansPositively": 0, "latitudeOfFirstGridPointInDegrees": 42.0, "latitudeOfLastGridPointInDegrees": 40.0}
    keys = LAT_LON | north
    grid = grid_from_grib(keys)
    np.testing.assert_array_equal(grid.latitudes, [40, 41, 42])
    np.testing.assert_array_equal(grid.longitudes, [-2, -1, 0, 1])
    assert not grid.periodic
    np.testing.assert_array_equal(to_grid_order(np.arange(12.0), keys)[:, 0], [8, 4, 0])


def test_westward_columns_come_out_eastward():
    keys = LAT_LON | {"iScansNegatively": 1, "longitudeOfFirstGridPointInDegrees": 1.0,
                      "longitudeOfLastGridPointInDegrees": 358.0}  # fmt: skip
    np.testing.assert_array_equal(grid_from_grib(keys).longitudes, [-2, -1, 0, 1])
    np.testing.assert_array_equal(to_grid_order(np.arange(12.0), keys)[0], [3, 2, 1, 0])


@pytest.mark.parametrize(("last", "columns"), [(270.0, 4), (0.0, 5), (360.0, 5)])
def test_a_global_grid_is_periodic_and_loses_a_repeated_meridian(last, columns):
    keys = LAT_LON | {"Nx": columns, "longitudeOfFirstGridPointInDegrees": 0.0, "iDirectionIncrementInDegrees": 90.0,
                      "longitudeOfLastGridPointInDegrees": last}  # fmt: skip
    grid = grid_from_grib(keys)
    assert grid.periodic
    assert grid.longitudes.size == 4
    assert to_grid_order(np.arange(3.0 * columns), keys).shape == (3, 4)


def test_gaussian_latitudes_are_the_roots_of_the_legendre_polynomial():
    roots, _ = np.polynomial.legendre.leggauss(96)
    np.testing.assert_allclose(np.sin(np.deg2rad(gaussian_latitudes(48)))[::-1], roots, atol=1e-14)
    assert gaussian_latitudes(160)[0] == pytest.approx(89.570089550606, abs=1e-10)  # ECMWF's N160


def test_a_piece_of_a_regular_gaussian_grid_takes_its_rows():
    rows = gaussian_latitudes(48)
    keys = LAT_LON | {"gridType": "regular_gg", "N": 48, "Ny": 3, "jScansPositively": 0,
                      "latitudeOfFirstGridPointInDegrees": round(rows[20], 3)}  # fmt: skip
    np.testing.assert_array_equal(grid_from_grib(keys).latitudes, rows[20:23][::-1])


def test_reduced_gaussian_needs_to_be_global():
    keys = {"edition": 1, "gridType": "reduced_gg", "N": 2, "pl": np.array([20, 24, 24, 20]), "jScansPositively": 0}
    grid = grid_from_grib(keys)
    assert (grid.shape, grid.radius) == ((88,), 6367470.0)
    with pytest.raises(InputError, match="only global ones"):
        grid_from_grib(keys | {"pl": np.array([24, 24])})


@pytest.mark.parametrize(
    ("stated", "axes"),
    [
        ({"edition": 1, "earthIsOblate": 0}, (6367470.0, 6367470.0)),
        ({"edition": 1, "earthIsOblate": 1}, (6378160.0, 6356775.0)),
        ({"shapeOfTheEarth": 1, "scaleFactorOfRadiusOfSphericalEarth": 1,
          "scaledValueOfRadiusOfSphericalEarth": 63712000}, (6371200.0, 6371200.0)),
        ({"shapeOfTheEarth": 3, "scaleFactorOfEarthMajorAxis": 1, "scaledValueOfEarthMajorAxis": 63781,
          "scaleFactorOfEarthMinorAxis": 1, "scaledValueOfEarthMinorAxis": 63568}, (6378100.0, 6356800.0)),
        ({"shapeOfTheEarth": 4}, (6378137.0, 6356752.314)),
        ({"shapeOfTheEarth": 8}, (6371200.0, 6371200.0)),
    ],
)  # fmt: skip
def test_the_figure_of_the_earth_is_the_messages_own(stated, axes):
    projection = grid_from_grib({**LAMBERT, **stated}).projection
    assert f"+a={axes[0]!r} +b={axes[1]!r}" in projection


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gridType": "rotated_ll"}, "grid type 'rotated_ll' is not read"),
        ({"shapeOfTheEarth": 1, "scaledValueOfRadiusOfSphericalEarth": 2147483647}, "states its own"),
        ({"shapeOfTheEarth": 1, "scaleFactorOfRadiusOfSphericalEarth": 0,
          "scaledValueOfRadiusOfSphericalEarth": 6371}, "expected 6300000"),
        ({"shapeOfTheEarth": 12}, "shape of the earth 12"),
        ({"Nx": 2147483647, "numberOfDataPoints": 12}, "cannot hold the 12 data points"),
        ({"Latin1InDegrees": 30.0, "Latin2InDegrees": -30.0}, "contradictory"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_grid_is_refused_with_a_sentence(change, words):
    with pytest.raises(InputError, match=words):
        grid_from_grib(LAMBERT | change)
    with pytest.raises(InputError, match="has 5 values; its grid has 12 points"):
        to_grid_order(np.zeros(5), LAMBERT)
