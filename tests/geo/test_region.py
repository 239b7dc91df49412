"""Region files: NOAA's domains point by point, and refusals."""

import numpy as np
import pytest

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.region import load_region, region_names
from rtma_diffda.geo.sphere import great_circle_distance

# name: (nx, ny), first point, last point where NOAA states one (degrees north, degrees east), metres off at the last.
# Puerto Rico's stated last point lies half a cell beyond 177 × 129 points of 2,500 m; the spacing is what we keep.
NOAA = {
    "conus": ((2345, 1597), (19.229, 233.723448), (54.3728, 300.9578), 30.0),
    "conus_ndfd": ((2145, 1377), (20.191999, 238.445999), None, 0.0),
    "alaska": ((1649, 1105), (40.530101, 181.429), None, 0.0),
    "hawaii": ((321, 225), (18.072699, 198.474999), (23.087799, 206.130999), 30.0),
    "puerto_rico": ((177, 129), (16.828685, 291.804687), (19.747399, 296.0276), 2000.0),
    "guam": ((193, 193), (12.349884, 143.686538), (16.794399, 148.28), 60.0),
    "hrrr_conus": ((1799, 1059), (21.138123, 237.280472), None, 0.0),
}


@pytest.mark.parametrize("name", NOAA)
def test_noaa_domains_have_their_published_points(name):
    (nx, ny), first, last, tolerance = NOAA[name]
    grid = load_region(name).grid
    assert grid.shape == (ny, nx)
    assert great_circle_distance(grid.latitude()[0, 0], grid.longitude()[0, 0], *first) < 5.0
    if last is not None:
        assert great_circle_distance(grid.latitude()[-1, -1], grid.longitude()[-1, -1], *last) < tolerance
    assert (np.diff(grid.latitude()[:, nx // 2]) > 0).all() or name == "alaska"


def test_conus_corners():
    grid = load_region("conus").grid
    north_west = (grid.latitude()[-1, 0], grid.longitude()[-1, 0])
    south_east = (grid.latitude()[0, -1], grid.longitude()[0, -1])
    assert np.allclose(north_west, (53.05, -138.37), atol=0.005)
    assert np.allclose(south_east, (20.33, -69.21), atol=0.005)
    assert np.allclose((grid.x0, grid.y0), (-3271151.6, -263793.7), atol=6.0)


def test_the_ndfd_grid_starts_200_columns_into_the_conus_grid():
    conus, ndfd = load_region("conus").grid, load_region("conus_ndfd").grid
    assert (ndfd.x0 - conus.x0) / conus.dx == pytest.approx(200.0, abs=0.005)
    assert (ndfd.y0 - conus.y0) / conus.dy == pytest.approx(0.0, abs=0.005)


def test_spheres_are_those_of_each_product():
    spheres = {name: load_region(name).grid.crs.ellipsoid.semi_major_metre for name in NOAA}
    assert spheres.pop("hrrr_conus") == 6371229.0
    assert set(spheres.values()) == {6371200.0}


def test_every_packaged_region_loads():
    assert set(NOAA) <= set(region_names())
    for name in region_names():
        region = load_region(name)
        assert region.name == name
        assert region.title
        assert region.variables


REGION_TEXT = """
name: here
title: Here
projection: {proj: lcc, lat_1: 45, lat_2: 45, lat_0: 45, lon_0: 10, a: 6371200, b: 6371200}
grid: {nx: 11, ny: 7, dx: 2500, dy: 2500, centre: {latitude: 45.0, longitude: 10.0}}
static: {orog: terrain.nc, lsm: ../land.nc}
variables: [t2m]
"""


def test_a_region_by_path_is_centred_and_finds_its_files_beside_it(tmp_path):
    path = tmp_path / "here.yaml"
    path.write_text(REGION_TEXT)
    region = load_region(str(path))
    assert np.allclose((region.grid.latitude()[3, 5], region.grid.longitude()[3, 5]), (45.0, 10.0), atol=1e-9)
    assert region.static["orog"] == str(tmp_path / "terrain.nc")
    assert region.static["lsm"] == str(tmp_path.parent / "land.nc")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("name: here", "nmae: here", "nmae"),
        ("variables: [t2m]", "variables: [t3m]", "t3m"),
        ("nx: 11, ", "", "nx"),
        ("proj: lcc", "proj: no_such", "not understood"),
        ("nx: 11", "nx: [", "region file"),
    ],
)
def test_a_bad_region_file_is_explained(tmp_path, old, new, words):
    path = tmp_path / "bad.yaml"
    path.write_text(REGION_TEXT.replace(old, new))
    with pytest.raises(UsageError, match=words):
        load_region(str(path))


def test_unknown_regions_are_refused_with_the_choice():
    with pytest.raises(UsageError, match="conus_ndfd"):
        load_region("atlantis")
    with pytest.raises(InputError, match="does not exist"):
        load_region("/nowhere/atlantis.yaml")
