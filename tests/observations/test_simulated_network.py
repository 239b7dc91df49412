"""Made-up networks and their reports: where stations stand, how exact and how wrong their reports are."""

import numpy as np
import pandas as pd
import pytest
import torch

from rtma_diffda.errors import UsageError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.region import load_region
from rtma_diffda.geo.static_fields import StaticFields, generate_static_fields
from rtma_diffda.observations.ingest.metar_table import read_metar
from rtma_diffda.observations.metar_writer import write_metar
from rtma_diffda.observations.simulated_network import (
    ERROR_STD,
    ReportErrors,
    as_station_table,
    simulate_reports,
    simulated_network,
)

NAMES = ("t2m", "d2m", "u10m", "v10m", "sp", "gust", "tcc", "vis", "ceil")
TIME = np.datetime64("2026-04-10T20:15", "ns")
EXACT = ReportErrors(error_std={})


@pytest.fixture(scope="module")
def static():
    region = load_region("demo")
    return generate_static_fields(region.static["generator"], region.grid)


@pytest.fixture(scope="module")
def network(static):
    return simulated_network(static.grid, static, count=400, generator=seeded(5))


@pytest.fixture(scope="module")
def truth(static):
    """Linear in the plane, temperature and pressure in step with terrain, a ceiling in the north only."""
    grid = static.grid
    x, y = np.meshgrid(np.linspace(0, 1, grid.nx), np.linspace(0, 1, grid.ny))
    t2m = 290 - 0.0065 * static.orography + 3 * x
    u, v = 6 + 4 * x, 2 - 5 * y
    fields = [t2m, t2m - 4 - y, u, v, 101000 * (1 - 0.0065 * static.orography / 288.15) ** 5.2559]
    fields += [1.5 * np.hypot(u, v), y, 5000 + 1e4 * x, np.where(y > 0.6, 900.0, np.nan)]
    return State(torch.from_numpy(np.stack(fields))[None], Layout.of(grid, NAMES), TIME)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_stations_stand_inside_and_apart_with_names_that_nobody_has(static, network):
    assert network["station"].is_unique
    assert network["station"].str.fullmatch("X[A-Z]{3}").all()
    row, column = static.grid.fractional_index(network["latitude"], network["longitude"])
    for place, size in ((row, static.grid.ny), (column, static.grid.nx)):
        assert place.min() > 2.4
        assert place.max() < size - 3.4
    assert len(set(zip(np.rint(row), np.rint(column), strict=True))) == len(network)
    assert network["reporting_minute"].between(-7, 7).all()
    assert network["delay_minutes"].between(2, 9).all()


def test_sites_prefer_low_land(static):
    many = simulated_network(static.grid, static, count=1000, generator=seeded(1))
    row, column = (np.rint(i).astype(int) for i in static.grid.fractional_index(many["latitude"], many["longitude"]))
    taken = np.zeros(static.grid.shape, bool)
    taken[row, column] = True
    inner = np.zeros_like(taken)
    inner[3:-3, 3:-3] = True
    land, height = static.land_fraction >= 0.5, static.orography
    low, high, sea = (taken[inner & where].mean() for where in (land & (height < 300), height > 900, ~land))
    assert low > 1.5 * high
    assert high > 2.5 * sea


def test_heights_differ_from_the_terrain_more_where_it_is_rough(static, network):
    row, column = static.grid.fractional_index(network["latitude"], network["longitude"])
    nearest = (np.rint(row).astype(int), np.rint(column).astype(int))
    relief = np.hypot(*np.gradient(static.orography))[nearest]
    difference = network["elevation"] - static.orography[nearest]
    smooth, rough = difference[relief < 20], difference[relief > 80]
    assert smooth.std() < 20
    assert rough.std() > 2 * smooth.std()
    assert network["elevation"].min() >= 0


def test_the_same_seed_gives_the_same_network_and_reports(static, network, truth):
    pd.testing.assert_frame_equal(network, simulated_network(static.grid, static, count=400, generator=seeded(5)))
    first, again = (
        simulate_reports(truth, network, static=static, errors=ReportErrors(gross_error_rate=0.1), generator=seeded(2))
        for _ in range(2)
    )
    pd.testing.assert_frame_equal(first, again)


def test_exact_reports_are_the_truth_at_the_stations_own_height(static, network, truth):
    reports = simulate_reports(truth, network, static=static, errors=EXACT, generator=seeded(0))
    row, column = static.grid.fractional_index(network["latitude"], network["longitude"])
    x, y = column / (static.grid.nx - 1), row / (static.grid.ny - 1)
    np.testing.assert_allclose(reports["t2m"], 290 - 0.0065 * network["elevation"] + 3 * x, atol=1e-9)
    standard = 101000 * (1 - 0.0065 * network["elevation"] / 288.15) ** 5.2559
    # the standard atmosphere's ratio from the terrain's height, where z in the exponent is not additive
    np.testing.assert_allclose(reports["sp"], standard, rtol=1.5e-3)
    np.testing.assert_allclose(reports["wind_speed"], np.hypot(6 + 4 * x, 2 - 5 * y), atol=1e-9)
    blown_to = np.rad2deg(np.arctan2(6 + 4 * x, 2 - 5 * y))
    np.testing.assert_allclose(reports["wind_direction"], (blown_to + 180) % 360, atol=1e-9)
    assert ((reports["gust"] / reports["wind_speed"]).between(1.49, 1.55)).all()
    np.testing.assert_allclose(reports["tcc"], np.rint(row) / (static.grid.ny - 1))
    assert (reports["ceil"].isna() == (np.rint(row) / (static.grid.ny - 1) <= 0.6)).all()
    assert (reports["ceil"].dropna() == 900.0).all()


