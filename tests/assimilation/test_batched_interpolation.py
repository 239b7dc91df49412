from dataclasses import replace

import numpy as np
import pytest
import torch
from regression_world import ERRORS, FEW, GRID, LAYOUT, NAMES, STATIC, pairs_of
from test_simulated_observing import as_observations

from rtma_diffda.assimilation.batched_interpolation import BatchedInterpolation
from rtma_diffda.assimilation.optimal_interpolation import OptimalInterpolation
from rtma_diffda.assimilation.simulated_observing import Observing, observe
from rtma_diffda.errors import UsageError
from rtma_diffda.fields.state import State
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.times import Window

FACTORS = {"t2m": 0.9, "sp": 1.2}


def reference(batch, report):
    """Float64 optimal interpolation of the first member."""
    observations, time = as_observations(report.stations), batch.valid_time[0]
    operator = BilinearOperator(LAYOUT, STATIC)
    background = State(batch.background[:1].double(), LAYOUT, time)
    observations = replace(
        observations,
        value=operator(background.values, observations)[0] + report.innovation.double().flatten(),
        error_std=report.error_std.double().flatten(),
    )
    problem = AssimilationProblem(background, observations, operator, Window.around(time, np.timedelta64(1, "h")))
    return OptimalInterpolation(STATIC, ERRORS, FACTORS).analyse(problem, generator=torch.Generator())


def test_answers_are_those_of_optimal_interpolation():
    batch = pairs_of(2)
    reports = observe(batch, FEW, generator=torch.Generator().manual_seed(3))
    found, expected = BatchedInterpolation(ERRORS, FACTORS)(batch, reports), reference(batch, reports[0])
    for i, name in enumerate(NAMES):
        atol = 2e-3 * float(ERRORS[name].std)
        np.testing.assert_allclose(found.increment[0, i], expected.increment()[0, i], atol=atol)
        np.testing.assert_allclose(found.error_std[0, i], expected.error_std[i], atol=5 * atol)
    assert found.increment.shape == (2, *LAYOUT.shape)


def test_without_stations_nothing_is_explained():
    batch = pairs_of(2)
    reports = observe(batch, Observing(none_share=1.0), generator=torch.Generator())
    found = BatchedInterpolation(ERRORS, {})(batch, reports)
    assert float(found.increment.abs().max()) == float(found.explained.abs().max()) == 0.0
    assert float(found.error_std[0, 0].min()) == pytest.approx(np.hypot(1.5, 0.3), rel=1e-5)


def test_nearly_perfect_data_explain_nearly_everything_beside_them():
    batch = pairs_of(1)
    observing = replace(FEW, usual_share=0.0, error_factors=(1e-3, 1e-3))
    reports = observe(batch, observing, generator=torch.Generator().manual_seed(3))
    found = BatchedInterpolation(ERRORS, {})(batch, reports)
    at_stations = reports[0].stations.nearest(found.explained[0, 2])
    assert float(found.explained.min()) >= 0.0 and float(found.explained.max()) <= 1.0
    assert float(at_stations.max()) > 0.9


def test_missing_background_error_is_named():
    batch = pairs_of(1)
    with pytest.raises(UsageError, match="no background error for"):
        BatchedInterpolation({"t2m": ERRORS["t2m"]}, {})(batch, observe(batch, FEW, generator=torch.Generator()))
    assert GRID.shape == (16, 16)
