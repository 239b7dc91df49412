"""Limits: exact ones, inverse at zero increment, and the formula by hand."""

import math

import pytest
import torch

from rtma_diffda.backbones.limited_area.clamping import Clamping
from rtma_diffda.errors import UsageError

NAMES = ("t2m", "rh", "rain", "deficit")
MEAN, STD = torch.tensor([280.0, 0.5, 1.0, -2.0]), torch.tensor([10.0, 0.25, 2.0, 1.0])
CLAMPING = Clamping.of(NAMES, {"rh": 0.0, "rain": 0.0}, {"rh": 1.0, "deficit": 0.0}, mean=MEAN, std=STD)


def physical(values: torch.Tensor) -> torch.Tensor:
    return values * STD + MEAN


def test_nothing_leaves_its_range():
    state = (torch.tensor([[285.0, 0.4, 0.5, -1.0]]) - MEAN) / STD
    for size in (-50.0, 50.0):
        moved = physical(CLAMPING.added(state, torch.full_like(state, size)))[0]
        assert moved[0] == pytest.approx(285.0 + size * 10.0)
        assert -1e-5 <= moved[1] <= 1.0 + 1e-5
        assert moved[2] >= -1e-5
        assert moved[3] <= 1e-5


def test_no_increment_changes_nothing():
    state = (torch.tensor([[285.0, 0.4, 0.5, -1.0], [270.0, 0.99, 60.0, -0.01]]) - MEAN) / STD
    torch.testing.assert_close(CLAMPING.added(state, torch.zeros_like(state)), state, rtol=1e-4, atol=1e-4)


def test_increments_by_the_formula():
    state = (torch.tensor([[285.0, 0.4, 0.5, -1.0]]) - MEAN) / STD
    moved = physical(CLAMPING.added(state, torch.full_like(state, 0.7)))[0]
    assert moved[1] == pytest.approx(1.0 / (1.0 + math.exp(-(math.log(0.4 / 0.6) + 0.7))), rel=1e-5)
    assert moved[2] == pytest.approx(2.0 * math.log1p(math.exp(math.log(math.expm1(0.25)) + 0.7)), rel=1e-4)
    assert moved[3] == pytest.approx(-math.log1p(math.exp(math.log(math.expm1(1.0)) - 0.7)), rel=1e-4)


def test_values_beyond_their_limits_stay_finite_and_teach():
    state = torch.tensor([[0.0, -9.0, -3.0, 4.0]])
    increment = torch.zeros_like(state, requires_grad=True)
    moved = CLAMPING.added(state, increment)
    moved.sum().backward()
    assert moved.isfinite().all() and increment.grad.isfinite().all()


def test_wrong_limits_are_told():
    with pytest.raises(UsageError, match="limits are given for snow; variables are t2m"):
        Clamping.of(NAMES, {"snow": 0.0}, {}, mean=MEAN, std=STD)
    with pytest.raises(UsageError, match="not all below"):
        Clamping.of(NAMES, {"rh": 1.0}, {"rh": 0.0}, mean=MEAN, std=STD)
