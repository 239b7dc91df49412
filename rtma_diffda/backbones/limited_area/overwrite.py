"""The overwrite at the rim (Neural-LAM's design A): after each step, the points of the rim take the true values.

    x ← m · truth + (1 − m) · prediction,    m = 1 in the rim, 0 within

It needs states on the region's own grid in the rim; boundary nodes (``boundary_window``) need only coarse ones.
Reference: Oskarsson et al. (2023), arXiv 2309.17370, section 3.
"""

import torch
from torch import Tensor

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.grid import Grid


def rim_mask(grid: Grid, cells: int) -> Tensor:
    """True for the points less than ``cells`` from an edge of the grid, row by row from the south-west: (node,) bool.

    Raises:
        UsageError: no cell, or so many that none is left within.
    """
    ny, nx = grid.shape
    if not 0 < cells < (min(ny, nx) + 1) // 2:
        raise UsageError(
            f"the rim of a grid of {nx} × {ny} points must have 1 or more cells, and leave some; found {cells}"
        )
    mask = torch.ones(ny, nx, dtype=torch.bool)
    mask[cells:-cells, cells:-cells] = False
    return mask.flatten()


def overwrite_rim(prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """The prediction with the true values where the mask holds; what ``truth`` has elsewhere does not matter.

    Args:
        prediction: (member, node, channel).
        truth: (member, node, channel), or one member for all.
        mask: (node,) bool, as from ``rim_mask``.

    Raises:
        InputError: the shapes do not fit.
    """
    if truth.shape[1:] != prediction.shape[1:] or len(truth) not in (1, len(prediction)):
        raise InputError(
            f"the truth at the rim has shape {tuple(truth.shape)}; expected (member, node, channel) like the "
            f"prediction, {tuple(prediction.shape)}, or one member"
        )
    if mask.shape != prediction.shape[1:2] or mask.dtype != torch.bool:
        raise InputError(f"the rim's mask has shape {tuple(mask.shape)}; expected bool ({prediction.shape[1]},)")
    return torch.where(mask.to(prediction.device)[:, None], truth.to(prediction), prediction)
