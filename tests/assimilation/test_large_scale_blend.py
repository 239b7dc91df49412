"""The blend against a case whose best weights are known, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from regression_world import FEW, GRID, LAYOUT, NAMES, STATIC, pairs_of
from test_network_inputs import problem_of

from rtma_diffda.assimilation.large_scale_blend import SQUARES, LargeScaleBlend, tuned_blend
from rtma_diffda.assimilation.simulated_observing import observe
from rtma_diffda.assimilation.truth_cases import TruthCase
from rtma_diffda.errors import InputError
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.state import State


def case_of(seed: int, share: float) -> TruthCase:
    """Truth = background + constant departures; the global state has the same, divided by ``share``."""
    batch = pairs_of(1, seed=seed)
    problem = problem_of(batch, observe(batch, FEW, generator=torch.Generator().manual_seed(seed))[0])
    departure = torch.randn(1, len(NAMES), 1, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    background, time = problem.background, problem.background.valid_time
    truth = background.with_values(background.values + departure)
    there = State(background.values + departure / share, LAYOUT, time)
    boundary = Boundary((there,), time - np.timedelta64(6, "h"), "global", STATIC)
    return TruthCase(replace(problem, boundary=boundary), truth, STATIC)


def test_the_best_weight_is_found_and_brings_the_truth():
    cases = [case_of(seed, 0.4) for seed in range(3)]
    blend = tuned_blend(cases)
    assert blend.points in SQUARES
    assert list(blend.weights.values()) == pytest.approx([0.4] * len(NAMES), abs=1e-4)
    found = blend.analyse(cases[0].problem, generator=torch.Generator())
    torch.testing.assert_close(found.state.values, cases[0].truth.values, rtol=0, atol=0.02)


def test_detail_of_the_background_stays():
    case = case_of(0, 1.0)
    rough = torch.zeros(GRID.shape, dtype=torch.float64)
    rough[::2, ::2], rough[1::2, 1::2], rough[::2, 1::2], rough[1::2, ::2] = 1.0, 1.0, -1.0, -1.0
    problem = replace(case.problem, background=State(case.problem.background.values + rough, LAYOUT,
                                                     case.problem.background.valid_time))  # fmt: skip
    blend = LargeScaleBlend(STATIC, dict.fromkeys(NAMES, 1.0), 4)
    plain, rougher = (blend.analyse(p, generator=torch.Generator()).state.values for p in (case.problem, problem))
    torch.testing.assert_close(rougher - plain, rough.expand_as(plain), rtol=0, atol=1e-4)


def test_without_global_states_there_is_nothing_to_blend():
    case = case_of(0, 1.0)
    with pytest.raises(InputError, match="needs the states of a global run"):
        LargeScaleBlend(STATIC, {}, 4).analyse(replace(case.problem, boundary=None), generator=torch.Generator())
