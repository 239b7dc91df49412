"""Global runs in files: which run feeds a boundary, what is read from it, and what is told when nothing can be."""

import logging
from functools import partial

import numpy as np
import pytest
import xarray as xr
from grib_samples import LAT_LON, T2M, grib_message

from rtma_diffda.backbones.limited_area.boundary_window import BoundaryWindow
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.boundary import surrounding
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.grid import LatLonGrid, ProjectedGrid, transformer
from rtma_diffda.geo.regrid.regridder import Regridder
from rtma_diffda.io.global_runs import GlobalRunFiles
from rtma_diffda.io.gridded_files import gridded_files

HOUR = np.timedelta64(1, "h")
MIDNIGHT = np.datetime64("2026-01-01T00:00", "ns")
PLANE = "+proj=lcc +lat_1=50 +lat_2=50 +lat_0=50 +lon_0=1 +a=6371200 +b=6371200 +units=m"
GRID = ProjectedGrid(PLANE, 5, 4, 30e3, 30e3, -60e3, -45e3)
NAMES = ("t2m", "u10m", "v10m")
LATITUDES, LONGITUDES = np.arange(53.0, 46.5, -0.5), np.arange(-3.0, 5.5, 0.5)
LONG = {
    "t2m": ("air_temperature", "K", 2.0),
    "u10m": ("eastward_wind", "m s-1", 10.0),
    "v10m": ("northward_wind", "m s-1", 10.0),
    "orog": ("surface_altitude", "m", None),
    "lsm": ("land_area_fraction", "1", None),
}


def hours(*numbers: float) -> np.ndarray:
    return MIDNIGHT + (np.asarray(numbers) * 60).astype(int) * np.timedelta64(1, "m")


def linear(name: str, latitude, longitude, hour: float = 0.0, run: float = 0.0):
    """Linear in place and time; the run is told by one per hour of its initial time."""
    base = {"t2m": 250.0, "u10m": 0.0, "v10m": -5.0, "orog": 100.0, "lsm": 0.2}[name]
    slope = 0.001 if name == "lsm" else 1.0
    return base + slope * ((latitude - 50.0) + 0.5 * longitude) + 0.01 * hour + (0.0 if name == "lsm" else run)


def field(name, hour, run, latitudes=LATITUDES, longitudes=LONGITUDES):
    standard_name, units, height = LONG[name]
    values = linear(name, latitudes[:, None], longitudes[None, :], hour, run)
    attributes = {"standard_name": standard_name, "units": units}
    coordinates = {
        "latitude": ("latitude", latitudes, {"units": "degrees_north"}),
        "longitude": ("longitude", longitudes, {"units": "degrees_east"}),
    }
    if height is not None:
        coordinates["height"] = ((), height, {"units": "m", "standard_name": "height"})
    return xr.DataArray(values, coordinates, ("latitude", "longitude"), attrs=attributes)


def write(path, *, valid, run=None, names=NAMES, static=(), **where):
    """One file of one valid hour; ``run`` is the initial hour, None for an analysis."""
    arrays = {}
    for name in names:
        array = field(name, valid, run or 0.0, **where).assign_coords(time=((), hours(valid)[0]))
        if run is not None:
            start = ((), hours(run)[0], {"standard_name": "forecast_reference_time"})
            array = array.assign_coords(forecast_reference_time=start)
        arrays[name] = array
    for name in static:
        arrays[name] = field(name, 0.0, 0.0, **where)
    dataset = xr.Dataset({name: array.drop_vars("height", errors="ignore") for name, array in arrays.items()})
    for name, array in arrays.items():  # two heights cannot share one coordinate
        if "height" in array.coords:
            dataset = dataset.assign_coords({f"height_{name}": array.coords["height"]})
            dataset[name].attrs["coordinates"] = f"height_{name}"
    dataset.to_netcdf(path)
    return path