def test_times_are_the_stations_own(static, network, truth):
    reports = simulate_reports(truth, network, static=static, errors=EXACT, generator=seeded(0))
    minutes = (reports["valid_time"] - TIME) / np.timedelta64(1, "m")
    assert (minutes.to_numpy() == network["reporting_minute"].to_numpy()).all()
    delay = (reports["received_time"] - reports["valid_time"]) / np.timedelta64(1, "m")
    assert (delay.to_numpy() == network["delay_minutes"].to_numpy()).all()


def test_errors_have_their_standard_deviation(static, network, truth):
    exact = simulate_reports(truth, network, static=static, errors=EXACT, generator=seeded(0))
    for seed in range(3):
        noisy = simulate_reports(truth, network, static=static, errors=ReportErrors(), generator=seeded(seed))
        for name, std in ERROR_STD.items():
            assert (noisy[name] - exact[name]).std() == pytest.approx(std, rel=0.15)
        assert (noisy["d2m"] <= noisy["t2m"]).all()


def test_gross_errors_are_as_frequent_and_as_gross_as_asked(static, network, truth):
    clean, spoilt = (
        simulate_reports(truth, network, static=static, errors=ReportErrors(gross_error_rate=rate), generator=seeded(1))
        for rate in (0.0, 0.2)
    )
    departures = {name: np.abs(spoilt[name] - clean[name]) / ERROR_STD[name] for name in ("t2m", "d2m", "u10m", "sp")}
    concerned = pd.DataFrame(departures) > 1e-6
    assert (concerned.sum(axis=1) <= 1).all()
    assert concerned.any(axis=1).mean() == pytest.approx(0.2, abs=0.06)
    assert concerned.any(axis=0).all()
    assert min(column[column > 1e-6].min() for column in departures.values()) >= 8.0
    assert max(column.max() for column in departures.values()) <= 16.0


def test_reports_without_clouds_and_visibility_leave_them_out(static, network, truth):
    short = State(truth.values[:, :5], Layout.of(static.grid, NAMES[:5]), TIME)
    reports = simulate_reports(short, network, static=static, errors=EXACT, generator=seeded(0))
    assert reports[["gust", "tcc", "vis", "ceil"]].isna().all(axis=None)
    text = write_metar(reports)
    assert " 10SM " not in text
    assert "G" not in text.replace("\n     ", " ").split("Z AUTO ")[1].split()[0]


def test_from_truth_to_the_observation_table_and_back(static, network, truth, tmp_path):
    """The whole way that the demonstration takes: stations, METAR text, ingest with the network as station table."""
    reports = simulate_reports(truth, network, static=static, errors=EXACT, generator=seeded(0))
    path = tmp_path / "hour.txt"
    path.write_text(write_metar(reports), encoding="ascii")
    result = read_metar(path, stations=as_station_table(network), reference_time=TIME)
    assert result.reports_found == result.reports_read == len(network)
    table = result.table[result.table["flags"] == 0]
    limits = {"t2m": 0.0501, "d2m": 0.0501, "u10m": 1.3, "v10m": 1.3, "sp": 36.0}
    for name, limit in limits.items():
        rows = table[table["variable"] == name].set_index("station")
        expected = reports.set_index("station")[name].loc[rows.index]
        assert len(rows) > 0.95 * len(network)
        assert np.abs(rows["value"] - expected).max() <= limit
        np.testing.assert_allclose(rows["elevation"], network.set_index("station")["elevation"].loc[rows.index])


def test_wrong_use_is_explained(static, network, truth):
    with pytest.raises(UsageError, match="does not fit"):
        simulated_network(static.grid, static, count=5000, generator=seeded(0))
    with pytest.raises(UsageError, match="gross error rate"):
        ReportErrors(gross_error_rate=1.5)
    dry = State(truth.values[:, :1], Layout.of(static.grid, ["t2m"]), TIME)
    with pytest.raises(UsageError, match="lacking"):
        simulate_reports(dry, network, static=static, errors=EXACT, generator=seeded(0))


def test_a_region_without_terrain_or_land_gets_a_network_too(static):
    flat = simulated_network(static.grid, StaticFields(static.grid), count=30, generator=seeded(0))
    assert np.abs(flat["elevation"]).max() < 25
