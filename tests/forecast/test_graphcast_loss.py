"""GraphCast's weights and sums, by hand."""

import math

import numpy as np
import pytest
import torch

from rtma_diffda.errors import UsageError
from rtma_diffda.fields.global_layout import global_grid
from rtma_diffda.forecast.graphcast_loss import GraphCastLoss

KEYS = (
    ("10m_u_component_of_wind", None),
    ("2m_temperature", None),
    ("geopotential", 500),
    ("geopotential", 1000),
    ("temperature", 500),
    ("temperature", 1000),
)


def without_poles():
    return global_grid([-67.5, -22.5, 22.5, 67.5], np.arange(8) * 45.0)


def with_poles():
    return global_grid([-90.0, -45.0, 0.0, 45.0, 90.0], np.arange(8) * 45.0)


def test_equal_errors_give_the_sum_of_the_weights():
    loss = GraphCastLoss(KEYS, without_poles())
    by_variable = loss.by_variable(torch.full((2, 6, 4, 8), 3.0))
    assert loss.names == ("10m_u_component_of_wind", "2m_temperature", "geopotential", "temperature")
    assert torch.allclose(by_variable, torch.full((2, 4), 9.0))
    assert torch.allclose(loss.total(by_variable), torch.full((2,), 9.0 * (0.1 + 1 + 1 + 1)))


def test_rows_are_weighted_by_the_cosine_of_the_latitude():
    error = torch.zeros(1, 6, 4, 8)
    error[:, 1, 0] = 2.0
    cosines = [math.cos(math.radians(a)) for a in (67.5, 22.5, 22.5, 67.5)]
    expected = 4.0 * cosines[0] / sum(cosines)
    assert GraphCastLoss(KEYS, without_poles()).by_variable(error)[0, 1].item() == pytest.approx(expected, rel=1e-6)


def test_rows_at_the_poles_have_the_weight_of_their_cap():
    weights = [math.sin(math.radians(45 / 4)) ** 2] + [
        math.cos(math.radians(a)) * math.sin(math.radians(45 / 2)) for a in (45, 0, 45)
    ]
    mean = (2 * weights[0] + sum(weights[1:])) / 5
    for row, weight in ((0, weights[0]), (2, weights[2]), (4, weights[0])):
        error = torch.zeros(1, 6, 5, 8)
        error[:, 1, row] = 1.0
        found = GraphCastLoss(KEYS, with_poles()).by_variable(error)[0, 1].item()
        assert found == pytest.approx(weight / mean / 5, rel=1e-6)


def test_levels_are_weighted_by_pressure():
    error = torch.zeros(1, 6, 4, 8)
    error[:, 2] = 1.0  # 500 hPa: 500 / mean(500, 1000), one of two levels
    assert GraphCastLoss(KEYS, without_poles()).by_variable(error)[0].tolist() == pytest.approx([0, 0, 1 / 3, 0])


def test_members_do_not_mix():
    error = torch.randn(3, 6, 4, 8, generator=torch.Generator().manual_seed(0))
    loss = GraphCastLoss(KEYS, without_poles())
    whole = loss.total(loss.by_variable(error))
    assert torch.allclose(whole[1:2], loss.total(loss.by_variable(error[1:2])))


def test_errors_of_other_channels_are_refused():
    with pytest.raises(UsageError, match="errors of 5 channels; the loss is of 6"):
        GraphCastLoss(KEYS, without_poles()).by_variable(torch.zeros(1, 5, 4, 8))
