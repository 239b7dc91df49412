"""How observations enter a global diffusion analysis: makers of the conditioning of a problem.

    maker(problem, scale, members=M) → Conditioning,    scale s (channel, 1, 1) SI

``SphereKalman`` is the default: a gain at every noise level, from B of truth − E[truth | background].
``SphereGuidance`` takes gradients through the network. ``SphereReplacement`` is DiffDA's way, in both published forms:
bumps and interpolation are ``ReplacementSettings``, and either values are interpolated, as published, less a
climatology if there is one, or innovations, which is better where the background has detail.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from rtma_diffda.assimilation.sphere_covariance import SphereCovariance
from rtma_diffda.assimilation.sphere_gain import SphereGain, SphereSolving
from rtma_diffda.assimilation.sphere_interpolation import Climatology, climatology_of, grid_places, points_on_sphere
from rtma_diffda.diffusion.conditioning.evidence import Evidence, evidence_of
from rtma_diffda.diffusion.conditioning.kalman import Kalman
from rtma_diffda.diffusion.conditioning.prior import Prior
from rtma_diffda.diffusion.conditioning.replacement import Replacement, ReplacementSettings, replacement_from
from rtma_diffda.diffusion.conditioning.score_guidance import ScoreGuidance
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.interfaces import AssimilationProblem, Conditioning


class SphereConditioning(Protocol):
    """A maker."""

    def __call__(self, problem: AssimilationProblem, scale: Tensor, *, members: int) -> Conditioning:
        """The conditioning of ``members`` draws; ``scale`` s (channel, 1, 1) SI."""


@dataclass(frozen=True)
class NoConditioning:
    """The prior: observations are not looked at."""

    def __call__(self, problem: AssimilationProblem, scale: Tensor, *, members: int) -> Conditioning:
        """See ``SphereConditioning``."""
        return Prior()


@dataclass(frozen=True)
class SphereKalman:
    """A gain at every noise level (``conditioning.kalman``).

    Attributes:
        covariance: B of truth − E[truth | background]; its scale is the denoiser's, so that noise is white in it.
        solving: of the systems.
    """

    covariance: SphereCovariance
    solving: SphereSolving = field(default_factory=SphereSolving)

    def __call__(self, problem: AssimilationProblem, scale: Tensor, *, members: int) -> Conditioning:
        """See ``SphereConditioning``.

        Raises:
            UsageError: the covariance was fitted with another scale.
            InputError: the background is of another shape than the covariance.
        """
        ours, theirs = self.covariance.scale.cpu(), scale.flatten().double().cpu()
        if self.covariance.shape != problem.background.layout.shape:
            raise InputError(
                f"B is of fields of {self.covariance.shape}, the background of {problem.background.layout.shape}"
            )
        if not torch.allclose(ours, theirs, rtol=1e-4):
            raise UsageError("a gain needs a covariance fitted with the denoiser's own scale; found another")
        evidence = evidence_of(problem, scale, members=members)
        if not len(evidence):
            return Prior()
        return Kalman(evidence, SphereGain(self.covariance, evidence, self.solving))


@dataclass(frozen=True)
class SphereGuidance:
    """Gradients through the network (``score_guidance``, ``moment_matching``).

    Attributes:
        guidance: makes the conditioning from the observations: a class of these modules, or ``functools.partial`` of
            one.
    """

    guidance: Callable[[Evidence], Conditioning] = ScoreGuidance

    def __call__(self, problem: AssimilationProblem, scale: Tensor, *, members: int) -> Conditioning:
        """See ``SphereConditioning``."""
        evidence = evidence_of(problem, scale, members=members)
        return self.guidance(evidence) if len(evidence) else Prior()


@dataclass(frozen=True)
class SphereReplacement:
    """What is known is put into the noisy state under a soft mask (``conditioning.replacement``).

    Attributes:
        settings: bumps, interpolation and clip.
        values: interpolate values and subtract the background, as published; otherwise innovations.
        climatology: what values are interpolated as departures from; the older release has None.
        across_seam: whether bumps go on across longitude 0; the release cuts them.
    """

    settings: ReplacementSettings = field(default_factory=ReplacementSettings)
    values: bool = False
    climatology: Climatology | None = None
    across_seam: bool = True

    def __call__(self, problem: AssimilationProblem, scale: Tensor, *, members: int) -> Replacement | Prior:
        """See ``SphereConditioning``. H is taken as the reading at the true place.

        Raises:
            InputError: the climatology is of another layout.
        """
        data, background = problem.observations, problem.background
        if not len(data):
            return Prior()
        s = scale.double().cpu()
        of_datum = s.flatten()[data.channel.cpu()]
        grid = grid_places(background.layout.grid, periodic=None if self.across_seam else False)
        if not self.values:
            observed = points_on_sphere(data, self._one_for_all(problem.innovations().cpu() / of_datum))
            return replacement_from(observed, grid, self.settings, channels=len(s))
        x_b, y = background.values.double().cpu(), data.value.cpu()
        if self.climatology is not None:
            c = climatology_of(self.climatology, problem).values.double().cpu()
            x_b, y = x_b - c, y - problem.operator(c, data)[0]
        observed = points_on_sphere(data, (y / of_datum).expand(len(x_b), -1))
        return replacement_from(observed, grid, self.settings, channels=len(s), background=x_b / s)

    @staticmethod
    def _one_for_all(innovations: Tensor) -> Tensor:
        """(member, n), or (n,) of a single background, which serves all draws."""
        return innovations[0] if len(innovations) == 1 else innovations
