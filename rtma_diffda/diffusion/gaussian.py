"""A Gaussian distribution of increments: everything that diffusion approximates is known in closed form.

For r ~ N(m, B), noisy = r + σ ε and y = H r + ε_o with ε_o ~ N(0, R),

    E[r | noisy] = m + B (B + σ² I)⁻¹ (noisy − m)                    the denoiser
    r | y ~ N(m + K (y − H m), B − K H B),   K = B Hᵀ (H B Hᵀ + R)⁻¹       optimal interpolation

so that a sampler or a conditioning that misses these with this denoiser is wrong by itself, not for want of training.
B = E Λ Eᵀ is decomposed once, which makes every noise level cheap. Reference: Karras et al. (2022), arXiv 2206.00364,
appendix B.3; ``osse-study.md`` §5.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from rtma_diffda.errors import InputError


@dataclass(frozen=True)
class Gaussian:
    """N(m, B) of increments; called, it is their denoiser. Arithmetic is float64, answers are like what was given.

    Attributes:
        mean: m (channel, y, x), float64.
        covariance: B (N, N), float64, of the flattened (channel, y, x).
    """

    mean: Tensor
    covariance: Tensor

    def __post_init__(self) -> None:
        size = self.mean.numel()
        if self.mean.ndim != 3 or self.covariance.shape != (size, size):
            raise InputError(
                f"a mean of shape {tuple(self.mean.shape)} with a covariance of shape {tuple(self.covariance.shape)}; "
                "expected (channel, y, x) and a row and a column for each of its values"
            )
        if self.mean.dtype != torch.float64 or self.covariance.dtype != torch.float64:
            raise InputError(f"expected float64; found {self.mean.dtype} and {self.covariance.dtype}")

    @cached_property
    def _modes(self) -> tuple[Tensor, Tensor]:
        """Λ (N,), none negative, and E (N, N)."""
        variances, vectors = torch.linalg.eigh(self.covariance)
        if float(variances[0]) < -1e-8 * float(variances[-1]):
            raise InputError(f"a covariance has the eigenvalue {float(variances[0]):.3g}")
        return variances.clamp_min(0.0), vectors

    def __call__(self, noisy: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        """E[r | noisy]: (member, channel, y, x), differentiable.

        Args:
            noisy: (member, channel, y, x).
            sigma: (member,).
            context: not looked at.

        Raises:
            InputError: B has a negative eigenvalue.
        """
        variances, vectors = self._modes
        kept = variances / (variances + sigma.to(variances)[:, None].square())
        departure = (noisy.double() - self.mean).flatten(1) @ vectors
        return (self.mean + ((kept * departure) @ vectors.T).view(noisy.shape)).to(noisy)

    def given(self, rows: Tensor, value: Tensor, error_covariance: Tensor) -> "Gaussian":
        """The distribution of r given y = H r + ε_o.

        Args:
            rows: H (n, N).
            value: y (n,).
            error_covariance: R (n, n), or its diagonal (n,).
        """
        rows, value, error = rows.double(), value.double(), error_covariance.double()
        seen = self.covariance @ rows.T
        factor = torch.linalg.cholesky(rows @ seen + (torch.diag(error) if error.ndim == 1 else error))
        gain = torch.cholesky_solve(seen.T, factor).T
        mean = self.mean + (gain @ (value - rows @ self.mean.flatten())).view(self.mean.shape)
        covariance = self.covariance - gain @ seen.T
        return Gaussian(mean, 0.5 * (covariance + covariance.T))

    @property
    def std(self) -> Tensor:
        """Of each value: (channel, y, x)."""
        return self.covariance.diagonal().clamp_min(0.0).sqrt().view(self.mean.shape)

    def draw(self, members: int, *, generator: torch.Generator) -> Tensor:
        """Independent draws (member, channel, y, x), float64.

        Args:
            members: how many.
            generator: of the draws, on the CPU.
        """
        variances, vectors = self._modes
        noise = torch.randn(members, len(variances), generator=generator, dtype=torch.float64).to(vectors)
        return self.mean + ((variances.sqrt() * noise) @ vectors.T).view(members, *self.mean.shape)
