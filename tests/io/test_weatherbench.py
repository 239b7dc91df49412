"""Stores in the layouts that WeatherBench 2, ARCO-ERA5 and GraphCast have published, and what is said of others."""

import shutil

import numpy as np
import pytest
import torch
from global_world import FIRST, SIX_HOURS, global_dataset, small_globe, write_store

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.io import weatherbench_layout
from rtma_diffda.io.weatherbench import open_archive

NAMES = ("u10m", "v10m", "t2m", "z500", "z850", "msl", "q500", "q850", "t500", "t850", "u500", "u850", "v500", "v850")


@pytest.fixture(scope="module")
def truth():
    return global_dataset()


@pytest.fixture(scope="module", params=["64x32", "1440x721"])
def store(request, truth, tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("wb2") / f"{request.param}.zarr", truth, as_published=request.param)


def test_both_published_orders_give_the_same_states(store, truth):
    archive = open_archive(store)
    assert archive.layout.names == NAMES
    assert archive.layout.grid == small_globe()
    state = archive.state(FIRST + 2 * SIX_HOURS)
    assert state.values.dtype == torch.float32
    at = truth.isel(time=2)
    assert np.array_equal(state.channel("t2m")[0], at["2m_temperature"])
    assert np.array_equal(state.channel("z850")[0], at["geopotential"].sel(level=850))


def test_times_are_found_by_value_in_any_order(store, truth):
    archive = open_archive(store)
    chosen = FIRST + np.array([4, 1]) * SIX_HOURS
    values = archive.values(chosen)
    assert np.array_equal(
        values[:, archive.layout.index("v500")], truth["v_component_of_wind"].sel(time=chosen, level=500)
    )


def test_channels_may_be_chosen_in_any_order(store, truth):
    keys = [("temperature", 850), ("2m_temperature", None), ("temperature", 500)]
    archive = open_archive(store, keys=keys)
    assert archive.keys == tuple(keys)
    values = archive.values(np.array([FIRST]))[0].numpy()
    expected = [truth["temperature"].sel(level=850), truth["2m_temperature"], truth["temperature"].sel(level=500)]
    assert np.array_equal(values, np.stack([one.isel(time=0) for one in expected]))
    assert torch.equal(open_archive(store).selected(keys).values(np.array([FIRST]))[0], torch.from_numpy(values))


def test_levels_may_be_chosen(store):
    names = open_archive(store, levels=(850,)).layout.names
    assert "z850" in names and "z500" not in names
    with pytest.raises(UsageError, match="not both"):
        open_archive(store, levels=(850,), keys=[("temperature", 850)])


def test_terrain_is_a_height_and_land_a_fraction(store, truth):
    static = open_archive(store).static
    assert np.allclose(static.orography, truth["geopotential_at_surface"] / 9.80665)
    assert np.allclose(static.land_fraction, truth["land_sea_mask"])


def test_static_fields_with_a_time_and_longitudes_around_greenwich(tmp_path, truth):
    """ARCO-ERA5 repeats its static fields at every time; other stores begin at 180° W."""
    repeated = truth.assign(geopotential_at_surface=truth["geopotential_at_surface"].expand_dims(time=truth["time"]))
    shifted = repeated.assign_coords(longitude=(truth["longitude"] + 180.0) % 360.0 - 180.0).sortby("longitude")
    archive = open_archive(write_store(tmp_path / "arco.zarr", shifted))
    assert np.allclose(archive.static.orography, truth["geopotential_at_surface"] / 9.80665)
    assert np.array_equal(archive.state(FIRST).channel("msl")[0], truth["mean_sea_level_pressure"].isel(time=0))


def test_a_store_without_terrain_has_none(tmp_path, truth):
    bare = truth.drop_vars(["geopotential_at_surface", "land_sea_mask"])
    static = open_archive(write_store(tmp_path / "bare.zarr", bare)).static
    assert static.orography is None and static.land_fraction is None


