"""``ReleaseStep``: the step of DiffDA's published sampler, a stepper of ``diffusion.sampling``.

    ε = (x − D) / σ,        D ← clip(D, ±c),        x' = D + √(σ'² − τ²) ε + τ z,     τ = η σ' √(1 − σ'²/σ²)

The clip bounds the denoised residual; the step goes on along the network's own ε, as it was before the bound. (A clip
of the denoiser's answer, ``GlobalDiffusion.clip``, steps away from the bounded state instead.) The release's bound of
±1 is diffusers' default ``clip_sample``: no increment outside the observed places exceeds one standard deviation of
6-hour changes. Reference: ``diffda.md`` §2, 4.4; J. Song et al. (2021), arXiv 2010.02502, eq. 12.
"""

import math
from dataclasses import dataclass

from rtma_diffda.diffusion.sampling import draw_noise
from rtma_diffda.errors import UsageError


@dataclass(frozen=True)
class ReleaseStep:
    """The stepper.

    Attributes:
        clip: c, in units of s; None: no bound, and then it is ``Ancestral``.
        eta: η, 0 as published: deterministic between the replacements.
    """

    clip: float | None = 1.0
    eta: float = 0.0

    def __post_init__(self) -> None:
        if self.clip is not None and not self.clip > 0.0:
            raise UsageError(f"the denoised state is clipped at a number above 0, or not at all; found {self.clip}")

    def step(self, denoise, noisy, sigma, sigma_next, *, memory, generator):
        """See ``Stepper``."""
        denoised = denoise(noisy, sigma)
        epsilon = (noisy - denoised) / sigma
        if self.clip is not None:
            denoised = denoised.clamp(-self.clip, self.clip)
        if sigma_next == 0.0:
            return denoised, None
        fresh = self.eta * sigma_next * math.sqrt(max(0.0, 1.0 - (sigma_next / sigma) ** 2))
        stepped = denoised + math.sqrt(sigma_next**2 - fresh**2) * epsilon
        return (stepped + fresh * draw_noise(noisy, generator) if fresh else stepped), None
