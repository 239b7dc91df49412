"""What a network is told besides observations: the background, the land beneath it, and the time of day.

Temperature, dew point and pressure are reduced to sea level (``geo.height``) and given as departures from their mean
over the region, which leaves the shape of the weather and not the season; the dew point depression says how moist the
air is. Winds stay as they are. Everything is divided by a typical size, so that inputs are of the order of 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.height import LAPSE_RATES, pressure_ratio

_TYPICAL = {"t2m": 3.0, "d2m": 3.0, "u10m": 4.0, "v10m": 4.0, "sp": 200.0}
"""SI: size of a field's departures over a region; 1 for variables not named: give them as they are."""
_VECTORS = ("u10m", "v10m")
_DEPRESSION = 5.0  # K
_HEIGHT, _RELATIVE_HEIGHT, _SLOPE = 500.0, 150.0, 0.02  # m, m, m per m
_SURROUNDINGS = 9  # grid points a side of what a place's height is compared with
_LAND_CHANNELS, _TIME_CHANNELS = 5, 2


@dataclass(frozen=True)
class Landscape:
    """Terrain and land beneath the members of a batch.

    Attributes:
        orography: (member, y, x) m.
        land_fraction: (member, y, x) 0 … 1.
    """

    orography: Tensor
    land_fraction: Tensor


def context_channel_count(names: Sequence[str]) -> int:
    """Number of channels that ``context_channels`` gives for a layout of these variables."""
    return len(names) + int({"t2m", "d2m"} <= set(names)) + _LAND_CHANNELS + _TIME_CHANNELS


def context_vectors(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Positions of the context channels that are eastward and northward components: wind, and slope of the terrain."""
    first_of_land = context_channel_count(names) - _LAND_CHANNELS - _TIME_CHANNELS
    return (*wind_components(names), (first_of_land + 2, first_of_land + 3))


def wind_components(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Positions of the wind's components among the variables; empty without both."""
    return ((names.index(_VECTORS[0]), names.index(_VECTORS[1])),) if set(_VECTORS) <= set(names) else ()


def context_channels(background: Tensor, landscape: Landscape, valid_time: np.ndarray, layout: Layout) -> Tensor:
    """(member, context, y, x), float32, of the order of 1.

    Args:
        background: (member, channel, y, x) SI.
        landscape: of the same members.
        valid_time: (member,) datetime64, UTC.
        layout: of the background.
    """
    parts = [
        _background_channels(background, landscape, layout.names),
        _land_channels(landscape, layout),
        _time_channels(valid_time, layout).to(background.device),
    ]
    size = background.shape[-2:]
    return torch.cat([part.float().expand(len(background), -1, *size) for part in parts], dim=1)


def _background_channels(background: Tensor, landscape: Landscape, names: Sequence[str]) -> Tensor:
    channels = [_departure(background[:, i], landscape.orography, name) for i, name in enumerate(names)]
    if {"t2m", "d2m"} <= set(names):
        depression = background[:, names.index("t2m")] - background[:, names.index("d2m")]
        channels.append(depression / _DEPRESSION - 1.0)
    return torch.stack(channels, dim=1)


def _departure(field: Tensor, orography: Tensor, name: str) -> Tensor:
    if name in _VECTORS:
        return field / _TYPICAL[name]
    if name in LAPSE_RATES:
        field = field - LAPSE_RATES[name] * orography
    if name == "sp":
        ratio = pressure_ratio(0.0, orography.double().cpu().numpy())
        field = field / torch.from_numpy(ratio).to(field)
    return (field - field.mean(dim=(1, 2), keepdim=True)) / _TYPICAL.get(name, 1.0)


def _land_channels(landscape: Landscape, layout: Layout) -> Tensor:
    """Height, height above the surroundings, slopes eastward and northward, and land: (member, 5, y, x)."""
    height = landscape.orography.float()
    around = avg_pool2d(height[:, None], _SURROUNDINGS, 1, _SURROUNDINGS // 2, count_include_pad=False)[:, 0]
    northward, eastward = torch.gradient(height, spacing=(layout.grid.dy, layout.grid.dx), dim=(1, 2))
    channels = (
        height / _HEIGHT,
        (height - around) / _RELATIVE_HEIGHT,
        eastward / _SLOPE,
        northward / _SLOPE,
        landscape.land_fraction.float(),
    )
    return torch.stack(channels, dim=1)


def _time_channels(valid_time: np.ndarray, layout: Layout) -> Tensor:
    """Cosine and sine of the mean solar time at the middle of the grid: (member, 2, 1, 1)."""
    times = np.asarray(valid_time, "datetime64[s]")
    day = (times - times.astype("datetime64[D]")) / np.timedelta64(1, "D")
    middle = layout.grid.longitude()[layout.grid.ny // 2, layout.grid.nx // 2]
    angle = torch.from_numpy(2.0 * np.pi * (day + middle / 360.0))
    return torch.stack([angle.cos(), angle.sin()], dim=1)[:, :, None, None]
