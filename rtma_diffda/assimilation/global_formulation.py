"""``GlobalFormulation``: how the residual of a global forecast is diffused, and how the network is told of it.

Two are of use. ``DIFFDA`` is the published one: the network answers the noise ε, noise levels are the 1000 of a linear
schedule, and where GraphCast has the sine of the year it is told the diffusion time 2 t / 1000 − 1. ``IMPROVED`` has
EDM's preconditioning and noise feature ¼ ln σ in the same place, and is told the forecast's lead time in a spare slot
(the same sine at the target time), so that one network serves backgrounds of 6 and of 48 hours. Both leave the shape
of the network as it is. References: Huang et al. (2024), arXiv 2401.05932; Karras et al. (2022), arXiv 2206.00364,
table 1; ``diffda.md`` §2, 3.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.diffusion.noise_distributions import LogNormal, NoiseDistribution, OfSchedule
from rtma_diffda.diffusion.preconditioning import PRECONDITIONING, Coefficients
from rtma_diffda.diffusion.schedules import linear_betas, noise_levels
from rtma_diffda.errors import UsageError

HOUR = np.timedelta64(1, "h")
_SHORTEST, _LONGEST = 6.0, 48.0
"""Hours: the lead times that are told as −1 and 1."""


@dataclass(frozen=True)
class GlobalFormulation:
    """How a residual is diffused.

    Attributes:
        preconditioning: a key of ``diffusion.preconditioning.PRECONDITIONING``.
        noise_feature: what the network is told of the noise level: ``schedule``, the diffusion time of the linear
            schedule; or ``logarithm``, ¼ ln σ.
        told_lead: whether it is told the lead time.
        normalised_time: sines and cosines of day and year are normalised as GraphCast has them, as DiffDA's newer
            inference does; the published training has them raw.
        precipitation_target: as in the published training, the network's unused answer is taught a noise that it never
            sees, with weight 0.1.
    """

    preconditioning: str = "epsilon"
    noise_feature: str = "schedule"
    told_lead: bool = False
    normalised_time: bool = False
    precipitation_target: bool = False

    def __post_init__(self) -> None:
        for name, known in (("preconditioning", PRECONDITIONING), ("noise_feature", NOISE_FEATURES)):
            if getattr(self, name) not in known:
                raise UsageError(f"{name} is '{getattr(self, name)}'; it may be {', '.join(known)}")
        if self.precipitation_target and self.preconditioning != "epsilon":
            raise UsageError("a precipitation target is noise: it needs preconditioning 'epsilon'")

    def with_precipitation_target(self, wanted: bool) -> "GlobalFormulation":
        """The same, with or without the target for precipitation."""
        return replace(self, precipitation_target=wanted)

    def coefficients(self, sigma: Tensor) -> Coefficients:
        """c_skip, c_out and c_in of noise levels (member,), for a residual of spread 1."""
        return PRECONDITIONING[self.preconditioning](sigma, sigma.new_ones(()))

    def told_noise(self, sigma: Tensor) -> Tensor:
        """What the network is told of noise levels (member,)."""
        return NOISE_FEATURES[self.noise_feature](sigma)

    def training_noise(self) -> NoiseDistribution:
        """Where training noise levels come from: the schedule's steps alike, or EDM's log-normal distribution."""
        if self.preconditioning == "epsilon":
            return OfSchedule(noise_levels(linear_betas()))
        return LogNormal(mean=0.2, std=1.5)


def diffusion_time(sigma: Tensor) -> Tensor:
    """2 t / 1000 − 1 (member,), t being where the linear schedule has σ, linear in ln σ between its steps.

    Noise levels beyond the schedule's are told as its first and last.
    """
    levels = _log_levels().to(sigma.device)
    place = sigma.double().log()
    below = (torch.searchsorted(levels, place, right=True) - 1).clamp(0, len(levels) - 2)
    between = ((place - levels[below]) / (levels[below + 1] - levels[below])).clamp(0.0, 1.0)
    return (2.0 * (below + between) / len(levels) - 1.0).to(sigma)


@lru_cache(maxsize=1)
def _log_levels() -> Tensor:
    return noise_levels(linear_betas()).log()


def noise_logarithm(sigma: Tensor) -> Tensor:
    """¼ ln σ (member,): −1 … 1 for noise levels of 0.02 … 55."""
    return 0.25 * sigma.log()


def told_lead(lead: np.ndarray) -> Tensor:
    """What the network is told of lead times (member,) timedelta64: −1 for 6 hours, 1 for 48, logarithmic between."""
    hours = np.asarray(lead) / HOUR
    if not (hours > 0).all():
        raise UsageError(f"a lead time is above 0; found {lead}")
    places = 2.0 * np.log(hours / _SHORTEST) / math.log(_LONGEST / _SHORTEST) - 1.0
    return torch.from_numpy(np.atleast_1d(places).astype(np.float32))


NOISE_FEATURES: Mapping = MappingProxyType({"schedule": diffusion_time, "logarithm": noise_logarithm})
"""What the network may be told of noise levels, by name."""

DIFFDA = GlobalFormulation()
IMPROVED = GlobalFormulation("edm", "logarithm", told_lead=True)
FORMULATIONS: Mapping[str, GlobalFormulation] = MappingProxyType({"diffda": DIFFDA, "improved": IMPROVED})
"""The two of use, by name."""
