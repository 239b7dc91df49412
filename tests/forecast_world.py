"""A small place with a made-up boundary, and a network that is quick to build."""

from dataclasses import replace

import numpy as np
import torch

from rtma_diffda.backbones.limited_area.boundary_window import BoundaryWindow
from rtma_diffda.backbones.limited_area.mesh_design import MeshDesign
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.normalisation import Normalisation
from rtma_diffda.fields.sequences import Sequences
from rtma_diffda.fields.state import State
from rtma_diffda.forecast.forecast_design import ForecastDesign, ForecastPlace
from rtma_diffda.forecast.forecast_inputs import ForecastEncoding
from rtma_diffda.forecast.forecast_network import ForecastNetwork
from rtma_diffda.forecast.limited_area import LimitedAreaForecast
from rtma_diffda.geo.boundary_points import boundary_grid
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.static_fields import StaticFields, ridge_and_coast

HOUR = np.timedelta64(1, "h")
NOON = np.datetime64("2026-06-01T12:00", "ns")
NAMES = ("t2m", "d2m", "u10m", "v10m", "sp")
TYPICAL = (285.0, 280.0, 3.0, -2.0, 1e5)
GRID = ProjectedGrid(
    "+proj=lcc +lat_1=45 +lat_2=45 +lat_0=45 +lon_0=10 +R=6371200 +units=m", 10, 8, 1e4, 1e4, -4.5e4, -3.5e4
)
PLACE = ForecastPlace(GRID, boundary_grid(GRID, spacing=3e4, width=4e4))
LAYOUT, OUTER = Layout.of(GRID, NAMES), Layout.of(PLACE.boundary_grid, NAMES)
STATIC = ridge_and_coast(GRID)
OUTER_STATIC = StaticFields(
    PLACE.boundary_grid, np.full(PLACE.boundary_grid.shape, 200.0), np.ones(PLACE.boundary_grid.shape), "flat land"
)
DESIGN = ForecastDesign(MeshDesign(kind="flat", spacing=1.0), hidden=8, layers=1, convolutions=(8,), patch=2, width=4e4)


def encoding(*, interpolated: bool = True, std: float = 2.0) -> ForecastEncoding:
    mean = torch.tensor([0.1, 0.0, -0.1, 0.0, 5.0], dtype=torch.float64)
    scale = torch.tensor([1.0, 1.0, 1.0, 1.0, 50.0], dtype=torch.float64) * std
    return ForecastEncoding(Normalisation(NAMES, mean, scale), BoundaryWindow(interval=HOUR, step=HOUR), interpolated)


def network(
    *, interpolated: bool = True, answering: bool = True, scale: float = 0.05, seed: int = 0
) -> ForecastNetwork:
    """A network of ``DESIGN``; ``answering``: layers that begin at zero are drawn with this ``scale``."""
    torch.manual_seed(seed)
    made = DESIGN.build(PLACE, encoding(interpolated=interpolated))
    for weights in made.parameters() if answering else ():
        if weights.ndim > 1 and not weights.any():
            torch.nn.init.normal_(weights, std=scale)
    return made.eval()


def model(**options: bool) -> LimitedAreaForecast:
    return LimitedAreaForecast(network(), STATIC, PLACE, **options)


def weather(layout: Layout, time: np.datetime64, *, members: int = 1, seed: int = 0) -> State:
    """Typical values, a wave that moves, and noise."""
    generator = torch.Generator().manual_seed(seed + int((time - NOON) / HOUR) % 1000)
    noise = 0.3 * torch.randn(members, *layout.shape, generator=generator)
    x, y = (torch.from_numpy(a.astype(np.float32)) for a in np.meshgrid(layout.grid.x, layout.grid.y))
    wave = 2.0 * torch.sin(x / 5e4 + y / 8e4 + float((time - NOON) / HOUR))
    scale = torch.tensor([1.0, 1.0, 1.0, 1.0, 40.0])[:, None, None]
    values = torch.tensor(TYPICAL)[:, None, None] + scale * (wave + noise)
    values[:, 1] = torch.minimum(values[:, 0], values[:, 1])
    return State(values, layout, time.astype("datetime64[ns]"))


def history(members: int = 1, *, end: np.datetime64 = NOON, seed: int = 0) -> list[State]:
    return [weather(LAYOUT, end - HOUR * k, members=members, seed=seed) for k in (1, 0)]


def boundary(first: int = -1, last: int = 8, *, seed: int = 50) -> Boundary:
    """Hourly states from ``first`` to ``last`` hours after noon."""
    states = tuple(weather(OUTER, NOON + HOUR * k, seed=seed) for k in range(first, last + 1))
    return Boundary(states, NOON - 6 * HOUR, "a made-up model", OUTER_STATIC)


def warmed(given: Boundary, kelvin: float | torch.Tensor) -> Boundary:
    """With other temperatures: all of them, or by point (y, x)."""

    def warmer(state: State) -> State:
        values = state.values.clone()
        values[:, 0] += kelvin
        return state.with_values(values)

    return replace(given, states=tuple(map(warmer, given.states)))


def sequences(members: int = 3, targets: int = 1) -> Sequences:
    """Training members that begin at different hours."""
    parts = []
    for m in range(members):
        inner = [weather(LAYOUT, NOON + HOUR * (m + k), seed=m) for k in range(2 + targets)]
        outer = [weather(OUTER, NOON + HOUR * (m + k), seed=50 + m) for k in range(3 + targets)]
        fields = (
            torch.from_numpy(f.astype(np.float32))[None]
            for f in (STATIC.orography, STATIC.land_fraction, OUTER_STATIC.orography, OUTER_STATIC.land_fraction)
        )
        parts.append(
            Sequences(
                torch.cat([s.values for s in inner])[None],
                torch.cat([s.values for s in outer])[None],
                *fields,
                np.array([s.valid_time for s in inner])[None],
                np.array([s.valid_time for s in outer])[None],
                np.array([m]),
                LAYOUT,
                OUTER,
            )
        )
    return Sequences.joined(parts)
