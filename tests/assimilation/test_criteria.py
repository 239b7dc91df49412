"""Criteria against refits, and their gradients against finite differences."""

import pytest
import torch

from rtma_diffda.assimilation.criteria import left_out_cost, left_out_errors, negative_log_likelihood

GENERATOR = torch.Generator().manual_seed(4)


def system(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    root = torch.randn(count, count, generator=GENERATOR, dtype=torch.float64)
    return root @ root.T + count * torch.eye(count, dtype=torch.float64), torch.randn(
        count, generator=GENERATOR
    ).double()


@pytest.mark.parametrize("folds", [None, 3])
def test_left_out_errors_equal_those_of_refits(folds):
    A, d = system(12)
    groups = None if folds is None else torch.arange(12) % folds
    P = torch.linalg.inv(A)
    found = left_out_errors(P, P @ d, groups)
    labels = torch.arange(12) if groups is None else groups
    for label in labels.unique():
        out, kept = labels == label, labels != label
        predicted = A[out][:, kept] @ torch.linalg.solve(A[kept][:, kept], d[kept])
        torch.testing.assert_close(found[out], d[out] - predicted)


def test_likelihood_is_the_normal_density():
    A, d = system(7)
    density = torch.distributions.MultivariateNormal(torch.zeros(7, dtype=torch.float64), A).log_prob(d)
    constant = 3.5 * torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64))
    cost, _ = negative_log_likelihood([A], [d])
    torch.testing.assert_close(cost + constant, -density)


@pytest.mark.parametrize("name", ["likelihood", "leave_one_out", "folds"])
def test_gradients_agree_with_finite_differences(name):
    matrices, innovations = zip(system(6), system(9), strict=True)
    groups = [None, None] if name == "leave_one_out" else [torch.arange(6) % 2, torch.arange(9) % 3]

    def cost(parts):
        if name == "likelihood":
            return negative_log_likelihood(parts, innovations)
        return left_out_cost(parts, innovations, groups)

    _, gradients = cost(matrices)
    for i, gradient in enumerate(gradients):
        direction = torch.randn(gradient.shape, generator=GENERATOR, dtype=torch.float64)
        direction = direction + direction.T
        nudged = [[A + sign * 1e-6 * direction if j == i else A for j, A in enumerate(matrices)] for sign in (1, -1)]
        slope = (cost(nudged[0])[0] - cost(nudged[1])[0]) / 2e-6
        torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-6, atol=1e-7)
