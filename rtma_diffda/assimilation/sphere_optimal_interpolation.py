"""Optimal interpolation on the globe: the best linear analysis for a covariance that is the same at all longitudes.

    x_a = x_b + B Hᵀ (H B Hᵀ + R)⁻¹ (y − H(x_b)),    σ_a² = diag(B − B Hᵀ (H B Hᵀ + R)⁻¹ H B)

B is ``sphere_covariance``, fitted to errors of training backgrounds (``sphere_fitting``): the same covariance, and the
same systems (``sphere_gain``), with which the diffusion is conditioned. References: Gandin (1963); Daley (1991), ch. 4.
"""

import math
from dataclasses import dataclass, field

import torch

from rtma_diffda.assimilation.sphere_covariance import SphereCovariance, channel_variance
from rtma_diffda.assimilation.sphere_gain import SphereGain, SphereSolving
from rtma_diffda.diffusion.conditioning.evidence import evidence_of
from rtma_diffda.errors import InputError
from rtma_diffda.interfaces import Analysis, AssimilationProblem


@dataclass(frozen=True)
class SphereOptimalInterpolation:
    """The method.

    Attributes:
        covariance: B.
        with_error_std: whether the error is worked out too; it costs more than the analysis.
        solving: of the systems.
    """

    covariance: SphereCovariance
    with_error_std: bool = True
    solving: SphereSolving = field(default_factory=lambda: SphereSolving(most_rows=6000))

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        """The analysis on the grid, with the standard deviation of its error; no random numbers are drawn.

        Raises:
            InputError: fields of another shape than the covariance's, or H has no few rows (no stencil).
        """
        background, scale = problem.background, self.covariance.scale[:, None, None]
        if background.layout.shape != self.covariance.shape:
            raise InputError(f"B is of fields of {self.covariance.shape}, the background of {background.layout.shape}")
        evidence = evidence_of(problem, scale, members=background.members)
        gain = SphereGain(self.covariance, evidence, self.solving)
        r = torch.zeros_like(background.values, dtype=self.solving.dtype)
        increment = gain(evidence.departures(r.double()), math.inf, r)
        values = (background.values + scale.to(background.values) * increment).to(background.values)
        diagnostics = self._diagnostics(problem, increment)
        return Analysis(background.with_values(values), problem, self._error_std(gain, problem), diagnostics)

    def _error_std(self, gain: SphereGain, problem: AssimilationProblem) -> torch.Tensor | None:
        """σ_a (channel, y, x) SI."""
        if not self.with_error_std:
            return None
        variance = channel_variance(self.covariance)[:, :, None].expand(self.covariance.shape)
        if len(gain.evidence):
            variance = variance - gain.system(math.inf).explained().to(variance)
        std = self.covariance.scale[:, None, None].to(variance) * variance.clamp_min(0.0).sqrt()
        return std.to(problem.background.values)

    def _diagnostics(self, problem: AssimilationProblem, increment: torch.Tensor) -> dict[str, float]:
        size = increment.square().mean(dim=(0, 2, 3)).sqrt().cpu() * self.covariance.scale.cpu()
        names = problem.background.layout.names
        return {f"{name}_increment_rms": float(rms) for name, rms in zip(names, size, strict=True)}
