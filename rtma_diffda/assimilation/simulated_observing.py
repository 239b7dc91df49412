"""Networks of stations for training, drawn anew at every use: what they report of a truth, less the background's view.

Each member gets its own number of stations, places tied to its terrain, station heights, and level of observation
error. Stations report all variables with H's own rules (bilinear in the plane, height corrections of ``geo.height``),

    d = H(x_t) + ε − H(x_b),        H(x) = s Σ_i w_i x_i + c,

so that a network learns from what ``observations.operators.BilinearOperator`` will show it. Places and heights follow
the same rules as ``observations.simulated_sites``, without its station table: this runs for every member of every
batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import UsageError
from rtma_diffda.fields.pairs import Pairs
from rtma_diffda.geo.height import LAPSE_RATES, pressure_ratio
from rtma_diffda.observations.simulated_errors import ERROR_STD
from rtma_diffda.observations.simulated_sites import (
    HEIGHT_STD,
    HEIGHT_STD_PER_RELIEF,
    MARGIN,
    SEA_SHARE,
    SITE_HEIGHT_SCALE,
)

_GROSS_SIZE = (8.0, 16.0)  # observation errors that a gross error amounts to


@dataclass(frozen=True)
class Observing:
    """What networks are drawn from.

    Attributes:
        fewest, most: stations; the number is log-uniform between them.
        error_std: SI, by variable.
        error_factors: the errors of a network are multiplied with one number, log-uniform between these two …
        usual_share: … except for this share of the networks, where it is 1.
        none_share: share of the members without any station.
        gross_error_rate: share of data that are off by 8 to 16 of their errors, unmarked.
    """

    fewest: int = 10
    most: int = 300
    error_std: Mapping[str, float] = field(default_factory=lambda: dict(ERROR_STD))
    error_factors: tuple[float, float] = (0.05, 2.0)
    usual_share: float = 0.5
    none_share: float = 0.03
    gross_error_rate: float = 0.0

    def __post_init__(self) -> None:
        shares = (self.usual_share, self.none_share, self.gross_error_rate)
        if not 0 < self.fewest <= self.most or not 0 < self.error_factors[0] <= self.error_factors[1]:
            raise UsageError(f"numbers of stations and error factors must be positive and in order; found {self}")
        if not all(0.0 <= share <= 1.0 for share in shares):
            raise UsageError(f"shares of networks and data must be 0 … 1; found {shares}")


@dataclass(frozen=True)
class Stations:
    """The network of one member; n may be 0.

    Attributes:
        position: (n, 2) metres x, y from the grid's south-western point.
        points, weights: (n, 4) flat indices of the grid points around each station, and their bilinear weights.
        height: (n,) m above sea level.
    """

    position: Tensor
    points: Tensor
    weights: Tensor
    height: Tensor

    def __len__(self) -> int:
        return len(self.height)

    def at(self, fields: Tensor) -> Tensor:
        """Bilinear values (…, n) of ``fields`` (…, y, x)."""
        return (fields.flatten(-2)[..., self.points] * self.weights).sum(dim=-1)

    def nearest(self, fields: Tensor) -> Tensor:
        """Values (…, n) of ``fields`` (…, y, x) at the grid point of the largest weight."""
        index = self.points.gather(1, self.weights.argmax(dim=1, keepdim=True))[:, 0]
        return fields.flatten(-2)[..., index]


@dataclass(frozen=True)
class Reports:
    """What the stations of one member say of the background.

    Attributes:
        stations: where.
        background: (channel, n) SI; H(x_b).
        innovation, error_std: (channel, n) SI.
    """

    stations: Stations
    background: Tensor
    innovation: Tensor
    error_std: Tensor


def observe(batch: Pairs, observing: Observing, *, generator: torch.Generator) -> list[Reports]:
    """A network and its reports for every member of ``batch``; drawn on the CPU, left on the batch's device."""
    spacing = (batch.layout.grid.dx, batch.layout.grid.dy)
    reports = []
    for member in range(len(batch)):
        orography, land = batch.orography[member].cpu(), batch.land_fraction[member].cpu()
        count = _draw_count(observing, generator)
        stations = draw_stations(orography, land, spacing, count=count, generator=generator)
        scaled = _with_errors_times(_draw_error_factor(observing, generator), observing)
        there = _on(stations, batch.truth.device)
        reports.append(_report(batch, member, stations=there, observing=scaled, generator=generator))
    return reports


def draw_stations(
    orography: Tensor, land_fraction: Tensor, spacing: Sequence[float], *, count: int, generator: torch.Generator
) -> Stations:
    """``count`` stations, mostly on low land, never near the edge, no two in one grid cell.

    Args:
        orography: (y, x) m.
        land_fraction: (y, x) 0 … 1.
        spacing: of the grid (m), along x and y.
        count: fewer are drawn where the grid has no room for so many.
        generator: on the CPU.
    """
    ny, nx = orography.shape
    weights = _site_weights(orography, land_fraction).flatten()
    count = min(count, int((weights > 0).sum()))
    cells = torch.multinomial(weights, count, generator=generator) if count else torch.zeros(0, dtype=torch.int64)
    jitter = torch.rand(2, count, generator=generator) - 0.5
    row, column = cells // nx + jitter[0], cells % nx + jitter[1]
    points, corner_weights = _stencil(row, column, (ny, nx))
    position = torch.stack([column * spacing[0], row * spacing[1]], dim=1)
    bare = Stations(position, points, corner_weights, torch.zeros(count))
    draws = torch.randn(count, generator=generator)
    return Stations(position, points, corner_weights, _site_heights(bare, orography, draws))


