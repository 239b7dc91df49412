"""Against the sun's geometry, the series' own numbers, and the published code's radiation (shared fixture)."""

import json

import numpy as np
import pytest
import xarray as xr

from rtma_diffda.geo.solar_radiation import IRRADIANCE, IRRADIANCE_YEARS, hourly_radiation, irradiance
from rtma_diffda.geo.sun import sun_height


def times(*texts):
    return np.array(texts, "datetime64[ns]")


def test_the_table_is_read_at_mid_year_and_between():
    assert irradiance(times("2018-07-02T12:00"))[0] == pytest.approx(0.9965 * 1365.8545, abs=1e-6)
    assert irradiance(times("1951-07-02T12:00"))[0] == pytest.approx(0.9965 * 1365.7765, abs=1e-6)
    between = irradiance(times("2019-01-01T00:00"))[0]
    assert between == pytest.approx(0.9965 * (1365.8545 + 1365.8107) / 2, abs=1e-3)
    assert irradiance(times("1900-01-01", "2100-01-01")).tolist() == [IRRADIANCE[0], IRRADIANCE[-1]]


def test_the_cycle_of_thirteen_years_repeats():
    of = dict(zip(IRRADIANCE_YEARS.tolist(), IRRADIANCE.tolist(), strict=True))
    assert len(IRRADIANCE_YEARS) == len(IRRADIANCE) == 84
    assert of[1996.5] == of[2009.5] == of[2022.5]
    assert of[2034.5] == 0.9965 * 1365.6918


def test_the_globe_receives_a_quarter_of_the_irradiance():
    rows, columns = -90.0 + (np.arange(60) + 0.5) * 3.0, np.arange(120) * 3.0
    radiation = hourly_radiation(times("2003-10-05T03:00"), rows, columns)[0]  # the sun at about 1 AU
    mean = np.average(radiation.mean(axis=1), weights=np.cos(np.deg2rad(rows))) / 3600.0
    assert mean == pytest.approx(irradiance(times("2003-10-05"))[0] / 4.0, rel=2e-3)


def test_no_radiation_at_night_and_most_under_the_sun():
    columns = np.arange(360.0)
    radiation = hourly_radiation(times("2018-03-20T12:30"), np.array([0.0]), columns)[0, 0]
    assert radiation[180] == 0.0
    assert abs((columns[radiation.argmax()] + 180) % 360 - 180) <= 3.0
    assert radiation.max() == pytest.approx(3600 * 1361, rel=0.02)


def test_it_agrees_with_the_coarser_sun_of_limited_areas():
    rows, columns = np.array([-50.0, 10.0, 65.0]), np.arange(0.0, 360.0, 15.0)
    end = times("2020-08-10T18:00")
    minutes = end[0] - np.arange(0, 61) * np.timedelta64(1, "m")
    latitude, longitude = np.meshgrid(rows, columns, indexing="ij")
    expected = 3600 * 1361 * sun_height(minutes, latitude, longitude).mean(axis=0)
    assert hourly_radiation(end, rows, columns)[0] == pytest.approx(expected, abs=0.06 * 3600 * 1361)


def test_pieces_of_a_fine_grid_make_the_whole(monkeypatch):
    rows, columns = np.linspace(-90, 90, 19), np.arange(36) * 10.0
    whole = hourly_radiation(times("2018-03-15T06:00"), rows, columns)
    monkeypatch.setattr("rtma_diffda.geo.solar_radiation._BLOCK", 40_000)
    assert np.allclose(hourly_radiation(times("2018-03-15T06:00"), rows, columns), whole, rtol=1e-12)


def test_radiation_of_the_published_code(shared):
    """Float32 there: its own steps of time alone make up to 37 J m⁻² of 5e6."""
    folder = shared / "fixtures" / "graphcast"
    moments = times(*json.loads((folder / "info.json").read_text())["datetime"][0])
    parts = [xr.open_dataset(folder / f, engine="scipy", decode_times=False) for f in ("inputs.nc", "forcings.nc")]
    stored = np.concatenate([part["toa_incident_solar_radiation"].values[0] for part in parts])
    found = hourly_radiation(moments, parts[0]["lat"].values, parts[0]["lon"].values)
    assert np.abs(found - stored).max() < 40.0
