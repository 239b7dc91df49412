"""Sample covariances on the sphere mixed with structures: how far a sample is to be believed.

A *structure* (``sphere_structure``) with the sample's variances is smooth, but knows one length. B is a mixture,

    S = (1 − α) Ŝ ∘ ℓ + α D φ(L) D,

∘ ℓ being a Schur product with a Gaussian in distance. The structure is the likeliest of a few functions and lengths; α
and ℓ are those under which the other half of the errors (halves in their order, hence in time) is likeliest, either way
round. Coupled modes are mixed with themselves apart, in the same way. For a Gaussian error that is alike at all
longitudes the likelihood is exact and cheap,

    −2 ln p = Σ_m c_m [ln det S(m) + tr S(m)⁻¹ Ŝ(m)],    c_m wave numbers for each m.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from rtma_diffda.assimilation.sphere_covariance import spectrum_of_lags, wave_number_counts
from rtma_diffda.assimilation.sphere_structure import SphereStructure, squared_chords, structures
from rtma_diffda.errors import UsageError
from rtma_diffda.geo.grid import LatLonGrid

logger = logging.getLogger(__name__)

_FLOOR = 1e-5
"""Of a mode's mean variance, added to every structure: rows at the poles, of points that are one, leave it singular."""

Choice = tuple[float, int]
"""α, and which localisation."""


