"""Stores of forecasts as global runs of a limited area."""

import numpy as np
import pytest
import torch
import xarray as xr
from builders import small_grid
from global_world import FIRST, SIX_HOURS, small_history, small_static

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.global_forcing import forcing
from rtma_diffda.fields.boundary import surrounding
from rtma_diffda.fields.layout import Layout
from rtma_diffda.io.global_store_runs import GlobalStoreRuns, forecast_stores
from rtma_diffda.io.global_to_boundary import GlobalToBoundary
from rtma_diffda.io.weatherbench_forecast import GlobalForecastDesign, GlobalForecastStore

HOUR = np.timedelta64(1, "h")
LAYOUT = Layout.of(small_grid(), ("t2m", "d2m", "u10m", "v10m", "sp"))


def states(count, seed):
    return small_history(count=count, seed=seed)


def write(directory, start, *, steps=4, done=4, seed=0):
    layout = states(1, 0)[0].layout
    design = GlobalForecastDesign(layout, start, SIX_HOURS, steps, small_static(), {"model": "test"})
    store = GlobalForecastStore(directory / f"{np.datetime_as_string(start, unit='h')}.zarr", design)
    for state in states(done, seed):
        store.append(state.values)
    return store.path


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs")
    write(directory, FIRST, seed=1)
    write(directory, FIRST + SIX_HOURS, seed=2, done=2)
    return directory


def runs(path, **changes):
    return GlobalStoreRuns(**{"path": path, "layout": LAYOUT, "latency": 3 * HOUR, "source": "graphcast", **changes})


def test_the_newest_run_that_had_arrived_gives_the_boundary(directory):
    need = surrounding(np.atleast_1d(FIRST + 14 * HOUR))
    found = runs(directory).bracketing(need, available_at=FIRST + 9 * HOUR)
    assert found.initial_time == FIRST + 6 * HOUR
    assert (found.valid_times == FIRST + np.array([12, 18]) * HOUR).all()
    convert = GlobalToBoundary(LAYOUT, small_static(), "graphcast")
    for state, whole in zip(found.states, states(2, 2), strict=True):
        expected = convert(whole)
        assert torch.allclose(state.values, expected.values, rtol=1e-5)
    assert np.allclose(found.static.orography, convert.static.orography, rtol=1e-5)
    older = runs(directory).bracketing(need, available_at=FIRST + 8 * HOUR)
    assert older.initial_time == FIRST and not torch.equal(older.states[0].values, found.states[0].values)


def test_steps_that_are_not_there_yet_are_asked_of_an_older_run(directory):
    need = surrounding(np.atleast_1d(FIRST + 20 * HOUR))
    assert runs(directory).bracketing(need, available_at=FIRST + 12 * HOUR).initial_time == FIRST


def test_a_store_of_many_initial_times_is_as_many_runs(directory, tmp_path):
    one, other = (xr.open_zarr(path, decode_timedelta=True).load() for path in sorted(directory.glob("*.zarr")))
    static = ["geopotential_at_surface", "land_sea_mask"]
    joined = xr.concat([one.drop_vars(static), other.drop_vars(static)], dim="time").assign(one[static])
    joined = joined.drop_encoding().transpose(..., "longitude", "latitude")
    joined.to_zarr(tmp_path / "wb2.zarr", zarr_format=2)
    found = runs(tmp_path / "wb2.zarr").runs()
    assert [run.initial_time for run in found] == [FIRST, FIRST + SIX_HOURS]
    apart = runs(directory).runs()
    times = found[0].valid_times[:2]
    assert torch.equal(found[0].load(times)[0][1].values, apart[0].load(times)[0][1].values)
    with pytest.raises(InputError, match="not finite"):
        found[1].load(found[1].valid_times[2:])


def test_stores_are_found_by_path_directory_and_pattern(directory, tmp_path):
    stores = tuple(sorted(directory.glob("*.zarr")))
    assert forecast_stores(directory) == forecast_stores(f"{directory}/*.zarr") == stores
    assert forecast_stores(stores[0]) == stores[:1]
    assert forecast_stores(tmp_path) == forecast_stores(tmp_path / "none*") == ()
    with pytest.raises(InputError, match="names no store"):
        runs(tmp_path).runs()
    with pytest.raises(UsageError, match="latency"):
        runs(directory, latency=-HOUR)


def test_verbs_take_such_stores_where_they_take_files(directory):
    class Settings:
        global_runs, global_model, latency_hours, time = str(directory), "", 3.0, FIRST + 12 * HOUR

    found = forcing(Settings(), LAYOUT, surrounding(np.atleast_1d(FIRST + 13 * HOUR)))
    assert found.initial_time == FIRST + SIX_HOURS and found.source == str(directory)
