"""Backgrounds out of many files: which run is chosen, what is made of it, and what is told when none serves."""

import logging
import os

import numpy as np
import pytest
import xarray as xr
from grib_samples import LAT_LON, OROG, T2M, grib_message
from test_background_fields import around_idaho
from test_global_runs import GRID, HOUR, LONGITUDES, NAMES, expected, hours, write

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.regrid.regridder import Regridder
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io import file_inventory
from rtma_diffda.io.background import load_background
from rtma_diffda.io.background_files import BackgroundFiles

MINUTE = np.timedelta64(1, "m")


def source(path, *, names=NAMES, terrain=None, grid=GRID, **settings):
    static = StaticFields(grid, None if terrain is None else np.full(grid.shape, float(terrain)))
    return BackgroundFiles(path=path, layout=Layout.of(grid, names), static=static, region="testland", **settings)


def at(files, hour, *, now=None):
    return files.at(hours(hour)[0], available_at=hours(hour if now is None else now)[0])


def assert_is(background, hour, run=0.0):
    """The state is that of the linear field; ``run`` counts the hours of its initial time."""
    for name in NAMES:
        np.testing.assert_allclose(background.state.channel(name)[0], expected(name, hour, run), atol=2e-3)


@pytest.fixture(scope="module")
def hourly(tmp_path_factory):
    """Runs of 0 to 3 UTC, each with the three hours after its start, one file a time; names sort against time."""
    directory = tmp_path_factory.mktemp("hourly")
    for run in range(4):
        for lead in (1, 2, 3):
            write(directory / f"{9 - run}_{lead}.nc", valid=run + lead, run=run)
    return directory


def test_a_background_is_the_run_s_state_on_the_region_s_grid(hourly):
    background = at(source(hourly), 4)
    assert_is(background, 4, run=3)
    assert background.initial_time == hours(3)[0]
    assert background.state.valid_time == hours(4)[0]
    assert background.state.layout == Layout.of(GRID, NAMES)
    text = f"{hourly / '6_1.nc'} of the run of 2026-01-01T03:00Z, bilinear; no terrain adjustment"
    assert background.provenance == text


@pytest.mark.parametrize(
    ("hour", "now", "latency", "run"),
    [
        (3, 3, 0, 2),  # the run of 03 has no field of its start
        (3, 1, 0, 1),
        (3, 3, 60, 2),  # arrived this very moment
        (3, 3, 61, 1),
        (3, 3, 180, 0),
        (6, 3, 0, 3),  # only the newest reaches so far
        (4, 9, 0, 3),
    ],
)
def test_the_newest_run_that_has_the_time_and_is_available(hourly, hour, now, latency, run):
    background = at(source(hourly, latency=latency * MINUTE), hour, now=now)
    assert background.initial_time == hours(run)[0]
    assert_is(background, hour, run=run)


def test_times_of_any_unit_are_understood(hourly):
    time = np.datetime64("2026-01-01T03")
    background = source(hourly, latency=np.timedelta64(1, "h")).at(time, available_at=time)
    assert background.initial_time == hours(2)[0]
    assert background.state.valid_time.dtype == "datetime64[ns]"


def test_a_file_that_had_not_arrived_does_not_count(hourly):
    when = {"7_1.nc": hours(3.25)[0]}  # the run of 02, valid at 03
    files = source(hourly, arrived=lambda path: when.get(path.name, hours(0)[0]))
    assert at(files, 3, now=3).initial_time == hours(1)[0]
    assert at(files, 3, now=3.25).initial_time == hours(2)[0]
    both = source(hourly, arrived=files.arrived, latency=90 * MINUTE)
    assert at(both, 3, now=3.25).initial_time == hours(1)[0]  # arrived, but by the latency it had not
    assert at(both, 3, now=3.5).initial_time == hours(2)[0]


