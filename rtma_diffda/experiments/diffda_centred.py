"""``Centred``: an ensemble whose mean is the mean of the denoiser's first answers, informed by the observations.

At the highest noise level a sample is nothing but noise: what the conditioned denoiser answers there is an estimate of
E[r | background, y] itself, whereas the mean of M samples has a share 1/M of their variance for an error besides: with
five members RMSE is larger by a tenth. The first calls of the M members are made anyway. Their mean takes the place of
the mean of the samples, which keep their differences from each other:

    x_i ← x_i − x̄ + x_b + s D̄₁
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from rtma_diffda.assimilation.global_diffusion import GlobalDiffusion
from rtma_diffda.assimilation.sphere_conditioning import SphereConditioning
from rtma_diffda.errors import UsageError
from rtma_diffda.interfaces import Analysis, AssimilationProblem, Conditioning, Denoiser


@dataclass(frozen=True)
class Centred:
    """An ``AnalysisMethod``.

    Attributes:
        method: draws the members; each of its backgrounds is a copy of the first.
    """

    method: GlobalDiffusion

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        """The members of the method about another mean.

        Raises:
            UsageError: backgrounds differ.
        """
        values = problem.background.values
        if not bool((values == values[:1]).all()):
            raise UsageError("an ensemble is centred that begins with copies of one background")
        recorder = _Recorder(self.method.conditioning)
        analysis = replace(self.method, conditioning=recorder).analyse(problem, generator=generator)
        first = torch.cat(recorder.answers).mean(dim=0, keepdim=True).to(values)
        scale = self.method.denoiser.scale.of(self.method.lead)[0].to(values)
        drawn = analysis.state.values
        centred = drawn - drawn.mean(dim=0, keepdim=True) + values[:1] + scale * first
        return replace(analysis, state=analysis.state.with_values(centred))


@dataclass
class _Recorder:
    """Makes conditionings that remember their first answer."""

    maker: SphereConditioning
    answers: list[Tensor] = field(default_factory=list)

    def __call__(self, problem: AssimilationProblem, scale: Tensor, *, members: int) -> Conditioning:
        return _Remembering(self.maker(problem, scale, members=members), self.answers.append)


@dataclass
class _Remembering:
    """A ``Conditioning`` that hands on its first answer."""

    inner: Conditioning
    tell: Callable[[Tensor], None]
    told: bool = False

    def denoise(self, denoiser: Denoiser, noisy: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        """See ``Conditioning``."""
        answer = self.inner.denoise(denoiser, noisy, sigma, context)
        if not self.told:
            self.told = True
            self.tell(answer)
        return answer

    def replace(self, noisy: Tensor, sigma: Tensor, generator: torch.Generator) -> Tensor:
        """See ``Conditioning``."""
        return self.inner.replace(noisy, sigma, generator)
