"""Minimising a cost of unbounded parameters by L-BFGS, as the tuning on truth does it.

A weak pull toward the start keeps parameters finite that the cost hardly feels.
"""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

_PULL, _FREEDOM = 1e-3, 2.0
"""A distance of 2 from the start costs 5e-4: 0.05 % of an error whose logarithm is the cost."""


def descend(
    begin: Tensor, cost_and_gradient: Callable[[Tensor], tuple[Tensor, Tensor]], *, iterations: int
) -> tuple[Tensor, float]:
    """The best θ seen, and its cost with the pull.

    Args:
        begin: (k,) θ to begin at, float64.
        cost_and_gradient: of θ (k,): the cost, 0-d, about the logarithm of an error, and its gradient (k,). It may
            raise ``torch.linalg.LinAlgError`` where a far step of the line search makes a matrix singular; what was
            found before that stands.
        iterations: of L-BFGS, at most.
    """
    theta = begin.clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        [theta], max_iter=iterations, tolerance_change=1e-5, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
    )
    best = [begin.clone(), float("inf")]

    def closure() -> Tensor:
        cost, gradient = cost_and_gradient(theta.detach())
        away = (theta.detach() - begin) / _FREEDOM
        theta.grad = gradient + _PULL * away / _FREEDOM
        total = cost + 0.5 * _PULL * away.square().sum()
        if float(total) < best[1]:
            best[:] = [theta.detach().clone(), float(total)]
        return total

    try:
        optimiser.step(closure)
    except torch.linalg.LinAlgError as error:
        logger.debug("the descent ends early: %s", error)
    return best[0], best[1]
