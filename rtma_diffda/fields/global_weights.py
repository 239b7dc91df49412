"""Weights of GraphCast's loss: of rows of the globe, of pressure levels, and of variables.

    L = Σ_v λ_v  mean over levels, latitudes and longitudes of  w_lat w_level e²,

w_lat is the area of a row's cells and w_level the pressure, both of mean 1; λ_v is 1, or 0.1 for 10 m wind, mean sea
level pressure and precipitation. References: Lam et al. (2023), arXiv 2212.12794, eq. 19; ``losses.py`` of the
published code, whose weights of latitudes with and without poles are those of cell areas.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.geo.grid import LatLonGrid

_LIGHT = {
    "10m_u_component_of_wind": 0.1,
    "10m_v_component_of_wind": 0.1,
    "mean_sea_level_pressure": 0.1,
    "total_precipitation_6hr": 0.1,
}


def latitude_weights(grid: LatLonGrid) -> Tensor:
    """w_lat (y,) float32, of mean 1 over rows: the share of a cell of each row in the area of the globe."""
    area = grid.cell_area()[:, 0]
    return torch.from_numpy((area / area.mean()).astype(np.float32))


def level_weights(keys: Sequence[tuple[str, float | None]]) -> Tensor:
    """w_level (k,) float32: pressure over the mean pressure of the levels there are; 1 near the surface.

    Args:
        keys: published name and pressure level (hPa, None near the surface) of each channel.
    """
    levels = {level for _, level in keys if level is not None}
    mean = sum(levels) / max(len(levels), 1)
    return torch.tensor([1.0 if level is None else level / mean for _, level in keys])


def variable_weights(keys: Sequence[tuple[str, float | None]]) -> Tensor:
    """λ (k,) float32 of the variable of each channel."""
    return torch.tensor([_LIGHT.get(name, 1.0) for name, _ in keys])


def channel_weights(keys: Sequence[tuple[str, float | None]]) -> Tensor:
    """(k,) float32: λ w_level / number of the variable's levels, so that L = Σ_c weight_c mean(w_lat e_c²)."""
    count = Counter(name for name, _ in keys)
    return variable_weights(keys) * level_weights(keys) / torch.tensor([float(count[name]) for name, _ in keys])
