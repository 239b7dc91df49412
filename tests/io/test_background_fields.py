"""Backgrounds on a region: coverage, wind rotation, derived variables, terrain; and static fields from files."""

import numpy as np
import pytest
import xarray as xr
from archive_products import make_design, make_product, slot_time
from builders import small_grid, small_static
from grib_samples import LAMBERT, LAT_LON, OROG, SP, T2M, U10M, V10M, grib_message

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.edge_points import edge_values
from rtma_diffda.geo.grid import ProjectedGrid, transformer
from rtma_diffda.geo.region import Region
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io import moisture
from rtma_diffda.io.archive import Archive
from rtma_diffda.io.background import load_background
from rtma_diffda.io.gridded import read_fields
from rtma_diffda.io.netcdf import write_netcdf
from rtma_diffda.io.static_fields import load_static_fields

pytest.importorskip("eccodes")
SIX = np.datetime64("2026-01-01T06:00")
PLANE = "+proj=lcc +lat_1=50 +lat_2=50 +lat_0=50 +lon_0=1 +a=6371200 +b=6371200 +units=m"
REGION = ProjectedGrid(PLANE, 6, 5, 25e3, 25e3, -62.5e3, -50e3)
FLAT = np.ones((5, 8))


def load(path, names, *, grid=REGION, terrain=None, time=SIX):
    static = StaticFields(grid, None if terrain is None else np.full(grid.shape, float(terrain)))
    return load_background(path, layout=Layout.of(grid, names), static=static, valid_time=time, region="testland")


def channel(background, name):
    return background.state.channel(name)[0].double().numpy()


def file_of(tmp_path, *messages):
    path = tmp_path / "background.grib2"
    path.write_bytes(b"".join(messages))
    return path


def around_idaho(nx=20, ny=30, projection="+proj=lcc +lat_1=43 +lat_2=43 +lat_0=43 +lon_0=-116.5 +R=6371229 +units=m"):
    x, y = transformer(projection).transform(-116.5, 43.0)
    return ProjectedGrid(projection, nx, ny, 3000.0, 3000.0, x - 1500.0 * nx, y - 1500.0 * ny)


def test_a_field_linear_in_latitude_is_kept_between_grids(tmp_path):
    latitudes = np.linspace(52.0, 48.0, 5)[:, None] * FLAT
    background = load(file_of(tmp_path, grib_message(230.0 + latitudes, LAT_LON, T2M)), ["t2m"])
    np.testing.assert_allclose(channel(background, "t2m"), 230.0 + REGION.latitude(), atol=5e-3)
    assert background.initial_time == SIX
    assert "no terrain adjustment" in background.provenance


def test_the_time_must_be_in_the_file(tmp_path):
    path = file_of(tmp_path, grib_message(280 * FLAT, LAT_LON, T2M))
    with pytest.raises(InputError, match="no fields valid at 2026-01-01T07:00Z; it has 2026-01-01T06:00Z"):
        load(path, ["t2m"], time=np.datetime64("2026-01-01T07:00"))


def test_of_two_runs_valid_at_the_time_the_later_one_is_taken(tmp_path):
    early = grib_message(279 * FLAT, LAT_LON, T2M, dataTime=0, forecastTime=6)
    background = load(file_of(tmp_path, early, grib_message(280 * FLAT, LAT_LON, T2M)), ["t2m"])
    assert background.initial_time == SIX
    np.testing.assert_allclose(channel(background, "t2m"), 280.0, atol=1e-4)


def test_missing_variables_are_named_with_what_is_there(tmp_path):
    path = file_of(tmp_path, grib_message(280 * FLAT, LAT_LON, T2M), grib_message(9e4 * FLAT, LAT_LON, SP))
    with pytest.raises(InputError, match="lacks d2m, vis; at this time it has sp, t2m"):
        load(path, ["t2m", "d2m", "vis"])


def test_a_region_beyond_the_file_is_refused_with_the_share_covered(tmp_path):
    east = ProjectedGrid(PLANE, 6, 5, 25e3, 25e3, 162.5e3, -50e3)
    path = file_of(tmp_path, grib_message(280 * FLAT, LAT_LON, T2M))
    with pytest.raises(InputError, match=r"covers only \d+\.\d\d % of region testland with t2m"):
        load(path, ["t2m"], grid=east)
    holes = 280.0 * FLAT
    holes[2, 4] = np.nan
    with pytest.raises(InputError, match="covers only"):
        load(file_of(tmp_path, grib_message(holes, LAT_LON, T2M)), ["t2m"])