def test_graphcasts_example_files(tmp_path, truth):
    published = truth.rename(latitude="lat", longitude="lon").expand_dims(batch=1)
    for name in ("geopotential_at_surface", "land_sea_mask"):
        published[name] = published[name].isel(batch=0, drop=True)
    published = published.assign_coords(
        datetime=(("batch", "time"), truth["time"].values[None]), time=truth["time"].values - truth["time"].values[1]
    )
    published.to_netcdf(tmp_path / "example.nc")
    archive = open_archive(tmp_path / "example.nc")
    assert archive.layout.names == NAMES
    assert np.array_equal(archive.state(FIRST + SIX_HOURS).channel("t2m")[0], truth["2m_temperature"].isel(time=1))


def test_nothing_is_read_until_it_is_asked_for(store):
    assert all(array.chunks is not None for array in open_archive(store).dataset.data_vars.values())


def test_a_url_is_read_as_a_path_is(store):
    state = open_archive(f"file://{store}").state(FIRST)
    assert torch.equal(state.values, open_archive(store).state(FIRST).values)


def test_a_url_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(weatherbench_layout, "find_spec", lambda name: None if name == "gcsfs" else "there")
    with pytest.raises(UsageError, match="pip install gcsfs"):
        open_archive("gs://weatherbench2/datasets/era5/1959-2022-6h-64x32_equiangular_conservative.zarr")


def test_a_missing_store_says_where_there_are_some(tmp_path):
    with pytest.raises(InputError, match=r"none.zarr does not exist; .*gs://weatherbench2/datasets/era5/"):
        open_archive(tmp_path / "none.zarr")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(InputError, match="cannot be opened as a Zarr store"):
        open_archive(tmp_path / "empty.zarr")


def test_missing_variables_levels_and_times_are_named(store):
    keys = [("temperature", 700), ("total_precipitation_6hr", None), ("2m_temperature", None)]
    with pytest.raises(InputError, match=r"lacks temperature at 700 hPa, total_precipitation_6hr; .* 500, 850 hPa"):
        open_archive(store, keys=keys)
    archive = open_archive(store)
    with pytest.raises(InputError, match="no state at 2016-03-01T03:00Z; it has 6 from 2016-03-01T00:00Z"):
        archive.state(FIRST + np.timedelta64(3, "h"))
    with pytest.raises(InputError, match="no state at 2016-04"):
        archive.values(np.array(["2016-04-01"], "datetime64[ns]"))


def test_values_that_are_not_finite_name_variable_and_time(tmp_path, truth):
    broken = truth.copy(deep=True)
    broken["geopotential"][1, 0, 2, 3] = np.nan
    archive = open_archive(write_store(tmp_path / "nan.zarr", broken))
    with pytest.raises(InputError, match=r"at 2016-03-01T06:00Z has values that are not finite: z500 \(1 values\)"):
        archive.state(FIRST + SIX_HOURS)
    assert torch.isfinite(archive.state(FIRST).values).all()


def test_forecasts_and_disordered_times_are_refused(tmp_path, truth):
    forecast = truth.expand_dims(prediction_timedelta=[np.timedelta64(6, "h")])
    with pytest.raises(InputError, match="holds forecasts"):
        open_archive(write_store(tmp_path / "forecast.zarr", forecast))
    with pytest.raises(InputError, match="do not increase"):
        open_archive(write_store(tmp_path / "disordered.zarr", truth.isel(time=[1, 0])))
    with pytest.raises(InputError, match="none of the variables"):
        open_archive(write_store(tmp_path / "sea.zarr", truth[["sea_surface_temperature"]]))
    with pytest.raises(InputError, match="no coordinate latitude"):
        open_archive(write_store(tmp_path / "flat.zarr", truth.isel(latitude=0, drop=True), as_published="flat"))


def test_a_damaged_chunk_is_an_input_error(store, tmp_path):
    copy = shutil.copytree(store, tmp_path / "damaged.zarr")
    chunk = next(path for path in (copy / "2m_temperature").iterdir() if path.name.startswith("0."))
    chunk.write_bytes(b"broken")
    with pytest.raises(InputError, match="cannot be read"):
        open_archive(copy).state(FIRST)
