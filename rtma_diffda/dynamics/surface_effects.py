"""What land, sea, terrain and the time of day do to large-scale weather near the ground. Prescribed, not solved for.

With the diurnal phase D = cos 2π (h − 15 h) / 24 h of local solar time h, the land weight w, terrain z and the depth d
of a valley below its smoothed surroundings,

    T = w (T_L + ½ R D (1 − 0.6 c)) + (1 − w) ½ (T_L + T_sea) − Γ z − cold pool(d, D, wind),   Γ = 6.5 + D K/km,

where c is cloud at the front. The wind is slowed and turned by friction, loses part of its component across steep
slopes, is faster on ridges than in valleys, and gains sea breezes and slope winds.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.dynamics.smoothing import low_pass, slopes
from rtma_diffda.dynamics.synoptic import LargeScale, coriolis_parameter
from rtma_diffda.geo.static_fields import StaticFields

GRAVITY, GAS_CONSTANT = 9.80665, 287.05
STANDARD_LAPSE = 0.0065
_WARMEST_HOUR = 15.0
_SEA_BREEZE, _LAND_BREEZE = 3.5, 1.2  # m/s on the coast
_UPSLOPE, _DOWNSLOPE = 1.3, 1.8  # m/s on steep slopes


@dataclass(frozen=True)
class Landscape:
    """What the effects need of the static fields; each (y, x), float64.

    Attributes:
        static: where they come from.
        terrain: height (m).
        land_weight: 0 … 1, the land fraction after the air has mixed over 5 km.
        valley_depth: m below the surroundings' mean, 0 elsewhere.
        exposure: −1 … 1, from sheltered to exposed.
        coast_x, coast_y: toward land, up to 1 long on the coast.
        slope_x, slope_y: uphill along the grid's axes, dimensionless.
    """

    static: StaticFields
    terrain: Tensor
    land_weight: Tensor
    valley_depth: Tensor
    exposure: Tensor
    coast_x: Tensor
    coast_y: Tensor
    slope_x: Tensor
    slope_y: Tensor

    @classmethod
    def of(cls, static: StaticFields) -> "Landscape":
        """From static fields; unknown terrain counts as flat, unknown land as land."""
        grid = static.grid
        terrain = _tensor(static.orography, grid.shape, 0.0)
        land = _tensor(static.land_fraction, grid.shape, 1.0)
        relief = terrain - low_pass(terrain, grid, 12e3)
        coast = slopes(low_pass(land, grid, 12e3), grid)
        strongest = float(torch.hypot(*coast).max())
        slope = slopes(low_pass(terrain, grid, 5e3), grid)
        return cls(
            static,
            terrain,
            low_pass(land, grid, 5e3),
            valley_depth=torch.clamp(-relief, min=0.0),
            exposure=torch.tanh(relief / 250.0),
            coast_x=coast[0] / max(strongest, 1e-12),
            coast_y=coast[1] / max(strongest, 1e-12),
            slope_x=slope[0],
            slope_y=slope[1],
        )


def diurnal_phase(times: np.ndarray, longitude: float) -> Tensor:
    """D (time, 1, 1): 1 at 15 h local solar time, −1 at 3 h; longitude in degrees."""
    hours = (times - times.astype("datetime64[D]")) / np.timedelta64(1, "h") + longitude / 15.0
    return torch.from_numpy(np.cos(2 * np.pi * (hours - _WARMEST_HOUR) / 24.0)).reshape(-1, 1, 1)


def near_surface_temperature(
    large: LargeScale, landscape: Landscape, phase: Tensor, speed: Tensor, *, diurnal_range: float, sea: float
) -> Tensor:
    """2 m temperature (time, y, x) in K.

    Args:
        large: temperature at sea level and cloud at the front.
        landscape: terrain and land.
        phase: D (time, 1, 1).
        speed: of the wind (time, y, x), which stirs cold pools.
        diurnal_range: R (K) over land under clear sky.
        sea: surface temperature of the sea (K).
    """
    over_land = large.temperature + 0.5 * diurnal_range * phase * (1.0 - 0.6 * large.front_band)
    over_sea = 0.5 * (large.temperature + sea)
    at_sea_level = torch.lerp(over_sea, over_land, landscape.land_weight)
    lapse = STANDARD_LAPSE + 0.001 * phase
    night = torch.clamp(-phase, min=0.0) * (1.0 - 0.6 * large.front_band)
    pool = 6.0 * torch.tanh(landscape.valley_depth / 250.0) * night * torch.exp(-speed / 5.0)
    return at_sea_level - lapse * landscape.terrain - pool


def near_surface_dew_point(large: LargeScale, landscape: Landscape, phase: Tensor) -> Tensor:
    """2 m dew point (time, y, x) in K before it is bounded by the temperature: drier aloft and on land.

    Over land mixing dries the air by day, and dew takes its moisture by night.
    """
    mixing, dewfall = 0.6 * torch.clamp(phase, min=0.0), 2.0 * torch.clamp(-phase, min=0.0)
    moist_sea = 1.2 * (1.0 - landscape.land_weight)
    return large.dew_point + moist_sea - (mixing + dewfall) * landscape.land_weight - 0.0025 * landscape.terrain


def surface_pressure(large: LargeScale, landscape: Landscape) -> Tensor:
    """Hydrostatic pressure at terrain height (time, y, x), Pa."""
    return large.pressure * hydrostatic_ratio(landscape.terrain, large.temperature)


def hydrostatic_ratio(height: Tensor, temperature: Tensor) -> Tensor:
    """p(z) / p_msl = (1 − Γ z / T)^(g / (R Γ)) at ``height`` z (m), with ``temperature`` T (K) at sea level."""
    return (1.0 - STANDARD_LAPSE * height / temperature) ** (GRAVITY / (GAS_CONSTANT * STANDARD_LAPSE))


def near_surface_wind(large: LargeScale, landscape: Landscape, phase: Tensor) -> tuple[Tensor, Tensor]:
    """10 m wind (time, y, x) along the grid's axes, m/s."""
    u, v = _after_friction(large, landscape)
    u, v = _blocked(u, v, landscape)
    factor = 1.0 + 0.3 * landscape.exposure
    breeze = _SEA_BREEZE * torch.clamp(phase, min=0.0) - _LAND_BREEZE * torch.clamp(-phase, min=0.0)
    breeze = breeze * (1.0 - 0.5 * large.front_band)
    slope_wind = _UPSLOPE * torch.clamp(phase, min=0.0) - _DOWNSLOPE * torch.clamp(-phase, min=0.0)
    steep_x, steep_y = _direction_and_steepness(landscape, 0.05)
    u = factor * u + breeze * landscape.coast_x + slope_wind * steep_x
    v = factor * v + breeze * landscape.coast_y + slope_wind * steep_y
    return u, v


