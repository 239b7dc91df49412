"""``ForcingSchedule``: the forcing of every run at any time, from its large scale, its sun and its convection.

The forcing is renewed at fixed intervals, much shorter than the times in which the slab follows it, and held between.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.dynamics.slab.air import saturation_humidity
from rtma_diffda.dynamics.slab.convection import ConvectiveEvents
from rtma_diffda.dynamics.slab.landscape import SlabLandscape
from rtma_diffda.dynamics.slab.large_scale import Climate, LargeScaleLaw, LargeScaleSeries
from rtma_diffda.dynamics.slab.state import SlabForcing
from rtma_diffda.dynamics.slab.transport import gradient
from rtma_diffda.geo.sun import declination_of

_HUMIDITY_BOUNDS = (0.15, 0.98)


@dataclass(frozen=True)
class ForcingSchedule:
    """Attributes:
    start: (run,) datetime64 of the first time of the series.
    interval: s between times of the series.
    climate: of every run.
    series: the large scale of every run.
    events: convection of every run, in seconds after ``start``.
    landscape: of every run.
    law: of the large scale.
    """

    start: np.ndarray
    interval: float
    climate: Climate
    series: LargeScaleSeries
    events: ConvectiveEvents
    landscape: SlabLandscape
    law: LargeScaleLaw

    def at(self, index: int) -> SlabForcing:
        """From the ``index``-th time of the series on."""
        ground, numbers = self.landscape.terrain, self.series.numbers[:, index]
        u, v, _, _, _, warmer = (_field(column).to(ground) for column in numbers.unbind(1))
        front, temperature, humidity, stream = self._patterns(index).unbind(1)
        sharp, law = self.law.front_sharpness, self.law
        contrast = _field(self.climate.front_contrast).to(ground)
        theta = contrast * torch.tanh(front / sharp) + law.temperature_std * temperature + warmer
        climate = _field(self.climate.temperature).to(ground)
        band = torch.exp(-((front / (2.0 * sharp)) ** 2))
        relative = _field(self.climate.humidity).to(ground) + law.humidity_front * (band - 0.4)
        relative = (relative + law.humidity_std * humidity).clamp(*_HUMIDITY_BOUNDS)
        u_large, v_large = self._rotational_wind(front, stream)
        sun = self.sun(index).to(ground)
        return SlabForcing(
            sun=sun,
            climate_temperature=climate,
            sea_temperature=_field(self.climate.sea_temperature).to(ground),
            u_geostrophic=u,
            v_geostrophic=v,
            u_large=u_large + _WIND_SHARE * u,
            v_large=v_large + _WIND_SHARE * v,
            theta_large=theta,
            moisture_large=relative * saturation_humidity(climate + theta, 101325.0),
            convection=self.events.strength(index * self.interval, ground, spacing=self.landscape.spacing)
            * torch.sigmoid((sun - 0.35) * 15.0),
        )

    def pressure(self, index: int) -> Tensor:
        """Sea-level pressure (run, y, x) in Pa without the slab's own: its mean, and the gradient of the wind."""
        ground, numbers = self.landscape.terrain, self.series.numbers[:, index]
        density_f = 1.2 * _field(self.landscape.coriolis)
        x = (torch.arange(ground.shape[-1]).to(ground) - (ground.shape[-1] - 1) / 2) * self.landscape.spacing
        y = (torch.arange(ground.shape[-2]).to(ground) - (ground.shape[-2] - 1) / 2) * self.landscape.spacing
        u, v, pressure = (_field(numbers[:, i]).to(ground) for i in (0, 1, 4))
        mean = _field(self.climate.pressure).to(ground) + pressure
        return mean + density_f * (v * x[None, None, :] - u * y[None, :, None])

    def sun(self, index: int) -> Tensor:
        """Cosine of the sun's zenith angle (run, 1, 1), 0 at night."""
        time = self.start + np.timedelta64(round(1e3 * index * self.interval), "ms")
        hours = (time - time.astype("datetime64[D]")) / np.timedelta64(1, "h")
        angle = torch.deg2rad(15.0 * (torch.from_numpy(hours) - 12.0) + self.landscape.longitude.double().cpu())
        declination = torch.from_numpy(declination_of(time))
        latitude = torch.deg2rad(self.landscape.latitude.double().cpu())
        height = torch.sin(latitude) * torch.sin(declination)
        height = height + torch.cos(latitude) * torch.cos(declination) * torch.cos(angle)
        return _field(height.clamp(min=0.0))

    def _patterns(self, index: int) -> Tensor:
        """(run, pattern, y, x), unit variance."""
        modes, shift = self.series.modes[:, index], self.series.numbers[:, index, 2:4]
        ny, nx = self.landscape.terrain.shape[-2:]
        half = modes.shape[-1]
        k_y = torch.fft.fftfreq(modes.shape[-2], 1.0 / modes.shape[-2], dtype=torch.float64)
        k_x = torch.arange(half, dtype=torch.float64)
        extent = torch.tensor([nx, ny], dtype=torch.float64) * self.landscape.spacing
        turn_x = shift[:, :1] / extent[0] * k_x
        turn_y = shift[:, 1:] / extent[1] * k_y
        turn = -2.0 * torch.pi * (turn_x[:, None, :] + turn_y[:, :, None])
        moved = modes * torch.polar(torch.ones_like(turn), turn).to(modes.dtype)[:, None]
        spectrum = modes.new_zeros((*modes.shape[:2], ny, nx // 2 + 1))
        upper = (modes.shape[-2] + 1) // 2
        spectrum[:, :, :upper, :half] = moved[:, :, :upper]
        spectrum[:, :, ny - (modes.shape[-2] - upper) :, :half] = moved[:, :, upper:]
        fields = torch.fft.irfft2(spectrum.to(self.landscape.terrain.device), s=(ny, nx), norm="forward")
        return fields.to(self.landscape.terrain)

    def _rotational_wind(self, front: Tensor, stream: Tensor) -> tuple[Tensor, Tensor]:
        """u_L, v_L (run, y, x) from streamfunctions scaled by the length that makes their gradients of order one."""
        law, sharp = self.law, self.law.front_sharpness
        sign = torch.sign(_field(self.landscape.coriolis))
        length = law.outer_length / (2.0 * torch.pi)
        kink = torch.sqrt(front**2 + sharp**2)
        psi = length * (_STREAM_LENGTH * law.wind_std * stream + _FRONT_LENGTH * sign * law.front_jet * kink)
        psi_x, psi_y = gradient(psi, self.landscape.spacing)
        return -psi_y, psi_x


_WIND_SHARE = 0.85
"""Friction leaves the slab this part of the geostrophic wind, to which the nudging draws it."""
_STREAM_LENGTH, _FRONT_LENGTH = 0.8, 0.6


def _field(numbers: Tensor) -> Tensor:
    return numbers.reshape(-1, 1, 1)
