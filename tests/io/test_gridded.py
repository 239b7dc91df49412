"""NetCDF and Zarr: names, units, orientation, times, heights and members as different neighbours write them."""

import numpy as np
import pytest
import xarray as xr

from rtma_diffda.errors import InputError
from rtma_diffda.geo.cf_projection import projection_from_cf
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.io.gridded import find_fields, is_gridded, read_fields
from rtma_diffda.io.units import to_si
from rtma_diffda.variables import variable

TIMES = np.array(["2026-01-01T00:00", "2026-01-01T06:00"], "datetime64[ns]")
LATITUDE, LONGITUDE = np.array([50.0, 49.0, 48.0]), np.array([358.0, 359.0, 0.0, 1.0])
FIELD = 280.0 + np.arange(12.0).reshape(3, 4)
LAMBERT = "+proj=lcc +lat_1=30 +lat_2=50 +lat_0=40 +lon_0=-100 +x_0=0 +y_0=0 +a=6371229 +b=6371229 +units=m"


def on_lat_lon(name, values=FIELD, *, dims=("latitude", "longitude"), coords=None, **attributes):
    axes = {"latitude": LATITUDE, "longitude": LONGITUDE}
    return xr.Dataset({name: (dims, values, attributes)}, axes | (coords or {}))


def on_plane(name, values, *, x=(0.0, 2500.0, 5000.0, 7500.0), y=(0.0, 2500.0, 5000.0), **attributes):
    grid = ProjectedGrid(LAMBERT, 4, 3, 2500.0, 2500.0, 0.0, 0.0)
    mapping = {key: value for key, value in grid.crs.to_cf().items() if value is not None}
    dataset = xr.Dataset(
        {name: (("y", "x"), values, attributes | {"grid_mapping": "crs"})}, {"y": list(y), "x": list(x)}
    )
    return dataset.assign(crs=((), 0, mapping))


def saved(dataset, tmp_path):
    path = tmp_path / f"made_{len(list(tmp_path.iterdir()))}.nc"
    dataset.to_netcdf(path, engine="netcdf4")
    return path


def test_latitudes_from_the_north_and_a_seam_at_greenwich(tmp_path):
    (field,) = read_fields(saved(on_lat_lon("t2m", units="K"), tmp_path))
    np.testing.assert_array_equal(field.values, FIELD[::-1])
    np.testing.assert_array_equal(field.grid.longitudes, [-2.0, -1.0, 0.0, 1.0])
    assert field.valid_time is None


@pytest.mark.parametrize("columns", [36, 37])
def test_a_closed_circle_is_periodic_with_or_without_its_first_meridian_twice(tmp_path, columns):
    dataset = xr.Dataset(
        {"msl": (("lat", "lon"), np.full((3, columns), 1e5), {"units": "Pa"})},
        {"lat": LATITUDE, "lon": np.arange(columns, dtype="f4") * 10},
    )
    (field,) = read_fields(saved(dataset, tmp_path))
    assert field.grid.periodic
    assert field.grid.shape == (3, 36)


@pytest.mark.parametrize(
    ("name", "unit", "value", "expected"),
    [
        ("t2m", "degree_Celsius", 20.0, 293.15),
        ("t2m", "degF", 50.0, 283.15),
        ("sp", "hPa", 1000.0, 1e5),
        ("msl", "mbar", 1000.0, 1e5),
        ("r2m", "%", 50.0, 0.5),
        ("tcc", "(0 - 1)", 0.5, 0.5),
        ("ws10m", "m s**-1", 5.0, 5.0),
        ("ws10m", "knots", 10.0, 5.144444),
        ("q2m", "g kg-1", 8.0, 0.008),
        ("q2m", "kg kg**-1", 0.008, 0.008),
        ("vis", "km", 10.0, 1e4),
        ("orog", "m**2 s**-2", 9806.65, 1000.0),
        ("tp", "m", 0.001, 1.0),
        ("wd10m", "Degree true", 90.0, 90.0),
    ],
)
def test_units_become_si(name, unit, value, expected):
    assert to_si(np.array([value]), unit, variable(name))[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "unit", "value", "words"),
    [
        ("t2m", "furlong", 1.0, "unit 'furlong'"),
        ("t2m", None, 280.0, "unit 'None'"),
        ("r2m", "1", 50.0, "mostly outside"),
        ("t2m", "K", 15.0, "mostly outside"),
    ],
)
def test_units_that_cannot_be_are_refused(name, unit, value, words):
    with pytest.raises(InputError, match=words):
        to_si(np.array([value, np.nan]), unit, variable(name))


