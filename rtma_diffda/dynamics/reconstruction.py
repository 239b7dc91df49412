"""Values on both sides of each cell face from the averages of the cells around it, along the last axis.

A reconstruction takes cell averages with three cells added at both ends, (..., n + 6), and gives the values just left
and just right of the n + 1 faces. Both ones here are written in differences from the cell next to the face, so that a
constant field is reconstructed exactly, and lake at rest stays at rest.

References:
    Koren (1993): A robust upwind discretization method for advection, diffusion and source terms.
    Borges et al. (2008): An improved weighted essentially non-oscillatory scheme, J. Comput. Phys. 227.
"""

from collections.abc import Callable

import torch
from torch import Tensor

GHOST_CELLS = 3
Reconstruction = Callable[[Tensor], tuple[Tensor, Tensor]]

# Differences below a millionth of the values around them (plus 1 SI unit) count as smooth: rounding in float32 is that.
_SMOOTH_SHARE = 1e-12


def koren(cells: Tensor) -> tuple[Tensor, Tensor]:
    """Third order where the field is smooth and monotone, limited (no new extrema); a quarter of ``weno5``'s cost.

    Args:
        cells: (..., n + 6).

    Returns:
        Values left and right of the faces, (..., n + 1) each.
    """
    difference = cells.diff(dim=-1)
    behind, ahead = difference[..., 1:-2], difference[..., 2:-1]  # of the n + 2 cells that have a face
    inner = cells[..., 2:-2]
    left = inner + 0.5 * _koren_slope(behind, ahead)
    right = inner - 0.5 * _koren_slope(ahead, behind)
    return left[..., :-1], right[..., 1:]


def _koren_slope(behind: Tensor, ahead: Tensor) -> Tensor:
    """The smallest of 2a, (a + 2b)/3 and 2b where a and b have one sign, and 0 elsewhere."""
    smallest = torch.minimum(2.0 * torch.minimum(behind.abs(), ahead.abs()), (behind + 2.0 * ahead).abs() / 3.0)
    return torch.where(behind * ahead > 0, torch.sign(ahead) * smallest, torch.zeros_like(smallest))


def weno5(cells: Tensor) -> tuple[Tensor, Tensor]:
    """Fifth order where the field is smooth, without oscillations at jumps (WENO-Z).

    Args:
        cells: (..., n + 6).

    Returns:
        Values left and right of the faces, (..., n + 1) each.
    """
    n = cells.shape[-1] - 5
    windows = [cells[..., k : k + n] for k in range(6)]
    return _weno_side(*windows[:5]), _weno_side(*windows[:0:-1])


def _weno_side(far_behind: Tensor, behind: Tensor, here: Tensor, ahead: Tensor, far_ahead: Tensor) -> Tensor:
    """The value at the face between ``here`` and ``ahead``, as the cells up to two ahead of ``here`` see it."""
    a, b, c, d = behind - far_behind, here - behind, ahead - here, far_ahead - ahead
    candidates = ((5.0 * b - 2.0 * a) / 6.0, (b + 2.0 * c) / 6.0, (4.0 * c - d) / 6.0)  # each minus ``here``
    roughness = [
        13.0 / 12.0 * (second * second) + 0.25 * (slope * slope)
        for second, slope in ((b - a, 3.0 * b - a), (c - b, b + c), (d - c, 3.0 * c - d))
    ]
    asymmetry = (roughness[0] - roughness[2]).abs()
    floor = _SMOOTH_SHARE * (1.0 + here * here)
    weights = [
        ideal * (1.0 + (asymmetry / (rough + floor)) ** 2)
        for ideal, rough in zip((0.1, 0.6, 0.3), roughness, strict=True)
    ]
    mixed = sum(weight * candidate for weight, candidate in zip(weights, candidates, strict=True))
    return here + mixed / sum(weights)
