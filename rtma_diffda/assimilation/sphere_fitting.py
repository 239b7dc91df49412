"""B on the sphere from errors of training pairs, (truth − background) or (truth − E[truth | background]).

Errors count as alike at all longitudes. Modes are principal components of the channels, weighted by area: an error that
several levels share is one mode with a length of its own. The sample covariances Ŝ(m) of each mode, and of the first of
them together, know variances, lengths and balances at every latitude, but are noisy; ``sphere_mixtures`` chooses how
far to believe them. Both optimal interpolation and the gain of the diffusion are fitted so. Reference: Courtier et al.
(1998), Q. J. R. Meteorol. Soc. 124, 1783–1807.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from rtma_diffda.assimilation.sphere_covariance import SphereCovariance
from rtma_diffda.assimilation.sphere_mixtures import Halves, Mixtures, SphereFitting, smooth_variances
from rtma_diffda.assimilation.sphere_structure import SphereStructure
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.grid import LatLonGrid

_AT_ONCE = 64
"""Errors that are transformed together."""


def fit_sphere_covariance(
    errors: Iterable[Tensor], grid: LatLonGrid, scale: Tensor, settings: SphereFitting | None = None
) -> SphereCovariance:
    """The covariance that errors call for; their mean is not taken off.

    Args:
        errors: (channel, y, x) SI each, in order of time: a tensor (n, channel, y, x), or anything that can be gone
            through several times.
        grid: around the globe.
        scale: s (channel,) SI.
        settings: what is tried.

    Raises:
        InputError: fewer than four errors, or errors of another shape or not finite.
        UsageError: the grid does not go around the globe in equal steps.
    """
    settings, scale = settings or SphereFitting(), scale.double().flatten().cpu()
    batches = _Batches(errors, scale, (len(scale), *grid.shape))
    basis = _principal(batches, grid) if settings.modes else torch.eye(len(scale), dtype=torch.float64)
    joined, waves = settings.coupling(len(scale), grid.nx)
    mixtures, halves = Mixtures.of(grid, settings), _sample_spectra(batches, basis, joined, waves)
    spectrum = mixtures.best(halves.apart)
    coupled = mixtures.best_coupled(halves.coupled, spectrum) if joined else None
    return SphereCovariance(spectrum, basis, scale, grid.nx, coupled)


def fit_structures(
    errors: Iterable[Tensor], grid: LatLonGrid, scale: Tensor, settings: SphereFitting | None = None
) -> tuple[Tensor, tuple[SphereStructure, ...]]:
    """Standard deviations (channel, y) SI and the likeliest structure of each channel: B for grids of any size.

    Args:
        errors, grid, scale: as of ``fit_sphere_covariance``; of a fine grid a ``thinned`` one will do.
        settings: functions and lengths that are tried.

    Raises:
        InputError, UsageError: as of ``fit_sphere_covariance``.
    """
    scale = scale.double().flatten().cpu()
    batches = _Batches(errors, scale, (len(scale), *grid.shape))
    sample = _sample_spectra(batches, torch.eye(len(scale), dtype=torch.float64), 0, 0).apart.mean(dim=0)
    std = scale[:, None] * smooth_variances(sample, grid.nx).sqrt()
    return std, tuple(Mixtures.of(grid, settings or SphereFitting()).likeliest(sample)[1])


def thinned(grid: LatLonGrid, step: int) -> LatLonGrid:
    """Every ``step``-th row and column of a grid; fields on it are those of the grid with [..., ::step, ::step].

    Raises:
        UsageError: the columns cannot be divided so.
    """
    if step < 1 or grid.nx % step:
        raise UsageError(f"{grid.nx} columns cannot be thinned to every {step}th")
    return LatLonGrid(grid.latitudes[::step], grid.longitudes[::step], grid.periodic, grid.radius)


@dataclass(frozen=True)
class _Batches:
    """Errors in units of s, some at a time: (member, channel, y, x) float64."""

    errors: Iterable[Tensor]
    scale: Tensor
    shape: tuple[int, int, int]

    def __iter__(self) -> Iterator[Tensor]:
        kept: list[Tensor] = []
        for error in self.errors:
            if tuple(error.shape) != self.shape or not bool(torch.isfinite(error).all()):
                raise InputError(
                    f"an error of shape {tuple(error.shape)} cannot serve a fit for {self.shape}, or is not finite"
                )
            kept.append(error.double().cpu() / self.scale[:, None, None])
            if len(kept) == _AT_ONCE:
                yield torch.stack(kept)
                kept = []
        if kept:
            yield torch.stack(kept)


def _principal(batches: Iterable[Tensor], grid: LatLonGrid) -> Tensor:
    """E (channel, mode), the largest mode first."""
    area = torch.from_numpy(grid.cell_area() / grid.cell_area().sum())
    moments = sum(torch.einsum("ncyx,ndyx->cd", part * area, part) for part in batches)
    if not torch.is_tensor(moments):
        raise InputError("a covariance is fitted to four errors or more; found none")
    return torch.linalg.eigh(moments)[1].flip(1).contiguous()


def _sample_spectra(batches: Iterable[Tensor], basis: Tensor, joined: int, waves: int) -> Halves:
    """Ŝ of the first and of the second half of the errors."""
    count = sum(len(part) for part in batches)
    if count < 4:
        raise InputError(f"a covariance is fitted to four errors or more; found {count}")
    sums: list[list[Tensor]] = [[], []]
    seen = 0
    for part in batches:
        spectra = torch.fft.rfft(torch.einsum("cq,ncyx->qnyx", basis, part), dim=-1).permute(0, 3, 2, 1)
        half = (seen + torch.arange(len(part))) * 2 >= count
        seen += len(part)
        for h, rows in enumerate((~half, half)):
            added = _products(spectra[..., rows] / part.shape[-1] ** 0.5, joined, waves)
            sums[h] = [old + new for old, new in zip(sums[h], added, strict=True)] if sums[h] else added
    number = (count - count // 2, count // 2)
    apart, coupled = (
        torch.stack([part / n for part, n in zip(pair, number, strict=True)]) for pair in zip(*sums, strict=True)
    )
    return Halves(apart, coupled)


def _products(spectra: Tensor, joined: int, waves: int) -> list[Tensor]:
    """Sums over errors of spectra (mode, m, y, error): (mode, m, y, y′) real, and of coupled modes (m, q y, q y′)."""
    parts = torch.cat([spectra.real, spectra.imag], dim=-1)
    together = spectra[:joined, :waves].permute(1, 0, 2, 3).flatten(1, 2)
    return [parts @ parts.mT, together @ together.mH]