def test_a_field_of_unknown_unit_does_not_stop_the_rest(tmp_path, caplog):
    dataset = on_lat_lon("t2m", units="bananas").merge(on_lat_lon("sp", FIELD * 300, units="Pa"))
    fields = read_fields(saved(dataset, tmp_path))
    assert [field.variable for field in fields] == ["sp"]
    assert "unit 'bananas'" in caplog.text


def test_time_steps_are_chosen_and_listed(tmp_path):
    values, dims = np.stack([FIELD, FIELD + 1]), ("time", "latitude", "longitude")
    path = saved(on_lat_lon("2t", values, dims=dims, coords={"time": TIMES}, units="K"), tmp_path)
    assert [reference.valid_time for reference in find_fields(path)] == list(TIMES)
    (field,) = read_fields(path, valid_time=TIMES[1])
    np.testing.assert_array_equal(field.values, (FIELD + 1)[::-1])
    assert read_fields(path, variables=("sp",)) == ()


@pytest.mark.parametrize(
    ("initial", "lead"), [("init_time", "lead_time"), ("time", "prediction_timedelta"), ("time", "step")]
)
def test_initial_and_lead_times_make_valid_times(tmp_path, initial, lead):
    values = np.stack([FIELD, FIELD + 1])[:, None].repeat(2, axis=1)
    leads = np.array([6, 12], "timedelta64[h]").astype("timedelta64[ns]")
    dims = (lead, initial, "latitude", "longitude")
    coords = {initial: TIMES, lead: leads}
    path = saved(on_lat_lon("temperature_2m", values, dims=dims, coords=coords, units="K"), tmp_path)
    fields = read_fields(path, valid_time=np.datetime64("2026-01-01T12:00"))
    found = {str(field.initial_time)[:13]: field.values[-1, 0] for field in fields}
    assert found == {"2026-01-01T06": 280.0, "2026-01-01T00": 281.0}


def test_height_axis_and_standard_names(tmp_path):
    values = np.stack([FIELD, FIELD + 10])
    coords = {"height": ("height", [2.0, 80.0], {"standard_name": "height", "units": "m"})}
    dataset = on_lat_lon("tas", values, dims=("height", "latitude", "longitude"), coords=coords, units="K",
                         standard_name="air_temperature")  # fmt: skip
    (field,) = read_fields(saved(dataset, tmp_path))
    assert (field.variable, field.values[-1, 0]) == ("t2m", 280.0)
    aloft = on_lat_lon("ta", values, dims=("plev", "latitude", "longitude"), units="K", standard_name="air_temperature",
                       coords={"plev": ("plev", [1e5, 5e4], {"units": "Pa"})})  # fmt: skip
    with pytest.raises(InputError, match="no near-surface field"):
        read_fields(saved(aloft, tmp_path))


def test_members(tmp_path):
    values = np.stack([FIELD, FIELD + 1])
    dataset = on_lat_lon("t2m", values, dims=("number", "latitude", "longitude"), coords={"number": [3, 7]}, units="K")
    assert [field.member for field in read_fields(saved(dataset, tmp_path))] == [3, 7]


@pytest.mark.parametrize("turned", [False, True])
def test_projected_axes_in_either_direction(tmp_path, turned):
    plain = on_plane("t2m", FIELD, units="K")
    dataset = plain.isel(y=slice(None, None, -1), x=slice(None, None, -1)) if turned else plain
    (field,) = read_fields(saved(dataset, tmp_path))
    np.testing.assert_array_equal(field.values, FIELD)
    expected = ProjectedGrid(LAMBERT, 4, 3, 2500.0, 2500.0, 0.0, 0.0)
    np.testing.assert_allclose(field.grid.latitude(), expected.latitude(), atol=1e-9)
    np.testing.assert_allclose(field.grid.longitude(), expected.longitude(), atol=1e-9)


def test_kilometres_and_single_precision_axes(tmp_path):
    dataset = on_plane("t2m", FIELD, units="K")
    kilometres = {name: (name, (dataset[name].values / 1000).astype("f4"), {"units": "km"}) for name in ("x", "y")}
    (field,) = read_fields(saved(dataset.assign_coords(kilometres), tmp_path))
    assert (field.grid.dx, field.grid.dy) == pytest.approx((2500.0, 2500.0))


