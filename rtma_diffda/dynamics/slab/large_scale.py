"""The large scale that drives a run: random patterns that travel with the wind, and the fronts between them.

Four patterns, Gaussian and periodic, have modes a(k, t) that are Ornstein–Uhlenbeck processes, longer waves living
longer, and move with the geostrophic wind: F, whose zero lines are fronts, and departures of temperature T, relative
humidity R and streamfunction P. With the sharpness d of a front,

    θ_L = A tanh(F / d) + B T,          q_L = q_sat(T₀ + θ_L) (r₀ + r₁ exp(−(F / 2d)²) + r₂ R),
    ψ_L = W P − J √(F² + d²),           u_L = −∂ψ_L/∂y,   v_L = ∂ψ_L/∂x,

so that wind shifts, humidity and cloud go with the change of temperature. Truth and twin see

    a = √γ(k) a_common + √(1 − γ(k)) a_own,        γ(k) = exp(−(λ_γ k / 2π)^p),

which gives both the same law and a coherence γ that falls with wave number: what a forecast knows of the weather.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

PATTERNS = ("front", "temperature", "humidity", "stream")
_SLOPES = (4.8, 4.2, 4.2, 5.8)


@dataclass(frozen=True)
class LargeScaleLaw:
    """What the large scale is drawn from.

    Attributes:
        shortest_wave: m; no pattern has shorter waves.
        outer_length: m; spectra are flat beyond and fall with a power of k below.
        decay_time: s; of waves of ``outer_length``.
        coherence_length: λ_γ (m) of each of ``PATTERNS``.
        coherence_power: p.
        front_contrast: A (K), lowest and highest.
        front_sharpness: d, in standard deviations of F.
        temperature_std: B (K).
        humidity_mean: r₀, lowest and highest.
        humidity_front, humidity_std: r₁, r₂.
        wind_std: of u_L or v_L from P (m/s).
        front_jet: speed (m/s) along a front of mean gradient, on either side.
        mean_wind, wind_change: m/s: mean of a component's standard deviation over runs, and its change within one.
        strongest_wind: m/s, that no run's mean reaches.
        own_wind, own_shift: standard deviation of what truth or twin has of its own: wind (m/s), position (m).
        own_pressure: Pa.
        own_temperature: K.
        own_time: s; their decay time.
    """

    shortest_wave: float = 55e3
    outer_length: float = 360e3
    decay_time: float = 50e3
    coherence_length: tuple[float, float, float, float] = (115e3, 62e3, 70e3, 100e3)
    coherence_power: float = 2.0
    front_contrast: tuple[float, float] = (1.8, 4.0)
    front_sharpness: float = 0.25
    temperature_std: float = 0.8
    humidity_mean: tuple[float, float] = (0.52, 0.76)
    humidity_front: float = 0.14
    humidity_std: float = 0.11
    wind_std: float = 3.3
    front_jet: float = 3.5
    mean_wind: float = 9.0
    strongest_wind: float = 14.0
    wind_change: float = 2.5
    own_wind: float = 0.6
    own_shift: float = 9e3
    own_pressure: float = 25.0
    own_temperature: float = 0.2
    own_time: float = 25e3


@dataclass(frozen=True)
class Climate:
    """What all models of one run share; each (run,).

    Attributes:
        temperature: T₀ at sea level (K).
        sea_temperature: K.
        humidity: r₀.
        front_contrast: A (K).
        pressure: at sea level (Pa).
        u, v: mean geostrophic wind (m/s).
    """

    temperature: Tensor
    sea_temperature: Tensor
    humidity: Tensor
    front_contrast: Tensor
    pressure: Tensor
    u: Tensor
    v: Tensor

    @classmethod
    def draw(cls, law: LargeScaleLaw, *, latitude: float, season: float, generator: torch.Generator) -> "Climate":
        """Of one run; ``season`` is −1 in midwinter and 1 in midsummer of the hemisphere."""
        normal = torch.randn(4, generator=generator, dtype=torch.float64)
        uniform = torch.rand(3, generator=generator, dtype=torch.float64)
        temperature = 288.0 - 0.55 * (abs(latitude) - 42.0) + 8.0 * season + 2.0 * normal[0]
        # westerlies prevail; a disc bounds the wind, so that none comes near the speed of gravity waves
        wind = law.mean_wind * torch.stack([0.6 + 0.7 * normal[1], 0.7 * normal[3]])
        wind = wind * law.strongest_wind / torch.hypot(wind.norm(), torch.tensor(law.strongest_wind))
        return cls(
            *(
                torch.as_tensor(value, dtype=torch.float32).reshape(1)
                for value in (
                    temperature,
                    temperature - 2.0 * season + 1.2 * normal[2] - 0.5,
                    _between(law.humidity_mean, uniform[0]),
                    _between(law.front_contrast, uniform[1]),
                    101400.0 + 500.0 * (2.0 * uniform[2] - 1.0),
                    wind[0],
                    wind[1],
                )
            )
        )

    @classmethod
    def joined(cls, parts: "list[Climate]") -> "Climate":
        """The runs of several, one after the other."""
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))

    def select(self, runs: Tensor) -> "Climate":
        """Of the runs with these indices (n,)."""
        return Climate(*(getattr(self, name)[runs] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class LargeScaleSeries:
    """Modes and numbers of the large scale at equally spaced times.

    Attributes:
        modes: (run, time, pattern, ky, kx) complex, as ``torch.fft.rfft2`` of a small grid.
        numbers: (run, time, 6): u, v (m/s) of the domain's geostrophic wind, shift x, y (m) of the patterns, pressure
            (Pa) and temperature (K) added everywhere.
    """

    modes: Tensor
    numbers: Tensor

    @classmethod
    def joined(cls, parts: "list[LargeScaleSeries]") -> "LargeScaleSeries":
        """The runs of several, one after the other."""
        return cls(torch.cat([p.modes for p in parts]), torch.cat([p.numbers for p in parts]))


@dataclass(frozen=True)
class ModeLaw:
    """Standard deviations and persistence of the modes of a periodic plane.

    Attributes:
        extent: m.
        size: points of the small grid along either axis.
        std: (pattern, ky, kx).
        coherence: γ (pattern, ky, kx).
        persistence: (ky, kx) correlation from one time to the next.
        interval: s between times.
        law: numbers it was made from.
    """

    extent: float
    size: int
    std: Tensor
    coherence: Tensor
    persistence: Tensor
    interval: float
    law: LargeScaleLaw

    @classmethod
    def of(cls, extent: float, interval: float, law: LargeScaleLaw) -> "ModeLaw":
        """On a square plane of ``extent`` (m), at times ``interval`` (s) apart."""
        highest = max(2, int(extent // law.shortest_wave))
        size = 2 * highest + 2
        number_y = torch.fft.fftfreq(size, 1.0 / size, dtype=torch.float64)[:, None]
        number_x = torch.fft.rfftfreq(size, 1.0 / size, dtype=torch.float64)[None, :]
        k = torch.hypot(number_x, number_y) / extent  # cycles per metre
        inside = (k > 0.0) & (k <= highest / extent)
        power = torch.stack([(1.0 + (k * law.outer_length) ** 2) ** (-0.5 * slope) for slope in _SLOPES]) * inside
        twice = torch.full_like(number_x, 2.0)
        twice[:, 0] = 1.0  # modes of kx > 0 stand for their conjugates too
        power = power / (power * twice).sum(dim=(1, 2), keepdim=True)
        lengths = torch.tensor(law.coherence_length, dtype=torch.float64)[:, None, None]
        coherence = torch.exp(-((lengths * k) ** law.coherence_power))
        life = law.decay_time * (k * law.outer_length).clamp(min=1.0) ** (-2.0 / 3.0)
        return cls(extent, size, power.sqrt(), coherence, torch.exp(-interval / life), interval, law)

    def draw_modes(self, times: int, *, generator: torch.Generator) -> Tensor:
        """(time, pattern, ky, kx) complex modes of unit-variance patterns of one model or of the common part."""
        shape = (times, len(PATTERNS), self.size, self.size)
        noise = torch.fft.rfft2(torch.randn(shape, generator=generator)) / self.size
        rho = self.persistence.float()
        renewal = torch.sqrt(1.0 - rho**2)
        series = [noise[0]]
        for shock in noise[1:]:
            series.append(rho * series[-1] + renewal * shock)
        return torch.stack(series) * self.std.float()

    def draw_numbers(self, times: int, stds: tuple[float, ...], decay: float, *, generator: torch.Generator) -> Tensor:
        """(time, n) Ornstein–Uhlenbeck processes of the given standard deviations."""
        noise = torch.randn((times, len(stds)), generator=generator, dtype=torch.float64)
        rho = float(np.exp(-self.interval / decay))
        series = [noise[0]]
        for shock in noise[1:]:
            series.append(rho * series[-1] + (1.0 - rho**2) ** 0.5 * shock)
        return torch.stack(series) * torch.tensor(stds, dtype=torch.float64)

    def blended(self, common: Tensor, own: Tensor) -> Tensor:
        """√γ common + √(1 − γ) own modes."""
        return self.coherence.sqrt().to(common.real) * common + (1.0 - self.coherence).sqrt().to(own.real) * own


def draw_common(law: ModeLaw, climate: Climate, times: int, *, generator: torch.Generator) -> LargeScaleSeries:
    """What truth and twin of one run share."""
    modes = law.draw_modes(times, generator=generator)
    change = law.law.wind_change
    stds = (change, change, 0.0, 0.0, 250.0, 0.6)
    numbers = law.draw_numbers(times, stds, law.law.decay_time, generator=generator)
    numbers[:, 0] += climate.u.double()
    numbers[:, 1] += climate.v.double()
    travelled = torch.cumsum(numbers[:, :2], dim=0) * law.interval
    numbers[:, 2:4] = travelled - travelled[:1]
    return LargeScaleSeries(modes[None], numbers[None])


def draw_own(law: ModeLaw, common: LargeScaleSeries, *, generator: torch.Generator) -> LargeScaleSeries:
    """The large scale of one model: the common one and a part of its own."""
    times = common.modes.shape[1]
    modes = law.blended(common.modes, law.draw_modes(times, generator=generator)[None])
    return LargeScaleSeries(modes, common.numbers + draw_own_numbers(law, times, generator=generator)[None])


def draw_own_numbers(law: ModeLaw, times: int, *, generator: torch.Generator) -> Tensor:
    """(time, 6) of what one model's ``LargeScaleSeries.numbers`` depart from the common ones."""
    own = law.law
    stds = (own.own_wind, own.own_wind, own.own_shift, own.own_shift, own.own_pressure, own.own_temperature)
    return law.draw_numbers(times, stds, own.own_time, generator=generator)


def _between(bounds: tuple[float, float], part: Tensor) -> Tensor:
    return bounds[0] + (bounds[1] - bounds[0]) * part
