"""Ensembles that are carried from cycle to cycle, and methods on another device."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from builders import NOON, random_observations, random_state, small_grid, small_static

from rtma_diffda.assimilation.carried_ensemble import CarriedEnsemble
from rtma_diffda.assimilation.on_device import OnDevice, problem_on
from rtma_diffda.assimilation.spread_calibration import SpreadCalibration, spread
from rtma_diffda.errors import UsageError
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.layout import Layout
from rtma_diffda.interfaces import Analysis, AssimilationProblem
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.times import Window

LAYOUT = Layout.of(small_grid(), ["t2m", "d2m"])


@dataclass(frozen=True)
class Drawing:
    """Stands for diffusion: each background plus noise, ``members`` times."""

    members: int = 1

    def analyse(self, problem, *, generator):
        values = problem.background.values.repeat_interleave(self.members, dim=0)
        noise = torch.randn(values.shape, generator=generator, dtype=values.dtype)
        return Analysis(problem.background.with_values(values + noise), problem, torch.ones(LAYOUT.shape))


def problem_of(members: int) -> AssimilationProblem:
    background = random_state(LAYOUT, members=members)
    window = Window.around(NOON, np.timedelta64(15, "m"))
    operator = BilinearOperator(LAYOUT, small_static())
    return AssimilationProblem(background, random_observations(LAYOUT, 8), operator, window)


def drawn(members: int, *, background: int, calibration: SpreadCalibration | None = None) -> Analysis:
    method = CarriedEnsemble(Drawing(), members, calibration or SpreadCalibration())
    return method.analyse(problem_of(background), generator=torch.Generator().manual_seed(1))


def test_the_first_ensemble_is_drawn_on_one_background():
    analysis = drawn(6, background=1)
    assert analysis.state.members == 6
    departures = analysis.state.values - analysis.problem.background.values
    assert float(departures.std()) == pytest.approx(1.0, rel=0.1)


def test_later_each_member_has_its_own_background_and_the_spread_is_that_of_all():
    analysis = drawn(6, background=6)
    assert analysis.state.members == 6
    assert torch.allclose(analysis.error_std, spread(analysis.state.values))
    background = analysis.problem.background.values
    assert float((analysis.state.values - background).std()) == pytest.approx(1.0, rel=0.1)


def test_the_stated_error_is_calibrated_once_it_is_carried_and_the_members_stay():
    plain = drawn(6, background=3)
    wide = drawn(6, background=3, calibration=SpreadCalibration({"t2m": 2.0}))
    assert torch.equal(wide.state.values, plain.state.values)
    assert torch.allclose(wide.error_std[0], 2.0 * plain.error_std[0])
    assert torch.allclose(wide.error_std[1], plain.error_std[1])


def test_numbers_that_do_not_go_together_are_refused():
    with pytest.raises(UsageError, match="6 members cannot be drawn evenly on a background of 4"):
        drawn(6, background=4)
    with pytest.raises(UsageError, match="two members or more; found 1"):
        CarriedEnsemble(Drawing(), 1)


@dataclass(frozen=True)
class Elsewhere:
    """Answers with shapes alone, from a device that holds no numbers, and notes where the problem was."""

    seen: list

    def analyse(self, problem, *, generator):
        self.seen.extend([problem.background.values.device, problem.observations.value.device])
        self.seen.extend(state.values.device for state in problem.boundary.states)
        return Analysis(
            problem.background.with_values(problem.background.values + 1.0), problem, torch.ones(LAYOUT.shape)
        )


def test_a_problem_on_another_device_is_the_same_problem():
    problem = problem_of(1)
    full = replace(problem, boundary=Boundary((problem.background,), NOON, "here"), history=(problem.background,))
    moved = problem_on(full, torch.device("cpu"))
    assert torch.equal(moved.background.values, full.background.values)
    assert torch.equal(moved.observations.value, full.observations.value)
    assert len(moved.history) == len(moved.boundary.states) == 1
    assert problem_on(problem, torch.device("cpu")).boundary is None


def test_the_analysis_comes_home_and_belongs_to_the_problem_that_was_given():
    problem, seen = problem_of(1), []
    problem = replace(problem, boundary=Boundary((problem.background,), NOON, "somewhere"))
    analysis = OnDevice(Elsewhere(seen), torch.device("cpu")).analyse(problem, generator=torch.Generator())
    assert analysis.problem is problem and torch.allclose(analysis.increment(), torch.tensor(1.0).double())
    assert {device.type for device in seen} == {"cpu"} and len(seen) == 3
