"""The observation operator H: bilinear in projected metres, with height corrections.

For a datum at plane position p between the grid points i, with bilinear weights w_i, at height z above sea level,

    H(x) = s Σ_i w_i x_i + c,      δz = z − Σ_i w_i z_i,

where z_i is the grid's terrain. Temperature and dew point: s = 1, c = Γ δz with a fixed lapse rate Γ. Surface pressure:
c = 0, s = the standard atmosphere's ratio of pressures (``geo.height``). Everything else, and data of unknown height,
and grids of unknown terrain: s = 1, c = 0. H is affine, so its tangent linear is x ↦ s Σ w_i x_i.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.geo.height import LAPSE_RATES, pressure_ratio
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.observations.table import Observations


@dataclass(frozen=True)
class _Stencil:
    """Four grid points a datum: flat indices (n, 4) into (y, x), weights (n, 4), scale s (n,) and offset c (n,)."""

    points: Tensor
    weights: Tensor
    scale: Tensor
    offset: Tensor


@dataclass(frozen=True)
class SparseRows:
    """The tangent linear of an operator, a few grid points a datum.

    Attributes:
        points: (n, k) flat indices into (y, x) of the datum's own channel.
        weights: (n, k) float64.
    """

    points: Tensor
    weights: Tensor


@dataclass(frozen=True)
class BilinearOperator:
    """H for data at stations.

    Attributes:
        layout: of the states that H is applied to.
        static: terrain for the height corrections.
        lapse_rates: {variable: K per metre}; variables not named get no correction.
    """

    layout: Layout
    static: StaticFields
    lapse_rates: Mapping[str, float] = field(default_factory=lambda: dict(LAPSE_RATES))

    def __call__(self, values: Tensor, observations: Observations) -> Tensor:
        """Model equivalents (member, n) of data, from values (member, channel, y, x).

        Raises:
            InputError: a datum lies outside the grid.
        """
        stencil = self._stencil(observations, values)
        return self._gather(values, stencil, observations) + stencil.offset

    def tangent(self, values: Tensor, observations: Observations) -> Tensor:
        """The linear part of H: perturbations (member, channel, y, x) → (member, n)."""
        return self._gather(values, self._stencil(observations, values), observations)

    def adjoint(self, departures: Tensor, observations: Observations) -> Tensor:
        """Hᵀ: (member, n) → (member, channel, y, x), such that ⟨H x, d⟩ = ⟨x, Hᵀ d⟩."""
        stencil = self._stencil(observations, departures)
        channels, ny, nx = self.layout.shape
        flat = torch.zeros(departures.shape[0], channels * ny * nx, dtype=departures.dtype, device=departures.device)
        target = observations.channel.to(flat.device)[:, None] * (ny * nx) + stencil.points
        spread = departures[:, :, None] * (stencil.scale[:, None] * stencil.weights)
        flat.index_add_(1, target.reshape(-1), spread.reshape(departures.shape[0], -1))
        return flat.reshape(-1, channels, ny, nx)

    def rows(self, observations: Observations) -> SparseRows:
        """The tangent, row by row; on the CPU."""
        stencil = self._stencil(observations, torch.empty(0, dtype=torch.float64))
        return SparseRows(stencil.points, stencil.scale[:, None] * stencil.weights)

    def _gather(self, values: Tensor, stencil: _Stencil, observations: Observations) -> Tensor:
        ny, nx = self.layout.grid.shape
        source = observations.channel.to(values.device)[:, None] * (ny * nx) + stencil.points
        corners = values.reshape(values.shape[0], -1)[:, source]
        return stencil.scale * (corners * stencil.weights).sum(dim=-1)

    def _stencil(self, observations: Observations, like: Tensor) -> _Stencil:
        points, weights = bilinear_stencil(self.layout, observations)
        scale, offset = self._height_corrections(observations, points, weights)
        to = {"dtype": like.dtype, "device": like.device}
        return _Stencil(
            torch.from_numpy(points).to(like.device),
            *(torch.from_numpy(array).to(**to) for array in (weights, scale, offset)),
        )

    def _height_corrections(
        self, observations: Observations, points: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        scale, offset = np.ones(len(observations)), np.zeros(len(observations))
        if self.static.orography is None:
            return scale, offset
        terrain = (self.static.orography.reshape(-1)[points] * weights).sum(axis=1)
        rise = np.nan_to_num(observations.elevation.cpu().numpy() - terrain, nan=0.0)
        channel = observations.channel.cpu().numpy()
        for i, name in enumerate(self.layout.names):
            if name in self.lapse_rates:
                offset = np.where(channel == i, self.lapse_rates[name] * rise, offset)
            if name == "sp":
                scale = np.where(channel == i, pressure_ratio(terrain, rise), scale)
        return scale, offset


def bilinear_stencil(layout: Layout, observations: Observations) -> tuple[np.ndarray, np.ndarray]:
    """Flat indices (n, 4) of the grid points around each datum, and their bilinear weights (n, 4).

    Raises:
        InputError: a datum lies outside the grid; the message names the station.
    """
    grid = layout.grid
    row, column = grid.fractional_index(observations.latitude.cpu().numpy(), observations.longitude.cpu().numpy())
    outside = ~grid.contains(observations.latitude.cpu().numpy(), observations.longitude.cpu().numpy())
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        raise InputError(
            f"{outside.sum()} observations lie outside the grid, the first from station {observations.station[first]} "
            f"at row {row[first]:.1f}, column {column[first]:.1f} of {grid.ny} × {grid.nx}"
        )
    around = isinstance(grid, LatLonGrid) and grid.periodic
    south = np.minimum(row.astype(int), grid.ny - 2)
    west = np.minimum(column.astype(int), grid.nx - 1 if around else grid.nx - 2)
    a, b = row - south, column - west
    corner, east = south * grid.nx + west, south * grid.nx + (west + 1) % grid.nx
    points = np.stack([corner, east, corner + grid.nx, east + grid.nx], axis=1)
    weights = np.stack([(1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b], axis=1)
    return points.astype(np.int64), weights
