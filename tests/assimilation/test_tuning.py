"""Tuning on data drawn from a known covariance, and what it must not be misled by."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rtma_diffda.assimilation.correlation import BackgroundError, Places, covariance
from rtma_diffda.assimilation.posterior import Evidence, ExactSolver
from rtma_diffda.assimilation.tuning import (
    TuningSettings,
    gross_departures,
    leave_one_out_errors,
    tune,
    tune_problems,
)
from rtma_diffda.errors import InputError, UsageError

TRUTH = BackgroundError(std=2.0, horizontal_length=6e4, vertical_length=300.0, function="soar")
START = BackgroundError(std=1.0, horizontal_length=2e4, vertical_length=900.0, function="soar")


def drawn(count: int, *, seed: int = 0) -> Evidence:
    """Innovations of the covariance TRUTH + 0.8² I, with a stated error of 0.5: the factor to find is 1.6."""
    rng = np.random.default_rng(seed)
    position = torch.from_numpy(rng.uniform(-3e5, 3e5, (count, 2)))
    height = torch.from_numpy(rng.uniform(0.0, 1200.0, count))
    places = Places(position, height, torch.ones(count, dtype=torch.bool), torch.zeros(count, dtype=torch.float64))
    A = covariance(TRUTH, places, places) + 0.64 * torch.eye(count, dtype=torch.float64)
    d = torch.linalg.cholesky(A) @ torch.from_numpy(rng.normal(size=count))
    return Evidence(places, torch.full((count,), 0.25, dtype=torch.float64), d[None])


def test_likelihood_recovers_the_parameters_that_drew_the_data():
    settings = TuningSettings(criterion="likelihood", freedom=3.0, iterations=40)
    found = tune([drawn(400)], [START], settings)
    assert found.background_error.std == pytest.approx(2.0, rel=0.25)
    assert found.background_error.horizontal_length == pytest.approx(6e4, rel=0.3)
    assert found.background_error.vertical_length == pytest.approx(300.0, rel=0.4)
    assert found.observation_error_factor == pytest.approx(1.6, rel=0.15)


@pytest.mark.parametrize("criterion", ["leave_one_out", "folds"])
def test_tuned_parameters_predict_new_data_nearly_as_well_as_the_true_ones(criterion):
    found = tune([drawn(350)], [START], TuningSettings(criterion=criterion))
    fresh = drawn(350, seed=9)
    errors = [
        float(leave_one_out_errors(*parameters, fresh).square().mean().sqrt())
        for parameters in ((found.background_error, found.observation_error_factor), (TRUTH, 1.6), (START, 1.0))
    ]
    assert errors[0] < 1.03 * errors[1] < errors[2]


def test_standardised_errors_have_unit_mean_square_after_tuning():
    evidence = drawn(300)
    found = tune([evidence], [START])
    scaled = replace(found.background_error)
    A = covariance(scaled, evidence.places, evidence.places)
    A.diagonal().add_(found.observation_error_factor**2 * evidence.error_variance)
    P = torch.linalg.inv(A)
    chi_square = ((P @ evidence.innovations[0]).square() / P.diagonal()).mean()
    assert float(chi_square) == pytest.approx(1.0, abs=1e-6)


def test_the_better_start_is_chosen_and_all_are_reported():
    flat = BackgroundError(std=1.0, horizontal_length=5e4, function="gaussian")
    found = tune([drawn(250)], [flat, START])
    assert found.chosen == 1 and len(found.tried) == 2
    assert found.loo_rms == found.tried[1][1] < found.tried[0][1]
    assert "soar" in found.describe()


def test_gross_departures_do_not_enter():
    evidence = drawn(200)
    spoilt = evidence.innovations.clone()
    spoilt[0, :3] = torch.tensor([60.0, -45.0, 300.0])
    clean = tune([evidence.select(torch.arange(3, 200))], [START])
    found = tune([replace(evidence, innovations=spoilt)], [START])
    assert found.left_out == 3
    assert found.background_error.std == pytest.approx(clean.background_error.std, rel=1e-6)


def test_gross_departures_are_judged_robustly():
    innovations = torch.tensor([-1.0, 0.0, 1.0, 0.5, -0.5, 40.0], dtype=torch.float64)
    assert gross_departures(innovations, 5.0).tolist() == [False] * 5 + [True]


def test_leave_one_out_errors_equal_an_analysis_without_the_datum():
    evidence = drawn(30)
    kept = torch.arange(1, 30)
    analysis = ExactSolver().solve(TRUTH, evidence.select(kept), evidence.places.select(slice(0, 1)))
    expected = evidence.innovations[0, 0] - analysis.increment[0, 0]
    assert float(leave_one_out_errors(TRUTH, 1.0, evidence)[0]) == pytest.approx(float(expected), abs=1e-9)


def test_several_times_count_together():
    alone, together = tune([drawn(120)], [START]), tune([drawn(120, seed=i) for i in range(3)], [START])
    assert (alone.used, together.used) == (120, 360)


def test_a_problem_is_tuned_by_variable(make_problem):
    problem, static = make_problem(count=80, names=("t2m", "d2m"))
    tuned = tune_problems([problem], static, {"t2m": [START]})
    assert list(tuned) == ["t2m"]
    assert tuned["t2m"].used == int((problem.observations.channel == 0).sum())


def test_too_few_data_and_unknown_criteria_are_refused():
    with pytest.raises(InputError, match="at least ten data; 8 of 8"):
        tune([drawn(8)], [START])
    with pytest.raises(UsageError, match="unknown criterion 'guess'"):
        TuningSettings(criterion="guess")
