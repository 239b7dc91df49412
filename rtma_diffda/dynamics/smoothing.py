"""What a coarser model sees of a field: Gaussian smoothing, slopes, and displacement, on a projected grid."""

import torch
from torch import Tensor
from torch.nn import functional

from rtma_diffda.geo.grid import ProjectedGrid


def low_pass(field: Tensor, grid: ProjectedGrid, length: float) -> Tensor:
    """``field`` (..., y, x) smoothed by a Gaussian of standard deviation ``length`` (m); edges are continued flat."""
    stacked = field.reshape(-1, 1, *grid.shape)
    for axis, spacing in ((2, grid.dy), (3, grid.dx)):
        stacked = _smooth_along(stacked, axis, length / spacing)
    return stacked.reshape(field.shape)


def slopes(field: Tensor, grid: ProjectedGrid) -> tuple[Tensor, Tensor]:
    """∂/∂x and ∂/∂y of ``field`` (..., y, x), per metre along the grid's axes, by centred differences."""
    along_y, along_x = torch.gradient(field, spacing=(grid.dy, grid.dx), dim=(-2, -1))
    return along_x, along_y


def displaced(fields: Tensor, shift_x: Tensor, shift_y: Tensor) -> Tensor:
    """``fields`` (channel, y, x) moved by smooth shifts (y, x), in grid points; edges are continued flat.

    The value at a point is the bilinear one at (x − shift_x, y − shift_y).
    """
    ny, nx = fields.shape[-2:]
    rows, columns = torch.meshgrid(
        torch.arange(ny, dtype=fields.dtype), torch.arange(nx, dtype=fields.dtype), indexing="ij"
    )
    x = (columns.to(fields.device) - shift_x) * (2.0 / (nx - 1)) - 1.0
    y = (rows.to(fields.device) - shift_y) * (2.0 / (ny - 1)) - 1.0
    where = torch.stack([x, y], dim=-1)[None]
    return functional.grid_sample(fields[None], where, padding_mode="border", align_corners=True)[0]


def _smooth_along(stacked: Tensor, axis: int, width: float) -> Tensor:
    reach = max(1, round(3.0 * width))
    offsets = torch.arange(-reach, reach + 1, dtype=stacked.dtype, device=stacked.device)
    kernel = torch.exp(-0.5 * (offsets / max(width, 1e-6)) ** 2)
    shape, padding = ([1, 1, -1, 1], (0, 0, reach, reach)) if axis == 2 else ([1, 1, 1, -1], (reach, reach, 0, 0))
    padded = functional.pad(stacked, padding, mode="replicate")
    return functional.conv2d(padded, (kernel / kernel.sum()).reshape(shape))
