"""What the network of a limited-area forecast is told.

At every point of the region: the state at t as departures from its mean over the region (``fields.departures``), its
change since t − Δ in units of one-step differences, terrain and land, the time of day at t + Δ, the height of the sun
at t and t + Δ, and, if so encoded, the change of the boundary from t to t + Δ, bilinear from its nodes.

At every boundary node: the window of global states around t + Δ (``BoundaryWindow``), less the *region's* reference and
over the same sizes, so that both sides speak of the same departures; its change from t to t + Δ in units of one-step
differences; then the global model's terrain and land, and 1.
A member that does without a boundary has zeros for all of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from rtma_diffda.backbones.limited_area.boundary_window import BoundaryWindow
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.departures import VECTORS, at_sea_level, weather_channel_count, weather_channels
from rtma_diffda.fields.landscape import LAND_CHANNELS, TIME_CHANNELS, TYPICAL_HEIGHT, land_channels, time_channels
from rtma_diffda.fields.normalisation import Normalisation
from rtma_diffda.forecast.forcing import BoundarySeries, Forcing
from rtma_diffda.geo.grid import Grid, ProjectedGrid
from rtma_diffda.geo.regrid.regridder import Regridder
from rtma_diffda.geo.sun import sun_height

_SUN_CHANNELS = 2
_STATIC_OF_NODE = 3  # terrain, land, 1


@dataclass(frozen=True)
class ForecastEncoding:
    """How inputs are made.

    Attributes:
        differences: mean and standard deviation of x(t + Δ) − x(t) by variable, in the order of the channels.
        window: of boundary states; its step is Δ.
        interpolated: whether points of the region are told the boundary's change as well.
    """

    differences: Normalisation
    window: BoundaryWindow
    interpolated: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Variables, in the order of the channels."""
        return self.differences.names

    @property
    def time_step(self) -> np.timedelta64:
        """Δ."""
        return self.window.step

    @property
    def point_channels(self) -> int:
        """Channels at every point of the region."""
        own = weather_channel_count(self.names) + len(self.names) + LAND_CHANNELS + TIME_CHANNELS + _SUN_CHANNELS
        return own + len(self.names) * self.interpolated

    @property
    def node_channels(self) -> int:
        """Features of every boundary node."""
        return self.window.channels(len(self.names), len(self.names) + _STATIC_OF_NODE)

    def difference(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of one-step differences, (channel, 1, 1)."""
        mean, std = self.differences.mean, self.differences.std
        return mean.to(like)[:, None, None], std.to(like)[:, None, None]

    def settings(self) -> dict[str, Any]:
        """Plain values for the configuration of a checkpoint; the statistics are stored apart."""
        return {"names": list(self.names), "window": self.window.settings(), "interpolated": self.interpolated}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], mean: Tensor, std: Tensor) -> "ForecastEncoding":
        """The encoding of stored settings and statistics.

        Raises:
            KeyError, TypeError, UsageError: they are incomplete or do not fit together.
        """
        window = BoundaryWindow.from_settings(settings["window"])
        return cls(Normalisation(tuple(settings["names"]), mean, std), window, bool(settings["interpolated"]))

    def points(
        self, pair: "StatePair", forcing: Forcing, grid: ProjectedGrid, weights: "RegionWeights | None"
    ) -> Tensor:
        """(member, channel, y, x) float32: what the points of the region are told.

        Args:
            pair: states at t − Δ and t.
            forcing: around them.
            grid: of the region.
            weights: from the boundary's grid to the region's; needed where ``interpolated``.

        Raises:
            InputError: the boundary does not reach over t and t + Δ.
        """
        mean, std = self.difference(pair.current)
        landscape, current = forcing.landscape, pair.current
        parts = [
            weather_channels(current, landscape.orography, self.names),
            (current - pair.previous - mean) / std,
            land_channels(landscape, grid),
            time_channels(pair.time + self.time_step, grid).to(current),
            _sun_channels(pair.time, self.time_step, grid).to(current),
        ]
        if self.interpolated:
            parts.append(self._interpolated(pair, forcing.boundary, weights))
        size = current.shape[-2:]
        return torch.cat([part.float().expand(len(current), -1, *size) for part in parts], dim=1)

    def nodes(self, pair: "StatePair", forcing: Forcing, index: Tensor) -> Tensor:
        """(member, node, feature) float32: what the boundary nodes are told.

        Args:
            pair: states at t − Δ and t.
            forcing: around them.
            index: (node,) flat positions of the nodes in the boundary's grid.

        Raises:
            InputError: the boundary lacks a state that a window needs.
        """
        series, current = forcing.boundary, pair.current
        if series is None:
            return current.new_zeros(len(current), len(index), self.node_channels, dtype=torch.float32)
        series = series.at_points(index)
        reference = region_reference(current, forcing.landscape.orography, self.names)
        window = _windows(self.window, pair.time + self.time_step, series.departures(reference, self.names), series)
        height, land = series.orography / TYPICAL_HEIGHT, series.land_fraction
        static = torch.stack([height, land, torch.ones_like(land)], dim=-1)
        change = self._change(pair, series).transpose(1, 2)
        features = torch.cat([window, change.to(window), static.to(window)], dim=-1).float()
        return torch.where(series.known[:, None, None], features, torch.zeros_like(features))

    def _interpolated(
        self, pair: "StatePair", series: BoundarySeries | None, weights: "RegionWeights | None"
    ) -> Tensor:
        """The boundary's change on the region: (member, channel, y, x); 0 for members without boundary."""
        if series is None:
            return torch.zeros_like(pair.current)
        if weights is None:
            raise UsageError("the encoding interpolates the boundary, and no weights to the region are there")
        change = weights(self._change(pair, series)).to(pair.current)
        return torch.where(series.known[:, None, None, None], change, torch.zeros_like(change))

    def _change(self, pair: "StatePair", series: BoundarySeries) -> Tensor:
        """The boundary's change from t to t + Δ over one-step differences: (member, channel, point)."""
        one = replace(self.window, past=0, future=0, encoding=0, interpolate=True)
        level = series.at_sea_level(self.names)
        now, later = (
            _windows(one, time, level, series).transpose(1, 2) for time in (pair.time, pair.time + self.time_step)
        )
        mean, std = (statistic[..., 0] for statistic in self.difference(later))
        return (later - now - mean) / std


@dataclass(frozen=True)
class StatePair:
    """Attributes:
    previous, current: (member, channel, y, x) SI, at t − Δ and t.
    time: (member,) datetime64[ns]: t.
    """

    previous: Tensor
    current: Tensor
    time: np.ndarray

    def followed_by(self, values: Tensor, time_step: np.timedelta64) -> "StatePair":
        """The pair one step later, of which ``values`` are the current ones."""
        return StatePair(self.current, values, self.time + time_step)


class RegionWeights(nn.Module):
    """Bilinear weights from the boundary's grid to the region's, of which every point has at most four.

    Args:
        source: the boundary's grid, which covers the region.
        target: the region's.

    Raises:
        InputError: it does not cover the region.
    """

    def __init__(self, source: Grid, target: ProjectedGrid) -> None:
        super().__init__()
        regridder = Regridder.between(source, target, method="bilinear")
        if not regridder.weights.mapped().all():
            missing = int((~regridder.weights.mapped()).sum())
            raise InputError(f"the boundary's grid does not cover {missing} of {target.nx * target.ny} points")
        index, weight = padded_rows(regridder.weights.matrix())
        self.shape = target.shape
        self.register_buffer("index", torch.from_numpy(index), persistent=False)
        self.register_buffer("weight", torch.from_numpy(weight), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Values (…, source point) on the region: (…, y, x)."""
        return (values[..., self.index] * self.weight.to(values)).sum(dim=-1).unflatten(-1, self.shape)


def padded_rows(matrix: csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Columns and weights (row, most) of a sparse matrix; rows with fewer are filled up with weight 0."""
    counts = np.diff(matrix.indptr)
    place = np.arange(counts.max())
    filled = place < counts[:, None]
    index, weight = np.zeros(filled.shape, np.int64), np.zeros(filled.shape)
    index[filled], weight[filled] = matrix.indices, matrix.data
    return index, weight


def region_reference(values: Tensor, orography: Tensor, names: tuple[str, ...]) -> Tensor:
    """Mean at sea level over the region of values (member, channel, y, x): (member, channel); 0 for winds."""
    means = [
        torch.zeros_like(values[:, i, 0, 0])
        if name in VECTORS
        else at_sea_level(values[:, i], orography, name).mean(dim=(1, 2))
        for i, name in enumerate(names)
    ]
    return torch.stack(means, dim=1)


def _windows(window: BoundaryWindow, targets: np.ndarray, values: Tensor, series: BoundarySeries) -> Tensor:
    """Features (member, node, feature) of values (member, time, channel, node), each member at its own target.

    Members at the same time after the first of their boundary's have one plan in common.
    """
    offsets = targets - series.times[:, 0]
    steps = series.times - series.times[:, :1]
    if (offsets == offsets[0]).all() and (steps == steps[0]).all():
        plan = window.plan(targets[:1], series.times[0])
        side_by_side = values.permute(1, 2, 0, 3).flatten(2)
        return plan.features(side_by_side)[0].reshape(len(values), values.shape[-1], -1)
    return torch.stack([window.features(values[i], series.times[i], targets[i]) for i in range(len(targets))])


def _sun_channels(time: np.ndarray, time_step: np.timedelta64, grid: ProjectedGrid) -> Tensor:
    """Cosine of the sun's zenith angle before and after the step: (member, 2, y, x)."""
    latitude, longitude = grid.latitude(), grid.longitude()
    return torch.from_numpy(np.stack([sun_height(t, latitude, longitude) for t in (time, time + time_step)], axis=1))
