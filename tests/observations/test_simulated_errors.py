"""Errors of reports: their size, what stays with a station, what is gross, and that longer networks keep their luck."""

import numpy as np
import pytest

from rtma_diffda.errors import UsageError
from rtma_diffda.observations.simulated_errors import (
    ERROR_STD,
    REPORTED,
    ReportErrors,
    draw_errors,
    normal_quantile,
)

N = 4000


@pytest.fixture
def biases():
    uniform = np.random.default_rng(1).uniform(size=(N, len(REPORTED)))
    return normal_quantile(uniform)


def test_the_usual_errors_have_their_standard_deviation_times_the_factor(biases, seeded):
    for factor in (0.05, 1.0, 2.0):
        drawn = draw_errors(ReportErrors(factor=factor), biases, seeded(0))
        for name, std in ERROR_STD.items():
            assert drawn.usual[name].std() == pytest.approx(factor * std, rel=0.04)
            assert abs(drawn.usual[name].mean()) < 4 * factor * std / np.sqrt(N)
            assert (drawn.gross.get(name, np.zeros(1)) == 0.0).all()


def test_the_factor_scales_the_same_draws(biases, seeded):
    one, two = (draw_errors(ReportErrors(factor=f), biases, seeded(0)) for f in (1.0, 2.0))
    for name in REPORTED:
        np.testing.assert_allclose(two.usual[name], 2.0 * one.usual[name], rtol=1e-12)


def test_the_first_stations_have_the_same_luck_in_a_longer_network(biases, seeded):
    errors = ReportErrors(gross_error_rate=0.1, constant_share=0.3)
    for count in (3, 30, 777):
        short, long = (draw_errors(errors, biases[:n], seeded(4)) for n in (count, N))
        for name in REPORTED:
            np.testing.assert_array_equal(short.usual[name], long.usual[name][:count])
        assert (short.gross_variable() == long.gross_variable()[:count]).all()


def test_a_constant_share_of_the_variance_stays_with_the_station(biases, seeded):
    errors = ReportErrors(constant_share=0.4)
    first, later = (draw_errors(errors, biases, seeded(seed)) for seed in (1, 2))
    for name, std in ERROR_STD.items():
        assert np.corrcoef(first.usual[name], later.usual[name])[0, 1] == pytest.approx(0.4, abs=0.06)
        assert first.usual[name].std() == pytest.approx(std, rel=0.04)
    alone = [draw_errors(ReportErrors(), biases, seeded(seed)).usual["t2m"] for seed in (1, 2)]
    assert abs(np.corrcoef(*alone)[0, 1]) < 0.06


def test_gross_errors_are_as_frequent_and_as_gross_as_asked_whatever_the_factor(biases, seeded):
    errors = ReportErrors(gross_error_rate=0.2, factor=0.05, gross_error_size=(10.0, 30.0))
    drawn = draw_errors(errors, biases, seeded(3))
    spoilt = drawn.gross_variable()
    assert (spoilt != "").mean() == pytest.approx(0.2, abs=0.03)
    assert set(spoilt) == {"", "t2m", "d2m", "u10m", "sp"}
    for name, gross in drawn.gross.items():
        assert ((gross != 0.0) == (spoilt == name)).all()
        size = np.abs(gross[gross != 0.0]) / ERROR_STD[name]
        assert size.min() >= 10.0
        assert size.max() <= 30.0
        assert 0.35 < (gross[gross != 0.0] > 0.0).mean() < 0.65


def test_the_dew_point_is_cut_at_the_temperature_and_gross_errors_come_after(biases, seeded):
    drawn = draw_errors(ReportErrors(gross_error_rate=0.3), biases, seeded(3))
    exact = {"t2m": np.full(N, 280.0), "d2m": np.full(N, 279.5), "vis": np.full(N, 5000.0)}
    observed = drawn.added_to(exact)
    untouched = ~np.isin(drawn.gross_variable(), ["t2m", "d2m"])
    assert (observed["d2m"] <= observed["t2m"])[untouched].all()
    assert (observed["d2m"] == observed["t2m"])[untouched].any()
    assert (observed["d2m"] > observed["t2m"] + 3.0).any()
    assert (observed["vis"] == 5000.0).all()


def test_quality_control_can_be_told_what_the_errors_are():
    model = ReportErrors(factor=0.5).error_model()
    assert model.by_network["metar"]["t2m"] == pytest.approx(0.35)
    assert model.by_network["metar"]["gust"] == 2.5
    assert model.by_network["synop"]["t2m"] == 1.2


def test_wrong_settings_are_explained():
    for wrong in ({"factor": -1.0}, {"constant_share": 1.2}, {"gross_error_rate": 1.5}, {"gross_error_size": (9, 3)}):
        with pytest.raises(UsageError, match="error"):
            ReportErrors(**wrong)


def test_normal_quantiles_of_the_ends_are_finite():
    np.testing.assert_allclose(normal_quantile(np.array([0.5, 0.975])), [0.0, 1.959964], atol=1e-6)
    assert np.isfinite(normal_quantile(np.array([0.0, 1.0]))).all()
