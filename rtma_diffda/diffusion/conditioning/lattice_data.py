"""``LatticeData``: data on a lattice by place and channel, their H, and H C Hᵀ from a table of lags.

A place is a lattice point, its corner, with four weights for the square of points north-east of it, as bilinear
interpolation has them. A datum is a multiple of one channel there. What several data say of one channel at one place
is one datum, without loss: y_i = a_i h + ε_i of error variances R_i are the datum

    y = R Σ a_i y_i / R_i,    R = 1 / Σ a_i² / R_i.

The covariance of two places sums over the nine lags δ around the one between their corners, with weights W_δ that
depend on the places alone:

    (H C Hᵀ)_ij = Σ_δ W_δ C_ij(corner' − corner + δ),    W_δ = Σ w_p w'_q over points p, q with q − p = δ.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from rtma_diffda.diffusion.conditioning.evidence import Stencil
from rtma_diffda.errors import InputError

_SQUARE = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
_SAME = 1e-4
"""Places whose weights agree to this are one place, so that the data of a station are, whatever their scales."""
_LEAST_ERROR = 1e-6
"""Smallest standard deviation of an error, in units of s: below it a datum is as good as exact."""
_LEAST_PRECISION = 1e-24
"""Data that say less than this of s count as none."""


@dataclass(frozen=True)
class LatticeData:
    """The data of all channels, merged.

    Attributes:
        corner: (place, 2) int64 (y, x).
        weights: (place, 4) float64 of the points (0, 0), (0, 1), (1, 0), (1, 1) from the corner; |w| add up to 1.
        error_variance: (place, channel) float64 R, in units of s²; infinite where there is no datum.
        target: (n,) place · channels + channel of each datum.
        factor: (n,) what each counts in its merged datum.
        shape: (y, x) of the lattice.
    """

    corner: Tensor
    weights: Tensor
    error_variance: Tensor
    target: Tensor
    factor: Tensor
    shape: tuple[int, int]

    @staticmethod
    def of(stencil: Stencil, error_std: Tensor, channels: int, shape: tuple[int, int]) -> "LatticeData":
        """The data by place.

        Args:
            stencil: of the n data.
            error_std: (n,) positive.
            channels: how many the fields have.
            shape: (y, x).

        Raises:
            InputError: a datum looks at points that do not lie in one square of four.
        """
        corner, weights = _on_squares(stencil.points, stencil.weights.double(), shape)
        scale = weights.abs().sum(dim=1)
        places, of_datum, unit = _places(corner, weights / scale.clamp_min(1e-300)[:, None])
        target = of_datum * channels + stencil.channel
        gain = scale / error_std.double().clamp_min(_LEAST_ERROR * scale.clamp_min(1e-300)) ** 2
        precision = gain.new_zeros(len(places) * channels).index_add_(0, target, gain * scale)
        precision = torch.where(precision > _LEAST_PRECISION, precision, 0.0)
        factor = torch.where(precision[target] > 0, gain / precision[target].clamp_min(_LEAST_PRECISION), 0.0)
        return LatticeData(places, unit, (1.0 / precision).view(len(places), channels), target, factor, shape)

    @property
    def position(self) -> Tensor:
        """(place, 2) float64 (y, x): the mean of the points, weighted."""
        return self.corner + self.weights.abs() @ _SQUARE.to(self.weights)

    def to(self, device: torch.device) -> "LatticeData":
        """On another device."""
        moved = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **moved)

    def merged(self, departures: Tensor, dtype: torch.dtype) -> Tensor:
        """Departures (member, n) by place and channel: (member, place, channel); 0 where there are none."""
        places, channels = self.error_variance.shape
        parts = departures.double() * self.factor
        sums = parts.new_zeros(len(parts), places * channels).index_add_(1, self.target, parts)
        return sums.view(-1, places, channels).to(dtype)

    def observed(self, fields: Tensor) -> Tensor:
        """H: fields (member, channel, y, x) → (member, place, channel)."""
        return (fields.flatten(2)[:, :, self._points()] * self.weights.to(fields)).sum(dim=-1).mT

    def spread(self, values: Tensor) -> Tensor:
        """Hᵀ: (member, place, channel) → (member, channel, y, x)."""
        members, _, channels = values.shape
        fields = values.new_zeros(members, channels, self.shape[0] * self.shape[1])
        parts = values.mT[..., None] * self.weights.to(values)
        return fields.index_add_(2, self._points().flatten(), parts.flatten(2)).unflatten(2, self.shape)

    def _points(self) -> Tensor:
        """(place, 4) flat indices; beyond an edge, where weights are 0, those of the edge."""
        points = self.corner[:, None, :] + _SQUARE.to(self.corner)
        ny, nx = self.shape
        return points[..., 0].clamp_max(ny - 1) * nx + points[..., 1].clamp_max(nx - 1)


@dataclass(frozen=True)
class LagStencil:
    """Where in a table of lags the covariances of pairs of places are found.

    Attributes:
        index: (…, 9) int32, flat, into (t_y, t_x).
        weight: (…, 9) W.
    """

    index: Tensor
    weight: Tensor

    @staticmethod
    def of(data: LatticeData, a: Tensor, b: Tensor, torus: tuple[int, int], dtype: torch.dtype) -> "LagStencil":
        """Of pairs of places.

        Args:
            data: the places.
            a, b: int64, first and second places of the pairs; they broadcast against each other.
            torus: (t_y, t_x) of the lags, in the torus's own order.
            dtype: of the weights.
        """
        offsets = (_SQUARE[None, :] - _SQUARE[:, None]).flatten(0, 1)  # q − p of the 16 pairs of points
        nine = torch.cartesian_prod(torch.arange(-1, 2), torch.arange(-1, 2))
        sums = (offsets[:, None] == nine).all(dim=-1).to(data.weights)
        w_a, w_b = data.weights[a], data.weights[b]
        weight = (w_a[..., :, None] * w_b[..., None, :]).flatten(-2).to(dtype) @ sums.to(dtype)
        lag = (data.corner[b] - data.corner[a])[..., None, :] + nine.to(data.corner)
        t_y, t_x = torus
        return LagStencil((lag[..., 0] % t_y * t_x + lag[..., 1] % t_x).int(), weight)

    def covariances(self, rows: Tensor) -> Tensor:
        """C_ij of the pairs: (…, channel i of a, channel j of b), from ``lag_rows``."""
        channels = round(rows.shape[1] ** 0.5)
        sums = embedding_bag(self.index.view(-1, 9), rows, per_sample_weights=self.weight.view(-1, 9), mode="sum")
        return sums.view(*self.index.shape[:-1], channels, channels)


def lag_rows(lags: Tensor) -> Tensor:
    """Lags (channel, channel, t_y, t_x) with the channels of one lag side by side: (t_y · t_x, channel · channel)."""
    return lags.flatten(2).flatten(0, 1).T.contiguous()


def _places(corner: Tensor, unit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Corners (place, 2) that differ or whose weights do, the place of each datum (m,), and weights (place, 4)."""
    rounded = torch.cat([corner, (unit / _SAME).round().long()], dim=1)
    places, of_datum, count = torch.unique(rounded, dim=0, return_inverse=True, return_counts=True)
    sums = unit.new_zeros(len(places), 4).index_add_(0, of_datum, unit)
    return places[:, :2], of_datum, sums / count[:, None]


def _on_squares(points: Tensor, weights: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Corner (m, 2) and weights (m, 4) of data that look at points (m, k) with weights (m, k)."""
    place = torch.stack([points // shape[1], points % shape[1]], dim=-1)
    corner = place.amin(dim=1)
    offset = place - corner[:, None]
    if bool((offset > 1).any()):
        raise InputError(
            f"{int((offset > 1).flatten(1).any(dim=1).sum())} of {len(points)} data look at points farther apart than "
            "the corners of one grid cell; a stationary gain takes bilinear rows of H"
        )
    on_square = weights.new_zeros(len(weights), 4)
    return corner, on_square.scatter_add_(1, offset[..., 0] * 2 + offset[..., 1], weights)
