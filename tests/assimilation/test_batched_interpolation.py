from dataclasses import replace

import numpy as np
import pytest
import torch
from regression_world import ERRORS, FEW, GRID, LAYOUT, NAMES, STATIC, pairs_of
from test_simulated_observing import as_observations

from rtma_diffda.assimilation.batched_interpolation import BatchedInterpolation, coarsened
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
    assert found.increment.shape == (2, *LAYOUT.shape)


def test_without_stations_there_is_no_increment():
    batch = pairs_of(2)
    reports = observe(batch, Observing(none_share=1.0), generator=torch.Generator())
    assert float(BatchedInterpolation(ERRORS, {})(batch, reports).increment.abs().max()) == 0.0


def test_explained_share_is_that_of_optimal_interpolation():
    batch = pairs_of(1)
    report = observe(batch, FEW, generator=torch.Generator().manual_seed(3))[0]
    found, expected = BatchedInterpolation(ERRORS, FACTORS)(batch, [report]).explained[0], reference(batch, report)
    prior = torch.tensor([ERRORS[name].std ** 2 + ERRORS[name].bias_std ** 2 for name in NAMES])[:, None, None]
    by_hand = (1.0 - expected.error_std**2 / prior)[:, 2::4, 2::4]
    np.testing.assert_allclose(found[:, 2::4, 2::4], by_hand, atol=2e-3)
    assert float(found.max()) > 0.3
    assert torch.equal(found[:, 4:8, 8:12], found[:, 4:5, 8:9].expand(-1, 4, 4))


def test_coarsened_fields_keep_their_shape():
    field = torch.arange(6.0).repeat(5, 1)
    assert coarsened(field)[0].tolist() == [2.0, 2.0, 2.0, 2.0, 5.0, 5.0]
    assert coarsened(field).shape == (5, 6)


def test_nearly_perfect_data_are_solved_in_single_precision():
    batch = pairs_of(1)
    observing = replace(FEW, usual_share=0.0, error_factors=(0.01, 0.01))
    reports = observe(batch, observing, generator=torch.Generator().manual_seed(3))
    found, expected = BatchedInterpolation(ERRORS, FACTORS)(batch, reports), reference(batch, reports[0])
    assert bool(torch.isfinite(found.increment).all())
    difference = (found.increment - expected.increment()).square().mean(dim=(0, 2, 3)).sqrt()
    scale = torch.tensor([ERRORS[name].std for name in NAMES])
    assert float((difference / scale).max()) < 0.01


def test_missing_background_error_is_named():
    batch = pairs_of(1)
    with pytest.raises(UsageError, match="no background error for"):
        BatchedInterpolation({"t2m": ERRORS["t2m"]}, {})(batch, observe(batch, FEW, generator=torch.Generator()))
    assert GRID.shape == (16, 16)
