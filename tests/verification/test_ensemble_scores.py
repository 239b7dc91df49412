"""CRPS, spread, coverage and ranks: against integrals, published formulas, the scores library, and known chance."""

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.stats import norm
from scores.continuous import mse
from scores.probability import crps_for_ensemble

from rtma_diffda.errors import InputError
from rtma_diffda.verification.ensemble_scores import (
    Departures,
    coverage,
    crps,
    gaussian_crps,
    mean_error,
    rank_counts,
    spread_variance,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def integrated_crps(distribution, truth: float) -> float:
    """∫ (F(x) − 1{x ≥ truth})² dx by the trapezoidal rule."""
    x = np.linspace(-30.0, 30.0, 600_001)
    return float(np.trapezoid((distribution(x) - (x >= truth)) ** 2, x))


@pytest.mark.parametrize(("error", "std"), [(0.0, 1.0), (1.3, 0.7), (-2.5, 2.0)])
def test_gaussian_crps_is_the_integral(error, std):
    expected = integrated_crps(lambda x: norm.cdf(x, error, std), 0.0)
    departures = Departures(np.array([[error]]), np.array([std]))
    assert gaussian_crps(np.array([error]), np.array([std]))[0] == pytest.approx(expected, abs=2e-4)
    assert crps(departures)[0] == gaussian_crps(np.array([error]), np.array([std]))[0]


def test_mixture_crps_is_the_integral_up_to_the_fair_term():
    errors, std = np.array([[-1.0], [0.5], [2.0]]), np.array([0.8])
    plain = integrated_crps(lambda x: norm.cdf(x[:, None], errors[:, 0], std).mean(axis=1), 0.0)
    found = crps(Departures(errors, report_std=std))[0]
    # The plain score divides the pairs by M² and counts a member with itself; the fair one by M (M − 1) and does not.
    pairs = np.abs(np.random.default_rng(0).normal(errors - errors.T, np.sqrt(2) * std, (200_000, 3, 3)))
    between = pairs.mean(axis=0)
    difference = between.sum() / 18 - (between.sum() - np.trace(between)) / 12
    assert found == pytest.approx(plain + difference, abs=0.01)


def test_mixture_crps_is_the_mean_over_perturbed_members():
    rng = np.random.default_rng(1)
    errors, std = rng.normal(size=(4, 1)), np.array([0.9])
    perturbed = errors[:, 0] + std * rng.normal(size=(100_000, 4))
    members, truth = xr.DataArray(perturbed, dims=("draw", "member")), xr.DataArray(np.zeros(100_000), dims="draw")
    expected = float(crps_for_ensemble(members, truth, "member", method="fair"))
    assert crps(Departures(errors, report_std=std))[0] == pytest.approx(expected, abs=0.01)


def test_crps_by_hand():
    assert crps(Departures(np.array([[-2.0, 3.0]]))).tolist() == [2.0, 3.0]
    # Members 1 and 3 around a truth of 0: mean distance 2, less half of the distance between them.
    assert crps(Departures(np.array([[1.0], [3.0]])))[0] == pytest.approx(2.0 - 1.0)
    assert crps(Departures(np.array([[2.0]]), np.array([3.0]), np.array([4.0])))[0] == pytest.approx(
        gaussian_crps(np.array([2.0]), np.array([5.0]))[0]
    )
    certain = Departures(np.array([[2.0]]), report_std=np.array([4.0]))  # a point, seen through reports
    assert crps(certain)[0] == pytest.approx(gaussian_crps(np.array([2.0]), np.array([4.0]))[0])


def test_a_method_that_is_certain_is_a_point():
    certain = Departures(np.array([[-2.0, 0.0, 3.0]]), np.zeros(3))
    assert crps(certain).tolist() == [2.0, 0.0, 3.0]
    assert rank_counts(certain, bins=3, generator=generator()).tolist() == [1, 1, 1]


def test_members_are_the_statement_where_there_are_several():
    errors = np.random.default_rng(2).normal(size=(5, 3))
    alone, beside = Departures(errors), Departures(errors, np.full(3, 99.0))
    assert crps(alone).tolist() == crps(beside).tolist()
    assert spread_variance(alone).tolist() == spread_variance(beside).tolist()


def test_calibrated_ensemble_has_spread_equal_skill_and_flat_ranks():
    rng = np.random.default_rng(3)
    centre = rng.normal(0.0, 2.0, 40_000)  # truth and members are draws of N(centre, 1)
    errors = centre + rng.normal(size=(8, 40_000)) - (centre + rng.normal(size=40_000))
    departures = Departures(errors)
    skill = np.mean(mean_error(departures) ** 2)
    assert np.sqrt(spread_variance(departures).mean() / skill) == pytest.approx(1.0, abs=0.015)
    counts = rank_counts(departures, bins=5, generator=generator())
    assert counts.shape == (9,)
    assert counts.sum() == 40_000
    assert np.abs(counts * 9 / 40_000 - 1.0).max() < 0.06
    assert float(mse(xr.DataArray(errors.mean(axis=0)), xr.DataArray(np.zeros(40_000)))) == pytest.approx(skill)


def test_calibrated_gaussian_has_flat_bins_and_known_coverage():
    std = np.random.default_rng(4).uniform(0.5, 2.0, 40_000)
    departures = Departures((std * np.random.default_rng(5).normal(size=40_000))[None], std)
    counts = rank_counts(departures, bins=9, generator=generator())
    assert np.abs(counts * 9 / 40_000 - 1.0).max() < 0.06
    assert coverage(departures, within=1.0) == pytest.approx(0.6827, abs=0.01)
    assert coverage(departures, within=2.0) == pytest.approx(0.9545, abs=0.005)


def test_report_errors_are_allowed_for():
    rng = np.random.default_rng(6)
    n, report_std = 40_000, np.full(40_000, 1.5)
    truth, report = rng.normal(size=n), 1.5 * rng.normal(size=n)
    departures = Departures(rng.normal(size=(8, n)) - truth - report, report_std=report_std)
    skill = np.mean(mean_error(departures) ** 2)
    assert np.sqrt(spread_variance(departures).mean() / skill) == pytest.approx(1.0, abs=0.015)
    counts = rank_counts(departures, bins=9, generator=generator())
    assert np.abs(counts * 9 / n - 1.0).max() < 0.06
    blind = rank_counts(Departures(departures.errors), bins=9, generator=generator())
    assert blind[0] * 9 / n > 1.5  # without the reports' errors the ensemble would look over-confident


def test_ranks_by_hand_and_ties_at_random():
    errors = np.array([[-2.0, 1.0], [-1.0, 2.0], [3.0, 4.0]])  # two members below the truth; none
    assert rank_counts(Departures(errors), bins=9, generator=generator()).tolist() == [1, 0, 1, 0]
    tied = rank_counts(Departures(np.zeros((3, 40_000))), bins=9, generator=generator())
    assert np.abs(tied / 10_000 - 1.0).max() < 0.05
    again = rank_counts(Departures(np.zeros((3, 40_000))), bins=9, generator=generator())
    assert tied.tolist() == again.tolist()


def test_a_point_has_neither_spread_nor_ranks():
    point = Departures(np.ones((1, 4)), report_std=np.ones(4))
    assert np.isnan(spread_variance(point)).all()
    assert np.isnan(coverage(point, within=1.0))
    assert rank_counts(point, bins=9, generator=generator()) is None


def test_wrong_shapes_are_refused():
    with pytest.raises(InputError, match="at least one each"):
        Departures(np.empty((1, 0)))
    with pytest.raises(InputError, match="error_std has shape"):
        Departures(np.zeros((1, 3)), np.ones(2))