def test_winds_on_a_plane_must_say_along_which_axes(tmp_path, caplog):
    for name, expected in (("eastward_wind", False), ("x_wind", True)):
        (field,) = read_fields(saved(on_plane("u10m", FIELD - 280, units="m s-1", standard_name=name), tmp_path))
        assert field.winds_grid_relative is expected
    with pytest.raises(InputError, match="none of its 1 fields"):
        read_fields(saved(on_plane("u10m", FIELD - 280, units="m s-1"), tmp_path))
    assert "does not say whether it is relative to the grid" in caplog.text


def test_positions_without_a_mapping_and_uneven_axes_are_refused(tmp_path, caplog):
    grid = ProjectedGrid(LAMBERT, 4, 3, 2500.0, 2500.0, 0.0, 0.0)
    curved = xr.Dataset(
        {"t2m": (("j", "i"), FIELD, {"units": "K"})},
        {"lat": (("j", "i"), grid.latitude()), "lon": (("j", "i"), grid.longitude())},
    )
    for dataset in (curved, on_plane("t2m", FIELD, x=(0.0, 2500.0, 5000.0, 8000.0), units="K")):
        with pytest.raises(InputError, match="no near-surface field"):
            read_fields(saved(dataset, tmp_path))
    assert "two-dimensional positions alone" in caplog.text
    assert "not evenly spaced" in caplog.text


def test_zarr_is_read_and_only_published_slots_of_it(tmp_path):
    values = np.stack([FIELD, FIELD + 1]).astype("f4")
    dataset = on_lat_lon("t2m", values, dims=("time", "latitude", "longitude"), coords={"time": TIMES}, units="K")
    flags = {"flag_values": np.arange(4, dtype="i1"), "flag_meanings": "missing writing complete degraded"}
    dataset = dataset.assign(status=("time", np.array([2, 1], "i1"), flags))
    dataset.to_zarr(tmp_path / "day.zarr", zarr_format=2, consolidated=True)
    (field,) = read_fields(tmp_path / "day.zarr")
    assert field.valid_time == TIMES[0]
    assert is_gridded(tmp_path / "day.zarr")
    assert not is_gridded(tmp_path)


def test_damaged_netcdf_is_a_sentence(tmp_path):
    path = saved(on_lat_lon("t2m", units="K"), tmp_path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match="cannot be opened as netcdf4"):
        read_fields(path)


@pytest.mark.parametrize("projection", [
    LAMBERT,
    "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=210 +R=6371200 +units=m",
    "+proj=merc +lat_ts=20 +lon_0=-160 +R=6371200 +units=m",
    "+proj=lcc +lat_1=25 +lat_2=25 +lat_0=25 +lon_0=265 +a=6371200 +b=6371200 +units=m",
])  # fmt: skip
@pytest.mark.parametrize("with_wkt", [True, False])
def test_a_grid_mapping_gives_its_projection_back(projection, with_wkt):
    grid = ProjectedGrid.from_first_point(projection, nx=3, ny=3, dx=1e5, dy=1e5, latitude=30.0, longitude=-150.0)
    attributes = {key: v for key, v in grid.crs.to_cf().items() if v is not None and (with_wkt or key != "crs_wkt")}
    back = ProjectedGrid(projection_from_cf(attributes), 3, 3, 1e5, 1e5, grid.x0, grid.y0)
    np.testing.assert_allclose(back.latitude(), grid.latitude(), atol=1e-9)
    np.testing.assert_allclose(back.longitude(), grid.longitude(), atol=1e-9)


def test_mappings_of_no_plane_are_refused():
    with pytest.raises(InputError, match="rotated_latitude_longitude"):
        projection_from_cf({"grid_mapping_name": "rotated_latitude_longitude"})


def test_gfs_netcdf_by_its_grib_attributes(shared):
    fields = {field.variable: field for field in read_fields(shared / "data/gfs_region/GFS_test.nc")}
    assert set(fields) == {"t2m", "u10m", "v10m", "msl"}
    t2m = fields["t2m"]
    assert t2m.grid.radius == 6371229.0
    assert (t2m.grid.latitudes[0], t2m.grid.longitudes[0], t2m.grid.longitudes[-1]) == (20.0, -150.0, -50.0)
    assert t2m.values[0, 0] == pytest.approx(298.2, abs=1e-3)
    assert t2m.valid_time == np.datetime64("2010-10-26T12:00")
    assert not fields["u10m"].winds_grid_relative
