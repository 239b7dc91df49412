"""Sampling: from pure noise down a path of noise levels to a draw of r given context and observations.

``sample`` is the loop; a *stepper* takes it from one level to a lower one; the path is data (``paths``), and where it
rises noise is put back. A call is one evaluation of ``conditioning.denoise``. With d = (x − D(x; σ)) / σ and σ' < σ,

    ancestral   x' = D + √(σ'² − τ²) d + τ z,   τ = η σ' √(1 − σ'²/σ²)      η = 1: DDPM; η = 0: DDIM
    Heun        x' = x + (σ' − σ) (d + d') / 2,   d' from D at the Euler step's end       two calls, one to 0
    multistep   x' = c x + (1 − c) [D + (D − D_before) h / (2 h_before)] + σ' √(1 − (σ'/σ)^2η) z,
                c = (σ'/σ)^(1+η),   h = ln σ/σ'       η = 0: DPM-Solver++ (2M); η = 1: its stochastic form

and to σ' = 0 all of them return D. References: Ho et al. (2020), arXiv 2006.11239; Song et al. (2021), arXiv
2010.02502, eq. 12 and 16; Karras et al. (2022), arXiv 2206.00364, algorithm 1; Lu et al. (2022), arXiv 2211.01095,
algorithm 2 (DPM-Solver++ 2M, and its form for stochastic equations).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from rtma_diffda.diffusion.paths import Path, require_path
from rtma_diffda.errors import InputError
from rtma_diffda.interfaces import Conditioning, Denoiser

Denoise = Callable[[Tensor, float], Tensor]
"""D(x; σ), informed by the observations: what a stepper may call."""


@dataclass(frozen=True)
class Memory:
    """What a multistep method remembers: the latest denoised state, and h = ln σ/σ' of the step that followed it."""

    denoised: Tensor
    log_ratio: float


class Stepper(Protocol):
    """Takes a noisy state to a lower noise level."""

    def step(
        self,
        denoise: Denoise,
        noisy: Tensor,
        sigma: float,
        sigma_next: float,
        *,
        memory: Memory | None,
        generator: torch.Generator,
    ) -> tuple[Tensor, Memory | None]:
        """The state (member, channel, y, x) at ``sigma_next``, and what to remember."""


@dataclass(frozen=True)
class Ancestral:
    """First order; ``eta`` is the share of the noise that is drawn anew: 1 ancestral, 0 deterministic (DDIM)."""

    eta: float = 1.0

    def step(self, denoise, noisy, sigma, sigma_next, *, memory, generator):
        """See ``Stepper``."""
        denoised = denoise(noisy, sigma)
        if sigma_next == 0.0:
            return denoised, None
        fresh = self.eta * sigma_next * math.sqrt(1.0 - (sigma_next / sigma) ** 2)
        kept = math.sqrt(sigma_next**2 - fresh**2)
        stepped = denoised + (kept / sigma) * (noisy - denoised)
        return (stepped + fresh * draw_noise(noisy, generator) if fresh else stepped), None


@dataclass(frozen=True)
class Heun:
    """Second order, deterministic; two calls a step, one for the last."""

    def step(self, denoise, noisy, sigma, sigma_next, *, memory, generator):
        """See ``Stepper``."""
        denoised = denoise(noisy, sigma)
        if sigma_next == 0.0:
            return denoised, None
        slope = (noisy - denoised) / sigma
        euler = noisy + (sigma_next - sigma) * slope
        slope_there = (euler - denoise(euler, sigma_next)) / sigma_next
        return noisy + (sigma_next - sigma) * 0.5 * (slope + slope_there), None


@dataclass(frozen=True)
class Multistep:
    """Second order with one call a step: what the latest step saw is extrapolated.

    With ``eta`` = 0 deterministic. With ``eta`` = 1 noise is drawn anew as in an ancestral step, and what was wrong at
    large noise levels, the beginning included, is forgotten, without the spread that an ancestral step loses.
    """

    eta: float = 0.0

    def step(self, denoise, noisy, sigma, sigma_next, *, memory, generator):
        """See ``Stepper``."""
        denoised = denoise(noisy, sigma)
        if sigma_next == 0.0:
            return denoised, None
        log_ratio = math.log(sigma / sigma_next)
        towards = denoised
        if memory is not None:
            towards = denoised + (denoised - memory.denoised) * (0.5 * log_ratio / memory.log_ratio)
        ratio = sigma_next / sigma
        kept, fresh = ratio ** (1.0 + self.eta), sigma_next * math.sqrt(1.0 - ratio ** (2.0 * self.eta))
        stepped = kept * noisy + (1.0 - kept) * towards
        return (stepped + fresh * draw_noise(noisy, generator) if fresh else stepped), Memory(denoised, log_ratio)


@dataclass(frozen=True)
class Sampler:
    """A stepper and the path that it follows.

    Attributes:
        path: noise levels, of ``paths``.
        stepper: how to get from one to the next.
    """

    path: Path
    stepper: Stepper

    def __post_init__(self) -> None:
        require_path(self.path)


def sample(
    denoiser: Denoiser,
    conditioning: Conditioning,
    sampler: Sampler,
    context: Tensor,
    *,
    channels: int,
    generator: torch.Generator,
) -> Tensor:
    """Draws of r given context and observations: (member, channel, y, x), one for each member of ``context``.

    Args:
        denoiser: E[r | noisy, context].
        conditioning: how observations enter; ``conditioning.prior.Prior()`` for draws without any.
        sampler: path and stepper.
        context: (member, context, y, x); members may be told different things.
        channels: of r.
        generator: of all noise, in the order of the path; where it lives does not change the draws of a device.

    Raises:
        InputError: the context is not finite, or sampling did not stay finite; the message gives the noise level.
    """
    if not bool(torch.isfinite(context).all()):
        raise InputError("the context of a denoiser has values that are not finite")
    shape = (len(context), channels, *context.shape[-2:])

    def denoise(noisy: Tensor, sigma: float) -> Tensor:
        denoised = conditioning.denoise(denoiser, noisy, levels_of(sigma, noisy), context)
        if not bool(torch.isfinite(denoised).all()):
            raise InputError(f"the denoiser's answer at noise level {sigma:.3g} is not finite")
        return denoised

    noisy = sampler.path[0] * draw_noise(context.new_empty(shape), generator)
    memory = None
    for sigma, sigma_next in pairwise(sampler.path):
        if sigma_next > sigma:  # RePaint's jump back
            noisy = noisy + math.sqrt(sigma_next**2 - sigma**2) * draw_noise(noisy, generator)
            memory = None
            continue
        noisy, memory = sampler.stepper.step(denoise, noisy, sigma, sigma_next, memory=memory, generator=generator)
        noisy = conditioning.replace(noisy, levels_of(sigma_next, noisy), generator)
    return noisy


def draw_noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """N(0, 1) of the shape, type and device of ``like``, drawn where the generator lives."""
    return torch.randn(like.shape, generator=generator, device=generator.device, dtype=like.dtype).to(like.device)


def levels_of(sigma: float, like: Tensor) -> Tensor:
    """σ for every member: (member,)."""
    return torch.full((len(like),), sigma, dtype=like.dtype, device=like.device)
