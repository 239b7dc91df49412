"""The covariance function: definiteness, limits, gradients."""

from dataclasses import replace

import pytest
import torch

from rtma_diffda.assimilation.correlation import BackgroundError, Places, covariance, variance
from rtma_diffda.errors import UsageError

ERROR = BackgroundError(
    std=1.5,
    horizontal_length=4e4,
    vertical_length=300.0,
    background_length=4.0,
    land_sea_factor=0.3,
    elongation=2.0,
    orientation=40.0,
    bias_std=0.5,
    height_drift_std=2e-3,
    background_drift_std=0.2,
)


def random_places(count: int, seed: int = 0) -> Places:
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn(4, count, generator=generator, dtype=torch.float64)
    return Places(draw[:2].T * 5e4, 500.0 + 400.0 * draw[2], draw[3] > 0, 3.0 * draw[0])


@pytest.mark.parametrize("function", ["gaussian", "soar", "exponential"])
def test_is_positive_semi_definite_and_has_its_variance_on_the_diagonal(function):
    error, places = replace(ERROR, function=function), random_places(150)
    matrix = covariance(error, places, places)
    assert float(torch.linalg.eigvalsh(matrix).min()) > -1e-9
    torch.testing.assert_close(matrix.diagonal(), variance(error, places))
    torch.testing.assert_close(matrix, matrix.T)


def test_long_axis_points_along_the_orientation():
    """Thirty degrees clockwise from grid north, an elongation of 4 doubles the length there and halves it across."""
    angle = torch.deg2rad(torch.tensor(30.0, dtype=torch.float64))
    direction = torch.stack([torch.sin(angle), torch.cos(angle)])
    across = torch.stack([torch.cos(angle), -torch.sin(angle)])
    position = 1e4 * torch.stack([0 * direction, direction, across])
    zeros = torch.zeros(3, dtype=torch.float64)
    places = Places(position, zeros, zeros > 1, zeros)
    error = BackgroundError(std=1.0, horizontal_length=1e4, function="exponential", elongation=4.0, orientation=30.0)
    row = covariance(error, places, places)[0]
    torch.testing.assert_close(row, torch.exp(-torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64)))


def test_float32_agrees_with_float64():
    a, b = random_places(60), random_places(50, seed=1)
    exact = covariance(ERROR, a, b)
    narrow = covariance(ERROR, *(places.relative_to(torch.zeros(2), torch.float32) for places in (a, b)))
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(narrow.double(), exact, rtol=0, atol=2e-4)


def test_gradients_agree_with_finite_differences():
    places = random_places(6)

    def of_parameters(theta: torch.Tensor) -> torch.Tensor:
        names = ("std", "horizontal_length", "vertical_length", "background_length", "height_drift_std", "elongation")
        return covariance(replace(ERROR, **dict(zip(names, theta.exp(), strict=True))), places, places)

    theta = torch.tensor([1.5, 4e4, 300.0, 4.0, 2e-3, 2.0], dtype=torch.float64).log().requires_grad_(True)
    assert torch.autograd.gradcheck(of_parameters, theta, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"function": "cubic"}, "unknown correlation 'cubic'"),
        ({"horizontal_length": 0.0}, "horizontal_length must be positive"),
        ({"vertical_length": -1.0}, "vertical_length must be positive"),
        ({"land_sea_factor": 1.5}, "land_sea_factor must be 0 … 1"),
    ],
)
def test_parameters_outside_their_range_are_refused(change, words):
    with pytest.raises(UsageError, match=words):
        replace(ERROR, **change)
