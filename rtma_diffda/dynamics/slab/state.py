"""``SlabState``: the prognostic fields of a batch of runs; ``SlabForcing``: what acts on them from outside."""

from dataclasses import dataclass

from torch import Tensor

PROGNOSTIC = ("interface", "u", "v", "theta", "moisture", "surface", "u_surface", "v_surface")
"""Order of the fields of a state."""


@dataclass(frozen=True)
class SlabState:
    """Attributes:
    values: (run, 8, y, x) on the extended periodic grid, in the order of ``PROGNOSTIC``:
        interface: φ, geopotential of the slab's top above its resting height (m²/s²); depth h = H + φ / b − z;
        u, v: wind of the slab along the grid's axes (m/s);
        theta: potential temperature of the slab less the climate's (K);
        moisture: specific humidity reduced to sea level (kg/kg);
        surface: temperature of the shallow surface layer less the slab's at the same height (K);
        u_surface, v_surface: wind of the surface layer less the slab's share (m/s).
    """

    values: Tensor

    def field(self, name: str) -> Tensor:
        """(run, y, x) of the prognostic field called ``name``."""
        return self.values[:, PROGNOSTIC.index(name)]

    def select(self, runs: Tensor) -> "SlabState":
        """The state of the runs with these indices (n,)."""
        return SlabState(self.values[runs])


@dataclass(frozen=True)
class SlabForcing:
    """What a step is told of the world outside the slab.

    Attributes:
        sun: (run, 1, 1) cosine of the sun's zenith angle, 0 at night.
        climate_temperature: (run, 1, 1) temperature that ``theta`` departs from, at sea level (K).
        sea_temperature: (run, 1, 1) of the sea surface (K).
        u_geostrophic, v_geostrophic: (run, 1, 1) wind in balance with the pressure gradient across the domain (m/s).
        u_large, v_large: (run, y, x) large-scale wind that the slab is drawn to (m/s).
        theta_large: (run, y, x) large-scale potential temperature less the climate's (K).
        moisture_large: (run, y, x) large-scale specific humidity at sea level (kg/kg).
        convection: (run, y, x) strength of downdraughts where air is ready for them, about 0 … 1.5.
    """

    sun: Tensor
    climate_temperature: Tensor
    sea_temperature: Tensor
    u_geostrophic: Tensor
    v_geostrophic: Tensor
    u_large: Tensor
    v_large: Tensor
    theta_large: Tensor
    moisture_large: Tensor
    convection: Tensor
