"""Criteria of tuning: functions of A = B_oo + R and of the innovations d, each with its gradient in A.

    likelihood       −log p(d) = ½ dᵀP d − ½ log|P| + const,   P = A⁻¹               (Dee and da Silva 1999)
    leave-one-out    ½ N log((1/N) Σ e²),  e_i = w_i / P_ii,   w = P d              (exact, without N refits)
    folds            the same with whole folds F left out:  e_F = (P_FF)⁻¹ w_F

e is the datum minus the analysis that has not seen it. The gradients are written out, since they cost one matrix
product where differentiating through the factorisation costs several: with g = ∂cost/∂e, h_F = (P_FF)⁻¹ g_F and
D = blockdiag(h_F e_Fᵀ), ∂cost/∂P = h dᵀ − D, and so ∂cost/∂A = −P (h dᵀ − D) P = −(P h) wᵀ + P D P, symmetrised.

References: Dee and da Silva (1999), Mon. Wea. Rev. 127, 1822–1834; Rasmussen and Williams (2006), section 5.4.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

CostAndGradients = tuple[Tensor, list[Tensor]]
"""A cost (0-d) and its gradient (n, n) in each of the matrices."""


def negative_log_likelihood(matrices: Sequence[Tensor], innovations: Sequence[Tensor]) -> CostAndGradients:
    """Of data (n,) of several times that are independent of each other, with covariances (n, n); the constant left out.

    Raises:
        torch.linalg.LinAlgError: a matrix is not positive definite.
    """
    cost, gradients = torch.zeros((), dtype=torch.float64), []
    for A, d in zip(matrices, innovations, strict=True):
        triangle = torch.linalg.cholesky(A)
        P = torch.cholesky_inverse(triangle)
        w = P @ d
        cost = cost + 0.5 * (d @ w) + triangle.diagonal().log().sum()
        gradients.append(0.5 * (P - w[:, None] * w[None, :]))
    return cost, gradients


def left_out_cost(
    matrices: Sequence[Tensor], innovations: Sequence[Tensor], groups: Sequence[Tensor | None]
) -> CostAndGradients:
    """½ N log of the mean square of the left-out errors over all times.

    Args:
        matrices: (n, n) a time.
        innovations: (n,) a time.
        groups: fold (n,) of every datum of a time; None where each is left out by itself.

    Raises:
        torch.linalg.LinAlgError: a matrix is not positive definite.
    """
    inverses = [torch.cholesky_inverse(torch.linalg.cholesky(A)) for A in matrices]
    weights = [P @ d for P, d in zip(inverses, innovations, strict=True)]
    errors = [left_out_errors(*part) for part in zip(inverses, weights, groups, strict=True)]
    count, total = sum(map(len, errors)), sum(e.square().sum() for e in errors)
    gradients = [
        _gradient(P, w, e, count / total * e, group)
        for P, w, e, group in zip(inverses, weights, errors, groups, strict=True)
    ]
    return 0.5 * count * (total / count).log(), gradients


def left_out_errors(P: Tensor, w: Tensor, groups: Tensor | None) -> Tensor:
    """e (n,) from P = A⁻¹ (n, n), w = P d (n,) and the fold (n,) of every datum, or None for leave-one-out."""
    return _solve_blocks(P, w, groups)


def _solve_blocks(P: Tensor, right: Tensor, groups: Tensor | None) -> Tensor:
    """(P_FF)⁻¹ r_F for every fold F: (n,)."""
    if groups is None:
        return right / P.diagonal()
    solved = torch.empty_like(right)
    for fold in groups.unique():
        rows = torch.nonzero(groups == fold)[:, 0]
        solved[rows] = torch.linalg.solve(P[rows][:, rows], right[rows])
    return solved


def _gradient(P: Tensor, w: Tensor, e: Tensor, g: Tensor, groups: Tensor | None) -> Tensor:
    """∂cost/∂A (n, n) from g = ∂cost/∂e."""
    h = _solve_blocks(P, g, groups)
    if groups is None:
        curved = P @ ((h * e)[:, None] * P)
    else:
        same = groups[:, None] == groups[None, :]
        curved = P @ (torch.where(same, h[:, None] * e[None, :], 0.0) @ P)
    full = curved - (P @ h)[:, None] * w[None, :]
    return 0.5 * (full + full.T)
