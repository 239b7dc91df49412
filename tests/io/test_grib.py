"""GRIB files: real ones of the reference data, and small ones made here; damaged bytes lose one message, no more."""

import contextlib
import logging

import numpy as np
import pytest
from grib_samples import LAMBERT, LAT_LON, OROG, SP, T2M, U10M, V10M, flip_flag, grib_message

from rtma_diffda.errors import InputError
from rtma_diffda.geo.wind import convergence
from rtma_diffda.io.gridded import find_fields, read_fields
from rtma_diffda.io.messages import single_fields

pytest.importorskip("eccodes")
FIELD = 280.0 + np.arange(40.0).reshape(5, 8)


def written(tmp_path, *messages):
    path = tmp_path / "made.grib2"
    path.write_bytes(b"".join(messages))
    return path


def test_a_field_from_the_north_comes_out_northward(tmp_path):
    (field,) = read_fields(written(tmp_path, grib_message(FIELD, LAT_LON, T2M, forecastTime=3)))
    assert (field.variable, field.grid.shape) == ("t2m", (5, 8))
    np.testing.assert_allclose(field.values, FIELD[::-1], atol=1e-4)
    np.testing.assert_array_equal(field.grid.longitudes, np.arange(-3.0, 5.0))
    assert field.initial_time == np.datetime64("2026-01-01T06:00")
    assert field.valid_time == np.datetime64("2026-01-01T09:00")


@pytest.mark.parametrize(("unit", "step", "expected"), [(0, 15, "06:15"), (1, 2, "08:00"), (11, 1, "12:00")])
def test_steps_in_any_unit(tmp_path, unit, step, expected):
    message = grib_message(FIELD, LAT_LON, T2M, indicatorOfUnitOfTimeRange=unit, forecastTime=step)
    (field,) = read_fields(written(tmp_path, message))
    assert field.valid_time == np.datetime64(f"2026-01-01T{expected}")


def test_a_step_of_no_known_length_loses_the_message_and_not_the_process(tmp_path, caplog):
    damaged = bytearray(grib_message(FIELD, LAT_LON, T2M))
    section_4 = 16 + 21 + int.from_bytes(damaged[37:41], "big")
    damaged[section_4 + 17] = 255  # ecCodes searches the validity date of such a message for ever
    fields = read_fields(written(tmp_path, bytes(damaged), grib_message(FIELD * 300, LAT_LON, SP)))
    assert [field.variable for field in fields] == ["sp"]
    assert "code table 4.4" in caplog.text


def test_missing_points_become_nan_and_constant_fields_stay(tmp_path):
    holes = np.where(FIELD == 285.0, np.nan, FIELD)
    hole, constant = read_fields(
        written(tmp_path, grib_message(holes, LAT_LON, T2M), grib_message(np.full(40, 9e4), LAT_LON, SP))
    )
    assert np.flatnonzero(np.isnan(hole.values[::-1].ravel())).tolist() == [5]
    np.testing.assert_allclose(constant.values, 9e4)


def test_alternating_rows_are_undone(tmp_path):
    plain = grib_message(FIELD, LAMBERT, T2M)
    snake = FIELD.copy()
    snake[1::2] = snake[1::2, ::-1]
    first, second = read_fields(
        written(tmp_path, plain, flip_flag(grib_message(snake, LAMBERT, T2M), "alternativeRowScanning"))
    )
    np.testing.assert_array_equal(first.values, second.values)


def test_wind_orientation_follows_the_flag_not_the_product(tmp_path):
    messages = [
        grib_message(FIELD - 280, LAMBERT | {"uvRelativeToGrid": flag}, parameter)
        for flag, parameter in ((1, U10M), (0, V10M))
    ]
    on_axes, on_earth = read_fields(written(tmp_path, *messages))
    assert on_axes.winds_grid_relative
    assert not on_earth.winds_grid_relative


@pytest.mark.parametrize(
    ("parameter", "more"),
    [
        (T2M | {"scaledValueOfFirstFixedSurface": 50}, {}),
        (T2M | {"typeOfFirstFixedSurface": 100, "scaledValueOfFirstFixedSurface": 50000}, {}),
        (T2M, {"typeOfGeneratingProcess": 7}),
        (T2M, {"productDefinitionTemplateNumber": 8, "typeOfStatisticalProcessing": 2}),
        (T2M, {"productDefinitionTemplateNumber": 2, "derivedForecast": 4}),
    ],
    ids=["50 m", "500 hPa", "analysis error", "maximum", "spread"],
)
def test_what_only_looks_like_a_variable_is_left_out(tmp_path, parameter, more):
    path = written(tmp_path, grib_message(FIELD, LAT_LON, parameter, **more), grib_message(FIELD * 300, LAT_LON, SP))
    assert [reference.variable for reference in find_fields(path)] == ["sp"]


def test_members_are_told_apart(tmp_path):
    made = [
        grib_message(FIELD, LAT_LON, T2M, productDefinitionTemplateNumber=1, perturbationNumber=number)
        for number in (1, 2)
    ]
    assert [field.member for field in read_fields(written(tmp_path, *made))] == [1, 2]


def test_geopotential_of_the_surface_becomes_terrain_height(tmp_path):
    (field,) = read_fields(written(tmp_path, grib_message(FIELD * 9.80665, LAT_LON, OROG | {"parameterNumber": 4})))
    assert field.variable == "orog"
    np.testing.assert_allclose(field.values[::-1], FIELD, atol=1e-3)


