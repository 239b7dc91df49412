"""The denoising loss: what makes a network E[clean | noisy, context].

    L = E ‖w (F − (clean − c_skip noisy) / c_out)‖²,        noisy = clean + σ ε,

which is EDM's loss with its weight λ(σ) = 1/c_out², so that every noise level matters alike; with the ε
preconditioning it is DDPM's ‖ε_θ − ε‖². w² are weights of channels and of grid cells, of mean 1. References: Karras et
al. (2022), arXiv 2206.00364, eq. 8; Ho et al. (2020), arXiv 2006.11239, eq. 14; the weights are GraphCast's (Lam et al.
2023, eq. 19).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rtma_diffda.diffusion.preconditioning import Coefficients
from rtma_diffda.errors import UsageError


def denoising_loss(
    answer: Tensor, clean: Tensor, noisy: Tensor, coefficients: Coefficients, weights: Tensor | None = None
) -> Tensor:
    """Mean weighted squared error of F's ``answer``, by member and channel: (member, channel).

    Args:
        answer: F's, (member, channel, y, x).
        clean, noisy: alike.
        coefficients: of the noise levels.
        weights: w², from ``loss_weights``; all 1 when None.
    """
    squared = (answer - coefficients.target(clean, noisy)).square()
    return (squared if weights is None else weights * squared).mean(dim=(2, 3))


def loss_weights(channels: Sequence[float], cell_area: Tensor) -> Tensor:
    """w² (channel, y, x): channel weight times cell area, of mean 1.

    Args:
        channels: weight of each channel, relative to the others.
        cell_area: (y, x), in any unit.

    Raises:
        UsageError: a weight is negative, or all are 0.
    """
    weights = torch.as_tensor(channels, dtype=cell_area.dtype, device=cell_area.device)[:, None, None] * cell_area
    if not bool((weights >= 0).all()) or not float(weights.mean()) > 0.0:
        raise UsageError(f"weights of channels and cells must be ≥ 0, and some positive; channels have {channels}")
    return weights / weights.mean()


DenoisingNetwork = Callable[[Tensor, Tensor], Tensor]
"""F: (member, channels, y, x) and σ (member,) → (member, channel, y, x)."""
