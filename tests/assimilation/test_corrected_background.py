"""Correcting the background before analysing, and the background as it is."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from rtma_diffda.assimilation.background_itself import BackgroundItself
from rtma_diffda.assimilation.corrected_background import CorrectedBackground, corrected_cases, corrected_problem
from rtma_diffda.assimilation.correlation import BackgroundError
from rtma_diffda.assimilation.optimal_interpolation import OptimalInterpolation
from rtma_diffda.assimilation.truth_cases import TruthCase
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import Analysis, AssimilationProblem

B = BackgroundError(2.0, 4e4, 500.0, function="soar")


@dataclass(frozen=True)
class TerrainCorrection:
    """Adds a constant and a share of the terrain."""

    static: StaticFields
    constant: float = 1.5

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        rise = self.constant + 1e-3 * torch.from_numpy(self.static.orography)
        state = problem.background.with_values(problem.background.values + rise)
        return Analysis(state, problem)


@dataclass(frozen=True)
class CountingCorrection:
    """Adds the number of the observations that it was shown."""

    static: StaticFields

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        state = problem.background.with_values(problem.background.values + len(problem.observations))
        return Analysis(state, problem)


def test_the_identity_correction_gives_the_inner_analysis(make_problem):
    problem, static = make_problem(members=2)
    inner = OptimalInterpolation(static, {"t2m": B})
    method = CorrectedBackground(static, BackgroundItself(static), inner)
    found, expected = (m.analyse(problem, generator=torch.Generator()) for m in (method, inner))
    assert torch.equal(found.state.values, expected.state.values)
    assert torch.equal(found.error_std, expected.error_std)
    points, same = (m.analyse_at(problem, problem.observations) for m in (method, inner))
    assert torch.equal(points.mean, same.mean) and torch.equal(points.error_std, same.error_std)


def test_the_inner_method_analyses_the_corrected_background(make_problem):
    problem, static = make_problem()
    inner, correction = OptimalInterpolation(static, {"t2m": B}), TerrainCorrection(static)
    analysis = CorrectedBackground(static, correction, inner).analyse(problem, generator=torch.Generator())
    rise = 1.5 + 1e-3 * torch.from_numpy(static.orography)
    shifted = replace(problem, background=problem.background.with_values(problem.background.values + rise))
    expected = inner.analyse(shifted, generator=torch.Generator())
    torch.testing.assert_close(analysis.state.values, expected.state.values, rtol=0, atol=1e-12)
    assert analysis.problem is problem
    torch.testing.assert_close(analysis.increment(), expected.increment() + rise, rtol=0, atol=1e-9)


def test_the_correction_is_shown_no_observation(make_problem):
    """A correction that adds the number of its observations adds nothing; the inner method still gets them all."""
    problem, static = make_problem(count=7)
    corrected = corrected_problem(CountingCorrection(static), problem)
    assert torch.equal(corrected.background.values, problem.background.values)
    assert len(corrected.observations) == 7


def test_a_move_to_another_terrain_moves_both_parts(make_problem):
    problem, static = make_problem()
    flat = replace(static, orography=np.zeros_like(static.orography))
    method = CorrectedBackground(static, TerrainCorrection(static), OptimalInterpolation(static, {"t2m": B}))
    moved = replace(method, static=flat).analyse(problem, generator=torch.Generator())
    built = CorrectedBackground(flat, TerrainCorrection(flat), OptimalInterpolation(flat, {"t2m": B}))
    expected = built.analyse(problem, generator=torch.Generator())
    assert torch.equal(moved.state.values, expected.state.values)


def test_cases_for_tuning_have_corrected_backgrounds_of_their_own_terrain(make_problem):
    problem, static = make_problem()
    flat = replace(static, orography=np.zeros_like(static.orography))
    cases = [TruthCase(problem, problem.background, terrain) for terrain in (static, flat)]
    hilly, plain = corrected_cases(TerrainCorrection(static), cases)
    torch.testing.assert_close(plain.background_departures(), torch.full_like(plain.background_departures(), -1.5))
    assert float(hilly.background_departures().min()) < -2.0
    assert hilly.truth is problem.background


def test_the_background_is_its_own_analysis(make_problem):
    problem, static = make_problem(members=2, names=("t2m", "u10m"))
    method = BackgroundItself(static, {"t2m": 1.5, "u10m": 0.9})
    analysis = method.analyse(problem, generator=torch.Generator())
    assert torch.equal(analysis.state.values, problem.background.values)
    assert analysis.error_std.amin(dim=(1, 2)).tolist() == pytest.approx([1.5, 0.9])
    points = method.analyse_at(problem, problem.observations)
    assert torch.equal(points.mean, problem.operator(problem.background.values, problem.observations))
    expected = torch.where(problem.observations.channel == 0, 1.5, 0.9).double()
    torch.testing.assert_close(points.error_std, expected)


def test_without_known_error_the_background_states_none(make_problem):
    problem, static = make_problem()
    method = BackgroundItself(static)
    assert method.analyse(problem, generator=torch.Generator()).error_std is None
    assert method.analyse_at(problem, problem.observations).error_std is None