@dataclass(frozen=True)
class SphereFitting:
    """What is tried.

    Attributes:
        modes: combine channels into principal components; otherwise each is by itself.
        coupled: q, modes that are coupled; 0 where channels are by themselves.
        waves: m_c, wave numbers at which they are; fewer where the grid has fewer.
        functions: names of ``CORRELATION_FUNCTIONS``.
        lengths: L, m.
        shares: α, from 0 to 1.
        localisations: standard deviation of the Gaussian ℓ, m; ``math.inf``: none.
    """

    modes: bool = True
    coupled: int = 10
    waves: int = 16
    functions: tuple[str, ...] = ("exponential", "soar", "gaussian")
    lengths: tuple[float, ...] = tuple(150e3 * 1.3**i for i in range(13))
    shares: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.4, 1.0)
    localisations: tuple[float, ...] = (math.inf, 6e6, 3e6, 1.5e6)

    def __post_init__(self) -> None:
        if not all((self.functions, self.lengths, self.shares, self.localisations)):
            raise UsageError(f"fitting needs something to try of everything; found {self}")
        if min(self.shares) < 0.0 or max(self.shares) > 1.0:
            raise UsageError(f"shares of the structure lie within 0 … 1; found {self.shares}")

    def coupling(self, channels: int, columns: int) -> tuple[int, int]:
        """q and m_c of fields of so many channels and columns."""
        joined = min(self.coupled, channels) if self.modes else 0
        return joined, min(self.waves, columns // 2 + 1) if joined else 0


@dataclass(frozen=True)
class Halves:
    """Ŝ of the first and of the second half of the errors, in units of s².

    Attributes:
        apart: (2, mode, m, y, y′) real.
        coupled: (2, m < m_c, q y, q y′) complex.
    """

    apart: Tensor
    coupled: Tensor


@dataclass(frozen=True)
class Mixtures:
    """Everything that is tried on one grid.

    Attributes:
        settings: what.
        correlations: of the structures: (structure, m, y, y′).
        tried: the structures.
        tapers: ℓ by lag: (localisation, y, y′, Δ).
        columns: n_x.
    """

    settings: SphereFitting
    correlations: Tensor
    tried: tuple[SphereStructure, ...]
    tapers: Tensor
    columns: int

    @staticmethod
    def of(grid: LatLonGrid, settings: SphereFitting) -> "Mixtures":
        """For a grid."""
        chords = squared_chords(grid)
        tried = tuple(structures(settings.functions, settings.lengths))
        spectra = torch.stack([spectrum_of_lags(structure.correlation(chords)[None])[0] for structure in tried])
        tapers = torch.stack([torch.exp(-0.5 * chords / length**2) for length in settings.localisations])
        return Mixtures(settings, spectra, tried, tapers, grid.nx)

    def best(self, halves: Tensor) -> Tensor:
        """S (mode, m, y, y′) of all errors, each mode with its own α and ℓ, from Ŝ of two halves."""

        def candidates(sample: Tensor) -> Callable[[Choice], Tensor]:
            structure, _ = self.likeliest(sample)
            return lambda choice: self._mixed(sample, structure, choice)

        chosen, sample = self._chosen(halves, candidates), halves.mean(dim=0)
        mixed, choices = candidates(sample), self._choices()
        found = torch.stack([mixed(choices[i])[q] for q, i in enumerate(chosen.tolist())])
        for q, (structure, i) in enumerate(zip(self.likeliest(sample)[1], chosen.tolist(), strict=True)):
            logger.info("mode %d: %s and %s", q, structure.in_words, self._in_words(choices[i]))
        return found

    def best_coupled(self, halves: Tensor, apart: Tensor) -> Tensor:
        """S (m, q y, q y′) of coupled modes, from Ŝ of two halves and S of the modes apart (mode, m, y, y′)."""
        waves, joined = halves.shape[1], halves.shape[2] // apart.shape[2]
        blocks = torch.stack([torch.block_diag(*apart[:joined, m]) for m in range(waves)])

        def candidates(sample: Tensor) -> Callable[[Choice], Tensor]:
            return lambda choice: self._mixed_coupled(sample, blocks, choice)

        chosen = self._choices()[int(self._chosen(halves[:, None], candidates)[0])]
        logger.info("%d coupled modes: %s", joined, self._in_words(chosen))
        return candidates(halves.mean(dim=0)[None])(chosen)[0]

    def _chosen(self, halves: Tensor, candidates: Callable[[Tensor], Callable[[Choice], Tensor]]) -> Tensor:
        """Which choice makes the other half likeliest, either way round: (batch,), from Ŝ (2, batch, m, k, k)."""
        costs: Tensor | float = 0.0
        for train, other in ((0, 1), (1, 0)):
            mixed = candidates(halves[train])
            tried = [negative_log_likelihood(mixed(c), halves[other], self.columns) for c in self._choices()]
            costs = costs + torch.stack(tried)
        return torch.as_tensor(costs).argmin(dim=0)

    def _choices(self) -> list[Choice]:
        return list(product(self.settings.shares, range(len(self.settings.localisations))))

    def likeliest(self, sample: Tensor) -> tuple[Tensor, list[SphereStructure]]:
        """The structure of each mode, (mode, m, y, y′) with the variances of Ŝ, and what it is."""
        std = smooth_variances(sample, self.columns).sqrt()
        D = std[:, None, :, None] * std[:, None, None, :]
        costs = torch.stack(
            [negative_log_likelihood(_with_floor(D * rho, std), sample, self.columns) for rho in self.correlations]
        )
        chosen = costs.argmin(dim=0)
        return _with_floor(D * self.correlations[chosen], std), [self.tried[i] for i in chosen.tolist()]

    def _mixed(self, sample: Tensor, structure: Tensor, choice: Choice) -> Tensor:
        share, taper = choice
        if math.isfinite(self.settings.localisations[taper]):
            lags = torch.fft.irfft(sample.permute(0, 2, 3, 1), n=self.columns)
            sample = spectrum_of_lags(lags * self.tapers[taper])
        return (1.0 - share) * sample + share * structure

    def _mixed_coupled(self, sample: Tensor, blocks: Tensor, choice: Choice) -> Tensor:
        """As ``_mixed``, of Ŝ (1, m, q y, q y′); the taper, even in Δ, mixes wave numbers below m_c only."""
        share, taper = choice
        if math.isfinite(self.settings.localisations[taper]):
            (waves, size), ny = sample.shape[1:3], self.tapers.shape[1]
            by_mode = sample[0].unflatten(1, (size // ny, ny)).unflatten(3, (size // ny, ny)).permute(1, 3, 2, 4, 0)
            lags = torch.fft.irfft(by_mode.contiguous(), n=self.columns) * self.tapers[taper]
            spectrum = torch.fft.rfft(lags)[..., :waves].permute(4, 0, 2, 1, 3)
            sample = spectrum.flatten(3, 4).flatten(1, 2)[None]
        return (1.0 - share) * sample + share * blocks

    def _in_words(self, choice: Choice) -> str:
        return f"{100 * choice[0]:g} % of it, sample within {self.settings.localisations[choice[1]] / 1e3:.0f} km"


def negative_log_likelihood(spectrum: Tensor, sample: Tensor, columns: int) -> Tensor:
    """−2 ln p of an error field at the wave numbers given, the mean over a sample, but for a constant: (batch,).

    Args:
        spectrum: S (batch, m, k, k) Hermitian; infinite where it is not positive definite.
        sample: Ŝ of the errors, alike.
        columns: n_x.
    """
    triangle, failed = torch.linalg.cholesky_ex(spectrum)
    log_determinant = 2.0 * triangle.diagonal(dim1=2, dim2=3).real.log().sum(dim=-1)
    trace = torch.cholesky_solve(sample, triangle).diagonal(dim1=2, dim2=3).real.sum(dim=-1)
    terms = torch.where(failed == 0, log_determinant + trace, math.inf)
    return (wave_number_counts(columns)[: terms.shape[1]] * terms).sum(dim=1)


def smooth_variances(sample: Tensor, columns: int) -> Tensor:
    """At each latitude, smoothed over three rows: (mode, y)."""
    diagonal = sample.diagonal(dim1=2, dim2=3)
    variance = (diagonal * wave_number_counts(columns)[:, None]).sum(dim=1) / columns
    padded = torch.cat([variance[:, :1], variance, variance[:, -1:]], dim=1)
    smooth = 0.25 * padded[:, :-2] + 0.5 * padded[:, 1:-1] + 0.25 * padded[:, 2:]
    return smooth.clamp_min(1e-12 * smooth.amax().clamp_min(1e-300))


def _with_floor(S: Tensor, std: Tensor) -> Tensor:
    floor = _FLOOR * std.square().mean(dim=1)
    return S + floor[:, None, None, None] * torch.eye(S.shape[-1], dtype=S.dtype)
