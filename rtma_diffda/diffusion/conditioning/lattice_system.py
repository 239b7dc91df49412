"""``LatticeSystem``: H C Hᵀ + R between the data of a lattice, at one noise level, solved for an increment.

With D scaling the diagonal to 1 (``scaled_cholesky``), v = Ã⁻¹ D d of Ã = D (H C Hᵀ + R) D gives

    increment = C Hᵀ D v.

One tile of all places holds Ã itself, and its Cholesky factor is the answer. With several, v comes by conjugate
gradients, in which Ã is applied by transforms and so without any matrix, preconditioned with the factors of the tiles
(additive Schwarz),

    M = Σ_t E_t S_t Ã_t⁻¹ S_t E_tᵀ,    Σ_t E_t S_t² E_tᵀ = I.

The answer belongs to all data and has no seams; what the tiles decide is how many iterations it takes: one or two where
C is short against a tile, more where σ is large and data are dense. References: Golub and van Loan (2013), §11.5;
Toselli and Widlund (2005), Domain Decomposition Methods, chapter 2.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from rtma_diffda.diffusion.conditioning.lattice_data import LagStencil, LatticeData, lag_rows
from rtma_diffda.diffusion.conditioning.place_tiles import Tiles
from rtma_diffda.diffusion.conditioning.scaled_cholesky import scale_of, solve, unit_triangle
from rtma_diffda.diffusion.stationary_covariance import TorusCovariance

_LEAST = 1e-30


@dataclass(frozen=True)
class Geometry:
    """What depends on the stations alone.

    Attributes:
        data: by place and channel.
        tiles: of the places.
        own: lags of each place with itself (place, 9).
        within: lags of all pairs of each tile (tile, size, size, 9).
    """

    data: LatticeData
    tiles: Tiles
    own: LagStencil
    within: LagStencil

    @staticmethod
    def of(data: LatticeData, tiles: Tiles, torus: tuple[int, int], dtype: torch.dtype) -> "Geometry":
        """For covariances on ``torus``."""
        every, places = torch.arange(len(data.corner), device=data.corner.device), tiles.places
        own = LagStencil.of(data, every, every, torus, dtype)
        return Geometry(data, tiles, own, LagStencil.of(data, places[:, :, None], places[:, None, :], torus, dtype))


@dataclass(frozen=True)
class LatticeSystem:
    """Ã at one noise level.

    Attributes:
        geometry: of the data.
        covariance: C(σ).
        scale: D (place, channel); 0 where there is no datum.
        noise: (place, channel) 1 − D² (H C Hᵀ)_ii, the part of Ã's diagonal that is not C's.
        triangle: (tile, size · channel, size · channel) Cholesky factors of Ã_t.
    """

    geometry: Geometry
    covariance: TorusCovariance
    scale: Tensor
    noise: Tensor
    triangle: Tensor

    @staticmethod
    def of(geometry: Geometry, covariance: TorusCovariance, jitter: float) -> "LatticeSystem":
        """Assembled and factored; ``jitter`` as in ``scaled_cholesky``."""
        rows, places = lag_rows(covariance.lags()), geometry.tiles.places
        variance = geometry.own.covariances(rows).diagonal(dim1=-2, dim2=-1).double()
        D = scale_of(variance, geometry.data.error_variance, jitter)
        D_t = D[places].to(rows).flatten(1)  # (tile, size · channel)
        A = geometry.within.covariances(rows).permute(0, 1, 3, 2, 4).reshape(*D_t.shape, -1)
        A.mul_(D_t[:, :, None]).mul_(D_t[:, None, :])
        A.diagonal(dim1=1, dim2=2).fill_(1.0)
        return LatticeSystem(geometry, covariance, D.to(rows), (1.0 - D.square() * variance).to(rows), unit_triangle(A))

    def increment(self, departures: Tensor, *, tolerance: float, iterations: int) -> Tensor:
        """C Hᵀ (H C Hᵀ + R)⁻¹ d.

        Args:
            departures: d (member, place, channel); 0 where there is no datum.
            tolerance: a member is done when the norm of its residual has fallen to this share; one tile is exact.
            iterations: most of them.

        Returns:
            (member, channel, y, x).
        """
        d = self.scale * departures
        if len(self.triangle) == 1:
            return self._field(self._by_tiles(d))
        return self._iterated(d, tolerance, iterations)

    def _iterated(self, d: Tensor, tolerance: float, iterations: int) -> Tensor:
        """Preconditioned conjugate gradients; each member has its own lengths, and stops by itself."""
        residual, wanted = d, tolerance**2 * _dot(d, d)
        increment, direction, power = torch.zeros((), dtype=d.dtype, device=d.device), torch.zeros_like(d), None
        for _ in range(iterations):
            corrected = self._by_tiles(residual)
            power, before = _dot(residual, corrected), power
            direction = corrected if before is None else corrected + power / before.clamp_min(_LEAST) * direction
            field = self._field(direction)
            product = self.scale * self.geometry.data.observed(field) + self.noise * direction
            length = power / _dot(direction, product).clamp_min(_LEAST)
            length = torch.where(_dot(residual, residual) > wanted, length, 0.0)
            increment = increment + length[..., None] * field
            residual = residual - length * product
            if bool((_dot(residual, residual) <= wanted).all()):
                break
        return increment

    def _field(self, v: Tensor) -> Tensor:
        """C Hᵀ D v: (member, channel, y, x)."""
        return self.covariance.apply(self.geometry.data.spread(self.scale * v))

    def _by_tiles(self, residual: Tensor) -> Tensor:
        """M times (member, place, channel)."""
        tiles = self.geometry.tiles
        parts = (residual[:, tiles.places] * self._share).flatten(2, 3)  # (member, tile, size · channel)
        solved = solve(self.triangle, parts.permute(1, 2, 0)).permute(2, 0, 1)
        solved = solved.unflatten(2, (tiles.places.shape[1], -1)) * self._share
        return torch.zeros_like(residual).index_add_(1, tiles.places.flatten(), solved.flatten(1, 2))

    @cached_property
    def _share(self) -> Tensor:
        return self.geometry.tiles.share.to(self.scale)[..., None]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of (member, place, channel): (member, 1, 1)."""
    return (a * b).sum(dim=(1, 2), keepdim=True)