def test_half_way_between_two_times_the_state_is_their_mean(hourly):
    files = source(hourly, longest_gap=HOUR)
    middle, ends = at(files, 5.5), [load_background(hourly / f"6_{lead}.nc", layout=files.layout, static=files.static,
                                                    valid_time=hours(3 + lead)[0]) for lead in (2, 3)]  # fmt: skip
    mean = 0.5 * (ends[0].state.values + ends[1].state.values)
    np.testing.assert_allclose(middle.state.values, mean, rtol=1e-6)
    assert_is(middle, 5.5, run=3)
    assert_is(at(files, 5.25), 5.25, run=3)
    assert middle.initial_time == hours(3)[0]
    assert middle.state.valid_time == hours(5.5)[0]
    said = "linear in time between 2026-01-01T05:00Z and 2026-01-01T06:00Z (weights 0.5 and 0.5)"
    assert middle.provenance.startswith(said)
    assert "6_2.nc" in middle.provenance and "6_3.nc" in middle.provenance


def test_both_ends_are_of_one_run_and_no_further_apart_than_told(hourly):
    files = source(hourly, longest_gap=HOUR)
    assert at(files, 3.5).initial_time == hours(2)[0]  # the run of 03 begins at 04
    for gap in (0, 59):
        with pytest.raises(InputError, match="none has fields at that time"):
            at(source(hourly, longest_gap=gap * MINUTE), 3.5)


def test_an_end_without_all_variables_is_passed_by(tmp_path):
    for lead in (0, 1, 2):
        write(tmp_path / f"{lead}.nc", valid=lead, run=0, names=("t2m",) if lead == 1 else NAMES)
    for hour in (0.5, 1, 1.5):
        assert_is(at(source(tmp_path, longest_gap=2 * HOUR), hour), hour)


def test_an_end_that_had_not_arrived_leaves_the_older_run(hourly):
    files = source(hourly, longest_gap=HOUR, arrived=lambda path: hours(9 if path.name == "6_2.nc" else 0)[0])
    assert at(files, 4.5, now=5).initial_time == hours(2)[0]
    assert at(files, 4.5, now=9).initial_time == hours(3)[0]


def test_a_direction_is_interpolated_the_shorter_way_round(tmp_path):
    attributes = {"standard_name": "wind_from_direction", "units": "degree"}
    speed = {"standard_name": "wind_speed", "units": "m s-1"}
    for hour, degrees in ((0, 350.0), (1, 20.0)):
        path = write(tmp_path / f"{hour}.nc", valid=hour, names=("u10m",))
        with xr.open_dataset(path, decode_timedelta=True) as held:
            flat = xr.zeros_like(held.load().u10m)
            fields = {"wdir": (flat + degrees).assign_attrs(attributes), "wind": (flat + 5.0).assign_attrs(speed)}
            both = {name: field.assign_coords(height_u10m=held.height_u10m) for name, field in fields.items()}
        xr.Dataset(both).to_netcdf(path)
    files = source(tmp_path, names=("ws10m", "wd10m"), longest_gap=HOUR)
    for hour, degrees in ((0.25, 357.5), (0.5, 5.0)):
        np.testing.assert_allclose(at(files, hour).state.channel("wd10m"), degrees, atol=1e-3)


def test_a_series_without_initial_times_is_used_as_it_is(tmp_path):
    for hour in (0, 1, 2):
        write(tmp_path / f"{hour}.nc", valid=hour)
    files = source(tmp_path, latency=5 * HOUR, longest_gap=HOUR)
    for hour in (1, 1.25):
        background = at(files, hour)
        assert_is(background, hour)
        assert background.initial_time is None
    late = source(tmp_path, arrived=lambda path: hours(int(path.stem) + 0.5)[0])
    with pytest.raises(InputError, match=r"series without initial times: .*1\.nc arrives at 2026-01-01T01:30Z"):
        at(late, 1)
    assert_is(at(late, 1, now=1.5), 1)


