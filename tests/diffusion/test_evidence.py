"""Observations as functions of a standardised increment: against the operator itself, and its derivatives."""

import math

import numpy as np
import pytest
import torch
from builders import NOON, random_observations, random_state, small_grid, small_static

from rtma_diffda.diffusion.conditioning.dense_gain import jacobian
from rtma_diffda.diffusion.conditioning.evidence import Evidence, Stencil, evidence_of
from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.observations.table import Observations
from rtma_diffda.times import Window

DOUBLE = torch.float64
LAYOUT = Layout.of(small_grid(), ["t2m", "d2m", "u10m", "sp"])
SCALE = torch.tensor([1.5, 2.0, 0.7, 60.0], dtype=DOUBLE)[:, None, None]
QUARTER = np.timedelta64(450, "s")


class Squared:
    """A non-linear operator: the square of what a station sees."""

    linear = BilinearOperator(LAYOUT, small_static())

    def __call__(self, values: torch.Tensor, observations: Observations) -> torch.Tensor:
        return self.linear(values, observations).square()

    def rows(self, observations: Observations) -> None:
        return None


def problem(operator=Squared.linear, members: int = 2, count: int = 30) -> AssimilationProblem:
    window = Window(NOON - QUARTER, NOON, NOON + QUARTER, NOON + QUARTER)
    observations = random_observations(LAYOUT, count)
    return AssimilationProblem(random_state(LAYOUT, members=members), observations, operator, window)


def normal(*shape: int, seed: int = 5, dtype: torch.dtype = DOUBLE) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("operator", [Squared.linear, Squared()], ids=["linear", "squared"])
@pytest.mark.parametrize("members", [1, 3])
def test_equivalents_are_the_operators_at_background_and_scaled_increment(operator, members):
    case, r = problem(operator, members), normal(3, *LAYOUT.shape)
    evidence = evidence_of(case, SCALE, members=3)
    expected = operator(case.background.values + SCALE * r, case.observations)
    torch.testing.assert_close(evidence.equivalents(r), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(evidence.departures(r), case.observations.value - expected, rtol=1e-9, atol=1e-9)
    assert len(evidence) == 30
    assert (evidence.stencil is None) == isinstance(operator, Squared)


@pytest.mark.parametrize("operator", [Squared.linear, Squared()], ids=["linear", "squared"])
def test_reverse_derivative_is_the_transpose_of_the_forward_one(operator):
    """Both are the derivative that differences show, also for operators that pass through numpy."""
    evidence, r = evidence_of(problem(operator), SCALE, members=2), normal(2, *LAYOUT.shape)
    change, d = normal(2, *LAYOUT.shape, seed=6), normal(2, 30, seed=7)
    step = 1e-5
    derivative = (evidence.equivalents(r + step * change) - evidence.equivalents(r - step * change)) / (2.0 * step)
    (predicted, pull), seen = evidence.pulled_back(r), evidence.pushed_forward(r, change)
    torch.testing.assert_close(predicted, evidence.equivalents(r))
    torch.testing.assert_close(seen, derivative, rtol=1e-5, atol=1e-5)
    assert float((seen * d).sum()) == pytest.approx(float((change * pull(d)).sum()), rel=1e-9)


def test_a_stencil_holds_the_rows_of_the_jacobian():
    evidence = evidence_of(problem(), SCALE, members=2)
    rows = torch.zeros(30, math.prod(LAYOUT.shape), dtype=DOUBLE)
    ny, nx = LAYOUT.grid.shape
    columns = evidence.stencil.points + evidence.stencil.channel[:, None] * ny * nx
    rows.scatter_add_(1, columns, evidence.stencil.weights)
    torch.testing.assert_close(jacobian(evidence, normal(2, *LAYOUT.shape))[1], rows)


def test_pressure_keeps_its_digits_in_single_precision():
    """Of 101,325 Pa float32 keeps 0.008; of an increment of 0.01 spreads, 0.6 Pa, more must be left."""
    case = problem()
    background = case.background
    high = type(background)(background.values + 101_325.0, background.layout, background.valid_time)
    case = AssimilationProblem(high, case.observations, case.operator, case.window)
    evidence, r = evidence_of(case, SCALE, members=2), 0.01 * normal(2, *LAYOUT.shape)
    pressure = case.observations.channel == 3
    single = (evidence.equivalents(r.float()).double() - evidence.equivalents(r))[:, pressure]
    assert float(single.abs().max()) < 0.01


def test_refuses_what_is_no_evidence():
    with pytest.raises(InputError, match="2 members cannot serve 3"):
        evidence_of(problem(members=2), SCALE, members=3)
    for value, error in ((math.nan, 1.0), (1.0, 0.0), (1.0, math.nan), (math.inf, 1.0)):
        with pytest.raises(InputError, match="finite value and a positive error_std"):
            Evidence(torch.zeros_like, torch.tensor([value]), torch.tensor([error]))
    with pytest.raises(InputError, match=r"expected \(n,\) for both"):
        Evidence(torch.zeros_like, torch.zeros(2), torch.ones(3))


def test_no_observations_are_evidence_too():
    evidence = evidence_of(problem(count=0), SCALE, members=2)
    r = normal(2, *LAYOUT.shape)
    assert evidence.departures(r).shape == (2, 0)
    assert isinstance(evidence.stencil, Stencil)