def test_fields_of_one_message_are_taken_apart(tmp_path):
    u, v = grib_message(FIELD - 280, LAMBERT, U10M), grib_message(FIELD - 300, LAMBERT, V10M)
    sections = u[16:-4] + v[16:-4]
    cut = v[16:-4]
    while cut[4] < 4:  # sections 1 … 3 stand once
        cut = cut[int.from_bytes(cut[:4], "big") :]
    sections = u[16:-4] + cut
    both = u[:8] + (20 + len(sections)).to_bytes(8, "big") + sections + b"7777"
    assert len(single_fields(both)) == 2
    fields = read_fields(written(tmp_path, both))
    assert [field.variable for field in fields] == ["u10m", "v10m"]
    np.testing.assert_allclose(fields[1].values, FIELD - 300, atol=1e-3)


@pytest.mark.parametrize("damage", ["cut off", "name", "length", "grid", "rubbish before"])
def test_damage_loses_one_message_and_says_so(tmp_path, caplog, damage):
    good, bad = grib_message(FIELD * 300, LAT_LON, SP), bytearray(grib_message(FIELD, LAT_LON, T2M))
    if damage == "cut off":
        bad = bad[:100]
    elif damage == "name":
        bad[1:3] = b"xx"
    elif damage == "length":
        bad[12:16] = b"\x00\x00\x01\x02"
    elif damage == "grid":
        bad[16 + 21 + 12 + 2 : 16 + 21 + 14 + 2] = b"\xff\xfe"  # within section 3
    else:
        bad = bytearray(b"NNNN 7777 rubbish")
    path = written(tmp_path, good, bytes(bad), good)
    with caplog.at_level(logging.WARNING):
        fields = read_fields(path)
    assert [field.variable for field in fields] == ["sp", "sp"]
    assert "message 2" in caplog.text
    assert "left out" in caplog.text


def test_random_damage_never_raises_anything_else(tmp_path):
    rng = np.random.default_rng(5)
    good = grib_message(FIELD, LAMBERT, T2M) + grib_message(FIELD * 300, LAT_LON, SP)
    for trial in range(60):
        bytes_ = bytearray(good)
        for place in rng.integers(0, len(good), 4):
            bytes_[place] = rng.integers(256)
        path = tmp_path / f"{trial}.grib"
        path.write_bytes(bytes_)
        with contextlib.suppress(InputError):
            read_fields(path)


def test_nothing_readable_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_fields(tmp_path / "nowhere.grib2")
    with pytest.raises(InputError, match="no near-surface field"):
        read_fields(written(tmp_path, grib_message(FIELD, LAT_LON, T2M)[:-10]))
    (tmp_path / "empty").touch()
    with pytest.raises(InputError, match="neither GRIB, NetCDF nor a Zarr store"):
        read_fields(tmp_path / "empty")
    rotated = grib_message(FIELD, LAT_LON | {"gridType": "rotated_ll"}, T2M)
    with pytest.raises(InputError, match="none of its 1 fields"):
        read_fields(written(tmp_path, rotated))


def test_hrrr_winds_are_grid_relative_at_the_angle_of_the_cone(shared):
    fields = {f.variable: f for f in read_fields(shared / "data/hrrr_idaho/hrrr.20180722.hrrr.t00z.wrfsfcf01.grib2")}
    assert {"t2m", "d2m", "q2m", "r2m", "u10m", "v10m", "gust", "sp", "orog", "vis", "lsm"} <= set(fields)
    assert "ws10m" not in fields  # the file's is the maximum of the hour
    u = fields["u10m"]
    assert u.winds_grid_relative
    assert u.valid_time == np.datetime64("2018-07-22T01:00")
    assert u.grid.latitude()[0, 0] == pytest.approx(41.881421, abs=1e-6)
    gamma = np.rad2deg(convergence(u.grid.projection, u.grid.latitude(), u.grid.longitude()))
    np.testing.assert_allclose(gamma, np.sin(np.deg2rad(38.5)) * (u.grid.longitude() + 97.5), atol=1e-6)
    assert 0.0 < fields["r2m"].values.max() <= 1.0
    assert (fields["orog"].values.min().round(), fields["orog"].values.max().round()) == (640, 2324)


def test_nbm_is_the_rtma_grid_in_normal_row_order(shared):
    (field,) = read_fields(shared / "data/nbm_conus/blend.t00z.core.f001.tmp.co.grib2")
    grid = field.grid
    assert grid.shape == (1597, 2345)
    assert (grid.latitude()[0, 0], grid.longitude()[0, 0]) == pytest.approx((19.229, 233.7234 - 360), abs=1e-6)
    assert (grid.latitude()[-1, -1], grid.longitude()[-1, -1]) == pytest.approx((54.3728, -59.0422), abs=1e-4)
    assert np.abs(np.diff(field.values, axis=0)).mean() == pytest.approx(0.26, abs=0.01)


def test_ecmwf_reduced_gaussian_and_era5_edition_1(shared):
    (field,) = read_fields(shared / "data/europe_20181120/t2m_grib.grib")
    assert field.grid.shape == (108160,)
    assert (field.values.min(), field.values.max()) == pytest.approx((227.6, 312.4), abs=0.1)
    assert field.initial_time == np.datetime64("2018-11-18T12:00")
    when = np.datetime64("2019-03-31T23:00")
    references = find_fields(shared / "data/era5_uk/era5-2mt-2019-03-uk.grib")
    assert len(references) == 744
    (last,) = (reference.load() for reference in references if reference.valid_time == when)
    assert (last.grid.latitudes[0], last.grid.latitudes[-1], last.grid.radius) == (50.0, 58.0, 6367470.0)
    assert 265.0 < last.values.min() < last.values.max() < 292.0
