"""``StationaryGain``: the gain of a stationary covariance at stations on a lattice, fast enough for every call.

    increment = C Hᵀ (H C Hᵀ + R)⁻¹ d,    C = C(σ) of ``stationary_covariance``, H the rows of ``Evidence.stencil``.

Few data are solved at once by a Cholesky factor, many by conjugate gradients over tiles (``lattice_system``); either
way all data count everywhere. What depends on the stations is worked out once. What depends on the noise level is kept
until another is asked for, as no path but RePaint's comes back to one; both serve all members.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from rtma_diffda.diffusion.conditioning.evidence import Evidence
from rtma_diffda.diffusion.conditioning.lattice_data import LatticeData
from rtma_diffda.diffusion.conditioning.lattice_system import Geometry, LatticeSystem
from rtma_diffda.diffusion.conditioning.place_tiles import lay_tiles, one_tile
from rtma_diffda.diffusion.stationary_covariance import StationaryCovariance
from rtma_diffda.errors import InputError, UsageError


@dataclass(frozen=True)
class Solving:
    """How systems are solved.

    Attributes:
        direct: most rows, places times channels, that are solved at once by one factor.
        tile: rows of a tile, where there are more.
        tolerance: share to which residuals are brought by iterations.
        iterations: most of them; reached at large noise levels only, where later calls correct what is left.
        jitter: share of H C Hᵀ that stands for an error nobody stated; float32 needs about 1e-5.
        dtype: of the arithmetic.
    """

    direct: int = 2000
    tile: int = 240
    tolerance: float = 0.02
    iterations: int = 8
    jitter: float = 1e-5
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        if min(self.direct, self.tile, self.iterations) < 1 or self.jitter < 0 or not 0.0 < self.tolerance < 1.0:
            raise UsageError(f"solving needs counts ≥ 1, a jitter ≥ 0 and 0 < tolerance < 1; found {self}")


@dataclass(frozen=True)
class StationaryGain:
    """The gain of B of all channels; where the table has no covariance between channels, each is analysed by itself.

    Attributes:
        covariance: B, on the lattice of the fields.
        evidence: with a stencil.
        solving: how.
    """

    covariance: StationaryCovariance
    evidence: Evidence
    solving: Solving = Solving()

    def __post_init__(self) -> None:
        if self.evidence.stencil is None:
            raise InputError("a stationary gain needs the rows of H as a stencil; for any other H there is DenseGain")

    def __call__(self, departures: Tensor, sigma: float, at: Tensor) -> Tensor:
        """See ``Gain``.

        Raises:
            InputError: fields of another shape than the covariance's.
        """
        expected = (self.covariance.channels, *self.covariance.shape)
        if tuple(at.shape[1:]) != expected:
            raise InputError(f"a gain for fields of {expected} cannot serve {tuple(at.shape[1:])}")
        if not len(self.evidence):
            return torch.zeros_like(at)
        d = self._geometry.data.merged(departures.to(self._device), self.solving.dtype)
        largest = d.abs().amax(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(d.dtype).tiny)
        found = self._system(sigma).increment(
            d / largest, tolerance=self.solving.tolerance, iterations=self.solving.iterations
        )
        return (largest[..., None] * found).to(at)

    @cached_property
    def _system(self) -> Callable[[float], LatticeSystem]:
        """Of a noise level; the latest is kept."""
        return lru_cache(maxsize=1)(self._assembled)

    def _assembled(self, sigma: float) -> LatticeSystem:
        conditional = self.covariance.conditional(sigma, dtype=self.solving.dtype)
        return LatticeSystem.of(self._geometry, conditional, self.solving.jitter)

    @cached_property
    def _geometry(self) -> Geometry:
        covariance, solving = self.covariance, self.solving
        data = LatticeData.of(self.evidence.stencil, self.evidence.error_std, covariance.channels, covariance.shape)
        data = data.to(self._device)
        places, channels = data.error_variance.shape
        size = max(solving.tile // channels, 1)
        direct = places * channels <= solving.direct
        tiles = one_tile(places) if direct else lay_tiles(data.position, size=size, core=max(size // 3, 1))
        return Geometry.of(data, tiles.to(self._device), covariance.torus, solving.dtype)

    @property
    def _device(self) -> torch.device:
        return self.covariance.table.device
