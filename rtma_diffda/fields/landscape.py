"""Terrain and land as networks see them, and the time of day."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from rtma_diffda.geo.grid import ProjectedGrid

LAND_CHANNELS, TIME_CHANNELS = 5, 2
LAND_VECTOR = (2, 3)
"""Positions of the land channels that are eastward and northward components."""

TYPICAL_HEIGHT = 500.0
"""m."""
_RELATIVE_HEIGHT, _SLOPE = 150.0, 0.02  # m, m per m
_SURROUNDINGS = 9  # grid points a side of what a place's height is compared with


@dataclass(frozen=True)
class Landscape:
    """Terrain and land beneath the members of a batch.

    Attributes:
        orography: (member, y, x) m.
        land_fraction: (member, y, x) 0 … 1.
    """

    orography: Tensor
    land_fraction: Tensor


def land_channels(landscape: Landscape, grid: ProjectedGrid) -> Tensor:
    """Height, height above the surroundings, slopes eastward and northward, and land: (member, 5, y, x)."""
    height = landscape.orography.float()
    around = avg_pool2d(height[:, None], _SURROUNDINGS, 1, _SURROUNDINGS // 2, count_include_pad=False)[:, 0]
    northward, eastward = torch.gradient(height, spacing=(grid.dy, grid.dx), dim=(1, 2))
    channels = (
        height / TYPICAL_HEIGHT,
        (height - around) / _RELATIVE_HEIGHT,
        eastward / _SLOPE,
        northward / _SLOPE,
        landscape.land_fraction.float(),
    )
    return torch.stack(channels, dim=1)


def time_channels(valid_time: np.ndarray, grid: ProjectedGrid) -> Tensor:
    """Cosine and sine of the mean solar time at the middle of the grid: (member, 2, 1, 1) from times (member,)."""
    times = np.asarray(valid_time, "datetime64[s]")
    day = (times - times.astype("datetime64[D]")) / np.timedelta64(1, "D")
    middle = grid.longitude()[grid.ny // 2, grid.nx // 2]
    angle = torch.from_numpy(2.0 * np.pi * (day + middle / 360.0))
    return torch.stack([angle.cos(), angle.sin()], dim=1)[:, :, None, None]
