"""Multivariate tuning on Gaussian twins whose variables share their errors."""

import numpy as np
import pytest
import torch
from twin_cases import GRID, STATIC, cases_of, gaussian_fields

from rtma_diffda.assimilation.correlation import BackgroundError
from rtma_diffda.assimilation.multivariate_interpolation import MultivariateInterpolation
from rtma_diffda.assimilation.multivariate_tuning import (
    MultivariateTuningSettings,
    _backward,
    _correlations,
    _Parameters,
    _read,
    tune_multivariate,
)
from rtma_diffda.assimilation.optimal_interpolation import OptimalInterpolation
from rtma_diffda.assimilation.sample_covariance import localised, sample_correlations
from rtma_diffda.assimilation.truth_cases import drawn_points
from rtma_diffda.assimilation.truth_tuning import TruthTuned, TruthTuningSettings, tune_on_truth
from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout

NAMES = ("t2m", "u10m")
LAYOUT = Layout.of(GRID, NAMES)
SHARED = BackgroundError(1.0, 2.5e4, 600.0, function="soar")
START = BackgroundError(1.2, 2e4, 500.0, function="soar")
SETTINGS = MultivariateTuningSettings(localisations=(0.6, 1.2), points=60, screening=3, iterations=12)


def correlated_errors(count: int, seed: int) -> torch.Tensor:
    """(count, 2, y, x) errors with a correlation of −0.9 at the same place."""
    rng = np.random.default_rng(seed)
    shared, own = (gaussian_fields(SHARED, LAYOUT, count, rng) for _ in range(2))
    return torch.stack([1.5 * shared, 0.44 * own - 0.9 * shared], dim=1)


def twin_cases(count: int, seed: int):
    """Temperature is observed well, the wind badly: most of what can be known of the wind comes from temperature."""
    return cases_of(correlated_errors(count, seed), LAYOUT, stations_each=25, error_std=(0.3, 2.0), seed=seed + 1)


@pytest.fixture(scope="module")
def cases():
    return twin_cases(10, seed=20)


@pytest.fixture(scope="module")
def univariate(cases) -> dict[str, TruthTuned]:
    return tune_on_truth(cases, {name: [START] for name in NAMES}, TruthTuningSettings(points=80, iterations=15))


@pytest.fixture(scope="module")
def correlations():
    return sample_correlations([correlated_errors(200, seed=0)], LAYOUT)


@pytest.fixture(scope="module")
def tuned(cases, correlations, univariate):
    return tune_multivariate(cases, correlations, univariate, SETTINGS)


def errors_of(method, cases) -> tuple[torch.Tensor, torch.Tensor]:
    """RMSE (channel,), and the root mean square of the standardised errors."""
    squares, ratios = [], []
    for case in cases:
        analysis = method.analyse(case.problem, generator=torch.Generator())
        error = (analysis.state.values - case.truth.values)[0]
        squares.append(error.square().mean(dim=(1, 2)))
        ratios.append((error / analysis.error_std).square().mean(dim=(1, 2)))
    return torch.stack(squares).mean(dim=0).sqrt(), torch.stack(ratios).mean(dim=0).sqrt()


def test_shared_errors_make_it_better_than_univariate_on_other_cases(tuned, univariate):
    joint = MultivariateInterpolation(
        STATIC, tuned.background_error, tuned.observation_error_factors, tuned.error_std_factors
    )
    alone = OptimalInterpolation(
        STATIC,
        {name: found.background_error for name, found in univariate.items()},
        {name: found.observation_error_factor for name, found in univariate.items()},
    )
    fresh = twin_cases(10, seed=90)
    (found, standardised), (expected, _) = (errors_of(method, fresh) for method in (joint, alone))
    assert float(found[0] / expected[0]) < 1.01 and float(found[1] / expected[1]) < 0.92
    assert standardised.tolist() == pytest.approx([1.0, 1.0], abs=0.12)


def test_the_account_of_the_tuning(tuned):
    assert len(tuned.tried) == 2 and [reach for reach, _ in tuned.tried] == pytest.approx([1.08e5, 2.16e5])
    assert tuned.rmse["u10m"] < 0.9 * tuned.univariate_rmse["u10m"]
    assert tuned.rmse["t2m"] < 1.02 * tuned.univariate_rmse["t2m"]
    assert "localised at" in tuned.describe() and "u10m: sampled std=" in tuned.describe()


def test_gradients_agree_with_differences(cases, correlations, univariate):
    model = _Parameters(univariate, localised(correlations, 1.2e5))
    part = _read(cases[0], drawn_points(cases[:1], 20, seed=0)[0])
    rho, own = _correlations(part, model.sampled), torch.tensor([0.5, 0.3], dtype=torch.float64)
    theta = (model.start() + 0.1 * torch.arange(len(model.start()))).clone().requires_grad_(True)
    _backward(part, rho, model, theta, own)
    for i in range(len(theta)):
        shift = torch.zeros_like(theta)
        shift[i] = 1e-4
        low, high = (
            float(_backward(part, rho, model, (theta + sign * shift).detach().requires_grad_(True), own))
            for sign in (-1, 1)
        )
        assert float(theta.grad[i]) == pytest.approx((high - low) / 2e-4, rel=1e-4, abs=1e-8)


def test_every_channel_needs_its_own_parameters(cases, correlations, univariate):
    with pytest.raises(InputError, match="needs cases and each variable's own parameters"):
        tune_multivariate(cases, correlations, {"t2m": univariate["t2m"]}, SETTINGS)
