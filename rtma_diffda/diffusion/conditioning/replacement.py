"""Replacement: what is known is put into the noisy state after every step (RePaint, as DiffDA uses it).

    r_σ ← m (r̃ + σ z) + (1 − m) r_σ

r̃ are the innovations spread over the grid in units of s, m is a soft mask, z fresh noise. At σ = 0 this is
m r̃ + (1 − m) r: data are fitted exactly, whatever their errors, and what lies under the mask loses the share m of its
spread. Unobserved variables and places learn of the data only through the denoiser, which needs the jumps of the path
(``paths.diffda_path``) to make its part consistent with the known one. DiffDA's sampler is ``Ancestral(eta=0.0)``.

A variance-preserving state is ours over √(1 + σ²), and the equation is then RePaint's eq. 8. The release differs:

- It clips the denoised state to ±1; here that is off by default. Where a clip binds, its step goes on along the
  network's own ε, ours along the direction away from the clipped state.
- It begins with N(0, 1) rather than N(0, 1 − ᾱ): 1.4e-4 of a standard deviation with 300 calls.
- Going up by s training steps to where step t is next, from t − s, it uses β_{t+s} … β_{t+2s−1} for the exact
  β_{t−s+1} … β_t: 2 s − 1 steps too late, hence too much noise. It costs: of two variables of correlation 0.9, with the
  first known, 250 calls and 10 passes, its sequence makes 1.236 ± 0.479 of the second's 1.350 ± 0.436 (the figures of
  ``guidance-and-anchors.md`` §1.1), ours 1.279 ± 0.443.
- Its noise is a function of the training step: a step visited ten times gets the same noise for the known part each
  time, and with η > 0 the unknown part gets that noise too.

References: Lugmayr et al. (2022), arXiv 2201.09865, algorithm 1; Huang et al. (2024), arXiv 2401.05932, algorithm 1;
``diffda.md`` §4.4, 8.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from rtma_diffda.diffusion.conditioning.soft_mask import Bumps, ObservedCells, soft_mask
from rtma_diffda.diffusion.conditioning.spread_innovations import (
    GridPlaces,
    Interpolation,
    Kriging,
    ObservedPoints,
    spread_innovations,
    spread_values,
)
from rtma_diffda.diffusion.preconditioning import per_member
from rtma_diffda.diffusion.sampling import draw_noise
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.interfaces import Denoiser


@dataclass(frozen=True)
class Replacement:
    """The conditioning.

    Attributes:
        soft_mask: m (channel, y, x), 0 … 1.
        known: r̃ (channel, y, x), or (member, channel, y, x).
        clip: bound of the denoised state's modulus; None: none. The release has 1.
    """

    soft_mask: Tensor
    known: Tensor
    clip: float | None = None

    def __post_init__(self) -> None:
        if self.soft_mask.ndim != 3 or self.known.ndim not in (3, 4) or self.known.shape[-3:] != self.soft_mask.shape:
            raise InputError(
                f"a soft mask of shape {tuple(self.soft_mask.shape)} with what is known of shape "
                f"{tuple(self.known.shape)}; expected (channel, y, x), and that or (member, channel, y, x)"
            )
        if not bool(((self.soft_mask >= 0) & (self.soft_mask <= 1)).all() and torch.isfinite(self.known).all()):
            raise InputError("a soft mask must lie within 0 … 1, and what is known must be finite")
        if self.clip is not None and not self.clip > 0.0:
            raise UsageError(f"the denoised state is clipped at a number above 0, or not at all; found {self.clip}")

    def denoise(self, denoiser: Denoiser, noisy: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        """The denoiser's answer, clipped if so wished."""
        denoised = denoiser(noisy, sigma, context)
        return denoised if self.clip is None else denoised.clamp(-self.clip, self.clip)

    def replace(self, noisy: Tensor, sigma: Tensor, generator: torch.Generator) -> Tensor:
        """m (r̃ + σ z) + (1 − m) noisy, with one draw of z at every visit, at σ = 0 too."""
        m = self.soft_mask.to(noisy)
        known = self.known.to(noisy) + per_member(sigma).to(noisy) * draw_noise(noisy, generator)
        return m * known + (1.0 - m) * noisy


@dataclass(frozen=True)
class ReplacementSettings:
    """How observed points become a ``Replacement``.

    Attributes:
        bumps: of the soft mask.
        interpolation: of the data to the grid.
        clip: of the denoised state.
    """

    bumps: Bumps = field(default_factory=Bumps)
    interpolation: Interpolation = field(default_factory=Kriging)
    clip: float | None = None


def replacement_from(
    observed: ObservedPoints,
    grid: GridPlaces,
    settings: ReplacementSettings,
    *,
    channels: int,
    background: Tensor | None = None,
) -> Replacement:
    """The replacement that observed points call for; float32, on the CPU.

    The observed cell of a datum is the nearest grid point, and data of one channel in one cell are averaged.
    Interpolation starts from the true places. Data outside the grid belong left out: they would count for its edge.

    Args:
        observed: innovations in units of s, or values if a background is given.
        grid: where its points are, in the same coordinates.
        settings: how.
        channels: of r.
        background: (channel, y, x) or (member, channel, y, x) in units of s: values are interpolated, as the release
            does, and it is subtracted.
    """
    averaged, cells = one_a_cell(observed, grid)
    row, column = cells // grid.shape[1], cells % grid.shape[1]
    m = soft_mask(
        ObservedCells(averaged.channel, row, column),
        (channels, *grid.shape),
        settings.bumps,
        latitude=grid.latitude,
        periodic=grid.periodic,
    )
    if background is None:
        known = spread_innovations(settings.interpolation, averaged, grid, channels=channels)
    else:
        known = spread_values(settings.interpolation, averaged, grid, background=background)
    return Replacement(m, known.float(), settings.clip)


def one_a_cell(observed: ObservedPoints, grid: GridPlaces) -> tuple[ObservedPoints, Tensor]:
    """Mean place and mean value of the data of each channel in each cell, ordered by both, and their cells (n,)."""
    count = grid.shape[0] * grid.shape[1]
    of_datum = observed.channel * count + grid.nearest(observed.position)
    distinct, group, size = torch.unique(of_datum, return_inverse=True, return_counts=True)

    def mean(values: Tensor) -> Tensor:  # (..., n) → (..., distinct)
        total = values.new_zeros(*values.shape[:-1], len(distinct), dtype=torch.float64)
        return total.index_add_(-1, group, values.double()) / size

    position = mean(observed.position.T).T.contiguous()
    return ObservedPoints(distinct // count, position, mean(observed.value)), distinct % count
