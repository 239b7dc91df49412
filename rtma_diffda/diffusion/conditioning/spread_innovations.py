"""From observed points to a field: the two interpolations that DiffDA has used, on the globe and in the plane.

Kriging with covariance C(a, b) = exp(−|a − b| / L) (Matérn 1/2), of the nearest data within a radius:

    f(p) = w · d,        w = C⁻¹ c + μ C⁻¹ 1,        c_i = C(p, p_i),        C_ij = C(p_i, p_j)

μ = 0 unless the drift is constant; then it makes the weights sum to 1. The release calls this "universal kriging",
after the library it uses, but that library had no drift until August 2025: d varies about 0, and f falls to 0 away from
the data (pyinterp, CNES/pangeo-pyinterp @ 95bc8de of 2024-10, ``detail/math/kriging.hpp``). So does our default.

``Linear`` is the older code's: barycentric in a Delaunay triangulation, on the globe in three dimensions with every
datum repeated on shells around the sphere.

Positions are metres: (x, y) in the plane of a map, or Cartesian on the sphere (``on_sphere``), where distances are
chords. The release interpolates observed *values* (newer: less a climatology) and then subtracts the background:
``spread_values``. Both interpolations are linear in the data, so that spreading innovations instead
(``spread_innovations``) differs from it by the error of interpolating the background from the same points, and is
better where the background has detail. References: Cressie (1993), Statistics for Spatial Data, §3.2, 3.4;
``diffda.md`` §4.3.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import KDTree, QhullError
from torch import Tensor

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.sphere import EARTH_RADIUS, unit_vectors

_TARGETS_AT_ONCE = 32768
"""Bounds memory: covariances of 9 neighbours take 21 MB."""
_NUGGET = 1e-10
"""Of the variance: data at one and the same place share their weight, instead of making C singular."""
_SHELLS = (2.0, 1.1, 1.0 - 1e-4)
"""Radii on which the release repeats every datum, so that the sphere lies within their hull."""


def on_sphere(latitude: ArrayLike, longitude: ArrayLike) -> Tensor:
    """Cartesian positions (..., 3), m, of places in degrees; the arguments broadcast."""
    return torch.from_numpy(EARTH_RADIUS * unit_vectors(*np.broadcast_arrays(latitude, longitude)))


@dataclass(frozen=True)
class GridPlaces:
    """Where the points of a grid are.

    Attributes:
        position: (y, x, 2) in the plane or (y, x, 3) on the sphere, m, float64.
        latitude: (y,) degrees, where rows have one; None on projected grids.
        periodic: whether the last column is followed by the first.
    """

    position: Tensor
    latitude: Tensor | None = None
    periodic: bool = False

    @classmethod
    def of_plane(cls, x: ArrayLike, y: ArrayLike) -> "GridPlaces":
        """A projected grid with columns at ``x`` (x,) and rows at ``y`` (y,), m."""
        columns, rows = np.meshgrid(np.asarray(x, float), np.asarray(y, float))
        return cls(torch.from_numpy(np.stack([columns, rows], axis=-1)))

    @classmethod
    def of_latitudes(cls, latitude: ArrayLike, longitude: ArrayLike, *, periodic: bool) -> "GridPlaces":
        """A grid with rows at ``latitude`` (y,) and columns at ``longitude`` (x,), degrees."""
        rows, columns = np.asarray(latitude, float), np.asarray(longitude, float)
        return cls(on_sphere(rows[:, None], columns[None, :]), torch.from_numpy(rows), periodic)

    @property
    def shape(self) -> tuple[int, int]:
        """(y, x)."""
        return (self.position.shape[0], self.position.shape[1])

    def nearest(self, position: Tensor) -> Tensor:
        """Flat indices (n,) of the grid points nearest to ``position`` (n, d)."""
        tree = KDTree(self.position.flatten(0, 1).numpy())
        return torch.from_numpy(tree.query(position.numpy())[1])


@dataclass(frozen=True)
class ObservedPoints:
    """Data at their true places, in units of s.

    Attributes:
        channel: (n,) int64.
        position: (n, d) m, float64, like the grid's.
        value: (..., n): innovations, or values; leading axes, such as members, are kept.
    """

    channel: Tensor
    position: Tensor
    value: Tensor

    def __post_init__(self) -> None:
        count = len(self.channel)
        if self.position.shape[:-1] != (count,) or self.value.shape[-1:] != (count,):
            raise InputError(
                f"{count} channels with positions of shape {tuple(self.position.shape)} and values of shape "
                f"{tuple(self.value.shape)}; expected ({count}, d) and (..., {count})"
            )
        if not bool(torch.isfinite(self.position).all() and torch.isfinite(self.value).all()):
            raise InputError("observed points need finite positions and values")


class Interpolation(Protocol):
    """Makes fields of values at points; linear in the values."""

    def interpolate(self, position: Tensor, values: Tensor, targets: Tensor) -> Tensor:
        """Fields (k, p), float64; NaN where no datum is near enough.

        Args:
            position: (n, d) m, float64, n ≥ 1.
            values: (k, n) float64.
            targets: (p, d) m, float64.
        """


@dataclass(frozen=True)
class Kriging:
    """Kriging of the nearest data; exact at data.

    Attributes:
        length: L, m. 600 km is the release's, for the globe; a region wants its own.
        neighbours: how many data a grid point sees.
        radius: m; data farther away are not seen.
        constant_drift: whether the mean is unknown, rather than 0: for values that are not departures from anything.
    """

    length: float = 600e3
    neighbours: int = 9
    radius: float = 2000e3
    constant_drift: bool = False

    def __post_init__(self) -> None:
        if not self.length > 0.0 or not self.radius > 0.0 or self.neighbours < 1:
            raise UsageError(f"kriging needs a length, a radius and neighbours above 0; found {self}")

    def interpolate(self, position: Tensor, values: Tensor, targets: Tensor) -> Tensor:
        """See ``Interpolation``."""
        tree, ranks = KDTree(position.numpy()), list(range(1, min(self.neighbours, len(position)) + 1))
        parts = []
        for part in targets.split(_TARGETS_AT_ONCE):
            found = tree.query(part.numpy(), k=ranks, distance_upper_bound=self.radius)
            distance, nearest = (torch.from_numpy(array) for array in found)
            near = nearest.clamp_max(len(position) - 1)  # scipy marks absent neighbours by n, infinitely far
            weights = self._weights(position[near], distance)
            weights[~torch.isfinite(distance[:, 0])] = torch.nan
            parts.append((values[:, near] * weights).sum(dim=-1))
        return torch.cat(parts, dim=1)

    def _weights(self, near: Tensor, distance: Tensor) -> Tensor:
        """w (p, k) of data at ``near`` (p, k, d), ``distance`` (p, k) away; 0 for those infinitely far."""
        present = torch.isfinite(distance).to(near)
        between = torch.cdist(near, near, compute_mode="donot_use_mm_for_euclid_dist")
        C = torch.exp(-between / self.length) * present[:, :, None] * present[:, None, :]
        C = C + torch.diag_embed(1.0 - present + _NUGGET)
        c = torch.exp(-distance / self.length)
        solved = torch.cholesky_solve(torch.stack([c, present], dim=-1), torch.linalg.cholesky(C))
        weights, ones = solved.unbind(dim=-1)
        if not self.constant_drift:
            return weights
        return weights + ones * ((1.0 - weights.sum(dim=1)) / ones.sum(dim=1))[:, None]


@dataclass(frozen=True)
class Linear:
    """Barycentric interpolation between the corners of Delaunay simplices; the nearest datum outside of all."""

    def interpolate(self, position: Tensor, values: Tensor, targets: Tensor) -> Tensor:
        """See ``Interpolation``; never NaN."""
        nearest = KDTree(position.numpy()).query(targets.numpy())[1]
        outside = values[:, torch.from_numpy(nearest)]
        shells = _SHELLS if position.shape[1] == 3 else (1.0,)
        corners = torch.cat([shell * position for shell in shells])
        try:
            within = LinearNDInterpolator(corners.numpy(), values.repeat(1, len(shells)).T.numpy())
        except QhullError:  # too few data for a simplex, or all of them on a line
            return outside
        inside = torch.from_numpy(within(targets.numpy())).T
        return torch.where(torch.isnan(inside), outside, inside)


def spread_innovations(
    interpolation: Interpolation, observed: ObservedPoints, grid: GridPlaces, *, channels: int
) -> Tensor:
    """Innovations as fields (..., channel, y, x), float64; 0 for channels and places without data near enough.

    Args:
        interpolation: ``Kriging`` or ``Linear``.
        observed: innovations in units of s.
        grid: where to.
        channels: of the answer.
    """
    return torch.nan_to_num(_spread(interpolation, observed, grid, channels), nan=0.0)


def spread_values(
    interpolation: Interpolation, observed: ObservedPoints, grid: GridPlaces, *, background: Tensor
) -> Tensor:
    """Values as fields, less the background: (..., channel, y, x), float64; 0 where there are no data near enough.

    Kriging without a drift wants both less one and the same climatology.

    Args:
        interpolation: ``Kriging`` or ``Linear``.
        observed: values in units of s.
        grid: where to.
        background: (channel, y, x), or with the leading axes of the values, in units of s.
    """
    fields = _spread(interpolation, observed, grid, background.shape[-3])
    return torch.nan_to_num(fields - background.double(), nan=0.0)


def _spread(interpolation: Interpolation, observed: ObservedPoints, grid: GridPlaces, channels: int) -> Tensor:
    """(..., channel, y, x), NaN where nothing was near enough."""
    leading = observed.value.shape[:-1]
    values = observed.value.double().reshape(leading.numel(), -1)
    targets = grid.position.flatten(0, 1)
    fields = torch.full((len(values), channels, len(targets)), torch.nan, dtype=torch.float64)
    for alike, rows in _observed_alike(observed):
        answer = interpolation.interpolate(observed.position[rows[0]], values[:, rows].flatten(0, 1), targets)
        fields[:, alike] = answer.reshape(len(values), len(alike), -1)
    return fields.reshape(*leading, channels, *grid.shape)


def _observed_alike(observed: ObservedPoints) -> Iterator[tuple[list[int], Tensor]]:
    """Channels observed at the same places in the same order, which may share weights: and their rows (g, n)."""
    groups: dict[bytes, list[tuple[int, Tensor]]] = {}
    for channel in observed.channel.unique().tolist():
        rows = torch.nonzero(observed.channel == channel)[:, 0]
        groups.setdefault(observed.position[rows].numpy().tobytes(), []).append((channel, rows))
    for group in groups.values():
        yield [channel for channel, _ in group], torch.stack([rows for _, rows in group])