def test_terrain_adjustment_uses_both_terrains(tmp_path):
    messages = [grib_message(v * FLAT, LAT_LON, p) for v, p in ((280.0, T2M), (9e4, SP), (1000.0, OROG))]
    dew_point = grib_message(279.0 * FLAT, LAT_LON, T2M | {"parameterNumber": 6})
    path = file_of(tmp_path, *messages, dew_point)
    adjusted = load(path, ["t2m", "d2m", "sp"], terrain=1400.0)
    assert adjusted.terrain_adjusted == ("t2m", "d2m", "sp")
    np.testing.assert_allclose(channel(adjusted, "t2m"), 280.0 - 0.0065 * 400, atol=1e-3)
    np.testing.assert_allclose(channel(adjusted, "d2m"), 280.0 - 0.0065 * 400, atol=1e-3)  # not 278.28: saturated
    np.testing.assert_allclose(channel(adjusted, "sp"), 9e4 * (1 - 2.6 / (288.15 - 6.5)) ** 5.2559, rtol=1e-6)
    as_is = load(path, ["t2m", "d2m", "sp"])
    assert as_is.terrain_adjusted == ()
    np.testing.assert_allclose(channel(as_is, "t2m"), 280.0, atol=1e-4)


def test_grid_relative_winds_are_turned_once(tmp_path):
    """A wind of 10 m/s along the grid's y axis, at γ = n (λ − λ0) west of the central meridian."""
    winds = [grib_message(v * FLAT, LAMBERT, p) for v, p in ((0.0, U10M), (10.0, V10M))]
    path = file_of(tmp_path, *winds)
    source = read_fields(path)[0].grid
    inner = ProjectedGrid(source.projection, 6, 3, source.dx, source.dy, source.x0 + source.dx, source.y0 + source.dy)
    background = load(path, ["u10m", "v10m", "ws10m", "wd10m"], grid=inner)
    n = np.log(np.cos(np.pi / 6) / np.cos(np.deg2rad(50))) / np.log(np.tan(np.deg2rad(70)) / np.tan(np.pi / 3))
    gamma = n * np.deg2rad(inner.longitude() + 95.0)
    np.testing.assert_allclose(channel(background, "u10m"), 10 * np.sin(gamma), atol=1e-3)
    np.testing.assert_allclose(channel(background, "v10m"), 10 * np.cos(gamma), atol=1e-3)
    np.testing.assert_allclose(channel(background, "ws10m"), 10.0, atol=1e-3)
    np.testing.assert_allclose(channel(background, "wd10m"), 180 + np.rad2deg(gamma), atol=1e-2)


def test_one_grid_relative_component_alone_is_refused(tmp_path):
    path = file_of(tmp_path, grib_message(FLAT, LAMBERT, U10M), grib_message(9e4 * FLAT, LAMBERT, SP))
    with pytest.raises(InputError, match="only with both components"):
        load(path, ["u10m"], grid=read_fields(path)[0].grid)


def test_directions_are_interpolated_as_components(tmp_path):
    direction = np.where(np.arange(8) % 2, 350.0, 10.0) * FLAT
    speed, turn = (U10M | {"parameterNumber": number} for number in (1, 0))
    path = file_of(tmp_path, grib_message(5 * FLAT, LAT_LON, speed), grib_message(direction, LAT_LON, turn))
    background = load(path, ["u10m", "v10m", "wd10m"])
    assert (np.abs((channel(background, "wd10m") + 180) % 360 - 180) <= 10.01).all()
    assert (channel(background, "v10m") < -4.9).all()


def test_dew_point_from_humidity(tmp_path):
    humidity = T2M | {"parameterCategory": 1, "parameterNumber": 0}
    q = float(moisture.specific_humidity(275.0, 9e4))
    path = file_of(tmp_path, grib_message(q * FLAT, LAT_LON, humidity), grib_message(9e4 * FLAT, LAT_LON, SP))
    background = load(path, ["d2m"])
    np.testing.assert_allclose(channel(background, "d2m"), 275.0, atol=0.01)
    assert "d2m derived from q2m and sp" in background.provenance


def test_moisture_formulas_have_bolton_s_values_and_invert_each_other():
    assert moisture.saturation_vapour_pressure(273.15) == pytest.approx(611.2)
    assert moisture.saturation_vapour_pressure(293.15) == pytest.approx(2337, rel=2e-3)  # WMO: 23.37 hPa
    for dew_point in (250.0, 275.0, 300.0):
        q = moisture.specific_humidity(dew_point, 9e4)
        assert moisture.dew_point_from_specific_humidity(q, 9e4) == pytest.approx(dew_point, abs=1e-6)
        r = moisture.relative_humidity(dew_point, 305.0)
        assert moisture.dew_point_from_relative_humidity(r, 305.0) == pytest.approx(dew_point, abs=1e-6)
    assert np.isfinite(moisture.dew_point_from_specific_humidity(-1e-6, 9e4))


def test_members_become_members(tmp_path):
    made = [
        grib_message((280 + number) * FLAT, LAT_LON, T2M, productDefinitionTemplateNumber=1, perturbationNumber=number)
        for number in (2, 1)
    ]
    background = load(file_of(tmp_path, *made), ["t2m"])
    assert background.state.values.mean(dim=(1, 2, 3)).tolist() == pytest.approx([281.0, 282.0], abs=1e-3)


