"""Climatologies: WeatherBench 2's tables, and the harmonics that ``scripts/global_statistics.py`` fits."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from global_world import FIRST, SIX_HOURS, global_dataset, small_globe

from rtma_diffda.errors import InputError
from rtma_diffda.fields.global_climatology import HarmonicClimatology
from rtma_diffda.fields.global_layout import global_layout
from rtma_diffda.io.global_climatology import open_climatology

KEYS = (("2m_temperature", None), ("geopotential", 500), ("geopotential", 850))
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "global_statistics.py"


def tabulated():
    """Values that say their own day, hour and level."""
    grid, hours, days, levels = small_globe(4, 8), np.array([0, 6, 12, 18]), np.arange(1, 367), np.array([850, 500])
    coords = {
        "hour": hours,
        "dayofyear": days,
        "level": levels,
        "latitude": grid.latitudes,
        "longitude": grid.longitudes,
    }
    surface = xr.DataArray(days[None] + hours[:, None] / 100.0, dims=("hour", "dayofyear"))
    everywhere = xr.DataArray(np.ones(grid.shape), dims=("latitude", "longitude"))
    above = surface + 1e3 * xr.DataArray(levels, dims="level")
    data = {"2m_temperature": surface * everywhere, "geopotential": above * everywhere}
    return xr.Dataset({name: values.astype(np.float32) for name, values in data.items()}, coords)


@pytest.fixture(scope="module", params=["latitude", "longitude"])
def table(request, tmp_path_factory):
    """Both orders of dimensions; rows from north to south in one of them."""
    path = tmp_path_factory.mktemp("climatology") / "table.zarr"
    rest = {"latitude": ("latitude", "longitude"), "longitude": ("longitude", "latitude")}[request.param]
    data = tabulated().transpose("hour", "dayofyear", "level", *rest)
    data.isel(latitude=slice(None, None, -1 if request.param == "latitude" else 1)).to_zarr(path, zarr_format=2)
    return path


@pytest.mark.parametrize(
    ("time", "day"),
    [("2017-01-01T06:00", 1), ("2017-12-31T18:00", 365), ("2016-12-31T00:00", 366), ("2016-03-01T12:00", 61)],
)
def test_a_table_is_read_by_hour_and_day_of_the_year(table, time, day):
    climatology = open_climatology(table, keys=KEYS)
    state = climatology.state(np.datetime64(time))
    hour = int(time[11:13]) / 100.0
    assert state.layout == climatology.layout == global_layout(KEYS, small_globe(4, 8))
    assert state.values[0, :, 2, 3].tolist() == pytest.approx([day + hour, 5e5 + day + hour, 8.5e5 + day + hour])


def test_a_table_names_what_it_lacks(table):
    with pytest.raises(InputError, match=r"has no hour 3 \(of 2017-05-05T03:00Z\); it has 4 from 0 to 18"):
        open_climatology(table).state(np.datetime64("2017-05-05T03:00"))
    with pytest.raises(InputError, match="lacks temperature at 500 hPa"):
        open_climatology(table, keys=[("temperature", 500)])


def harmonic():
    layout = global_layout(KEYS, small_globe(4, 8))
    size = torch.ones(layout.shape)
    harmonics = torch.stack([280 * size, 5 * size, -3 * size])
    departures = torch.stack([k * size for k in (-1.0, 2.0, 1.0, -2.0)])
    return HarmonicClimatology(layout, harmonics, np.array([0.0, 6.0, 12.0, 18.0]), departures)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("1970-01-01T00:00", 285.0 - 1.0),
        ("1970-01-01T06:00", 285.0 + 2.0),
        ("1970-01-01T09:00", 285.0 + 1.5),
        ("1970-01-01T21:00", 285.0 - 1.5),
        ("1970-04-02T07:00", 277.0 + 11.0 / 6.0),
    ],
)
def test_harmonics_are_those_of_the_year_and_hours_go_around(time, expected):
    state = harmonic().state(np.datetime64(time))
    assert state.values.dtype == torch.float32 and state.valid_time == np.datetime64(time, "ns")
    assert float(state.values[0, 1, 2, 2]) == pytest.approx(expected, abs=0.15)


def test_shapes_of_harmonics_must_fit():
    whole = harmonic()
    with pytest.raises(InputError, match="departures of a climatology have shape"):
        HarmonicClimatology(whole.layout, whole.harmonics, whole.hours[:2], whole.departures)


def fitted(dataset, tmp_path):
    """What the script makes of a store."""
    spec = importlib.util.spec_from_file_location("global_statistics_script", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = script
    spec.loader.exec_module(script)
    path = tmp_path / "climatology.nc"
    script.climatology([dataset]).to_netcdf(path)
    return path


def test_what_the_script_fits_is_what_is_read(tmp_path):
    """A year that has nothing but an annual cycle and one of the day comes back whole."""
    times = FIRST + np.arange(4 * 366) * SIX_HOURS
    first = global_dataset(times=1, grid=small_globe(4, 8)).drop_vars("sea_surface_temperature")
    seconds = (times - np.datetime64(0, "ns")) / np.timedelta64(1, "s")
    angle = xr.DataArray(2 * np.pi * (seconds / 86400 / 365.24219), dims="time")
    hour = xr.DataArray(seconds % 86400 / 3600, dims="time")
    shape = 1.0 + 0.1 * np.cos(angle) - 0.05 * np.sin(angle) + 0.02 * np.cos(2 * np.pi * hour / 24)
    varying = {name: first[name].isel(time=0, drop=True) * shape for name in ("2m_temperature", "geopotential")}
    dataset = xr.Dataset(varying, first.drop_vars("time").coords).assign_coords(time=times)
    dataset = dataset.transpose("time", "level", "latitude", "longitude")
    climatology = open_climatology(fitted(dataset, tmp_path), keys=KEYS)
    for k in (0, 333, 1002):
        found = climatology.state(times[k]).values[0]
        truth = dataset.isel(time=k)
        expected = [truth["2m_temperature"], *(truth["geopotential"].sel(level=level) for level in (500, 850))]
        for one, other in zip(found, expected, strict=True):
            assert np.allclose(one, other, rtol=2e-4)


def test_what_is_no_climatology_is_said(tmp_path):
    plain = tabulated().isel(hour=0, dayofyear=0, drop=True)
    plain.to_netcdf(tmp_path / "plain.nc")
    with pytest.raises(InputError, match="is no climatology"):
        open_climatology(tmp_path / "plain.nc")
    named = plain.expand_dims(harmonic=["mean", "cos", "tan"])
    named.to_netcdf(tmp_path / "named.nc")
    with pytest.raises(InputError, match="expected \\['mean', 'cos', 'sin'\\]"):
        open_climatology(tmp_path / "named.nc")
    plain.expand_dims(harmonic=["mean", "cos", "sin"]).to_netcdf(tmp_path / "half.nc")
    with pytest.raises(InputError, match="lacks 2m_temperature_by_hour, geopotential_by_hour"):
        open_climatology(tmp_path / "half.nc")
