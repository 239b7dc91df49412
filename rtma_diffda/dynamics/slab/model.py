"""``SlabModel``: one time step of a thermal shallow-water slab with a shallow surface layer, batched over runs.

The slab of depth h lies on a floor z under deep air at rest. With its buoyancy b = b₀ (1 − θ / Θ), interface
geopotential φ = b₀ (h + z − H), Coriolis parameter f and geostrophic wind u_g of the domain's pressure gradient,

    Du/Dt = −f k × (u − u_g) − (b / b₀) ∇φ − ½ h ∇b − drag − blocking + (u_L − u) / τ_L,
    ∂φ/∂t = −∇·(b₀ h u),
    Dθ/Dt = (θ_L − θ) / τ + w_sea (T_sea − T) / τ_sea + s / τ_h,
    Dq/Dt = (q_L − q) / τ + evaporation − dew,

(Ripa 1993; the thermal shallow-water equations) and the surface layer's s and u_s as in ``surface``, with

    Ds/Dt = … − min(s, 0) ∇·u_s,

so that a pool of cold air spreads and thins as shallow water does, at speed √(G |s|). Gravity waves of the slab run at
√(b₀ H) = 50 m/s, well above any wind. Transport is cubic semi-Lagrangian, for φ third-order flux form, which conserves
mass to rounding; fast waves are implicit in Fourier space (``waves``). Every operation is differentiable. Nothing here
is random: what is comes in as forcing.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from rtma_diffda.dynamics.slab.air import LAPSE, saturation_humidity
from rtma_diffda.dynamics.slab.landscape import SlabLandscape
from rtma_diffda.dynamics.slab.parameters import SlabParameters
from rtma_diffda.dynamics.slab.state import PROGNOSTIC, SlabForcing, SlabState
from rtma_diffda.dynamics.slab.surface import Ground, cloud_cover, mixing_rate, surface_heating
from rtma_diffda.dynamics.slab.transport import departure_weights, diffused, flux_divergence, gradient, transported
from rtma_diffda.dynamics.slab.waves import WaveOperator, WaveSettings

_SLAB_HEATING_TIME = 5.0e4
_LAND_EVAPORATION = 4e-8
_DEW_TIME = 3600.0
_SEA_SHARE, _SEA_TIME = 0.35, 7200.0
_DRIEST = 3e-4
_LAYER_SHARE = 0.8
_DIFFUSION = 0.04


@dataclass(frozen=True)
class SlabSettings:
    """Numbers that all runs share.

    Attributes:
        time_step: δ (s).
        depth: H, mean height of the slab's top above sea level (m).
        buoyancy: b₀ (m/s²).
        buoyancy_scale: Θ (K): how much warmer the air above is.
        wind_time, air_time: τ_L and τ (s), in which the slab is drawn to the large scale.
        waves: of the implicit part.
    """

    time_step: float = 180.0
    depth: float = 2600.0
    buoyancy: float = 0.96
    buoyancy_scale: float = 60.0
    wind_time: float = 12600.0
    air_time: float = 16200.0
    waves: WaveSettings = field(default_factory=WaveSettings)

    def with_time_step(self, seconds: float) -> "SlabSettings":
        """The same with another time step."""
        return replace(self, time_step=seconds)


class SlabModel:
    """Steps a batch of runs; each run has its own landscape and parameters, and none sees another."""

    def __init__(self, landscape: SlabLandscape, parameters: SlabParameters, settings: SlabSettings) -> None:
        self.landscape = landscape
        self.parameters = parameters.to(landscape.terrain)
        self.settings = settings
        self.ground = Ground.of(landscape, self.parameters, settings.time_step)
        self.waves = WaveOperator.of(
            landscape.coriolis,
            tuple(landscape.terrain.shape[-2:]),
            spacing=landscape.spacing,
            time_step=settings.time_step,
            settings=settings.waves,
        )

    def at_rest(self, forcing: SlabForcing) -> SlabState:
        """A state of the large scale's wind, temperature and moisture over a level interface."""
        zero = torch.zeros_like(self.landscape.terrain)
        u, v = zero + forcing.u_large + forcing.u_geostrophic, zero + forcing.v_large + forcing.v_geostrophic
        fields = (zero, u, v, zero + forcing.theta_large, zero + forcing.moisture_large, zero, zero, zero)
        return SlabState(torch.stack(fields, dim=1))

    def depth(self, state: SlabState) -> Tensor:
        """h (run, y, x) in m."""
        return self.settings.depth + state.field("interface") / self.settings.buoyancy - self.landscape.floor

    def cloud(self, state: SlabState, forcing: SlabForcing) -> Tensor:
        """Cloud cover (run, y, x), 0 … 1."""
        u, v = state.field("u"), state.field("v")
        upslope = u * self.landscape.slope_x + v * self.landscape.slope_y
        lifting = 0.12 * torch.tanh(upslope * 8.0) + state.field("interface") * 2.5e-4
        temperature = forcing.climate_temperature + state.field("theta")
        return cloud_cover(
            self.ground, self.parameters, temperature=temperature, moisture=state.field("moisture"), lifting=lifting
        )

    def step(self, state: SlabState, forcing: SlabForcing) -> SlabState:
        """The state one time step later."""
        cloud = self.cloud(state, forcing)
        moved = self._moved(state)
        u, v, phi = self._slab_flow(state, moved, forcing)
        theta, moisture = self._slab_air(state, moved, forcing, cloud)
        surface, u_surface, v_surface = self._surface_layer(state, moved, forcing, cloud)
        return SlabState(torch.stack([phi, u, v, theta, moisture, surface, u_surface, v_surface], dim=1))

    def _moved(self, state: SlabState) -> dict[str, Tensor]:
        """Every advected field after transport: the slab's by its own wind, the surface layer's by both winds."""
        ratio = self.settings.time_step / self.landscape.spacing
        wind, extra = state.values[:, 1:3] * ratio, state.values[:, 6:8] * ratio
        slab = transported(state.values[:, 1:5], *_weights(wind))
        layer = transported(state.values[:, 5:8], *_weights(wind * _LAYER_SHARE + extra))
        layer = diffused(layer, _DIFFUSION)
        return dict(zip(PROGNOSTIC[1:], (*slab.unbind(1), *layer.unbind(1)), strict=True))

    def _slab_flow(
        self, state: SlabState, moved: dict[str, Tensor], forcing: SlabForcing
    ) -> tuple[Tensor, Tensor, Tensor]:
        """u, v and φ one step later."""
        s, dt = self.settings, self.settings.time_step
        phi = state.field("interface")
        warmth = state.field("theta") * (-1.0 / s.buoyancy_scale)  # b / b₀ − 1
        depth_geopotential = s.buoyancy * (s.depth - self.landscape.floor) + phi
        phi_x, phi_y = gradient(phi, self.landscape.spacing)
        warmth_x, warmth_y = gradient(warmth, self.landscape.spacing)
        f = self.landscape.coriolis.reshape(-1, 1, 1)
        force_x = -f * forcing.v_geostrophic - warmth * phi_x - 0.5 * depth_geopotential * warmth_x
        force_y = f * forcing.u_geostrophic - warmth * phi_y - 0.5 * depth_geopotential * warmth_y
        u = moved["u"] + dt * (force_x + (forcing.u_large - moved["u"]) / s.wind_time)
        v = moved["v"] + dt * (force_y + (forcing.v_large - moved["v"]) / s.wind_time)
        u, v = self._slowed(u, v)
        ratio = dt / self.landscape.spacing
        explicit = depth_geopotential - s.waves.reference_speed**2  # the implicit part carries the reference value
        # the wind that the implicit part starts from, already moved: with the unmoved one short waves grow
        phi = phi + flux_divergence(explicit, u * ratio, v * ratio)
        return self.waves(u, v, phi)

    def _slowed(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """After drag, and after blocking of the component across steep slopes; both implicit."""
        dt, ground = self.settings.time_step, self.ground
        factor = 1.0 / (1.0 + dt * ground.drag * (torch.sqrt(u * u + v * v + 1.0)))
        u, v = u * factor, v * factor
        across = dt * (u * ground.across_x + v * ground.across_y) / ground.blocked
        return u - across * ground.across_x, v - across * ground.across_y

    def _slab_air(
        self, state: SlabState, moved: dict[str, Tensor], forcing: SlabForcing, cloud: Tensor
    ) -> tuple[Tensor, Tensor]:
        """θ and q one step later."""
        s, dt, p = self.settings, self.settings.time_step, self.parameters
        theta, moisture, sea = moved["theta"], moved["moisture"], 1.0 - self.ground.land
        air = forcing.climate_temperature + theta
        sea_temperature = forcing.sea_temperature + p.sea_temperature
        exchange = sea / p.sea_exchange_time
        theta = theta + dt * (
            (forcing.theta_large - theta) / s.air_time
            + exchange * (sea_temperature - air)
            + state.field("surface") * (1.0 / _SLAB_HEATING_TIME)
        )
        near_ground = air - LAPSE * self.landscape.terrain + state.field("surface")
        dew = (moisture - saturation_humidity(near_ground, self.ground.dew_pressure)).clamp(min=0.0) / _DEW_TIME
        evaporation = exchange * (0.8 * saturation_humidity(sea_temperature, 101325.0) - moisture)
        evaporation = evaporation + self.ground.land * forcing.sun * (1.0 - cloud) * _LAND_EVAPORATION
        moisture = moisture + dt * ((forcing.moisture_large - moisture) / s.air_time + evaporation - dew)
        return theta, moisture.clamp(min=_DRIEST)

    def _surface_layer(
        self, state: SlabState, moved: dict[str, Tensor], forcing: SlabForcing, cloud: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """s, u_s and v_s one step later; s feels the new wind, which keeps its waves stable."""
        dt, p, ground, spacing = self.settings.time_step, self.parameters, self.ground, self.landscape.spacing
        surface = state.field("surface")
        s_x, s_y = gradient(surface, spacing)
        f = self.landscape.coriolis.reshape(-1, 1, 1)
        u, v = moved["u_surface"], moved["v_surface"]
        u_new = u + dt * (p.breeze * s_x + ground.pull_x * surface + f * v)
        v_new = v + dt * (p.breeze * s_y + ground.pull_y * surface - f * u)
        slowed = 1.0 / (1.0 + dt * ground.surface_drag)
        u_new, v_new = u_new * slowed, v_new * slowed
        speed = torch.sqrt((state.field("u") + u) ** 2 + (state.field("v") + v) ** 2 + 0.25)
        rate = mixing_rate(ground, p, speed=speed, surface=surface)
        air = forcing.climate_temperature + state.field("theta")
        sea_part = (1.0 - ground.land) / _SEA_TIME
        over_sea = _SEA_SHARE * (forcing.sea_temperature + p.sea_temperature - air)
        downdraught = p.convection * forcing.convection * torch.sigmoid((cloud - 0.4) * 10.0)
        heating = surface_heating(ground, p, sun=forcing.sun, cloud=cloud) - downdraught + sea_part * over_sea
        spreading = gradient(u_new, spacing)[0] + gradient(v_new, spacing)[1]
        heating = heating - surface.clamp(max=0.0) * spreading
        return (moved["surface"] + dt * heating) / (1.0 + dt * (rate + sea_part)), u_new, v_new


def _weights(courant: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Weights along x and along y from Courant numbers (run, 2, y, x)."""
    return departure_weights(courant[:, :1]), departure_weights(courant[:, 1:])
