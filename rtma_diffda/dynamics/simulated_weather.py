"""Simulated weather to be analysed: prescribed fields that evolve smoothly in time. *Not* a solution of any equation.

Large-scale weather with a passing front (``synoptic``), the effects of land, sea, terrain and time of day on it
(``surface_effects``), and ragged random detail that decays within two hours. The fields are consistent with each other
where a station would notice: dew point never above temperature, pressure hydrostatic over terrain, wind blowing
along the isobars and across them by friction. It stands in for a nature run where a demonstration or a test wants
weather in a second; conclusions about methods need a real one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from rtma_diffda.dynamics.random_fields import RandomFieldModel, random_series
from rtma_diffda.dynamics.surface_effects import (
    Landscape,
    diurnal_phase,
    near_surface_dew_point,
    near_surface_temperature,
    near_surface_wind,
    surface_pressure,
)
from rtma_diffda.dynamics.synoptic import Climate, LargeScale, simulate_large_scale
from rtma_diffda.errors import UsageError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.geo.wind import convergence, to_earth_relative

SIMULATED = ("t2m", "d2m", "u10m", "v10m", "sp")
"""Variables that can be simulated."""

DETAIL_STD: Mapping[str, float] = {"t2m": 0.8, "d2m": 0.9, "u10m": 0.9, "v10m": 0.9, "sp": 15.0}
"""SI standard deviation of the ragged detail over land; over sea it is 0.5 of that."""

DETAIL_FIELD = RandomFieldModel(length=8e3, decay_time=np.timedelta64(2, "h"))
"""Detail of 8 km: larger than four grid spacings, smaller than the distance between stations."""


@dataclass(frozen=True)
class SimulatedWeather:
    """What to simulate.

    Attributes:
        layout: grid and channels of the states, any of ``SIMULATED``.
        static: terrain and land on that grid.
        climate: what the large-scale weather is drawn from.
        diurnal_range: of temperature over land under clear sky (K).
        sea_temperature: K.
        detail_std: SI standard deviation of the ragged detail by variable.
    """

    layout: Layout
    static: StaticFields
    climate: Climate = field(default_factory=Climate)
    diurnal_range: float = 9.0
    sea_temperature: float = 285.5
    detail_std: Mapping[str, float] = field(default_factory=lambda: dict(DETAIL_STD))

    def __post_init__(self) -> None:
        unknown = [name for name in self.layout.names if name not in SIMULATED]
        if unknown:
            raise UsageError(f"cannot simulate {', '.join(unknown)}; only {', '.join(SIMULATED)}")
        if self.layout.grid.key != self.static.grid.key:
            raise UsageError("the static fields of a simulation must lie on the grid of its layout")


def simulate_truth(config: SimulatedWeather, times: np.ndarray, *, generator: torch.Generator) -> tuple[State, ...]:
    """One realisation of the weather.

    Args:
        config: what to simulate.
        times: (time,) datetime64, increasing; 15 minutes apart, say. The large-scale weather is placed relative to the
            first; more times after it leave the earlier states as they were.
        generator: for everything that is drawn.

    Returns:
        A state of one member a time; values (1, channel, y, x) float32, SI, winds earth-relative.

    Raises:
        UsageError: no times, or times that do not increase.
    """
    times = np.asarray(times, "datetime64[ns]")
    if times.ndim != 1 or not times.size or not (np.diff(times) > np.timedelta64(0, "ns")).all():
        raise UsageError(f"a simulation needs increasing times; found {times}")
    large = simulate_large_scale(config.layout.grid, times, config.climate, generator=generator)
    landscape = Landscape.of(config.static)
    fields = _smooth_fields(config, large, landscape, times)
    for name, detail in _detail(config, landscape, times, generator).items():
        fields[name] = fields[name] + detail
    fields["d2m"] = below_temperature(fields["d2m"], fields["t2m"])
    values = torch.stack([fields[name] for name in config.layout.names], dim=1).float()
    return tuple(State(values[i : i + 1], config.layout, time) for i, time in enumerate(times))


def _smooth_fields(
    config: SimulatedWeather, large: LargeScale, landscape: Landscape, times: np.ndarray
) -> dict[str, Tensor]:
    """Everything but the ragged detail: (time, y, x) by variable."""
    phase = diurnal_phase(times, float(config.layout.grid.longitude().mean()))
    u_grid, v_grid = near_surface_wind(large, landscape, phase)
    speed = torch.hypot(u_grid, v_grid)
    land_and_sea = {"diurnal_range": config.diurnal_range, "sea": config.sea_temperature}
    u, v = _earth_relative(config.layout, u_grid, v_grid)
    return {
        "t2m": near_surface_temperature(large, landscape, phase, speed, **land_and_sea),
        "d2m": near_surface_dew_point(large, landscape, phase),
        "u10m": u,
        "v10m": v,
        "sp": surface_pressure(large, landscape),
    }


def below_temperature(dew_point: Tensor, temperature: Tensor) -> Tensor:
    """``dew_point`` where it is well below ``temperature`` (both K, same shape), bent smoothly to stay below it."""
    return temperature - softplus(temperature - dew_point, beta=2.0)


def _detail(
    config: SimulatedWeather, landscape: Landscape, times: np.ndarray, generator: torch.Generator
) -> dict[str, Tensor]:
    series = random_series(config.layout.grid, times, DETAIL_FIELD, count=len(SIMULATED), generator=generator)
    calmer_over_sea = 0.5 + 0.5 * landscape.land_weight
    return {name: config.detail_std.get(name, 0.0) * calmer_over_sea * series[:, i] for i, name in enumerate(SIMULATED)}


def _earth_relative(layout: Layout, u_grid: Tensor, v_grid: Tensor) -> tuple[Tensor, Tensor]:
    grid = layout.grid
    gamma = convergence(grid.projection, grid.latitude(), grid.longitude())
    u, v = to_earth_relative(u_grid.numpy(), v_grid.numpy(), gamma)
    return torch.from_numpy(u), torch.from_numpy(v)
