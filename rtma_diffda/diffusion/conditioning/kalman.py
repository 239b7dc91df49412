"""``Kalman``: observations enter by a gain, at every call of the denoiser, without a gradient through the network.

The denoiser's r0 = E[r | noisy] is the mean of a distribution whose covariance, for a Gaussian r of covariance B, is
C(σ) = B − B (B + σ² I)⁻¹ B, whatever the noisy state. Observed as well, its mean is

    E[r | noisy, y] = r0 + C Hᵀ (H C Hᵀ + R)⁻¹ (y − H r0).

For a Gaussian r and the exact denoiser of it this is exact at every noise level, so that sampling draws from the
posterior; each datum enters once, whatever the number of calls. B is the covariance of truth − E[truth | background].
C is not the spread of r0 over the noise, which is its complement B (B + σ² I)⁻¹ B. References: Kalman (1960); Song et
al. (2023), Pseudoinverse-guided diffusion models, ICLR; Rozet et al. (2024), arXiv 2405.13712, §4 (moment matching).
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rtma_diffda.diffusion.conditioning.evidence import Evidence
from rtma_diffda.errors import UsageError
from rtma_diffda.interfaces import Denoiser


class Gain(Protocol):
    """C Hᵀ (H C Hᵀ + R)⁻¹: from departures to an increment."""

    def __call__(self, departures: Tensor, sigma: float, at: Tensor) -> Tensor:
        """The increment of r0, like ``at``; members do not influence each other.

        Args:
            departures: y − H(r0), (member, n).
            sigma: noise level of all members.
            at: r0 (member, channel, y, x), where H is linearised.
        """


@dataclass(frozen=True)
class Kalman:
    """The denoiser's answer, moved towards the observations.

    Attributes:
        evidence: of all members.
        gain: made for the same observations.
    """

    evidence: Evidence
    gain: Gain

    @torch.no_grad()
    def denoise(self, denoiser: Denoiser, noisy: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        """r0 and its increment; without observations r0. The gain is worked out without autocast.

        Raises:
            UsageError: members are at different noise levels.
        """
        denoised = denoiser(noisy, sigma, context)
        if not len(self.evidence):
            return denoised
        level = float(sigma[0])
        if not bool((sigma == sigma[0]).all()):
            raise UsageError(f"a gain serves members at one noise level; found {sigma.min():.3g} … {sigma.max():.3g}")
        with torch.autocast(noisy.device.type, enabled=False):
            return denoised + self.gain(self.evidence.departures(denoised), level, denoised)

    def replace(self, noisy: Tensor, sigma: Tensor, generator: torch.Generator) -> Tensor:
        """``noisy``."""
        return noisy