def test_the_edge_of_a_rounded_grid_belongs_to_it():
    source = ProjectedGrid(PLANE, 6, 5, 1000.0, 1000.0, 0.0, 0.0)
    rows, columns = np.mgrid[0:5, 0:6].astype(float)
    moved = ProjectedGrid(PLANE, 6, 5, 1000.0, 1000.0, 5.0, -5.0)
    values = edge_values(source, 10 * rows + columns, moved.latitude().ravel(), moved.longitude().ravel())
    expected = 10 * np.clip(rows - 0.005, 0, 4) + np.clip(columns + 0.005, 0, 5)
    np.testing.assert_allclose(values, expected.ravel(), atol=1e-9)
    outside = edge_values(source, rows, *(np.atleast_1d(p) for p in (moved.latitude()[0, 0] - 0.01, 1.0)))
    assert np.isnan(outside).all()


def test_a_region_cut_along_the_background_s_edge_is_covered(tmp_path):
    path = file_of(tmp_path, grib_message(280 * FLAT, LAMBERT, T2M))
    source = read_fields(path)[0].grid
    shifted = ProjectedGrid(source.projection, 4, 5, source.dx, source.dy, source.x0 + source.dx, source.y0 - 5.0)
    np.testing.assert_allclose(channel(load(path, ["t2m"], grid=shifted), "t2m"), 280.0, atol=1e-4)


def region_with(static):
    return Region("testland", "Test", REGION, ("t2m",), static)


def test_static_fields_from_files_generator_and_nothing(tmp_path):
    path = file_of(tmp_path, grib_message(500 * FLAT, LAT_LON, OROG), grib_message(9e4 * FLAT, LAT_LON, SP))
    static = load_static_fields(region_with({"orog": str(path)}))
    np.testing.assert_allclose(static.orography, 500.0)
    assert static.land_fraction is None
    assert "orog from" in static.source
    assert load_static_fields(region_with({})).orography is None
    assert load_static_fields(region_with({"generator": "ridge_and_coast"})).land_mask.any()
    with pytest.raises(InputError, match="holds no field 'lsm'"):
        load_static_fields(region_with({"lsm": str(path)}))
    with pytest.raises(InputError, match="does not exist"):
        load_static_fields(region_with({"orog": str(tmp_path / "none.nc")}))


def test_static_fields_that_do_not_cover_are_refused(tmp_path):
    dataset = xr.Dataset(
        {"lsm": (("lat", "lon"), np.ones((3, 3)), {"units": "1"})}, {"lat": [49.9, 50.0, 50.1], "lon": [0.9, 1.0, 1.1]}
    )
    dataset.to_netcdf(tmp_path / "land.nc", engine="netcdf4")
    with pytest.raises(InputError, match="covers only"):
        load_static_fields(region_with({"lsm": str(tmp_path / "land.nc")}))


@pytest.mark.parametrize("kind", ["netcdf", "zarr 2", "zarr 3"])
def test_our_own_analyses_are_backgrounds_bit_for_bit(tmp_path, kind):
    layout = Layout.of(small_grid(), ("t2m",))
    product = make_product(3, layout=layout)
    if kind == "netcdf":
        path = write_netcdf(product, tmp_path)
    else:
        design = make_design(zarr_format=int(kind[-1]), layout=layout)
        Archive.open(tmp_path, design).write(product)
        path = tmp_path / "20260101.zarr"
    background = load_background(path, layout=layout, static=small_static(), valid_time=slot_time(3))
    np.testing.assert_array_equal(background.state.values, product.analysis.values.float())
    with pytest.raises(InputError, match="it has 2026-01-01T00:45Z"):  # the other 95 slots hold nothing
        load_background(path, layout=layout, static=small_static(), valid_time=slot_time(4))


def test_hrrr_on_a_small_region(shared):
    path = shared / "data/hrrr_idaho/hrrr.20180722.hrrr.t00z.wrfsfcf01.grib2"
    names, time = ["t2m", "d2m", "u10m", "v10m", "sp"], np.datetime64("2018-07-22T01:00")
    background = load(path, names, grid=around_idaho(), time=time)
    source = {field.variable: field for field in read_fields(path)}
    speed = np.hypot(channel(background, "u10m"), channel(background, "v10m"))
    assert speed.max() <= np.hypot(source["u10m"].values, source["v10m"].values).max()
    derived = moisture.dew_point_from_specific_humidity(source["q2m"].values, source["sp"].values)
    assert np.abs(derived - source["d2m"].values).max() < 0.1
    own_terrain = load(path, names, grid=source["t2m"].grid, time=time)
    np.testing.assert_allclose(channel(own_terrain, "t2m"), source["t2m"].values, atol=1e-4)


def test_ecmwf_on_the_packaged_region_of_europe(shared):
    from rtma_diffda.geo.region import load_region

    region = load_region("europe")
    background = load(shared / "data/europe_20181120/t2m_grib.grib", region.variables, grid=region.grid,
                      time=np.datetime64("2018-11-20T12:00"))  # fmt: skip
    assert background.initial_time == np.datetime64("2018-11-18T12:00")
    assert 250 < channel(background, "t2m").min() < channel(background, "t2m").max() < 310