def write_run(path, run, leads=(0, 6, 12, 18), names=NAMES, static=()):
    """One file with all states of a run."""
    times = ("lead_time", np.array(leads) * HOUR.astype("timedelta64[ns]"))
    arrays = {}
    for name in names:
        states = xr.concat([field(name, run + lead, run).drop_vars("height") for lead in leads], dim="lead_time")
        height = ((), LONG[name][2], {"units": "m", "standard_name": "height"})
        arrays[name] = states.assign_coords({f"height_{name}": height})
    arrays |= {name: field(name, 0.0, run) for name in static}
    xr.Dataset(arrays).assign_coords(init_time=((), hours(run)[0]), lead_time=times).to_netcdf(path)


@pytest.fixture(scope="module")
def forecasts(tmp_path_factory):
    """Runs of 00, 06 and 12 UTC, a state every 6 h for 18 h; names tell nothing, and sort against time."""
    directory = tmp_path_factory.mktemp("forecasts")
    for name, run in (("z", 0), ("y", 6), ("x", 12)):
        write_run(directory / f"{name}.nc", run, static=("orog", "lsm"))
    return directory


@pytest.fixture(scope="module")
def gfs(forecasts):
    return source(forecasts)


def source(path, *, names=NAMES, latency=4 * HOUR, grid=GRID):
    return GlobalRunFiles(path=path, layout=Layout.of(grid, names), latency=latency, source="gfs")


def expected(name, hour, run):
    return linear(name, GRID.latitude(), GRID.longitude(), hour, run)


def test_a_boundary_has_the_states_of_the_run_on_the_boundary_grid(gfs):
    found = gfs.bracketing(surrounding(hours(13, 14)), available_at=hours(13)[0])
    assert found.initial_time == hours(6)[0]
    assert found.source == "gfs"
    assert (found.valid_times == hours(12, 18)).all()
    for state, hour in zip(found.states, (12, 18), strict=True):
        for name in NAMES:
            np.testing.assert_allclose(state.channel(name)[0], expected(name, hour, 6), atol=1e-3)


def test_values_are_those_of_the_regridder_and_static_fields_those_of_the_model(gfs):
    found = gfs.bracketing(surrounding(hours(12)), available_at=hours(13)[0])
    grid = LatLonGrid(LATITUDES[::-1], LONGITUDES)
    regrid = Regridder.between(grid, GRID, engine="embedded")
    raw = field("t2m", 12, 6).values[::-1]
    np.testing.assert_allclose(found.states[0].channel("t2m")[0], regrid(raw), atol=2e-5)
    np.testing.assert_allclose(found.static.orography, expected("orog", 0, 6), atol=1e-3)
    np.testing.assert_allclose(found.static.land_fraction, expected("lsm", 0, 0), atol=1e-5)
    assert found.static.grid == GRID


@pytest.mark.parametrize(
    ("now", "before", "run"),
    [
        (16, 16, 12),  # arrived this very moment
        (15.75, 15.75, 6),  # late
        (20, 12, 6),  # equal to our own start: the one before it
        (20, 12.25, 12),
    ],
)
def test_the_newest_run_that_had_arrived_and_is_strictly_older(gfs, now, before, run):
    need = surrounding(hours(13))
    found = gfs.bracketing(need, available_at=hours(now)[0], before=hours(before)[0])
    assert found.initial_time == hours(run)[0]


def test_runs_that_share_a_file_and_valid_times_are_told_apart(tmp_path):
    runs = [
        xr.concat([field("t2m", run + lead, run).drop_vars("height") for lead in (0, 6, 12)], dim="lead_time")
        for run in (0, 6)
    ]
    times = {"init_time": hours(0, 6), "lead_time": np.arange(0, 13, 6) * HOUR.astype("timedelta64[ns]")}
    xr.concat(runs, dim="init_time").assign_coords(times).to_dataset(name="t2m").to_netcdf(tmp_path / "all.nc")
    files = source(tmp_path, names=("t2m",))
    for now, run in ((7, 0), (13, 6)):
        found = files.bracketing(surrounding(hours(7)), available_at=hours(now)[0])
        assert found.initial_time == hours(run)[0]
        np.testing.assert_allclose(found.at(hours(12)[0]).values[0, 0], expected("t2m", 12, run), atol=1e-3)


