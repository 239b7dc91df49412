"""Reports and observations of a truth: exact without errors, of their own minute when asked, accounted for."""

import numpy as np
import pandas as pd
import pytest
import torch

from rtma_diffda.errors import UsageError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.fields.state import State
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.observations.flags import Flag
from rtma_diffda.observations.metar_writer import write_metar
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.observations.simulated_errors import ERROR_STD, REPORTED, ReportErrors
from rtma_diffda.observations.simulated_reports import (
    observations_of,
    received_by,
    simulate_observations,
    simulate_reports,
    truth_at,
)
from rtma_diffda.observations.simulated_sites import ranked_network
from rtma_diffda.times import Window

EXACT = ReportErrors(error_std={})
QUARTER = np.timedelta64(15, "m")


@pytest.fixture(scope="module")
def evolution(truth):
    """Three states of the five reported variables, 15 minutes apart, that change by 1 (SI) and then by 2."""
    base = truth.values[0, :5]
    values = torch.stack([base - 1.0, base, base + 2.0])
    times = np.datetime64(truth.valid_time, "ns") + np.arange(-1, 2) * QUARTER
    return StateSeries(values, Layout.of(truth.layout.grid, REPORTED), times)


def test_exact_reports_are_the_truth_at_the_stations_own_height(static, network, truth, seeded):
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


def test_times_are_the_stations_own(static, network, truth, seeded):
    reports = simulate_reports(truth, network, static=static, errors=EXACT, generator=seeded(0))
    minutes = (reports["valid_time"] - truth.valid_time) / np.timedelta64(1, "m")
    assert (minutes.to_numpy() == network["reporting_minute"].to_numpy()).all()
    delay = (reports["received_time"] - reports["valid_time"]) / np.timedelta64(1, "m")
    assert (delay.to_numpy() == network["delay_minutes"].to_numpy()).all()


def test_errors_have_their_standard_deviation(static, network, truth, seeded):
    exact = simulate_reports(truth, network, static=static, errors=EXACT, generator=seeded(0))
    for seed in range(3):
        noisy = simulate_reports(truth, network, static=static, errors=ReportErrors(), generator=seeded(seed))
        for name, std in ERROR_STD.items():
            assert (noisy[name] - exact[name]).std() == pytest.approx(std, rel=0.15)
        assert (noisy["d2m"] <= noisy["t2m"]).all()


def test_the_account_of_gross_errors_names_what_was_spoilt(static, network, truth, seeded):
    clean, spoilt = (
        simulate_reports(truth, network, static=static, errors=ReportErrors(gross_error_rate=rate), generator=seeded(1))
        for rate in (0.0, 0.2)
    )
    assert (clean["gross_error"] == "").all()
    assert (spoilt["gross_error"] != "").mean() == pytest.approx(0.2, abs=0.06)
    for name in ("t2m", "d2m", "u10m", "sp"):
        changed = np.abs(spoilt[name] - clean[name]) > 1e-6
        assert (changed == (spoilt["gross_error"] == name)).all()
        assert changed.any()
    assert "gross" not in write_metar(spoilt)


def test_observations_and_reports_have_the_same_errors(static, network, truth, seeded):
    errors = ReportErrors(gross_error_rate=0.1, factor=1.5, constant_share=0.2)
    reports = simulate_reports(truth, network, static=static, errors=errors, generator=seeded(9))
    simulated = simulate_observations(truth, network, static=static, errors=errors, generator=seeded(9))
    observed = simulated.observations
    assert len(observed) == 5 * len(network)
    for name in REPORTED:
        rows = (observed.channel == truth.layout.index(name)).numpy()
        assert (observed.station[rows] == network["station"].to_numpy()).all()
        np.testing.assert_allclose(observed.value[rows], reports[name], rtol=0, atol=1e-9)
        assert (observed.error_std[rows] == 1.5 * ERROR_STD[name]).all()
        assert (simulated.gross_error[rows] == (reports["gross_error"] == name)).all()
        assert (observed.valid_time[rows] == reports["valid_time"].to_numpy()).all()
        assert (simulated.received_time[rows] == reports["received_time"].to_numpy()).all()
    off = np.abs((observed.value - simulated.truth).numpy()) / observed.error_std.numpy()
    assert off[simulated.gross_error].min() > 8 / 1.5 - 4
    assert off[~simulated.gross_error].max() < 5


def test_the_truth_at_stations_is_the_operators_and_exact_observations_are_the_truth(static, network, truth, seeded):
    exact = simulate_observations(truth, network, static=static, errors=EXACT, generator=seeded(0))
    np.testing.assert_allclose(exact.observations.value, exact.truth, rtol=1e-15)
    operator = BilinearOperator(truth.layout, static)
    np.testing.assert_array_equal(exact.truth, operator(truth.values, exact.observations)[0])
    np.testing.assert_array_equal(exact.truth, truth_at(truth, exact.observations, static=static))


