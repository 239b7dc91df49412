import json

import numpy as np
import pytest
import torch
import xarray as xr
from global_world import small_globe

from rtma_diffda.backbones.graphcast import task
from rtma_diffda.fields import global_forcings as module
from rtma_diffda.fields.global_forcings import FORCINGS, global_forcings
from rtma_diffda.fields.global_layout import global_grid
from rtma_diffda.geo.solar_radiation import hourly_radiation


def test_the_order_is_that_of_the_task():
    assert FORCINGS == task.FORCINGS


def test_progress_at_known_times():
    grid = small_globe(4, 8)
    values = global_forcings(np.array(["1970-01-01T00:00", "1970-01-01T06:00"], "datetime64[ns]"), grid)
    year_sin, year_cos, day_sin, day_cos = values[:, 1:].unbind(1)
    assert float(year_sin[0].abs().max()) == 0.0 and float(year_cos[0].min()) == 1.0
    assert torch.allclose(day_sin[0, 0], torch.sin(torch.arange(8) * torch.pi / 4), atol=1e-6)
    assert torch.allclose(day_cos[1, 2], torch.cos(torch.arange(8) * torch.pi / 4 + torch.pi / 2), atol=1e-6)
    assert torch.allclose(year_sin[1], torch.tensor(np.sin(2 * np.pi * 0.25 / 365.24219), dtype=torch.float32))


def test_one_time_is_a_series_of_one():
    assert global_forcings(np.datetime64("2000-01-01"), small_globe(4, 8)).shape == (1, 5, 4, 8)


@pytest.mark.parametrize("remembered", [True, False])
def test_radiation_is_that_of_the_hour(monkeypatch, remembered):
    monkeypatch.setattr(module, "_SMALL_GRID", 10**6 if remembered else 0)
    grid, time = small_globe(6, 12), np.array(["2007-07-07T18:00"], "datetime64[ns]")
    expected = torch.from_numpy(hourly_radiation(time, grid.latitudes, grid.longitudes)).float()
    assert torch.equal(global_forcings(time, grid)[:, 0], expected)


def test_forcings_of_the_published_code(shared):
    folder = shared / "fixtures" / "graphcast"
    times = np.array(json.loads((folder / "info.json").read_text())["datetime"][0], "datetime64[ns]")
    parts = [xr.open_dataset(folder / f, engine="scipy", decode_times=False) for f in ("inputs.nc", "forcings.nc")]
    values = global_forcings(times, global_grid(parts[0]["lat"], parts[0]["lon"])).numpy()
    for i, name in enumerate(FORCINGS):
        stored = np.concatenate([part[name].values[0] for part in parts])
        aligned = {3: stored, 2: stored[:, None, :] if stored.ndim == 2 else stored, 1: stored.reshape(-1, 1, 1)}
        difference = np.abs(values[:, i] - aligned[stored.ndim]).max()
        assert difference < (40.0 if name.startswith("toa") else 1e-7), name
