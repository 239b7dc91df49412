"""The systems H C Hᵀ + R of ``sphere_gain``, factored, by modes or of all data together.

In the basis of modes R is Eᵀ R E, of which the diagonal is kept: exact where the errors of a place are the same share
of s in all channels, and of no account for data that are nearly perfect.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from rtma_diffda.assimilation.sphere_covariance import SphereCovariance, ZonalCovariance
from rtma_diffda.assimilation.sphere_data import SphereData
from rtma_diffda.diffusion.conditioning.scaled_cholesky import scale_of, solve, unit_triangle

_POINTS_AT_ONCE = 256
"""Of the grid, where the explained variance is worked out: bounds memory."""


class SphereSystem(Protocol):
    """H C Hᵀ + R of one noise level."""

    def increment(self, departures: Tensor) -> Tensor:
        """From merged departures (member, channel, place) to (member, channel, y, x)."""

    def explained(self) -> Tensor:
        """The part of C's variance that the data explain, diag(C Hᵀ (H C Hᵀ + R)⁻¹ H C): (channel, y, x)."""


@dataclass(frozen=True)
class Factored:
    """D (K + R) D = L Lᵀ for a batch of systems.

    Attributes:
        scale: D (…, n, 1); 0 where there is no datum.
        triangle: L (…, n, n).
    """

    scale: Tensor
    triangle: Tensor

    @staticmethod
    def of(K: Tensor, R: Tensor, jitter: float) -> "Factored":
        """Of K (…, n, n) and the diagonal R (…, n); R may be infinite."""
        D = scale_of(K.diagonal(dim1=-2, dim2=-1), R, jitter)[..., None].to(K)
        A = D * K * D.mT
        A.diagonal(dim1=-2, dim2=-1).fill_(1.0)
        return Factored(D, unit_triangle(A))

    def weights(self, departures: Tensor) -> Tensor:
        """(K + R)⁻¹ times (…, n, member)."""
        return self.scale * solve(self.triangle, self.scale * departures)

    def half(self, seen: Tensor) -> Tensor:
        """L⁻¹ D times (n, p), of a single system."""
        return torch.linalg.solve_triangular(self.triangle, self.scale * seen, upper=False)


@dataclass(frozen=True)
class ModeSystem:
    """Coupled modes together, the others each by itself.

    Attributes:
        covariance: for the basis.
        conditional: C.
        data: places.
        coupled: (q · place) rows, mode slow; None where q is 0.
        apart: of the other modes, in a batch.
    """

    covariance: SphereCovariance
    conditional: ZonalCovariance
    data: SphereData
    coupled: Factored | None
    apart: Factored

    @classmethod
    def of(
        cls, covariance: SphereCovariance, sigma: float, data: SphereData, jitter: float, dtype: torch.dtype
    ) -> "ModeSystem":
        """At one noise level."""
        C, q, R = covariance.conditional(sigma, dtype=dtype), covariance.joined, data.error_variance.T
        if not covariance.univariate:
            R = covariance.basis.to(R).T.square() @ R
        apart = Factored.of(place_covariances(C.lags_apart(), data), R[q:], jitter)
        coupled = None
        if q:
            K = coupled_place_covariances(C.lags_coupled(), data, covariance.shape[1])
            coupled = Factored.of(K, R[:q].flatten(), jitter)
        return cls(covariance, C, data, coupled, apart)

    def increment(self, departures: Tensor) -> Tensor:
        """See ``SphereSystem``."""
        d, q = self.covariance.to_modes(departures).mT, self.covariance.joined  # (mode, place, member)
        weights = self.apart.weights(d[q:])
        if self.coupled is not None:
            weights = torch.cat([self.coupled.weights(d[:q].flatten(0, 1)).unflatten(0, (q, -1)), weights])
        fields = self.data.spread(weights.mT, self.covariance.shape[1:])
        return self.covariance.to_channels(self.conditional.apply(fields))

    def explained(self) -> Tensor:
        """See ``SphereSystem``."""
        q, E, lags = self.covariance.joined, self.covariance.basis, self.conditional.lags_apart()
        parts = [self._explained_apart(mode, lag) for mode, lag in enumerate(lags)]
        apart = torch.stack(parts) if parts else lags.new_zeros(0, lags.shape[1] * self.covariance.columns)
        explained = E[:, q:].to(apart).square() @ apart
        if self.coupled is not None:
            explained = explained + self._explained_jointly(E[:, :q].to(apart))
        return explained.unflatten(1, self.covariance.shape[1:])

    def _explained_apart(self, mode: int, lags: Tensor) -> Tensor:
        """(point,)."""
        alone = Factored(self.apart.scale[mode], self.apart.triangle[mode])
        everywhere = torch.arange(lags.shape[0] * lags.shape[2], device=lags.device)
        return alone.half(covariances_with(lags[None], self.data, everywhere)[0]).square().sum(dim=0)

    def _explained_jointly(self, basis: Tensor) -> Tensor:
        """By coupled modes, in channels: (channel, point), for E (channel, q)."""
        lags, parts = self.conditional.lags_coupled(), []
        for points in torch.arange(self.covariance.shape[1] * self.covariance.columns).split(_POINTS_AT_ONCE):
            seen = coupled_covariances_with(lags, self.data, points.to(lags.device), self.covariance.shape[1])
            seen = torch.einsum("cq,pnqk->pnck", basis, seen).flatten(0, 1)
            parts.append(self.coupled.half(seen.flatten(1)).square().sum(dim=0).view(-1, len(points)))
        return torch.cat(parts, dim=1)


