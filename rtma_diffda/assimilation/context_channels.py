"""What a network is told besides observations: the background, the land beneath it, and the time of day.

Temperature, dew point and pressure are reduced to sea level (``geo.height``) and given as departures from their mean
over the region, which leaves the shape of the weather and not the season; the dew point depression says how moist the
air is. Winds stay as they are. Everything is divided by a typical size, so that inputs are of the order of 1.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.fields.departures import VECTORS, weather_channel_count, weather_channels
from rtma_diffda.fields.landscape import (
    LAND_CHANNELS,
    LAND_VECTOR,
    TIME_CHANNELS,
    Landscape,
    land_channels,
    time_channels,
)
from rtma_diffda.fields.layout import Layout


def context_channel_count(names: Sequence[str]) -> int:
    """Number of channels that ``context_channels`` gives for a layout of these variables."""
    return weather_channel_count(names) + LAND_CHANNELS + TIME_CHANNELS


def context_vectors(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Positions of the context channels that are eastward and northward components: wind, and slope of the terrain."""
    first_of_land = context_channel_count(names) - LAND_CHANNELS - TIME_CHANNELS
    return (*wind_components(names), tuple(first_of_land + i for i in LAND_VECTOR))


def wind_components(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Positions of the wind's components among the variables; empty without both."""
    return ((names.index(VECTORS[0]), names.index(VECTORS[1])),) if set(VECTORS) <= set(names) else ()


def context_channels(background: Tensor, landscape: Landscape, valid_time: np.ndarray, layout: Layout) -> Tensor:
    """(member, context, y, x), float32, of the order of 1.

    Args:
        background: (member, channel, y, x) SI.
        landscape: of the same members.
        valid_time: (member,) datetime64, UTC.
        layout: of the background.
    """
    parts = [
        weather_channels(background, landscape.orography, layout.names),
        land_channels(landscape, layout.grid),
        time_channels(valid_time, layout.grid).to(background.device),
    ]
    size = background.shape[-2:]
    return torch.cat([part.float().expand(len(background), -1, *size) for part in parts], dim=1)
