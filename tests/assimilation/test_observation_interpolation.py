"""Kriging of observed values: it interpolates, it follows a trend with height, and it never looks at the background."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rtma_diffda.assimilation.correlation import BackgroundError
from rtma_diffda.assimilation.observation_interpolation import ObservationInterpolation, tune_structures
from rtma_diffda.errors import UsageError

FIELD = BackgroundError(5.0, 8e4, function="exponential", bias_std=20.0, height_drift_std=0.01)
GENERATOR = torch.Generator()


def with_values(problem, values, error_std=1e-3):
    data = problem.observations
    changed = replace(data, value=values, error_std=torch.full_like(data.error_std, error_std))
    return replace(problem, observations=changed)


def test_accurate_data_are_reproduced(make_problem):
    problem, static = make_problem(count=20, seed=3)
    problem = with_values(problem, problem.observations.value)
    found = ObservationInterpolation(static, {"t2m": FIELD}).analyse_at(problem, problem.observations)
    torch.testing.assert_close(found.mean[0], problem.observations.value, rtol=0, atol=1e-3)
    assert float(found.error_std.max()) < 2e-3


def test_a_field_linear_in_height_is_recovered(make_problem):
    problem, static = make_problem(count=60, seed=4)
    known = replace(problem.observations, elevation=torch.linspace(0, 1500, 60, dtype=torch.float64))
    problem = replace(problem, observations=known)
    problem = with_values(problem, 290.0 - 0.0065 * known.elevation, error_std=0.1)
    found = ObservationInterpolation(static, {"t2m": FIELD}).analyse(problem, generator=GENERATOR)
    expected = 290.0 - 0.0065 * torch.from_numpy(static.orography)
    assert float((found.state.values[0, 0] - expected).abs().max()) < 0.3


def test_the_background_is_not_used(make_problem):
    problem, static = make_problem(count=15)
    method = ObservationInterpolation(static, {"t2m": FIELD})
    other = problem.background.with_values(problem.background.values * 0.5)
    first, second = (
        method.analyse(p, generator=GENERATOR).state.values for p in (problem, replace(problem, background=other))
    )
    torch.testing.assert_close(first, second)


def test_without_any_datum_the_background_stands_and_this_is_said(make_problem):
    problem, static = make_problem(count=0)
    method = ObservationInterpolation(static, {"t2m": FIELD})
    found = method.analyse(problem, generator=GENERATOR)
    assert torch.equal(found.state.values, problem.background.values)
    assert found.degraded == ("t2m: no observation to interpolate; equals the background",)
    assert bool(found.error_std.isnan().all())


def test_a_structure_that_looks_at_the_background_is_refused(make_problem):
    _, static = make_problem()
    with pytest.raises(UsageError, match="looks at the background"):
        ObservationInterpolation(static, {"t2m": replace(FIELD, background_length=3.0)})


def test_structures_are_tuned_on_the_values(make_problem):
    problem, static = make_problem(count=80, seed=6)
    before = tune_structures([problem], static, {"t2m": [FIELD]})["t2m"]
    raised = problem.background.with_values(problem.background.values + np.pi)
    after = tune_structures([replace(problem, background=raised)], static, {"t2m": [FIELD]})["t2m"]
    assert before.background_error == after.background_error
    assert before.loo_rms < 4.0
