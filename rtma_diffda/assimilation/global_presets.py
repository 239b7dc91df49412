"""Presets of ``GlobalDiffusion``: the published recipe, a short form of it, ours, and draws without observations.

    preset        sampler                                       observations     network calls of an analysis
    diffda        300 levels, 10 passes over jumps of 10, DDIM  replacement      2,910, one member
    diffda_short  50 levels, 10 passes over jumps of 10, DDIM   replacement        410, one member
    default       5 levels, second order multistep, centred     Kalman gain         30, five members
    prior         300 levels, ancestral                         none               300, one member

``diffda_short`` is no published setting: RePaint's passes are kept, with fewer noise levels. References: Huang et al.
(2024), arXiv 2401.05932; Lugmayr et al. (2022), arXiv 2201.09865; ``diffda.md`` §4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from rtma_diffda.assimilation.global_diffusion import GlobalDiffusion
from rtma_diffda.assimilation.graphcast_denoiser_checkpoint import TrainedGraphCastDenoiser
from rtma_diffda.assimilation.release_step import ReleaseStep
from rtma_diffda.assimilation.sphere_conditioning import (
    NoConditioning,
    SphereConditioning,
    SphereKalman,
    SphereReplacement,
)
from rtma_diffda.assimilation.spread_calibration import SpreadCalibration
from rtma_diffda.diffusion.paths import count_falls, diffda_path, karras_path
from rtma_diffda.diffusion.sampling import Multistep, Sampler
from rtma_diffda.errors import UsageError
from rtma_diffda.geo.static_fields import StaticFields

REPLACEMENT, KALMAN, NONE = "replacement", "kalman", "none"
"""How observations enter."""


@dataclass(frozen=True)
class GlobalPreset:
    """A way to analyse the globe.

    Attributes:
        sampler: path and stepper.
        observations: ``REPLACEMENT``, ``KALMAN`` or ``NONE``.
        members: of the ensemble.
        mean: whether their mean is the analysis.
        centred: whether that mean is the network's own answer to noise alone; see ``GlobalDiffusion``.
        clip: of the denoiser's answer; see ``GlobalDiffusion``.
    """

    sampler: Sampler
    observations: str
    members: int = 1
    mean: bool = False
    centred: bool = False
    clip: float | None = None

    @property
    def calls(self) -> int:
        """Network calls of one of several members, of a conditioning that makes one a denoising."""
        return count_falls(self.sampler.path) + self.centred

    def method(
        self,
        trained: TrainedGraphCastDenoiser,
        static: StaticFields,
        *,
        lead: np.timedelta64,
        conditioning: SphereConditioning | None = None,
        name: str = "",
        **others: object,
    ) -> GlobalDiffusion:
        """The method for backgrounds that are forecasts of a lead time.

        Args:
            trained: the denoiser and what was fitted to it.
            static: terrain and land on its grid.
            lead: of the forecasts.
            conditioning: in place of the preset's, such as replacement with another mask.
            name: of the spread calibration among those of the checkpoint; none where it has none of that name.
            others: further arguments of ``GlobalDiffusion``, in place of the preset's.

        Raises:
            InputError: observations enter by a gain, and the checkpoint has no covariance of residuals.
        """
        own = {
            "sampler": self.sampler,
            "conditioning": conditioning or self._conditioning(trained, lead),
            "members": self.members,
            "mean": self.mean,
            "centred": self.centred,
            "clip": self.clip,
            "calibration": trained.calibrations.get(name, SpreadCalibration()),
        }
        return GlobalDiffusion(static, trained.denoiser, lead=lead, **{**own, **others})

    def _conditioning(self, trained: TrainedGraphCastDenoiser, lead: np.timedelta64) -> SphereConditioning:
        if self.observations == KALMAN:
            return SphereKalman(trained.covariance(lead))
        return SphereReplacement(values=True) if self.observations == REPLACEMENT else NoConditioning()


def short_repaint(calls: int = 50) -> Sampler:
    """DiffDA's sampler with ``calls`` noise levels, jumps of 10 and 10 passes: shorter than anything published."""
    return Sampler(diffda_path(calls, jump_length=10, resamplings=10), ReleaseStep())


PRESETS: Mapping[str, GlobalPreset] = MappingProxyType(
    {
        "diffda": GlobalPreset(Sampler(diffda_path(), ReleaseStep()), REPLACEMENT),
        "diffda_short": GlobalPreset(short_repaint(), REPLACEMENT),
        "default": GlobalPreset(
            Sampler(karras_path(5, highest=30.0, lowest=0.3), Multistep()), KALMAN, members=5, mean=True, centred=True
        ),
        "prior": GlobalPreset(Sampler(diffda_path(resamplings=1), ReleaseStep(eta=1.0)), NONE),
    }
)
"""By name."""


def preset(name: str) -> GlobalPreset:
    """The preset of this name.

    Raises:
        UsageError: there is none; the message lists those there are.
    """
    if name not in PRESETS:
        raise UsageError(f"no way of global analysis is called '{name}'; known are {', '.join(PRESETS)}")
    return PRESETS[name]