@dataclass(frozen=True)
class JointSystem:
    """One system of all data.

    Attributes:
        covariance, conditional, data: as of ``ModeSystem``.
        rows: (n, 2) place and channel of each merged datum.
        joint: of them.
    """

    covariance: SphereCovariance
    conditional: ZonalCovariance
    data: SphereData
    rows: Tensor
    joint: Factored

    @classmethod
    def of(
        cls, covariance: SphereCovariance, sigma: float, data: SphereData, jitter: float, dtype: torch.dtype
    ) -> "JointSystem":
        """At one noise level."""
        C, rows = covariance.conditional(sigma, dtype=dtype), torch.nonzero(torch.isfinite(data.error_variance))
        place, channel = rows.unbind(dim=1)
        K = torch.zeros(len(rows), len(rows), dtype=dtype, device=rows.device)
        q, ny = covariance.joined, covariance.shape[1]
        own, coupled = C.lags_apart(), C.lags_coupled().view(covariance.columns, q, ny, q, ny)
        for i in channel.unique().tolist():
            for j in channel.unique().tolist():
                E_i, E_j = covariance.basis[i].to(K), covariance.basis[j].to(K)
                lags = torch.einsum("p,q,xpyqz->yzx", E_i[:q], E_j[:q], coupled)
                lags = lags + torch.einsum("q,qyzx->yzx", E_i[q:] * E_j[q:], own)
                between, a, b = (
                    place_covariances(lags[None], data)[0],
                    (channel == i).nonzero(),
                    (channel == j).nonzero(),
                )
                K[a, b[:, 0]] = between[place[a], place[b[:, 0]]]
        return cls(covariance, C, data, rows, Factored.of(K, data.error_variance[place, channel], jitter))

    def increment(self, departures: Tensor) -> Tensor:
        """See ``SphereSystem``."""
        place, channel = self.rows.unbind(dim=1)
        weights = torch.zeros_like(departures)
        weights[:, channel, place] = self.joint.weights(departures[:, channel, place].T).T
        fields = self.data.spread(self.covariance.to_modes(weights), self.covariance.shape[1:])
        return self.covariance.to_channels(self.conditional.apply(fields))

    def explained(self) -> Tensor:
        """See ``SphereSystem``."""
        ny, nx = self.covariance.shape[1:]
        explained = self.joint.triangle.new_zeros(self.covariance.channels, ny * nx)
        for points in torch.arange(ny * nx, device=explained.device).split(_POINTS_AT_ONCE):
            explained[:, points] = self._explained_at(points)
        return explained.unflatten(1, (ny, nx))

    def _explained_at(self, points: Tensor) -> Tensor:
        """(channel, point)."""
        place, channel = self.rows.unbind(dim=1)
        q, E = self.covariance.joined, self.covariance.basis.to(self.joint.triangle)
        own = covariances_with(self.conditional.lags_apart(), self.data, points)[:, place]  # (mode, n, point)
        both = coupled_covariances_with(self.conditional.lags_coupled(), self.data, points, self.covariance.shape[1])
        both = torch.einsum("np,pnqk->qnk", E[channel][:, :q], both[:, place])
        seen = torch.einsum("cq,qnk->nck", E[:, :q], both)
        seen = seen + torch.einsum("cq,nq,qnk->nck", E[:, q:], E[channel][:, q:], own)
        return self.joint.half(seen.flatten(1)).square().sum(dim=0).view(-1, len(points))


