"""A background that is wrong as short forecasts of a coarser model are: made from the truth, by losing and adding.

    x_b = a + β · (S x_t moved by δ, put on the coarse terrain) + e_L + (1 − S) e_D

S smooths what the coarse model cannot resolve, after reduction to sea level; δ is a position error; β weakens winds and
a is a bias; e_L is an error of large scale. The detail that S removes from the truth is replaced by independent detail
(1 − S) e_D of the *same* statistics, so that nothing in the background betrays which detail is false: a method that
could tell would win too easily. Temperature and dew point stay at the height of the smoothed terrain; pressure is
brought to the true terrain, as every downscaling does. All errors persist for hours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.dynamics.random_fields import RandomFieldModel, random_series
from rtma_diffda.dynamics.simulated_weather import DETAIL_FIELD, DETAIL_STD, below_temperature
from rtma_diffda.dynamics.smoothing import displaced, low_pass
from rtma_diffda.dynamics.surface_effects import Landscape, hydrostatic_ratio
from rtma_diffda.errors import UsageError
from rtma_diffda.fields.state import State
from rtma_diffda.geo.height import LAPSE_RATES
from rtma_diffda.geo.static_fields import StaticFields

_POSITION_FIELD = RandomFieldModel(60e3, np.timedelta64(6, "h"), smoothness=4.0)
_LARGE_FIELD = RandomFieldModel(25e3, np.timedelta64(5, "h"))

LARGE_STD: Mapping[str, float] = {"t2m": 1.15, "d2m": 1.25, "u10m": 0.7, "v10m": 0.7, "sp": 44.0}
BIAS: Mapping[str, float] = {"t2m": 0.3, "d2m": -0.2, "sp": 10.0}
AMPLITUDE: Mapping[str, float] = {"u10m": 0.92, "v10m": 0.92}


@dataclass(frozen=True)
class BackgroundErrors:
    """How wrong a background is. The defaults give, on the demo region, about 1.5 K, 1.2 m/s and 0.5 hPa.

    Attributes:
        static: terrain and land of the states' grid.
        resolved_length: what S smooths over (m, standard deviation).
        position_std: of δ along either axis (m).
        large_std: SI standard deviation of e_L by variable; variables not named have none.
        detail_std: SI standard deviation of e_D over land by variable; equal to the truth's.
        bias: a, SI, by variable.
        amplitude: β by variable; 1 for variables not named.
    """

    static: StaticFields
    resolved_length: float = 6e3
    position_std: float = 6e3
    large_std: Mapping[str, float] = field(default_factory=lambda: dict(LARGE_STD))
    detail_std: Mapping[str, float] = field(default_factory=lambda: dict(DETAIL_STD))
    bias: Mapping[str, float] = field(default_factory=lambda: dict(BIAS))
    amplitude: Mapping[str, float] = field(default_factory=lambda: dict(AMPLITUDE))


def degraded_background(
    truth: Sequence[State], errors: BackgroundErrors, *, generator: torch.Generator
) -> tuple[State, ...]:
    """One background for each state of the truth.

    Args:
        truth: states of one layout by increasing valid time; values (member, channel, y, x). Members get different
            errors.
        errors: how wrong.
        generator: for everything that is drawn; more states at the end leave the first backgrounds as they were.

    Raises:
        UsageError: states of different layouts, or another grid than that of the static fields.
    """
    if not truth:
        return ()
    if any(state.layout != truth[0].layout for state in truth) or truth[0].layout.grid.key != errors.static.grid.key:
        raise UsageError("a background is made from states of one layout, on the grid of the static fields given")
    times = np.array([state.valid_time for state in truth], "datetime64[ns]")
    members = [
        _one_member(torch.stack([state.values[i].double() for state in truth]), truth[0], times, errors, generator)
        for i in range(truth[0].members)
    ]
    values = torch.stack(members, dim=1).to(truth[0].values)
    return tuple(state.with_values(values[k]) for k, state in enumerate(truth))


def _one_member(
    values: Tensor, like: State, times: np.ndarray, errors: BackgroundErrors, generator: torch.Generator
) -> Tensor:
    """(time, channel, y, x) of one member's backgrounds from its truth of the same shape."""
    names, grid = like.layout.names, like.layout.grid
    coarse = _coarse(values, names, times, errors, generator)
    large = random_series(grid, times, _LARGE_FIELD, count=len(names), generator=generator)
    detail = random_series(grid, times, DETAIL_FIELD, count=len(names), generator=generator)
    detail = detail * (0.5 + 0.5 * Landscape.of(errors.static).land_weight)
    detail = detail - low_pass(detail, grid, errors.resolved_length)
    coarse = (
        coarse * _by_channel(errors.amplitude, names, 1.0)
        + _by_channel(errors.bias, names, 0.0)
        + large * _by_channel(errors.large_std, names, 0.0)
        + detail * _by_channel(errors.detail_std, names, 0.0)
    )
    if {"t2m", "d2m"} <= set(names):
        t, d = names.index("t2m"), names.index("d2m")
        coarse[:, d] = below_temperature(coarse[:, d], coarse[:, t])
    return coarse


def _coarse(
    values: Tensor, names: tuple[str, ...], times: np.ndarray, errors: BackgroundErrors, generator: torch.Generator
) -> Tensor:
    """The truth reduced to sea level, moved, smoothed, and put back on the terrain that the coarse model knows."""
    grid = errors.static.grid
    terrain = Landscape.of(errors.static).terrain
    coarse_terrain = low_pass(terrain, grid, errors.resolved_length)
    factor, offset = _pressure_factor(values, names, terrain), _height_offset(names, terrain)
    shifts = errors.position_std * random_series(grid, times, _POSITION_FIELD, count=2, generator=generator)
    at_sea_level = (values - offset) / factor
    moved = torch.stack(
        [displaced(fields, s[0] / grid.dx, s[1] / grid.dy) for fields, s in zip(at_sea_level, shifts, strict=True)]
    )
    smooth = low_pass(moved, grid, errors.resolved_length)
    return smooth * factor + _height_offset(names, coarse_terrain)


def _height_offset(names: tuple[str, ...], terrain: Tensor) -> Tensor:
    """What temperatures (channel, y, x) at ``terrain`` (y, x) have more than those at sea level."""
    return torch.stack([LAPSE_RATES.get(name, 0.0) * terrain for name in names])


def _pressure_factor(values: Tensor, names: tuple[str, ...], terrain: Tensor) -> Tensor:
    """Surface over sea-level pressure, and 1 for other variables: like ``values`` (time, channel, y, x).

    The temperature at sea level is the region's mean at each time, or the standard atmosphere's where none is known.
    """
    factor = torch.ones_like(values)
    if "sp" in names:
        temperature = torch.tensor(288.15, dtype=values.dtype)
        if "t2m" in names:
            reduced = values[:, names.index("t2m")] - LAPSE_RATES["t2m"] * terrain
            temperature = reduced.mean(dim=(1, 2), keepdim=True)
        factor[:, names.index("sp")] = hydrostatic_ratio(terrain, temperature)
    return factor


def _by_channel(settings: Mapping[str, float], names: tuple[str, ...], default: float) -> Tensor:
    return torch.tensor([settings.get(name, default) for name in names], dtype=torch.float64)[:, None, None]
