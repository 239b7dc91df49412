"""Forecast stores: written step by step, gone on with, and read as WeatherBench 2's."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from global_world import FIRST, SIX_HOURS, small_globe, small_static

from rtma_diffda.errors import InputError
from rtma_diffda.fields.global_layout import global_layout
from rtma_diffda.io.global_pairs import open_forecasts
from rtma_diffda.io.weatherbench import open_archive
from rtma_diffda.io.weatherbench_forecast import STEPS_FILE, GlobalForecastDesign, GlobalForecastStore

KEYS = (
    ("2m_temperature", None),
    ("geopotential", 500),
    ("geopotential", 850),
    ("temperature", 500),
    ("temperature", 850),
    ("total_precipitation_6hr", None),
)


def design(**changes):
    layout = global_layout(KEYS, small_globe())
    made = GlobalForecastDesign(layout, FIRST, SIX_HOURS, 3, small_static(), {"model": "test"})
    return replace(made, **changes)


def states(count=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, *design().layout.shape, generator=generator) for _ in range(count)]


@pytest.fixture
def store(tmp_path):
    store = GlobalForecastStore(tmp_path / "f.zarr", design())
    for values in states():
        store.append(values)
    return store


def test_steps_are_read_back_bit_for_bit(store):
    again = GlobalForecastStore(store.path, design())
    assert again.done == 3
    for step, values in enumerate(states(), 1):
        assert torch.equal(again.values(step), values)


def test_it_is_a_store_of_weatherbench(store):
    dataset = xr.open_zarr(store.path, decode_timedelta=True)
    assert dataset["geopotential"].dims == ("time", "prediction_timedelta", "level", "latitude", "longitude")
    assert dataset["time"].values.tolist() == [FIRST.astype(int)]
    assert dataset["prediction_timedelta"].values.tolist() == [
        int(k * SIX_HOURS / np.timedelta64(1, "ns")) for k in (1, 2, 3)
    ]
    chosen = dataset["temperature"].sel(prediction_timedelta=2 * SIX_HOURS, level=850).isel(time=0)
    assert np.array_equal(chosen, states()[1][0, 4])
    assert dataset["2m_temperature"].attrs["units"] == "K"
    assert np.allclose(dataset["geopotential_at_surface"], 9.80665 * small_static().orography, rtol=1e-6)


def test_it_is_read_by_lead_time(store):
    found = open_forecasts(store.path, 2 * SIX_HOURS, KEYS)
    assert torch.equal(found.state(FIRST + 2 * SIX_HOURS).values, states()[1])
    with pytest.raises(InputError, match="holds forecasts"):
        open_archive(store.path)


def test_a_forecast_is_gone_on_with(tmp_path):
    path, values = tmp_path / "new" / "f.zarr", states()
    first = GlobalForecastStore(path, design())
    assert first.done == 0
    first.append(values[0])
    second = GlobalForecastStore(path, design())
    assert second.done == 1 and json.loads((path / STEPS_FILE).read_text())["steps_done"] == 1
    assert np.isnan(xr.open_zarr(path)["2m_temperature"].isel(prediction_timedelta=1)).all()
    for one in values[1:]:
        second.append(one[0])
    whole = GlobalForecastStore(path, design())
    assert [torch.equal(whole.values(k), one) for k, one in enumerate(values, 1)] == [True] * 3


@pytest.mark.parametrize("lose", [lambda chunk: chunk.unlink(), lambda chunk: chunk.write_bytes(b"cut")])
def test_a_step_whose_data_were_lost_is_not_there(store, lose):
    (chunk,) = (store.path / "geopotential").glob("0.2.*")
    lose(chunk)
    assert GlobalForecastStore(store.path, design()).done == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"initial_time": FIRST + SIX_HOURS}, "initial_time differ"),
        ({"steps": 4}, "steps is 3 there, wanted 4"),
        ({"provenance": {"model": "other"}}, "model is test there, wanted other"),
    ],
)
def test_another_forecast_is_left_alone(store, changes, words):
    with pytest.raises(InputError, match=words):
        GlobalForecastStore(store.path, design(**changes))


def test_other_directories_are_left_alone(tmp_path):
    (tmp_path / "f.zarr").mkdir()
    with pytest.raises(InputError, match="is no forecast of this package"):
        GlobalForecastStore(tmp_path / "f.zarr", design())


def test_what_is_not_finite_is_not_written(tmp_path):
    store, values = GlobalForecastStore(tmp_path / "f.zarr", design()), states()[0]
    values[0, 1, 2, 3] = torch.inf
    with pytest.raises(InputError, match=r"the forecast for 2016-03-01T06:00Z has values that are not finite: z500"):
        store.append(values)
    assert GlobalForecastStore(store.path, design()).done == 0


def test_nothing_is_left_where_no_store_can_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        GlobalForecastStore(tmp_path / "file" / "f.zarr", design())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_levels_must_be_shared(tmp_path):
    layout = global_layout([("geopotential", 500), ("temperature", 850)], small_globe())
    with pytest.raises(InputError, match="the same levels"):
        GlobalForecastStore(tmp_path / "f.zarr", design(layout=layout))
