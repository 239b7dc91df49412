"""What a station would report of a slab state: 2 m temperature and dew point, 10 m wind, surface pressure, sky.

Temperature is the slab's at sea level less Γ z plus the surface layer's departure; the 10 m wind is the slab's share of
it plus the surface layer's own; pressure at sea level is that of the domain plus ρ (φ (1 + w) + b₀ H w), w = b / b₀ − 1
(the pressure under the slab), less the weight that a warm surface layer lacks, brought to the terrain hydrostatically.
Terrain may be another than the model's: that is how a coarse model's state is brought to the true one.
"""

import torch
from torch import Tensor

from rtma_diffda.dynamics.slab.air import (
    HIGHEST_SEEN,
    LAPSE,
    MOISTURE_SCALE,
    below_temperature,
    cloud_base,
    dew_point,
    hydrostatic_ratio,
)
from rtma_diffda.dynamics.slab.model import SlabModel
from rtma_diffda.dynamics.slab.state import SlabForcing, SlabState

NEAR_SURFACE = ("t2m", "d2m", "u10m", "v10m", "sp")
SKY = ("gust", "tcc", "vis", "ceil")
_DENSITY = 1.2
_BROKEN = 4.5 / 8


def near_surface(
    model: SlabModel, state: SlabState, forcing: SlabForcing, *, terrain: Tensor, domain_pressure: Tensor
) -> Tensor:
    """The fields ``NEAR_SURFACE`` (run, 5, y, x), SI, wind along the grid's axes.

    Args:
        model: that made the state.
        state: on the extended grid.
        forcing: at the time of the state.
        terrain: (run, y, x) height (m) of the ground that the result lies on.
        domain_pressure: (run, y, x) sea-level pressure of the large scale (Pa).
    """
    settings, p = model.settings, model.parameters
    air = forcing.climate_temperature + state.field("theta")
    temperature = air - LAPSE * terrain + state.field("surface")
    warmth = state.field("theta") * (-1.0 / settings.buoyancy_scale)
    slab = state.field("interface") * (1.0 + warmth) + settings.buoyancy * settings.depth * warmth
    at_sea_level = domain_pressure + _DENSITY * (slab - 2.0 * p.breeze * state.field("surface"))
    pressure = at_sea_level * hydrostatic_ratio(terrain, air)
    moist = state.field("moisture") * torch.exp(terrain * (-1.0 / MOISTURE_SCALE))
    dew = below_temperature(dew_point(moist, pressure), temperature)
    factor = _wind_factor(model, state)
    u = factor * state.field("u") + state.field("u_surface")
    v = factor * state.field("v") + state.field("v_surface")
    return torch.stack([temperature, dew, u, v, pressure], dim=1)


def sky(model: SlabModel, state: SlabState, forcing: SlabForcing, *, near_ground: Tensor) -> Tensor:
    """The fields ``SKY`` (run, 4, y, x): gust (m/s), cloud cover (0 … 1), visibility (m), ceiling (m; NaN unlimited).

    Args:
        model: that made the state.
        state: on the extended grid.
        forcing: at the time of the state.
        near_ground: (run, 5, y, x) of ``near_surface``.
    """
    t2m, d2m, u, v, _ = near_ground.unbind(1)
    cover = model.cloud(state, forcing)
    turbulence = 0.1 * torch.tanh(state.field("surface") / 3.0) + 0.1 * model.landscape.land
    gust = torch.hypot(u, v) * (1.38 + turbulence) + 1.5 * forcing.convection * torch.sigmoid((cover - 0.4) * 10.0)
    # a sky that is only just broken has its main layer above the first clouds, an overcast one lies on them
    main_layer = cloud_base(t2m, d2m) * (1.0 + 1.2 * (1.0 - cover) / (1.0 - _BROKEN))
    ceiling = torch.where(cover >= _BROKEN, main_layer.clamp(max=HIGHEST_SEEN), torch.nan)
    haze = 1.0 - torch.exp(-(((t2m - d2m).clamp(min=0.0) / 4.0) ** 1.5))
    visibility = (200.0 + 60e3 * haze * (1.0 - 0.3 * cover)).clamp(100.0, 80e3)
    return torch.stack([gust, cover, visibility, ceiling], dim=1)


def _wind_factor(model: SlabModel, state: SlabState) -> Tensor:
    """10 m wind over slab wind: less over land, in valleys and under an inversion, more on ridges and in warm air."""
    p, ground = model.parameters, model.ground
    factor = torch.lerp(
        p.wind_factor_sea.expand_as(ground.land), p.wind_factor_land.expand_as(ground.land), ground.land
    )
    return factor * (1.25 - 0.5 * ground.sheltered) * (1.0 + 0.18 * torch.tanh(state.field("surface") / 4.0))
