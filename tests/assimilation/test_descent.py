"""L-BFGS on functions whose minimum is known."""

import pytest
import torch

from rtma_diffda.assimilation.descent import descend

TARGET = torch.tensor([1.0, -2.0], dtype=torch.float64)


def bowl(theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    scale = torch.tensor([1.0, 20.0], dtype=torch.float64)
    return 0.5 * (scale * (theta - TARGET).square()).sum(), scale * (theta - TARGET)


def test_the_minimum_is_found():
    theta, cost = descend(torch.zeros(2, dtype=torch.float64), bowl, iterations=30)
    assert theta.tolist() == pytest.approx(TARGET.tolist(), abs=2e-3)
    assert cost == pytest.approx(0.0, abs=1e-3)


def test_a_parameter_without_effect_stays():
    def first_only(theta):
        return 0.5 * (theta[0] - 1.0) ** 2, torch.stack([theta[0] - 1.0, torch.zeros_like(theta[1])])

    theta, _ = descend(torch.tensor([0.0, 5.0], dtype=torch.float64), first_only, iterations=20)
    assert float(theta[1]) == 5.0


def test_what_was_found_before_a_failure_stands():
    def fails_beyond(theta):
        if float(theta[1]) < -1.0:
            raise torch.linalg.LinAlgError("singular")
        return bowl(theta)

    theta, cost = descend(torch.zeros(2, dtype=torch.float64), fails_beyond, iterations=30)
    assert float(theta[1]) >= -1.0
    assert cost <= float(bowl(torch.zeros(2, dtype=torch.float64))[0])
