"""What ground, sun and cloud do to the slab and to the shallow surface layer.

The surface layer of depth d lies on the ground inside the slab. Its temperature s departs from the slab's: the sun
heats it over land unless cloud shades it, the clear night sky cools it, mixing with the slab brings it back, the
faster the windier. Differences of s accelerate its wind (sea breeze, gust front), gravity pulls it along slopes:

    ∂s/∂t = w (A S (1 − a c) − K (1 − k c)) − s / τ(|u|) + w_sea (κ (T_sea − T) − s) / τ_sea − convection,
    ∂u_s/∂t = G ∇s + ε (g / θ) s ∇z − f × u_s − u_s / τ_s,    G = ½ g d / θ.

Cloud cover is c = 1 / (1 + exp(−(r − r_c) / 0.06)) of relative humidity r at the height of cloud, raised where wind
blows upslope and where the slab is deep.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rtma_diffda.dynamics.slab.air import LAPSE, MOISTURE_SCALE, saturation_humidity, standard_pressure
from rtma_diffda.dynamics.slab.landscape import SlabLandscape
from rtma_diffda.dynamics.slab.parameters import SlabParameters

_CLOUD_HEIGHT = 700.0
_CLOUD_WIDTH = 0.07
_NIGHT_CLOUD_COVER = 0.8

_SURFACE_DRAG_LAND, _SURFACE_DRAG_SEA = 2.2e-4, 0.8e-4
_THETA = 290.0


@dataclass(frozen=True)
class Ground:
    """What the formulas need of landscape and parameters and that no step changes; each (run, y, x).

    Attributes:
        land: land fraction.
        sheltered: 0 … 1: 1 deep in a valley, 0 on a ridge, about ½ on plains.
        heating, cooling: of the surface layer (K/s).
        drag: of the slab per m/s (1/m).
        surface_drag: of the surface layer's wind (1/s).
        pull_x, pull_y: acceleration of the surface layer per K that it is too warm, uphill (m s⁻² K⁻¹).
        across_x, across_y: uphill vector of length tanh(slope / 0.02) times the root of the blocking rate (s^−½).
        blocked: 1 + δ × rate of blocking, for an implicit step.
        dew_pressure: standard pressure (Pa) at the ground over the fall of moisture from sea level to there.
        pressure: of the standard atmosphere at the height of cloud (Pa).
        cloud_altitude: m above sea level.
    """

    land: Tensor
    sheltered: Tensor
    heating: Tensor
    cooling: Tensor
    drag: Tensor
    surface_drag: Tensor
    pull_x: Tensor
    pull_y: Tensor
    across_x: Tensor
    across_y: Tensor
    blocked: Tensor
    dew_pressure: Tensor
    pressure: Tensor
    cloud_altitude: Tensor

    @classmethod
    def of(cls, landscape: SlabLandscape, parameters: SlabParameters, time_step: float) -> "Ground":
        """Of every run; ``time_step`` (s) is that of the implicit blocking."""
        land, p = landscape.land, parameters
        sheltered = torch.sigmoid(landscape.valley_depth / 60.0)
        slope = torch.hypot(landscape.slope_x, landscape.slope_y)
        steep = torch.sqrt(p.blocking) * torch.tanh(slope / 0.02) / slope.clamp(min=1e-9)
        pull = p.drainage * 9.81 / _THETA
        altitude = landscape.terrain + _CLOUD_HEIGHT
        return cls(
            land=land,
            sheltered=sheltered,
            heating=p.heating * land,
            cooling=p.cooling * land * (0.6 + 0.8 * sheltered),
            drag=torch.lerp(p.drag_sea.expand_as(land), p.drag_land.expand_as(land), land)
            * (1.3 - 0.6 * (1.0 - sheltered)),
            surface_drag=torch.lerp(
                torch.full_like(land, _SURFACE_DRAG_SEA), torch.full_like(land, _SURFACE_DRAG_LAND), land
            ),
            pull_x=pull * landscape.slope_x,
            pull_y=pull * landscape.slope_y,
            across_x=steep * landscape.slope_x,
            across_y=steep * landscape.slope_y,
            blocked=1.0 + time_step * (steep * slope) ** 2,
            dew_pressure=standard_pressure(landscape.terrain) * torch.exp(-landscape.terrain / MOISTURE_SCALE),
            pressure=standard_pressure(altitude),
            cloud_altitude=altitude,
        )


def cloud_cover(
    ground: Ground, parameters: SlabParameters, *, temperature: Tensor, moisture: Tensor, lifting: Tensor
) -> Tensor:
    """Cover 0 … 1 (run, y, x).

    Args:
        ground: of every run.
        parameters: of every run.
        temperature: of the slab at sea level (K).
        moisture: specific humidity at sea level (kg/kg).
        lifting: what ascent adds to relative humidity.
    """
    at_height = temperature - LAPSE * ground.cloud_altitude
    saturated = saturation_humidity(at_height, ground.pressure)
    humidity = moisture * torch.exp(ground.cloud_altitude * (-1.0 / MOISTURE_SCALE)) / saturated
    return torch.sigmoid((humidity + lifting - parameters.critical_humidity) / _CLOUD_WIDTH)


def surface_heating(ground: Ground, parameters: SlabParameters, *, sun: Tensor, cloud: Tensor) -> Tensor:
    """Radiation's part of ∂s/∂t (K/s), (run, y, x); ``sun`` is the cosine of the zenith angle, 0 at night."""
    sunshine = ground.heating * sun * (1.0 - parameters.cloud_shading * cloud)
    return sunshine - ground.cooling * (1.0 - _NIGHT_CLOUD_COVER * cloud)


def mixing_rate(ground: Ground, parameters: SlabParameters, *, speed: Tensor, surface: Tensor) -> Tensor:
    """1/τ (1/s): faster in wind, in exposed places and when the surface layer is warm and rises."""
    exposed = 1.25 - 0.5 * ground.sheltered
    return (1.0 + speed * exposed * 0.2 + 0.25 * surface.clamp(min=0.0)) / parameters.mixing_time