def _stencil(row: Tensor, column: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    ny, nx = shape
    south, west = row.long().clamp_max(ny - 2), column.long().clamp_max(nx - 2)
    a, b = row - south, column - west
    corner = south * nx + west
    points = torch.stack([corner, corner + 1, corner + nx, corner + nx + 1], dim=1)
    return points, torch.stack([(1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b], dim=1)


def _site_weights(orography: Tensor, land_fraction: Tensor) -> Tensor:
    on_land = torch.exp(-orography.float().clamp_min(0.0) / SITE_HEIGHT_SCALE)
    weights = torch.where(land_fraction >= 0.5, on_land, SEA_SHARE)
    inside = torch.zeros_like(weights)
    inside[MARGIN:-MARGIN, MARGIN:-MARGIN] = 1.0
    return weights * inside


def _site_heights(stations: Stations, orography: Tensor, draws: Tensor) -> Tensor:
    terrain = orography.float()
    relief = torch.hypot(*torch.gradient(terrain))
    at_site = stations.at(terrain)
    sites = at_site + draws * (HEIGHT_STD + HEIGHT_STD_PER_RELIEF * stations.at(relief))
    return torch.maximum(sites, at_site.clamp_max(1.0))


def _draw_count(observing: Observing, generator: torch.Generator) -> int:
    none, position = torch.rand(2, generator=generator).tolist()
    if none < observing.none_share:
        return 0
    return round(observing.fewest * (observing.most / observing.fewest) ** position)


def _draw_error_factor(observing: Observing, generator: torch.Generator) -> float:
    usual, position = torch.rand(2, generator=generator).tolist()
    lowest, highest = observing.error_factors
    return 1.0 if usual < observing.usual_share else lowest * (highest / lowest) ** position


def _with_errors_times(factor: float, observing: Observing) -> Observing:
    return replace(observing, error_std={name: factor * std for name, std in observing.error_std.items()})


def _report(
    batch: Pairs, member: int, *, stations: Stations, observing: Observing, generator: torch.Generator
) -> Reports:
    names = batch.layout.names
    unknown = [name for name in names if name not in observing.error_std]
    if unknown:
        raise UsageError(f"simulated stations have no observation error for {', '.join(unknown)}")
    std = torch.tensor([observing.error_std[name] for name in names])
    error_std = std[:, None].expand(len(names), len(stations)).to(batch.truth)
    noise = _draw_errors(error_std.shape, observing, generator).to(batch.truth)
    reported, expected = height_corrected(
        stations, torch.stack([batch.truth[member], batch.background[member]]), batch.orography[member], names
    )
    reported = reported + error_std * noise
    if {"t2m", "d2m"} <= set(names):  # instruments never report supersaturation
        t, d = names.index("t2m"), names.index("d2m")
        reported[d] = torch.minimum(reported[d], reported[t])
    return Reports(stations, expected, reported - expected, error_std)


def _draw_errors(shape: torch.Size, observing: Observing, generator: torch.Generator) -> Tensor:
    """Errors in units of their standard deviation."""
    errors = torch.randn(shape, generator=generator)
    if observing.gross_error_rate == 0.0:
        return errors
    concerned, sign, size = torch.rand(3, *shape, generator=generator)
    gross = torch.where(sign < 0.5, -1.0, 1.0) * (_GROSS_SIZE[0] + (_GROSS_SIZE[1] - _GROSS_SIZE[0]) * size)
    return errors + torch.where(concerned < observing.gross_error_rate, gross, 0.0)


def height_corrected(stations: Stations, fields: Tensor, orography: Tensor, names: Sequence[str]) -> Tensor:
    """H of ``fields`` (…, channel, y, x), channels called ``names``, at the stations: (…, channel, n)."""
    values = stations.at(fields)
    terrain = stations.at(orography)
    rise = stations.height - terrain
    for i, name in enumerate(names):
        if name in LAPSE_RATES:
            values[..., i, :] += LAPSE_RATES[name] * rise
        if name == "sp":
            values[..., i, :] *= _pressure_ratio(terrain, rise)
    return values


def _pressure_ratio(terrain: Tensor, rise: Tensor) -> Tensor:
    ratio = pressure_ratio(terrain.double().cpu().numpy(), rise.double().cpu().numpy())
    return torch.from_numpy(np.asarray(ratio)).to(terrain)


def _on(stations: Stations, device: torch.device) -> Stations:
    return Stations(
        stations.position.to(device),
        stations.points.to(device),
        stations.weights.to(device),
        stations.height.to(device),
    )
