"""``GlobalDiffusion``: global analyses drawn from p(x | background, observations) by a denoiser of residuals.

    r = (x − x_b) / s ~ p(r | background, y),        x_a,i = x_b + s r_i,   i = 1 … M

How the observations enter is a conditioning: replacement in the noisy residual, as published, or guidance of the
denoiser (``kalman``), which takes account of their errors. The analysis is the ensemble, or its mean; the spread is the
stated error. The mean of M draws has 1 + 1/M times the error variance of E[x | background, y]; that expectation is also
what a conditioned denoiser answers to noise alone, so an ensemble may be *centred* on such answers, one a member.
Reference: Huang et al. (2024), DiffDA, arXiv 2401.05932; ``diffda.md`` §4, 9.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.assimilation.graphcast_denoiser import GraphCastDenoiser
from rtma_diffda.assimilation.observation_channels import in_fixed_order
from rtma_diffda.assimilation.sphere_conditioning import NoConditioning, SphereConditioning
from rtma_diffda.assimilation.spread_calibration import SpreadCalibration, spread
from rtma_diffda.backbones.precision import fast_in_bfloat16
from rtma_diffda.diffusion.sampling import Sampler, sample
from rtma_diffda.errors import UsageError
from rtma_diffda.fields.state import State
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import Analysis, AssimilationProblem, Conditioning


@dataclass(frozen=True)
class GlobalDiffusion:
    """Ensembles of global analyses.

    Attributes:
        static: terrain and land on the grid.
        denoiser: trained; evaluated without gradients unless the conditioning asks for them.
        sampler: path of noise levels and stepper.
        conditioning: how observations enter.
        lead: of the forecast that the background is.
        members: M, of each member of the background.
        members_at_a_time: that are sampled together.
        clip: bound of the modulus of the denoiser's answer, in units of s; None: none.
        mean: whether the state of the analysis is the mean of the M members.
        centred: whether two draws or more are moved so that their mean is that of the answers to noise alone, which
            cost a call for each draw.
        calibration: of the spread; the default changes nothing.
        bfloat16: evaluate the network in bfloat16; None: where it is faster.
    """

    static: StaticFields
    denoiser: GraphCastDenoiser
    sampler: Sampler
    conditioning: SphereConditioning = field(default_factory=NoConditioning)
    lead: np.timedelta64 = field(default_factory=lambda: np.timedelta64(48, "h"))
    members: int = 1
    members_at_a_time: int = 8
    clip: float | None = None
    mean: bool = False
    centred: bool = False
    calibration: SpreadCalibration = field(default_factory=SpreadCalibration)
    bfloat16: bool | None = None

    def __post_init__(self) -> None:
        if self.members < 1 or self.members_at_a_time < 1:
            raise UsageError(f"an ensemble needs a member or more; found {self.members}, {self.members_at_a_time}")
        if self.clip is not None and not self.clip > 0.0:
            raise UsageError(f"the denoised state is clipped at a number above 0, or not at all; found {self.clip}")

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        """The ensemble, ``members`` for each member of the background, in its order; or their mean for each.

        Raises:
            UsageError: the background has another layout than the denoiser.
            InputError: terrain or land are not known, a datum lies outside the grid, or sampling did not stay finite.
        """
        problem = in_fixed_order(problem)
        background, evaluated = problem.background, _Evaluated(self)
        drawn = self._drawn_for_all(problem, evaluated, generator)
        members = self.calibration(drawn, background.layout.names)
        error_std = None
        if self.members > 1:
            error_std = torch.stack([spread(part) for part in members]).square().mean(dim=0).sqrt()
        values = members.mean(dim=1) if self.mean else members.flatten(0, 1)
        state = State(values.to(background.values), background.layout, background.valid_time)
        return Analysis(state, problem, error_std, self._diagnostics(members, background, evaluated.calls))

    def _drawn_for_all(
        self, problem: AssimilationProblem, denoiser: "_Evaluated", generator: torch.Generator
    ) -> Tensor:
        """Analyses (background's member, member, channel, y, x); copies of one background are worked on together."""
        values = problem.background.values
        rows = range(len(values))
        if bool((values == values[:1]).all()):
            drawn = self._drawn(_alone(problem, 0), denoiser, generator, count=self.members * len(values))
            return drawn.unflatten(0, (len(values), self.members))
        return torch.stack([self._drawn(_alone(problem, i), denoiser, generator, count=self.members) for i in rows])

    def _drawn(
        self, problem: AssimilationProblem, denoiser: "_Evaluated", generator: torch.Generator, *, count: int
    ) -> Tensor:
        """``count`` analyses (member, channel, y, x) on a background of one member; some members at a time."""
        background = problem.background
        context = self.denoiser.context_of(background, self.static, lead=self.lead)
        scale = self.denoiser.scale.of(self.lead)[0].to(background.values.device)
        parts = []
        for first in range(0, count, self.members_at_a_time):
            together = min(self.members_at_a_time, count - first)
            conditioning = self.conditioning(problem, scale, members=together)
            told = context.expand(together, *context.shape[1:])
            drawn = self._sampled(self.sampler, denoiser, conditioning, told, generator=generator)
            if self.centred and count > 1:
                at_once = Sampler((self.sampler.path[0], 0.0), self.sampler.stepper)
                answers = self._sampled(at_once, denoiser, conditioning, told, generator=generator)
                parts.append(torch.stack([drawn, answers], dim=1))
            else:
                parts.append(drawn[:, None])
        residual = torch.cat(parts).to(background.values)
        centre = residual.mean(dim=0)  # of the draws, and of the answers where there are any
        return background.values + scale * (residual[:, 0] + (centre[-1] - centre[0]))

    def _sampled(
        self,
        sampler: Sampler,
        denoiser: "_Evaluated",
        conditioning: Conditioning,
        context: Tensor,
        *,
        generator: torch.Generator,
    ) -> Tensor:
        """Draws of r (member, channel, y, x), one for each member of ``context``."""
        channels = len(self.denoiser.layout.channels)
        with torch.no_grad():
            return sample(denoiser, conditioning, sampler, context, channels=channels, generator=generator)

    def _diagnostics(self, members: Tensor, background: State, calls: int) -> dict[str, float]:
        increments = (members.mean(dim=1) - background.values).square().mean(dim=(0, 2, 3)).sqrt().tolist()
        names = background.layout.names
        found = {f"{name}_increment_rms": size for name, size in zip(names, increments, strict=True)}
        return {**found, "network_calls": float(calls)}


class _Evaluated:
    """A method's denoiser as it is evaluated: in its precision, with its clip; counts members that it was called with.

    Attributes:
        calls: how many members the network has been evaluated for.
    """

    def __init__(self, method: GlobalDiffusion) -> None:
        self._method, self.calls = method, 0

    def __call__(self, noisy: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        self.calls += len(noisy)
        method = self._method
        wanted = fast_in_bfloat16(noisy.device) if method.bfloat16 is None else method.bfloat16
        with torch.autocast(noisy.device.type, dtype=torch.bfloat16, enabled=wanted):
            denoised = method.denoiser(noisy, sigma, context).float()
        return denoised if method.clip is None else denoised.clamp(-method.clip, method.clip)


def _alone(problem: AssimilationProblem, row: int) -> AssimilationProblem:
    background = problem.background
    return replace(problem, background=background.with_values(background.values[row : row + 1]))