def _after_friction(large: LargeScale, landscape: Landscape) -> tuple[Tensor, Tensor]:
    """Slower, and turned toward low pressure: by 12° over sea and 28° over land."""
    hemisphere = np.sign(coriolis_parameter(landscape.static.grid))
    angle = hemisphere * torch.deg2rad(12.0 + 16.0 * landscape.land_weight)
    factor = 0.8 - 0.25 * landscape.land_weight
    u = factor * (large.u_grid * torch.cos(angle) - large.v_grid * torch.sin(angle))
    v = factor * (large.u_grid * torch.sin(angle) + large.v_grid * torch.cos(angle))
    return u, v


def _blocked(u: Tensor, v: Tensor, landscape: Landscape) -> tuple[Tensor, Tensor]:
    """Without up to 60 % of the component across the slope, so that the flow turns along the terrain."""
    steep_x, steep_y = _direction_and_steepness(landscape, 0.04)
    steepness = torch.hypot(steep_x, steep_y).clamp(min=1e-9)
    across = 0.6 * (u * steep_x + v * steep_y) / steepness
    return u - across * steep_x, v - across * steep_y


def _direction_and_steepness(landscape: Landscape, scale: float) -> tuple[Tensor, Tensor]:
    """Uphill vector of length tanh(slope / scale)."""
    slope = torch.hypot(landscape.slope_x, landscape.slope_y).clamp(min=1e-12)
    length = torch.tanh(slope / scale) / slope
    return landscape.slope_x * length, landscape.slope_y * length


def _tensor(values: np.ndarray | None, shape: tuple[int, int], default: float) -> Tensor:
    return torch.from_numpy(np.full(shape, default) if values is None else np.asarray(values, np.float64))
