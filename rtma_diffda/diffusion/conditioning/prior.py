"""No observations: sampling draws from the prior, p(r | context)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rtma_diffda.interfaces import Denoiser


@dataclass(frozen=True)
class Prior:
    """The identity among conditionings."""

    def denoise(self, denoiser: Denoiser, noisy: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        """The denoiser's answer."""
        return denoiser(noisy, sigma, context)

    def replace(self, noisy: Tensor, sigma: Tensor, generator: torch.Generator) -> Tensor:
        """``noisy``."""
        return noisy