def test_a_dense_networks_first_stations_observe_what_a_sparse_network_does(static, truth, seeded):
    ranked = ranked_network(static.grid, static, count=300, withheld=20, generator=seeded(1))
    errors = ReportErrors(gross_error_rate=0.1)
    dense, sparse = (
        observations_of(truth, ranked.first(n), static=static, errors=errors, generator=seeded(2)) for n in (300, 40)
    )
    shared = np.isin(dense.station, ranked.first(40)["station"].to_numpy())
    np.testing.assert_array_equal(dense.select(shared).value, sparse.value)


def test_reports_are_of_their_own_minute_when_the_states_around_are_known(static, network, truth, evolution, seeded):
    """The truth of the fixture grows by 1/15 a minute before the hour's quarter and by 2/15 after it."""
    state = State(truth.values[:, :5], evolution.layout, truth.valid_time)
    minute = network["reporting_minute"].to_numpy()
    expected = np.where(minute < 0, minute / 15.0, 2.0 * minute / 15.0)
    still, moving = (
        simulate_observations(
            state, network, static=static, errors=EXACT, generator=seeded(0), evolution=series
        ).observations
        for series in (None, evolution)
    )
    growth = (moving.value - still.value).numpy().reshape(5, -1)
    for name, row in zip(REPORTED[:4], growth[:4], strict=True):
        np.testing.assert_allclose(row, expected, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(growth[4], expected, rtol=0.1, atol=1e-9)  # scaled to the station's height
    reports = simulate_reports(state, network, static=static, errors=EXACT, generator=seeded(0), evolution=evolution)
    np.testing.assert_allclose(reports["t2m"], moving.value[: len(network)], atol=1e-9)


def test_beyond_the_known_states_the_nearest_one_stands(static, network, truth, evolution, seeded):
    late = State(evolution.values[2:], evolution.layout, evolution.valid_times[2])
    still = observations_of(late, network, static=static, errors=EXACT, generator=seeded(0))
    moving = observations_of(late, network, static=static, errors=EXACT, generator=seeded(0), evolution=evolution)
    after = np.tile(network["reporting_minute"].to_numpy() >= 0, 5)
    np.testing.assert_allclose(moving.value[after], still.value[after], rtol=1e-12)
    assert (moving.value[~after] < still.value[~after]).all()
    with pytest.raises(UsageError, match="evolution"):
        truth_at(truth, still, static=static, evolution=evolution)


def test_late_observations_are_flagged_and_late_reports_left_out(static, network, truth, seeded):
    cutoff = truth.valid_time + np.timedelta64(8, "m")
    simulated = simulate_observations(truth, network, static=static, errors=EXACT, generator=seeded(0))
    late = (network["reporting_minute"] + network["delay_minutes"] > 8).to_numpy()
    assert 0.1 < late.mean() < 0.6
    flags = simulated.available_at(cutoff).flags
    assert (flags == np.where(np.tile(late, 5), Flag.OUTSIDE_WINDOW, 0)).all()
    reports = simulate_reports(truth, network, static=static, errors=EXACT, generator=seeded(0))
    assert set(received_by(reports, cutoff)["station"]) == set(network["station"][~late])


def test_observations_make_a_problem(static, network, truth, seeded):
    five = State(truth.values[:, :5], Layout.of(static.grid, REPORTED), truth.valid_time)
    observations = observations_of(five, network, static=static, errors=ReportErrors(), generator=seeded(0))
    window = Window.around(truth.valid_time, np.timedelta64(450, "s"))
    problem = AssimilationProblem(five, observations, BilinearOperator(five.layout, static), window)
    normalised = problem.innovations()[0] / observations.error_std
    assert float(normalised.std()) == pytest.approx(1.0, abs=0.05)


def test_the_same_seed_gives_the_same_reports(static, network, truth, seeded):
    first, again = (
        simulate_reports(truth, network, static=static, errors=ReportErrors(gross_error_rate=0.1), generator=seeded(2))
        for _ in range(2)
    )
    pd.testing.assert_frame_equal(first, again)


def test_reports_without_clouds_and_visibility_leave_them_out(static, network, truth, seeded):
    short = State(truth.values[:, :5], Layout.of(static.grid, REPORTED), truth.valid_time)
    reports = simulate_reports(short, network, static=static, errors=EXACT, generator=seeded(0))
    assert reports[["gust", "tcc", "vis", "ceil"]].isna().all(axis=None)
    text = write_metar(reports)
    assert " 10SM " not in text
    assert "G" not in text.replace("\n     ", " ").split("Z AUTO ")[1].split()[0]


def test_wrong_use_is_explained(static, network, truth, seeded):
    dry = State(truth.values[:, :1], Layout.of(static.grid, ["t2m"]), truth.valid_time)
    with pytest.raises(UsageError, match="lacking"):
        simulate_reports(dry, network, static=static, errors=EXACT, generator=seeded(0))
    two = State(truth.values.repeat(2, 1, 1, 1), truth.layout, truth.valid_time)
    with pytest.raises(UsageError, match="one member"):
        observations_of(two, network, static=static, errors=EXACT, generator=seeded(0))
    assert len(observations_of(dry, network, static=static, errors=EXACT, generator=seeded(0))) == len(network)