def test_where_the_newest_lacks_a_time_the_run_before_is_taken(tmp_path, caplog):
    for run, valid in ((0, 6), (0, 12), (0, 18), (6, 6), (6, 12)):  # that of 06 UTC has not arrived whole
        write(tmp_path / f"{run}_{valid}.nc", valid=valid, run=run)
    window = BoundaryWindow(interval=6 * HOUR, step=HOUR)
    need = partial(window.needed, hours(12, 13))
    with caplog.at_level(logging.WARNING):
        found = source(tmp_path).bracketing(need, available_at=hours(13)[0])
    assert found.initial_time == hours(0)[0]
    assert (found.valid_times == hours(6, 12, 18)).all()
    assert "run of 2026-01-01T06:00Z: the boundary has no state at 2026-01-01T18:00Z" in caplog.text


def test_a_window_of_a_forecast_and_of_analyses_has_the_same_features(gfs, tmp_path):
    for hour in (0, 6, 12):  # the same states: the run of 00 UTC adds nothing to the linear field
        write(tmp_path / f"{hour}.nc", valid=hour)
    window = BoundaryWindow(interval=6 * HOUR, step=HOUR)
    target = hours(8)[0]
    features = []
    for files in (gfs, source(tmp_path)):
        found = files.bracketing(partial(window.needed, target), available_at=target)
        features.append(window.features(found.series().values, found.valid_times, target))
    np.testing.assert_array_equal(*features)


def test_analyses_start_at_the_latest_that_had_arrived(tmp_path):
    for hour in (0, 6, 12, 18):
        write(tmp_path / f"{hour}.nc", valid=hour)
    found = source(tmp_path).bracketing(surrounding(hours(13)), available_at=hours(13)[0])
    assert found.initial_time == hours(6)[0]
    assert (found.valid_times == hours(12, 18)).all()
    with pytest.raises(InputError, match="of gfs, of 2026-01-01T18:00Z to 2026-01-01T18:00Z, is old enough"):
        source(tmp_path).bracketing(surrounding(hours(3)), available_at=hours(3)[0])


def test_fields_of_lead_zero_only_are_analyses(tmp_path):
    for hour in (0, 6, 12):
        write(tmp_path / f"{hour}.nc", valid=hour, run=hour)
    found = source(tmp_path).bracketing(surrounding(hours(7)), available_at=hours(7)[0])
    assert found.initial_time == hours(0)[0]
    assert (found.valid_times == hours(6, 12)).all()


def test_a_corrupt_file_among_many_is_skipped_and_named(tmp_path, caplog):
    whole = write(tmp_path / "a.nc", valid=6, run=0)
    (tmp_path / "broken.nc").write_bytes(whole.read_bytes()[:900])
    (tmp_path / "nothing.f003").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        found = source(tmp_path).bracketing(surrounding(hours(6)), available_at=hours(7)[0])
    assert found.initial_time == hours(0)[0]
    assert "broken.nc is skipped" in caplog.text
    assert "nothing.f003 is skipped" in caplog.text
    with pytest.raises(InputError, match=r"has what is needed.*2 files were skipped: .*broken\.nc.*nothing\.f003"):
        source(tmp_path).bracketing(surrounding(hours(60)), available_at=hours(7)[0])


def test_only_corrupt_files_are_no_run_at_all(tmp_path):
    (tmp_path / "a.nc").write_bytes(b"CDF\x01 and no more")
    with pytest.raises(InputError, match=r"no global run of gfs at all.*1 files were skipped: .*a\.nc"):
        source(tmp_path).bracketing(surrounding(hours(1)), available_at=hours(2)[0])


def test_none_old_enough_and_none_that_reaches_are_told(gfs):
    with pytest.raises(
        InputError, match="of the 3 runs of gfs, of 2026-01-01T00:00Z to 2026-01-01T12:00Z, is old enough"
    ):
        gfs.bracketing(surrounding(hours(3)), available_at=hours(3)[0])
    with pytest.raises(InputError, match=r"none of the 2 usable runs of gfs.*reach from 2026-01-01T06:00Z to"):
        gfs.bracketing(surrounding(hours(25)), available_at=hours(13)[0])


