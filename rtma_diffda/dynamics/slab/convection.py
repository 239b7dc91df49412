"""Convective downdraughts: places and times that are ready for them, drawn at random, the same law for every model.

Truth and twin share a list of events and each moves, delays and scales them: both have showers on the same afternoon,
not at the same place. Whether an event cools anything depends on cloud and sun where it falls (``model``).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

_WEAKEST = 0.02
"""Strength below which an event is over."""


@dataclass(frozen=True)
class ConvectionLaw:
    """Attributes:
    rate: events per second and square metre.
    radius: m, lowest and highest.
    duration: s.
    own_shift: m; standard deviation of the displacement that each model gives an event.
    own_delay: s; likewise.
    own_strength: standard deviation of the logarithm of a model's own factor.
    """

    rate: float = 4e-15
    radius: tuple[float, float] = (11e3, 20e3)
    duration: float = 3000.0
    own_shift: float = 9e3
    own_delay: float = 1000.0
    own_strength: float = 0.25


@dataclass(frozen=True)
class ConvectiveEvents:
    """Attributes:
    x, y: (run, event) m from the south-western point of the extended domain.
    time: (run, event) s; of the greatest strength.
    radius, amplitude: (run, event) m, 1.
    duration: s.
    """

    x: Tensor
    y: Tensor
    time: Tensor
    radius: Tensor
    amplitude: Tensor
    duration: float

    @classmethod
    def draw(
        cls, law: ConvectionLaw, *, extent: float, seconds: float, generator: torch.Generator
    ) -> "ConvectiveEvents":
        """The common list of one run on a square domain of ``extent`` (m)."""
        count = max(1, round(law.rate * extent**2 * seconds))
        u = torch.rand((5, count), generator=generator)
        radius = law.radius[0] + (law.radius[1] - law.radius[0]) * u[3]
        drawn = (u[0] * extent, u[1] * extent, u[2] * seconds, radius, 0.5 + u[4])
        return cls(*(values[None] for values in drawn), law.duration)

    def own(self, law: ConvectionLaw, *, generator: torch.Generator) -> "ConvectiveEvents":
        """One model's version of the common list of one run."""
        z = torch.randn((4, *self.x.shape), generator=generator)
        return ConvectiveEvents(
            self.x + law.own_shift * z[0],
            self.y + law.own_shift * z[1],
            self.time + law.own_delay * z[2],
            self.radius,
            self.amplitude * torch.exp(law.own_strength * z[3]),
            self.duration,
        )

    @classmethod
    def joined(cls, parts: "list[ConvectiveEvents]") -> "ConvectiveEvents":
        """The runs of several with equally many events, one after the other."""
        names = ("x", "y", "time", "radius", "amplitude")
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names), parts[0].duration)

    def select(self, runs: Tensor) -> "ConvectiveEvents":
        """Of the runs with these indices (n,)."""
        fields = (self.x, self.y, self.time, self.radius, self.amplitude)
        return ConvectiveEvents(*(values[runs] for values in fields), self.duration)

    def delayed(self, seconds: float) -> "ConvectiveEvents":
        """The same events, ``seconds`` later (earlier where negative)."""
        return replace(self, time=self.time + seconds)

    def strength(self, seconds: float, like: Tensor, *, spacing: float) -> Tensor:
        """(run, y, x) at ``seconds`` after the start, on the periodic grid of ``like``."""
        age = (seconds - self.time) / self.duration
        now = self.amplitude * torch.exp(-2.0 * age**2)
        now = torch.where(now > _WEAKEST, now, 0.0)
        active = (now > 0.0).any(dim=0)
        along_y = self._profile(self.y[:, active], self.radius[:, active], like.shape[-2] * spacing, spacing)
        along_x = self._profile(self.x[:, active], self.radius[:, active], like.shape[-1] * spacing, spacing)
        return torch.einsum("re,rey,rex->ryx", now[:, active], along_y, along_x).to(like)

    @staticmethod
    def _profile(centre: Tensor, radius: Tensor, extent: float, spacing: float) -> Tensor:
        position = torch.arange(round(extent / spacing)) * spacing
        distance = torch.remainder(position - centre[..., None] + 0.5 * extent, extent) - 0.5 * extent
        return torch.exp(-((distance / radius[..., None]) ** 2))
