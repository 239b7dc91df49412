"""The noise levels that a denoiser is trained on.

``LogNormal`` is EDM's own, which spends its draws where denoising is neither trivial nor hopeless; ``LogUniform``
spends them evenly over all levels that a sampler will ask for; ``OfSchedule`` draws a training step, as DDPM and DiffDA
do. References: Karras et al. (2022), arXiv 2206.00364, table 1; Ho et al. (2020), arXiv 2006.11239, algorithm 1.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rtma_diffda.errors import UsageError


class NoiseDistribution(Protocol):
    """Where training noise levels come from."""

    def draw(self, count: int, *, generator: torch.Generator) -> Tensor:
        """σ (count,) float32, on the CPU."""


@dataclass(frozen=True)
class LogNormal:
    """ln σ ~ N(mean, std²)."""

    mean: float = -1.2
    std: float = 1.2

    def draw(self, count: int, *, generator: torch.Generator) -> Tensor:
        """σ (count,)."""
        return (self.mean + self.std * torch.randn(count, generator=generator)).exp()


@dataclass(frozen=True)
class LogUniform:
    """ln σ uniform between the logarithms of two levels, one draw in each of ``count`` equal parts of that interval."""

    lowest: float = 0.02
    highest: float = 80.0

    def __post_init__(self) -> None:
        if not 0.0 < self.lowest < self.highest < math.inf:
            raise UsageError(f"noise levels are drawn from 0 < lowest < highest; found {self}")

    def draw(self, count: int, *, generator: torch.Generator) -> Tensor:
        """σ (count,), in no order."""
        places = (torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)) / count
        return self.lowest * (self.highest / self.lowest) ** places


@dataclass(frozen=True)
class OfSchedule:
    """One of the levels of a schedule, each as likely.

    Attributes:
        levels: (steps,) of ``schedules.noise_levels``.
    """

    levels: Tensor

    def draw(self, count: int, *, generator: torch.Generator) -> Tensor:
        """σ (count,)."""
        return self.levels.float()[torch.randint(len(self.levels), (count,), generator=generator)]
