import json

import numpy as np
import pytest
import torch
import xarray as xr
from builders import NOON, small_grid, small_static

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.io.background import load_background
from rtma_diffda.io.forecast_file import ForecastProduct, write_forecast

HOUR = np.timedelta64(1, "h")
LAYOUT = Layout.of(small_grid(), ("t2m", "u10m", "v10m", "sp"))


def product(members: int = 1, **changes) -> ForecastProduct:
    generator = torch.Generator().manual_seed(0)
    base = torch.tensor([280.0, 3.0, -1.0, 9.7e4])[:, None, None]
    states = tuple(
        State(base + torch.rand(members, *LAYOUT.shape, generator=generator), LAYOUT, NOON + HOUR * k) for k in (1, 2)
    )
    known = {"global_run": "made up", "global_run_initial_time": "2026-01-01T06:00Z"}
    given = {"states": states, "provenance": known, "static": small_static(), "created": NOON}
    return ForecastProduct(domain="test", initial_time=NOON, **{**given, **changes})


def test_a_forecast_is_read_back_as_a_background(tmp_path):
    made = product()
    path = write_forecast(made, tmp_path / "new")
    assert path.name == "rtma_diffda.test.forecast.20260101T1200Z.nc"
    for state in made.states:
        found = load_background(path, layout=LAYOUT, static=small_static(), valid_time=state.valid_time)
        torch.testing.assert_close(found.state.values, state.values.float(), rtol=1e-6, atol=1e-3)
        assert found.initial_time == NOON


def test_the_file_names_the_global_run_and_the_leads(tmp_path):
    path = write_forecast(product(), tmp_path)
    with xr.open_dataset(path, decode_coords="all", decode_timedelta=False) as dataset:
        assert dataset.forecast_reference_time.values == NOON
        assert (dataset.time.values == NOON + HOUR * np.array([1, 2])).all()
        assert dataset.forecast_period.values.tolist() == [3600, 7200]
        known = json.loads(dataset.attrs["provenance"])
        assert known["global_run_initial_time"] == "2026-01-01T06:00Z" and known["degraded"] == []
        assert (dataset.status == 2).all() and "forecast" in dataset.t2m.attrs["long_name"]


def test_a_degraded_forecast_says_so(tmp_path):
    with xr.open_dataset(write_forecast(product(degraded=("made without boundary states",)), tmp_path)) as dataset:
        assert (dataset.status == 3).all() and "without boundary states" in dataset.attrs["comment"]


def test_members_are_kept_beside_their_mean(tmp_path):
    made = product(3)
    with xr.open_dataset(write_forecast(made, tmp_path)) as dataset:
        assert dataset.t2m_members.dims == ("time", "realization", "y", "x")
        np.testing.assert_allclose(dataset.t2m_members[1], made.states[1].values[:, 0], rtol=1e-6)
        np.testing.assert_allclose(dataset.t2m, dataset.t2m_members.mean("realization"), rtol=1e-6)


def test_what_is_not_finite_is_not_written(tmp_path):
    bad = product()
    bad.states[1].values[0, 0, 0, 0] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        ForecastProduct(**vars(bad))
    assert not list(tmp_path.iterdir())