def test_a_missing_variable_is_named(tmp_path):
    write(tmp_path / "a.nc", valid=6, run=0)
    with pytest.raises(InputError, match="gfs lacks sp"):
        source(tmp_path, names=("t2m", "sp")).bracketing(surrounding(hours(6)), available_at=hours(13)[0])


def test_a_time_without_all_variables_does_not_count(tmp_path):
    for lead in (0, 6, 12):
        write(tmp_path / f"{lead}.nc", valid=lead, run=0, names=("t2m",) if lead == 6 else NAMES)
    (run,) = source(tmp_path).runs()
    assert (run.valid_times == hours(0, 12)).all()
    (run,) = source(tmp_path, names=("t2m",)).runs()
    assert (run.valid_times == hours(0, 6, 12)).all()


def test_a_field_that_cannot_be_decoded_is_named(tmp_path):
    path = write(tmp_path / "a.nc", valid=6, run=0, names=("t2m", "u10m"))
    with xr.open_dataset(path, decode_timedelta=True) as held:
        wrong = held.load().assign(u10m=held.u10m.assign_attrs(units="K"))
    wrong.to_netcdf(path)
    with pytest.raises(InputError, match=r"lacks u10m; at this time it has t2m; u10m cannot be decoded \(reasons"):
        source(tmp_path, names=("t2m", "u10m")).bracketing(surrounding(hours(6)), available_at=hours(7)[0])


def test_what_follows_from_others_need_not_be_there(tmp_path):
    write(tmp_path / "a.nc", valid=6, run=0)
    found = source(tmp_path, names=("ws10m",)).bracketing(surrounding(hours(6)), available_at=hours(7)[0])
    u, v = expected("u10m", 6, 0), expected("v10m", 6, 0)
    np.testing.assert_allclose(found.states[0].values[0, 0], np.hypot(u, v), atol=0.03)


@pytest.mark.parametrize(
    ("where", "side"),
    [
        ({"longitudes": LONGITUDES[8:]}, "in the west: 8 of its 20 points have no t2m, u10m, v10m"),
        ({"longitudes": LONGITUDES[:8]}, "in the east"),
        ({"latitudes": LATITUDES[:7]}, "in the south"),
        ({"latitudes": LATITUDES[6:]}, "in the north"),
        ({"latitudes": LATITUDES[:2]}, "anywhere"),
    ],
)
def test_a_source_that_does_not_reach_over_the_boundary_grid_is_refused_with_the_side(tmp_path, where, side):
    write(tmp_path / "a.nc", valid=6, run=0, **where)
    with pytest.raises(InputError, match=f"gfs at 2026-01-01T06:00Z does not cover the boundary grid {side}"):
        source(tmp_path).bracketing(surrounding(hours(6)), available_at=hours(7)[0])


def test_static_fields_that_do_not_reach_are_left_out(tmp_path, caplog):
    write(tmp_path / "a.nc", valid=6, run=0)
    write(tmp_path / "b.nc", valid=6, run=0, names=(), static=("orog",), longitudes=LONGITUDES[8:])
    with caplog.at_level(logging.WARNING):
        found = source(tmp_path).bracketing(surrounding(hours(6)), available_at=hours(7)[0])
    assert found.static is None
    assert "orog of" in caplog.text


def test_terrain_may_lie_elsewhere(tmp_path):
    runs, fixed = tmp_path / "runs", tmp_path / "fixed.nc"
    runs.mkdir()
    write(runs / "a.nc", valid=6, run=0)
    write(fixed, valid=0, names=(), static=("orog",))
    files = GlobalRunFiles(path=runs, layout=Layout.of(GRID, NAMES), latency=4 * HOUR, static_path=fixed)
    found = files.bracketing(surrounding(hours(6)), available_at=hours(7)[0])
    np.testing.assert_allclose(found.static.orography, expected("orog", 0, 0), atol=1e-3)
    assert found.static.land_fraction is None
    assert found.source == str(runs)


