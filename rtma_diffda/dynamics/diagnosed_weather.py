"""Gust, cloud, visibility and ceiling that go with a simulated state: simple bounded formulas.

For reports to speak of. With relative humidity r, dew point depression δ (K), wind speed |u| and slowly varying random
fields z of unit variance,

    cloud cover   1 / (1 + exp(−9 (r − 0.74) − 1.2 z₁)),
    cloud base    125 m/K · δ, the lifting condensation level, within 30 … 3650 m,
    ceiling       the base of the layer that makes the sky more than half covered; NaN, unlimited, without one,
    visibility    (200 m + 60 km (1 − exp(−(δ / 4 K)^1.5))) exp(0.25 z₂), within 100 m … 80 km,
    gust          |u| (1.42 + 0.15 tanh z₃).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.dynamics.random_fields import RandomFieldModel, random_series
from rtma_diffda.fields.layout import Channel, Layout
from rtma_diffda.fields.state import State

DIAGNOSED = ("gust", "tcc", "vis", "ceil")
_CLOUD_FIELD = RandomFieldModel(20e3, np.timedelta64(3, "h"))
_HIGHEST_SEEN = 3650.0
"""Metres: automatic stations see no cloud above 12,000 ft."""
_BROKEN = 4.5 / 8
"""Cloud cover that rounds to five eighths, where a layer becomes a ceiling."""


def with_diagnosed_weather(truth: Sequence[State], *, generator: torch.Generator) -> tuple[State, ...]:
    """The states with the channels ``DIAGNOSED`` after their own.

    Args:
        truth: states with t2m, d2m, u10m and v10m, by increasing valid time; values (member, channel, y, x).
        generator: for what the state does not determine.

    Returns:
        States whose layout ends in gust (m/s), tcc (0 … 1), vis (m) and ceil (m above ground; NaN where unlimited).
    """
    if not truth:
        return ()
    layout = truth[0].layout
    wider = Layout(layout.grid, layout.channels + tuple(Channel(name) for name in DIAGNOSED))
    times = np.array([state.valid_time for state in truth], "datetime64[ns]")
    random = random_series(layout.grid, times, _CLOUD_FIELD, count=3, generator=generator)
    return tuple(
        State(torch.cat([state.values, _diagnosed(state, z)], dim=1), wider, state.valid_time)
        for state, z in zip(truth, random.to(truth[0].values), strict=True)
    )


def relative_humidity(temperature: Tensor, dew_point: Tensor) -> Tensor:
    """0 … 1 from temperatures in K, with Bolton's (1980) saturation pressure over water."""
    return _saturation_pressure(dew_point) / _saturation_pressure(temperature)


def cloud_base(temperature: Tensor, dew_point: Tensor) -> Tensor:
    """Lifting condensation level (m above ground) from temperatures in K, within 30 … 3650 m."""
    return torch.clamp(125.0 * (temperature - dew_point), 30.0, _HIGHEST_SEEN)


def _diagnosed(state: State, z: Tensor) -> Tensor:
    """(member, 4, y, x) in the order of ``DIAGNOSED``, from random fields z (3, y, x)."""
    t2m, d2m = state.channel("t2m"), state.channel("d2m")
    speed = torch.hypot(state.channel("u10m"), state.channel("v10m"))
    cover = torch.sigmoid(9.0 * (relative_humidity(t2m, d2m) - 0.74) + 1.2 * z[0])
    # a sky that is only just broken has its main layer above the first clouds, an overcast one lies on them
    main_layer = cloud_base(t2m, d2m) * (1.0 + 1.2 * (1.0 - cover) / (1.0 - _BROKEN))
    ceiling = torch.where(cover >= _BROKEN, torch.clamp(main_layer, max=_HIGHEST_SEEN), torch.nan)
    haze = 1.0 - torch.exp(-((torch.clamp(t2m - d2m, min=0.0) / 4.0) ** 1.5))
    visibility = torch.clamp((200.0 + 60e3 * haze) * torch.exp(0.25 * z[1]), 100.0, 80e3)
    gust = speed * (1.42 + 0.15 * torch.tanh(z[2]))
    return torch.stack([gust, cover, visibility, ceiling], dim=1)


def _saturation_pressure(temperature: Tensor) -> Tensor:
    celsius = temperature - 273.15
    return 611.2 * torch.exp(17.67 * celsius / (celsius + 243.5))
