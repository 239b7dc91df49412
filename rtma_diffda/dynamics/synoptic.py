"""The large-scale weather of a simulation: pressure, temperature and dew point at sea level, and a front that passes.

Prescribed, not solved for. With the distance s (m) ahead of the front, positive where it has not yet come,

    p = p₀ + ρ f (v_g x − u_g y) − P exp(−√(s² + W²) / D) + p′,
    T = T₀ − ΔT ½ (1 − tanh(s / W)) + T_y y + T′,

where (u_g, v_g) is a steady geostrophic wind and p′, T′ are smooth random fields. The wind at sea level is the
geostrophic one of p, so the kink of p along the front turns the wind there as a real trough does.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.dynamics.random_fields import RandomFieldModel, random_series, split_generator
from rtma_diffda.dynamics.smoothing import slopes
from rtma_diffda.geo.grid import ProjectedGrid

AIR_DENSITY = 1.2
EARTH_ROTATION = 7.292e-5
_FRONT_WIDTH = 25e3
_TROUGH_DEPTH, _TROUGH_LENGTH = 160.0, 250e3  # 160 Pa over 250 km turn the wind by about 5 m/s on either side
_FRONT_BAND = 60e3
_NORTHWARD_COOLING = -5e-6
_PRESSURE_FIELD = (60.0, RandomFieldModel(60e3, np.timedelta64(8, "h"), smoothness=4.0))
_TEMPERATURE_FIELD = (0.8, RandomFieldModel(40e3, np.timedelta64(8, "h")))
_HUMIDITY_FIELD = (0.9, RandomFieldModel(30e3, np.timedelta64(6, "h")))


@dataclass(frozen=True)
class Climate:
    """What the large-scale weather is drawn from.

    Attributes:
        temperature: T₀, mean air temperature at sea level ahead of the front (K).
        pressure: p₀ (Pa).
        wind_speed: of the geostrophic wind (m/s).
        front_contrast: ΔT (K).
        front_speed: m/s.
        dew_point_depression: mean T − Td at sea level (K).
    """

    temperature: float = 288.0
    pressure: float = 101500.0
    wind_speed: float = 8.0
    front_contrast: float = 4.5
    front_speed: float = 9.0
    dew_point_depression: float = 4.5


@dataclass(frozen=True)
class LargeScale:
    """Large-scale fields at one or more times; each (time, y, x), float64.

    Attributes:
        pressure: at sea level (Pa).
        temperature, dew_point: at sea level, without the diurnal cycle (K).
        u_grid, v_grid: geostrophic wind along the grid's axes (m/s).
        front_band: 0 … 1, how near the front is.
    """

    pressure: Tensor
    temperature: Tensor
    dew_point: Tensor
    u_grid: Tensor
    v_grid: Tensor
    front_band: Tensor


def simulate_large_scale(
    grid: ProjectedGrid, times: np.ndarray, climate: Climate, *, generator: torch.Generator
) -> LargeScale:
    """One realisation at ``times`` (time,) datetime64; the front passes the middle 1 to 4 hours after the first."""
    draws = torch.rand(6, generator=split_generator(generator), dtype=torch.float64).tolist()
    ahead = _distance_ahead_of_front(grid, times, climate, draws[:3])
    wind = _steady_wind(climate, draws[3:5])
    random = {
        name: std * random_series(grid, times, model, count=1, generator=generator)[:, 0]
        for name, (std, model) in (("p", _PRESSURE_FIELD), ("t", _TEMPERATURE_FIELD), ("d", _HUMIDITY_FIELD))
    }
    pressure = _pressure(grid, climate, wind, ahead) + random["p"]
    behind = 0.5 * (1.0 - torch.tanh(ahead / _FRONT_WIDTH))
    front_band = torch.exp(-((ahead / _FRONT_BAND) ** 2))
    mean = climate.temperature + 4.0 * (draws[5] - 0.5) + _NORTHWARD_COOLING * _plane(grid)[1]
    temperature = mean - climate.front_contrast * behind + random["t"]
    depression = climate.dew_point_depression * (1.0 - 0.5 * front_band) + 1.0 * behind
    u_grid, v_grid = geostrophic_wind(pressure, grid)
    return LargeScale(pressure, temperature, temperature - depression + random["d"], u_grid, v_grid, front_band)


def geostrophic_wind(pressure: Tensor, grid: ProjectedGrid) -> tuple[Tensor, Tensor]:
    """Wind (m/s) along the grid's axes in balance with ``pressure`` (..., y, x): u = −p_y / (ρ f), v = p_x / (ρ f)."""
    along_x, along_y = slopes(pressure, grid)
    density_times_f = AIR_DENSITY * coriolis_parameter(grid)
    return -along_y / density_times_f, along_x / density_times_f


def coriolis_parameter(grid: ProjectedGrid) -> float:
    """f (1/s) at the middle latitude; kept away from 0, where no geostrophic wind exists."""
    f = 2.0 * EARTH_ROTATION * np.sin(np.deg2rad(float(grid.latitude().mean())))
    return float(np.copysign(max(abs(f), 4e-5), f))


def _pressure(grid: ProjectedGrid, climate: Climate, wind: tuple[float, float], ahead: Tensor) -> Tensor:
    x, y = _plane(grid)
    steady = AIR_DENSITY * coriolis_parameter(grid) * (wind[1] * x - wind[0] * y)
    trough = -_TROUGH_DEPTH * torch.exp(-torch.sqrt(ahead**2 + _FRONT_WIDTH**2) / _TROUGH_LENGTH)
    return climate.pressure + steady + trough


def _steady_wind(climate: Climate, draws: list[float]) -> tuple[float, float]:
    """A wind from between south-west and north-west, 0.7 to 1.3 times the climate's."""
    heading = np.deg2rad(-35.0 + 70.0 * draws[0])
    speed = climate.wind_speed * (0.7 + 0.6 * draws[1])
    return speed * np.cos(heading), speed * np.sin(heading)


def _distance_ahead_of_front(grid: ProjectedGrid, times: np.ndarray, climate: Climate, draws: list[float]) -> Tensor:
    """s (time, y, x): the front is a line with a wave on it, and moves toward east-south-east to east-north-east."""
    x, y = _plane(grid)
    heading = np.deg2rad(-30.0 + 40.0 * draws[0])
    wave = 8e3 * torch.sin(2 * np.pi * (y / 95e3 + draws[1]))
    passage = 3600.0 * (1.0 + 3.0 * draws[2])
    elapsed = torch.from_numpy((times - times[0]) / np.timedelta64(1, "s")).reshape(-1, 1, 1)
    return x * np.cos(heading) + y * np.sin(heading) + wave - climate.front_speed * (elapsed - passage)


def _plane(grid: ProjectedGrid) -> tuple[Tensor, Tensor]:
    """Plane coordinates (m) from the middle of the grid: x (1, x), y (y, 1)."""
    x, y = torch.from_numpy(grid.x), torch.from_numpy(grid.y)
    return (x - x.mean())[None, :], (y - y.mean())[:, None]
