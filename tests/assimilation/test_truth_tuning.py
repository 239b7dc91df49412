"""Tuning on truth: Gaussian errors of known covariance, gradients against differences, honest stated errors."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from twin_cases import GRID, STATIC, cases_of, gaussian_fields, grid_rmse

from rtma_diffda.assimilation.correlation import BackgroundError
from rtma_diffda.assimilation.observation_interpolation import ObservationInterpolation
from rtma_diffda.assimilation.optimal_interpolation import OptimalInterpolation
from rtma_diffda.assimilation.truth_cases import (
    TruthCase,
    background_error_std,
    drawn_points,
    from_background,
    from_mean_of_data,
)
from rtma_diffda.assimilation.truth_tuning import (
    TruthTuningSettings,
    _cost_and_gradient,
    mean_square,
    readings,
    structure_starts,
    truth_starts,
    tune_departures,
    tune_on_truth,
    tune_structures_on_truth,
)
from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout

LAYOUT = Layout.of(GRID, ["t2m"])
TRUE_B = BackgroundError(2.0, 3e4, 400.0, land_sea_factor=0.5, function="soar")
START = BackgroundError(1.0, 1.2e4, 1000.0, land_sea_factor=0.8, function="soar")


def gaussian_cases(count: int, seed: int) -> list[TruthCase]:
    errors = gaussian_fields(TRUE_B, LAYOUT, count, np.random.default_rng(seed))
    return cases_of(errors[:, None], LAYOUT, stations_each=50, error_std=0.7, seed=seed + 1)


@pytest.fixture(scope="module")
def cases() -> list[TruthCase]:
    return gaussian_cases(10, seed=1)


@pytest.fixture(scope="module")
def tuned(cases):
    return tune_on_truth(cases, truth_starts(LAYOUT), TruthTuningSettings(points=80, iterations=15))["t2m"]


def test_tuned_analyses_are_as_good_as_those_of_the_true_covariance(tuned):
    fresh = gaussian_cases(12, seed=50)
    found = OptimalInterpolation(STATIC, {"t2m": tuned.background_error}, {"t2m": tuned.observation_error_factor})
    best, untuned = (OptimalInterpolation(STATIC, {"t2m": error}) for error in (TRUE_B, START))
    assert grid_rmse(found, fresh) < 1.02 * grid_rmse(best, fresh) < grid_rmse(untuned, fresh)


def test_the_parameters_that_drew_the_errors_are_found(cases):
    found = tune_on_truth(cases, {"t2m": [START]}, TruthTuningSettings(points=200))["t2m"]
    assert found.background_error.horizontal_length == pytest.approx(3e4, rel=0.3)
    assert found.background_error.vertical_length == pytest.approx(400.0, rel=0.4)
    assert found.background_error.std == pytest.approx(2.0, rel=0.2)
    assert found.observation_error_factor == pytest.approx(1.0, rel=0.25)


def test_the_stated_error_is_right_on_other_cases(tuned):
    """Within the luck of ten cases to tune on, and sixteen to look at."""
    method = OptimalInterpolation(STATIC, {"t2m": tuned.background_error}, {"t2m": tuned.observation_error_factor})
    ratios = []
    for case in gaussian_cases(16, seed=80):
        analysis = method.analyse(case.problem, generator=torch.Generator())
        ratios.append((analysis.state.values[0] - case.truth.values[0]).square() / analysis.error_std.square())
    assert float(torch.stack(ratios).mean()) == pytest.approx(1.0, abs=0.3)


def test_the_choice_is_the_best_of_what_was_tried(tuned):
    assert len(tuned.tried) == 6
    assert tuned.rmse == pytest.approx(min(rmse for _, rmse in tuned.tried))
    assert tuned.rmse < 0.7 * tuned.reference_rmse
    assert "against the truth" in tuned.describe()


def test_the_cost_is_that_of_the_analysis_on_the_grid(cases):
    """With every grid point drawn, the mean square that tuning lowers is the analysis's own."""
    settings = TruthTuningSettings(points=10**6)
    parts = readings(cases[:3], "t2m", from_background, settings)
    expected = grid_rmse(OptimalInterpolation(STATIC, {"t2m": TRUE_B}, {"t2m": 1.3}), cases[:3])
    assert mean_square(TRUE_B, 1.3, parts) ** 0.5 == pytest.approx(expected, rel=1e-9)


def test_gradients_agree_with_differences(cases):
    parts = readings(cases[:2], "t2m", from_background, TruthTuningSettings(points=40))
    error = replace(TRUE_B, background_length=6.0, bias_std=0.5, height_drift_std=1e-3)
    names = ["std", "horizontal_length", "vertical_length", "background_length", "bias_std", "height_drift_std"]
    theta = torch.tensor([float(getattr(error, name)) for name in names], dtype=torch.float64).log()
    _, gradient = _cost_and_gradient(parts, error, names, theta)
    for i, name in enumerate(names):
        low, high = (
            mean_square(replace(error, **{name: getattr(error, name) * np.exp(sign * 1e-4)}), 1.0, parts)
            for sign in (-1, 1)
        )
        assert float(gradient[i]) == pytest.approx(0.5 * np.log(high / low) / 2e-4, rel=1e-5, abs=1e-9)


def test_one_number_in_b_and_r_changes_the_stated_error_only(cases):
    doubled = replace(TRUE_B, std=4.0)
    parts = readings(cases[:2], "t2m", from_background, TruthTuningSettings(points=50))
    assert mean_square(doubled, 2.0, parts) == pytest.approx(mean_square(TRUE_B, 1.0, parts), rel=1e-12)


def test_structures_of_the_field_itself_are_tuned_alike(cases):
    tuned = tune_structures_on_truth(cases, structure_starts(LAYOUT), TruthTuningSettings(points=40, iterations=4))
    found, first = tuned["t2m"], structure_starts(LAYOUT)["t2m"][0]
    method = ObservationInterpolation(STATIC, {"t2m": found.background_error}, {"t2m": found.observation_error_factor})
    assert grid_rmse(method, cases) < grid_rmse(ObservationInterpolation(STATIC, {"t2m": first}), cases)


def test_points_are_drawn_once_and_differ_between_cases(cases):
    points = drawn_points(cases[:2], 100, seed=0)
    assert all(len(part.unique()) == 100 for part in points) and not torch.equal(*points)
    assert torch.equal(points[0], drawn_points(cases[:2], 100, seed=0)[0])


def test_background_error_std_is_the_root_mean_square(cases):
    errors = torch.stack([case.truth.values - case.problem.background.values for case in cases])
    assert background_error_std(cases)["t2m"] == pytest.approx(float(errors.square().mean().sqrt()))


def test_what_cannot_be_tuned_is_refused(cases):
    with pytest.raises(InputError, match="found 0 and 1"):
        tune_departures([], [START])
    with pytest.raises(InputError, match="is not that of the background"):
        replace(cases[0], truth=replace(cases[0].truth, valid_time=np.datetime64("2026-01-02", "ns")))
    empty = cases_of(torch.zeros(1, 1, 18, 20), LAYOUT, stations_each=0, error_std=1.0, seed=0)[0]
    with pytest.raises(InputError, match="no datum of t2m"):
        from_mean_of_data(empty, 0, torch.arange(3))