def place_covariances(lags: Tensor, data: SphereData) -> Tensor:
    """H C Hᵀ between the places: (k, place, place) of lags (k, y, y′, Δ)."""
    if data.points.shape[1] == 1:
        return _between(lags, data.points[:, 0], data.points[:, 0])
    distinct, where = torch.unique(data.points, return_inverse=True)
    weights, parts = data.weights.to(lags), [lags.new_zeros(0, len(data), len(data))]
    for part in lags:
        half = embedding_bag(where, _between(part[None], distinct, distinct)[0], per_sample_weights=weights, mode="sum")
        parts.append(embedding_bag(where, half.T.contiguous(), per_sample_weights=weights, mode="sum").T[None])
    return torch.cat(parts)


def covariances_with(lags: Tensor, data: SphereData, points: Tensor) -> Tensor:
    """H C between the places and grid points: (k, place, point) of lags (k, y, y′, Δ)."""
    weights = data.weights.to(lags)
    seen = [_between(lags, of_place, points) * w[:, None] for of_place, w in zip(data.points.T, weights.T, strict=True)]
    return torch.stack(seen).sum(dim=0)


def coupled_place_covariances(lags: Tensor, data: SphereData, rows: int) -> Tensor:
    """H C Hᵀ between coupled modes at the places: (q · place, q · place), of lags (Δ, q · y, q · y′)."""
    q = lags.shape[1] // rows
    if data.points.shape[1] == 1:
        return _coupled_between(lags, data.points[:, 0], data.points[:, 0], rows).flatten(2).flatten(0, 1)
    distinct, where = torch.unique(data.points, return_inverse=True)
    where = (torch.arange(q, device=where.device)[:, None, None] * len(distinct) + where).flatten(0, 1)
    weights = data.weights.to(lags).repeat(q, 1)
    at_points = _coupled_between(lags, distinct, distinct, rows).flatten(2).flatten(0, 1)
    half = embedding_bag(where, at_points, per_sample_weights=weights, mode="sum")
    return embedding_bag(where, half.T.contiguous(), per_sample_weights=weights, mode="sum").T


def coupled_covariances_with(lags: Tensor, data: SphereData, points: Tensor, rows: int) -> Tensor:
    """H C between coupled modes at the places and at grid points: (q, place, q, point)."""
    weights = data.weights.to(lags)
    seen = [
        _coupled_between(lags, of_place, points, rows) * w[:, None, None]
        for of_place, w in zip(data.points.T, weights.T, strict=True)
    ]
    return torch.stack(seen).sum(dim=0)


def _coupled_between(lags: Tensor, a: Tensor, b: Tensor, rows: int) -> Tensor:
    """C between coupled modes at points a and b (flat indices): (q, a, q, b)."""
    nx, size = len(lags), lags.shape[1]
    mode = torch.arange(size // rows, device=a.device) * rows
    row_a, row_b = mode[:, None] + a // nx, mode[:, None] + b // nx
    shift = ((a % nx)[:, None] - b % nx) % nx
    index = shift[None, :, None, :] * size**2 + row_a[:, :, None, None] * size + row_b
    return lags.flatten()[index]


def _between(lags: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """C between points a and b (flat indices): (k, a, b)."""
    ny, nx = lags.shape[1], lags.shape[3]
    row = (a // nx * ny)[:, None] + b // nx
    return lags.flatten(1)[:, row * nx + ((a % nx)[:, None] - b % nx) % nx]