def damaged(path, value, name="u10m"):
    """The file with one value of one field replaced."""
    with xr.open_dataset(path, decode_timedelta=True) as held:
        wrong = held.load()
    wrong[name][5, 6] = value
    wrong.to_netcdf(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_run_with_values_that_are_not_finite_gives_way_to_the_older_one(tmp_path, caplog, value):
    write(tmp_path / "old.nc", valid=3, run=1)
    damaged(write(tmp_path / "new.nc", valid=3, run=2), value)
    with caplog.at_level(logging.WARNING):
        background = at(source(tmp_path), 3)
    assert_is(background, 3, run=1)
    (record,) = caplog.records
    said = record.getMessage()
    assert "at 2026-01-01T03:00Z: the run of 2026-01-01T01:00Z is used instead of newer ones; run of" in said
    assert "run of 2026-01-01T02:00Z" in said and "% of region testland with u10m" in said


def test_so_does_one_that_is_corrupt_lacks_a_variable_or_covers_only_a_part(tmp_path, caplog):
    write(tmp_path / "0.nc", valid=5, run=0)
    write(tmp_path / "1.nc", valid=5, run=1, longitudes=LONGITUDES[8:])
    write(tmp_path / "2.nc", valid=5, run=2, names=("t2m", "v10m"))
    (tmp_path / "3.nc").write_bytes(write(tmp_path / "3.nc", valid=5, run=3).read_bytes()[:900])
    with caplog.at_level(logging.WARNING):
        assert_is(at(source(tmp_path), 5), 5, run=0)
    assert "3.nc is skipped as a file of backgrounds" in caplog.text
    assert "lacks u10m; at this time it has t2m, v10m" in caplog.text
    assert "covers only" in caplog.text


def test_a_replaced_file_is_read_anew(tmp_path):
    files = source(tmp_path)
    path = write(tmp_path / "a.nc", valid=3, run=1)
    assert_is(at(files, 3), 3, run=1)
    write(path, valid=3, run=2)
    assert_is(at(files, 3), 3, run=2)
    write(tmp_path / "b.nc", valid=3, run=2.5)
    assert_is(at(files, 3), 3, run=2.5)
    (tmp_path / "b.nc").unlink()
    assert_is(at(files, 3), 3, run=2)


def test_of_one_run_in_two_files_the_newest_counts_and_fields_may_be_spread(tmp_path):
    for name, age, more in (("a.nc", 30, 1.0), ("b.nc", 20, 2.0)):
        path = write(tmp_path / name, valid=3, run=2, names=("t2m",))
        with xr.open_dataset(path, decode_timedelta=True) as held:
            other = held.load()
        other["t2m"] += more
        other.to_netcdf(path)
        os.utime(path, (age, age))
    write(tmp_path / "wind.nc", valid=3, run=2, names=("u10m", "v10m"))
    background = at(source(tmp_path), 3)
    np.testing.assert_allclose(background.state.channel("t2m")[0], expected("t2m", 3, 2) + 1.0, atol=2e-3)
    np.testing.assert_allclose(background.state.channel("u10m")[0], expected("u10m", 3, 2), atol=2e-3)
    assert background.provenance.startswith(f"{tmp_path / 'wind.nc'}, {tmp_path / 'a.nc'} of the run of")


@pytest.mark.parametrize("place", ["beside", "at another time of the run", "in a file of its own"])
def test_terrain_may_lie_in_another_file(tmp_path, place):
    static = ("orog",) if place == "beside" else ()
    write(tmp_path / "a.nc", valid=3, run=2, static=static)
    if place == "at another time of the run":
        write(tmp_path / "b.nc", valid=2, run=2, static=("orog",))
    elif place == "in a file of its own":
        write(tmp_path / "b.nc", valid=0, names=(), static=("orog",))
    background = at(source(tmp_path, terrain=500.0), 3)
    assert background.terrain_adjusted == ("t2m",)
    adjusted = expected("t2m", 3, 2) - 0.0065 * (500.0 - expected("orog", 0, 0))
    np.testing.assert_allclose(background.state.channel("t2m")[0], adjusted, atol=5e-3)


def test_terrain_of_another_run_is_not_taken(tmp_path):
    pytest.importorskip("eccodes")
    flat = np.ones((5, 8))
    for run, parts in ((0, ((280.0, T2M), (1000.0, OROG))), (6, ((281.0, T2M),))):
        messages = [grib_message(v * flat, LAT_LON, p, dataTime=100 * run, forecastTime=9 - run) for v, p in parts]
        (tmp_path / f"{run}.grib2").write_bytes(b"".join(messages))
    files = source(tmp_path, names=("t2m",), terrain=500.0)
    assert at(files, 9).terrain_adjusted == ()
    assert at(files, 9, now=3).terrain_adjusted == ("t2m",)


def test_an_older_field_is_taken_as_that_of_the_time_asked_for(hourly):
    background = at(source(hourly, shift=HOUR, latency=HOUR), 4)
    assert background.initial_time == hours(2)[0]
    assert background.state.valid_time == hours(4)[0]
    assert_is(background, 3, run=2)
    assert background.provenance.endswith("a field of 60 min earlier, taken as that of 2026-01-01T04:00Z")
    with pytest.raises(InputError, match="valid at 2026-01-01T00:00Z, 60 min before 2026-01-01T01:00Z, can be had"):
        at(source(hourly, shift=HOUR), 1)
    between = at(source(hourly, shift=HOUR, longest_gap=HOUR), 5.5)
    assert_is(between, 4.5, run=3)
    assert between.state.valid_time == hours(5.5)[0]


def test_when_none_serves_one_sentence_says_what_there_is_and_why(hourly, tmp_path):
    there = "there are 4 runs from 2026-01-01T00:00Z to 2026-01-01T03:00Z, with fields valid at 2026-01-01T01:00Z, "
    start = f"no background valid at 2026-01-01T09:00Z can be had from {hourly} at 2026-01-01T09:30Z: {there}"
    with pytest.raises(InputError) as raised:
        at(source(hourly, longest_gap=90 * MINUTE), 9, now=9.5)
    assert str(raised.value).startswith(start)
    assert str(raised.value).endswith("; none has fields at that time or around it, no more than 90 min apart")
    with pytest.raises(InputError, match=r"; run of 2026-01-01T03:00Z: .*6_3\.nc arrives at 2026-01-01T04:00Z$"):
        at(source(hourly, latency=HOUR), 6, now=3.5)
    damaged(write(tmp_path / "a.nc", valid=3, run=2), np.nan)
    (tmp_path / "b.nc").write_bytes(b"CDF\x01 and no more")
    with pytest.raises(InputError, match=r"; run of 2026-01-01T02:00Z: background .*a\.nc covers only .*b\.nc cannot"):
        at(source(tmp_path), 3)


def test_no_file_and_no_field_are_told_with_the_time(tmp_path):
    with pytest.raises(InputError, match=r"valid at 2026-01-01T03:00Z: there is no file at .*nothing\.nc"):
        at(source(tmp_path / "nothing.nc"), 3)
    (tmp_path / "b.nc").write_bytes(b"CDF\x01 and no more")
    with pytest.raises(InputError, match=r"at 2026-01-01T03:00Z: its files hold no field with a time; .*b\.nc cannot"):
        at(source(tmp_path), 3)


@pytest.mark.parametrize("name", ["latency", "longest_gap", "shift"])
def test_negative_intervals_are_refused(name):
    with pytest.raises(UsageError, match=f"the {name} of background files must not be negative"):
        source("x", **{name: -HOUR})


def test_weights_are_made_once_and_only_files_needed_are_opened(hourly, monkeypatch):
    made, read = [], []
    between, find = Regridder.between, file_inventory.find_fields
    monkeypatch.setattr(Regridder, "between", lambda *a, **k: made.append(a) or between(*a, **k))
    monkeypatch.setattr(file_inventory, "find_fields", lambda path: read.append(path.name) or find(path))
    files = source(hourly)
    at(files, 3)
    assert len(read) == 12 + 1
    read.clear()
    at(files, 4)
    assert read == ["6_1.nc"]
    assert len(made) == 1


def test_hourly_runs_of_hrrr(shared):
    grid = around_idaho()
    files = source(shared / "data" / "hrrr_idaho" / "*.grib2", names=("t2m", "d2m", "u10m", "v10m", "sp"), grid=grid,
                   terrain=1300.0, latency=50 * MINUTE)  # fmt: skip
    time = np.datetime64("2018-07-22T12:00", "ns")
    background = files.at(time, available_at=time)
    assert background.initial_time == time - HOUR
    assert background.terrain_adjusted == ("t2m", "d2m", "sp")
    path = shared / "data" / "hrrr_idaho" / "hrrr.20180722.hrrr.t11z.wrfsfcf01.grib2"
    one = load_background(path, layout=files.layout, static=files.static, valid_time=time)
    np.testing.assert_array_equal(background.state.values, one.state.values)
    assert background.provenance == one.provenance
    with pytest.raises(InputError, match=r"24 runs from 2018-07-22T00:00Z to 2018-07-22T23:00Z.*arrives at .*T11:50Z$"):
        files.at(time, available_at=time - 30 * MINUTE)
