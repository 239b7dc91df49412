"""How networks see the weather of a region: departures from its mean, as if all of it were at sea level.

Temperature, dew point and pressure are reduced to sea level (``geo.height``) and given as departures from a reference
value, commonly their mean over the region, which leaves the shape of the weather and not the season. Winds stay as they
are. Everything is divided by a typical size, so that departures are of the order of 1.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rtma_diffda.geo.height import LAPSE_RATES, pressure_ratio

TYPICAL_DEPARTURES = {"t2m": 3.0, "d2m": 3.0, "u10m": 4.0, "v10m": 4.0, "sp": 200.0}
"""SI: size of a field's departures over a region; 1 for variables not named: give them as they are."""

VECTORS = ("u10m", "v10m")
"""Eastward and northward component of the wind."""

_DEPRESSION = 5.0  # K


def weather_channel_count(names: Sequence[str]) -> int:
    """Number of channels that ``weather_channels`` gives for these variables."""
    return len(names) + int({"t2m", "d2m"} <= set(names))


def weather_channels(values: Tensor, orography: Tensor, names: Sequence[str]) -> Tensor:
    """Departures of all variables, and the dew point depression where it is known: (member, weather, y, x).

    Args:
        values: (member, channel, y, x) SI.
        orography: (member, y, x) m.
        names: of the channels.
    """
    channels = [departure(values[:, i], orography, name) for i, name in enumerate(names)]
    if {"t2m", "d2m"} <= set(names):
        depression = values[:, names.index("t2m")] - values[:, names.index("d2m")]
        channels.append(depression / _DEPRESSION - 1.0)
    return torch.stack(channels, dim=1)


def at_sea_level(field: Tensor, orography: Tensor, name: str) -> Tensor:
    """A field (…) SI at heights ``orography`` (m, of a shape that fits) as it would be at sea level."""
    if name in LAPSE_RATES:
        return field - LAPSE_RATES[name] * orography
    if name == "sp":
        ratio = pressure_ratio(0.0, orography.double().cpu().numpy())
        return field / torch.from_numpy(ratio).to(field)
    return field


def departure(field: Tensor, orography: Tensor, name: str) -> Tensor:
    """The departure of one variable (member, y, x) SI from its mean over the region, over its typical size."""
    if name in VECTORS:
        return field / TYPICAL_DEPARTURES[name]
    field = at_sea_level(field, orography, name)
    return (field - field.mean(dim=(1, 2), keepdim=True)) / TYPICAL_DEPARTURES.get(name, 1.0)
