"""Noise schedules of other conventions, as noise levels σ of ours.

A variance-preserving process keeps r_t = √ᾱ_t r + √(1 − ᾱ_t) ε. Divided by √ᾱ_t it is ours, with

    σ_t = √((1 − ᾱ_t) / ᾱ_t),        ᾱ_t = 1 / (1 + σ_t²),

so that every variance-preserving schedule is a list of noise levels, and nothing else changes. References: Ho et al.
(2020), arXiv 2006.11239, §4 (linear β); Nichol and Dhariwal (2021), arXiv 2102.09672, eq. 17 (cosine); Karras et al.
(2022), arXiv 2206.00364, table 1.
"""

import math

import torch
from torch import Tensor

from rtma_diffda.errors import UsageError

DIFFDA_STEPS, DIFFDA_BETAS = 1000, (1e-4, 2e-2)
"""DiffDA's training steps, and its first and last β (``diffda.md`` §2)."""
_LARGEST_BETA = 0.999


def linear_betas(steps: int = DIFFDA_STEPS, first: float = DIFFDA_BETAS[0], last: float = DIFFDA_BETAS[1]) -> Tensor:
    """β of each training step (steps,), float64, evenly spaced.

    Raises:
        UsageError: no steps, or β not in 0 < first ≤ last < 1.
    """
    if steps < 1 or not 0.0 < first <= last < 1.0:
        raise UsageError(f"a linear schedule needs steps ≥ 1 and 0 < first ≤ last < 1; found {steps}, {first}, {last}")
    return torch.linspace(first, last, steps, dtype=torch.float64)


def cosine_betas(steps: int = DIFFDA_STEPS, offset: float = 0.008) -> Tensor:
    """β (steps,), float64, under which √ᾱ falls as a cosine; none above 0.999."""
    if steps < 1:
        raise UsageError(f"a cosine schedule needs steps ≥ 1; found {steps}")
    times = torch.arange(steps + 1, dtype=torch.float64) / steps
    signal = torch.cos((times + offset) / (1.0 + offset) * math.pi / 2.0).square()
    return (1.0 - signal[1:] / signal[:-1]).clamp_max(_LARGEST_BETA)


def noise_levels(betas: Tensor) -> Tensor:
    """σ_t (steps,) of a variance-preserving schedule, rising with t."""
    kept = torch.cumprod(1.0 - betas, dim=0)
    return ((1.0 - kept) / kept).sqrt()


def signal_share(sigma: Tensor) -> Tensor:
    """√ᾱ = 1 / √(1 + σ²): what our noisy state is multiplied with to be a variance-preserving one."""
    return (1.0 + sigma.square()).rsqrt()