def test_new_and_changed_files_are_noticed(tmp_path):
    files = source(tmp_path)
    first = write(tmp_path / "a.nc", valid=6, run=0)
    assert len(files.runs()) == 1
    write(tmp_path / "b.nc", valid=12, run=6)
    assert [run.initial_time for run in files.runs()] == list(hours(0, 6))
    write(first, valid=15, run=3)
    assert [run.initial_time for run in files.runs()] == list(hours(3, 6))
    first.unlink()
    assert [run.initial_time for run in files.runs()] == list(hours(6))


def test_runs_in_grib_are_read_too(tmp_path, caplog):
    pytest.importorskip("eccodes")
    latitudes = np.linspace(52.0, 48.0, 5)[:, None] * np.ones((5, 8))
    for lead in (0, 3):
        content = grib_message(230.0 + latitudes + lead, LAT_LON, T2M, dataTime=0, forecastTime=lead)
        (tmp_path / f"gfs.f{lead:03d}").write_bytes(content)
    (tmp_path / "gfs.f000.idx").write_text("1:0:d=2026010100:TMP:2 m above ground:anl:")
    with caplog.at_level(logging.WARNING):
        found = source(tmp_path, names=("t2m",)).bracketing(surrounding(hours(1)), available_at=hours(5)[0])
    assert not caplog.records
    assert found.initial_time == hours(0)[0]
    for state, lead in zip(found.states, (0, 3), strict=True):
        np.testing.assert_allclose(state.values[0, 0], 230.0 + GRID.latitude() + lead, atol=5e-3)


def test_a_path_may_be_a_file_a_pattern_or_a_directory_of_directories(tmp_path):
    below = tmp_path / "more"
    below.mkdir()
    (below / "notes.txt").write_text("not data")
    for path in (tmp_path / "x1.nc", tmp_path / "x2.nc", below / "z.nc"):
        path.write_bytes(b"CDF\x01")
    found = {
        tmp_path: ["z.nc", "x1.nc", "x2.nc"],
        below / "z.nc": ["z.nc"],
        f"{tmp_path}/x*.nc": ["x1.nc", "x2.nc"],
        f"{tmp_path}/**/*.nc": ["z.nc", "x1.nc", "x2.nc"],
    }
    for path, names in found.items():
        assert [path.name for path in gridded_files(path)] == names
    for nothing in (tmp_path / "absent.nc", f"{tmp_path}/*.grib2"):
        with pytest.raises(InputError, match="no file of global runs"):
            gridded_files(nothing)


def test_a_negative_latency_is_refused():
    with pytest.raises(UsageError, match="latency"):
        source("x", latency=-1 * HOUR)


def test_a_boundary_is_read_from_a_real_file_of_gfs(shared):
    path = shared / "data" / "gfs_region" / "GFS_test.nc"
    if not path.is_file():
        pytest.skip(f"needs {path}, which is not here")
    plane = "+proj=lcc +lat_1=40 +lat_2=40 +lat_0=40 +lon_0=-105 +a=6371200 +b=6371200 +units=m"
    x, y = transformer(plane).transform(-105.0, 40.0)
    grid = ProjectedGrid(plane, 17, 17, 30e3, 30e3, x - 240e3, y - 240e3)
    time = np.datetime64("2010-10-26T12:00", "ns")
    files = source(path, names=("t2m", "u10m", "v10m", "msl"), grid=grid)
    found = files.bracketing(surrounding(np.array([time])), available_at=time + 5 * HOUR)
    assert found.initial_time == time
    assert found.static is None
    with xr.open_dataset(path) as raw:
        east = raw["u-component_of_wind_height_above_ground"].squeeze(drop=True)
        nearby = east.sel(lat=slice(43, 37), lon=slice(251, 259))
        middle = float(east.sel(lat=40, lon=255))
    wind = found.states[0].channel("u10m")[0]
    assert abs(float(wind[8, 8]) - middle) < 1e-4
    assert float(nearby.min()) <= float(wind.min()) < float(wind.max()) <= float(nearby.max())
    assert float(found.states[0].channel("msl").min()) > 95e3
