"""``SphereData``: data on a global grid by place and channel, merged without loss where they repeat each other.

A place is a set of grid points with weights, as bilinear interpolation has them; a datum is a multiple of one channel
there. Several data y_i = a_i h + ε_i of one channel at one place, of error variances R_i, are the one datum

    y = R Σ a_i y_i / R_i,    R = 1 / Σ a_i² / R_i,

so that columns drawn twice cannot make a system singular. As ``diffusion.conditioning.lattice_data``, but for grids
whose last column is followed by the first.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rtma_diffda.diffusion.conditioning.evidence import Stencil

_SAME = 1e-4
"""Places whose weights agree to this are one place."""
_LEAST_ERROR = 1e-6
"""Smallest standard deviation of an error, in units of s."""
_LEAST_PRECISION = 1e-24
"""Data that say less than this of s count as none."""


@dataclass(frozen=True)
class SphereData:
    """The data of all channels, merged.

    Attributes:
        points: (place, k) int64, flat indices into (y, x).
        weights: (place, k) float64; |w| add up to 1.
        error_variance: (place, channel) float64 R, in units of s²; infinite where there is no datum.
        target: (n,) place · channels + channel of each datum.
        factor: (n,) what each counts in its merged datum.
    """

    points: Tensor
    weights: Tensor
    error_variance: Tensor
    target: Tensor
    factor: Tensor

    @staticmethod
    def of(stencil: Stencil, error_std: Tensor, channels: int) -> "SphereData":
        """The data by place.

        Args:
            stencil: of the n data.
            error_std: (n,) positive.
            channels: how many the fields have.
        """
        weights = stencil.weights.double()
        scale = weights.abs().sum(dim=1).clamp_min(1e-300)
        points, unit, of_datum = _places(stencil.points, weights / scale[:, None])
        target = of_datum * channels + stencil.channel
        gain = scale / error_std.double().clamp_min(_LEAST_ERROR * scale) ** 2
        precision = gain.new_zeros(len(points) * channels).index_add_(0, target, gain * scale)
        precision = torch.where(precision > _LEAST_PRECISION, precision, 0.0)
        factor = torch.where(precision[target] > 0, gain / precision[target].clamp_min(_LEAST_PRECISION), 0.0)
        return SphereData(points, unit, (1.0 / precision).view(len(points), channels), target, factor)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def complete(self) -> bool:
        """Whether every place has every channel."""
        return bool(torch.isfinite(self.error_variance).all())

    def to(self, device: torch.device) -> "SphereData":
        """On another device."""
        return replace(self, **{name: value.to(device) for name, value in vars(self).items()})

    def merged(self, departures: Tensor) -> Tensor:
        """Departures (member, n) by place and channel: (member, channel, place), float64; 0 where there are none."""
        places, channels = self.error_variance.shape
        parts = departures.double() * self.factor
        sums = parts.new_zeros(len(parts), places * channels).index_add_(1, self.target, parts)
        return sums.view(-1, places, channels).mT

    def spread(self, values: Tensor, shape: tuple[int, int]) -> Tensor:
        """Hᵀ: (…, place) → (…, y, x)."""
        fields = values.new_zeros(*values.shape[:-1], shape[0] * shape[1])
        parts = values[..., None] * self.weights.to(values)
        return fields.index_add_(-1, self.points.flatten(), parts.flatten(-2)).unflatten(-1, shape)


def _places(points: Tensor, unit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Points (place, k) that differ or whose weights do, their weights, and the place of each datum (n,)."""
    rounded = torch.cat([points, (unit / _SAME).round().long()], dim=1)
    places, of_datum, count = torch.unique(rounded, dim=0, return_inverse=True, return_counts=True)
    sums = unit.new_zeros(len(places), unit.shape[1]).index_add_(0, of_datum, unit) / count[:, None]
    order = sums.abs().argsort(dim=1, descending=True, stable=True)
    weights = sums.gather(1, order)
    most = max(int((weights != 0).sum(dim=1).max()) if len(weights) else 0, 1)  # columns at grid points have one each
    return places.gather(1, order)[:, :most], weights[:, :most], of_datum
