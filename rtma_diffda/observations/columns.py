"""Observed columns of a global truth: every channel (variable and level) at some places, for twin experiments.

Places are drawn as DiffDA's release draws them (``drawn_by_index``: independent uniform row and column numbers, so that
places may repeat and crowd towards the poles), or uniformly over the area without repetition (``drawn_by_area``), or
read from a file (``ingest.column_locations``). A fixed network is one draw that is used again. Data are H(x) with H
bilinear, taken without noise, as in the release, unless a generator is given; the stated error is positive in any case.

References: Huang et al. (2024), arXiv 2401.05932; ``diffda.md`` §4.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.geo.sphere import wrap_longitude
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.observations.table import Observations

NETWORK = "column"


@dataclass(frozen=True)
class ColumnPlaces:
    """Where columns are observed; a place may occur many times.

    Attributes:
        latitude, longitude: (k,) degrees, float64.
    """

    latitude: np.ndarray
    longitude: np.ndarray

    def __post_init__(self) -> None:
        if self.latitude.ndim != 1 or self.latitude.shape != self.longitude.shape:
            raise InputError(
                f"places of columns need as many latitudes as longitudes; found shapes {self.latitude.shape} and "
                f"{self.longitude.shape}"
            )
        with np.errstate(invalid="ignore"):
            bad = ~((np.abs(self.latitude) <= 90.0) & (self.longitude >= -180.0) & (self.longitude <= 360.0))
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            raise InputError(
                f"{bad.sum()} of {len(bad)} places of columns are not on the globe; the first is number {i} at "
                f"latitude {self.latitude[i]}, longitude {self.longitude[i]}"
            )

    def __len__(self) -> int:
        return len(self.latitude)

    def distinct(self) -> "ColumnPlaces":
        """Each place once, to a millionth of a degree, in the order of first occurrence."""
        keys = np.round(np.stack([self.latitude, wrap_longitude(self.longitude)], axis=1), 6)
        first = np.sort(np.unique(keys, axis=0, return_index=True)[1])
        return ColumnPlaces(self.latitude[first], self.longitude[first])

    def on_points(self, grid: LatLonGrid) -> "ColumnPlaces":
        """Each moved to the nearest row and column of a periodic grid, as the release reads its locations."""
        row, column = grid.fractional_index(self.latitude, self.longitude)
        return _at(grid, np.rint(row).astype(int), np.rint(column).astype(int) % grid.nx)


def drawn_by_index(grid: LatLonGrid, count: int, *, generator: torch.Generator) -> ColumnPlaces:
    """``count`` grid points with replacement, uniform in row and column numbers: the published draw."""
    _require_count(count)
    row = torch.randint(grid.ny, (count,), generator=generator)
    column = torch.randint(grid.nx, (count,), generator=generator)
    return _at(grid, row.numpy(), column.numpy())


def drawn_by_area(grid: LatLonGrid, count: int, *, generator: torch.Generator) -> ColumnPlaces:
    """``count`` different grid points, drawn one after another with chances as their cells' areas.

    Raises:
        UsageError: the grid has fewer points.
    """
    _require_count(count)
    if count > grid.ny * grid.nx:
        raise UsageError(f"{count} different columns were asked for, of a grid of {grid.ny * grid.nx} points")
    area = torch.from_numpy(grid.cell_area().reshape(-1))
    chosen = torch.multinomial(area, count, replacement=False, generator=generator).numpy()
    return _at(grid, chosen // grid.nx, chosen % grid.nx)


def observe_columns(
    truth: State,
    places: ColumnPlaces,
    error_std: Tensor,
    *,
    channels: Sequence[str] | None = None,
    generator: torch.Generator | None = None,
) -> Observations:
    """What columns at ``places`` report of a truth: one row a datum, channel by channel.

    Args:
        truth: of one member, on a global latitude–longitude grid.
        places: k places; they name the stations ``column0`` … in their order.
        error_std: (channel,) SI of the truth's channels, positive: the stated error, such as a thousandth of the
            standard deviation of 6-h changes for data without any.
        channels: labels of those that are reported; all where None.
        generator: adds noise of ``error_std``; no noise where None.

    Raises:
        InputError: several members, or an error for each channel is not there or not positive.
        UsageError: the truth has no channel of a name.
    """
    layout, error_std = truth.layout, torch.as_tensor(error_std, dtype=torch.float64).cpu()
    if truth.members != 1:
        raise InputError(f"columns are observed in a truth of one member; found {truth.members}")
    if error_std.shape != (len(layout.channels),) or not bool((error_std > 0).all()):
        raise InputError(
            f"columns of {len(layout.channels)} channels need as many positive errors; found {error_std.tolist()}"
        )
    chosen = torch.tensor([layout.index(name) for name in (layout.names if channels is None else channels)])
    values = _read_out(truth, places)[chosen]
    errors = error_std[chosen][:, None].expand_as(values)
    if generator is not None:
        values = values + errors * torch.randn(values.shape, generator=generator, dtype=torch.float64)
    rows = _rows(truth, places, torch.repeat_interleave(chosen, len(places)))
    return Observations(value=values.flatten(), error_std=errors.flatten().contiguous(), **rows)


def _read_out(truth: State, places: ColumnPlaces) -> Tensor:
    """H(x) of all channels: (channel, k), float64; every channel has the stencil of the first."""
    first = Observations(
        value=torch.zeros(len(places)), error_std=torch.ones(len(places)),
        **_rows(truth, places, torch.zeros(len(places), dtype=torch.int64)),
    )  # fmt: skip
    rows = BilinearOperator(truth.layout, StaticFields(truth.layout.grid), {}).rows(first)
    fields = truth.values[0].cpu().flatten(1)
    return (fields[:, rows.points].double() * rows.weights).sum(dim=-1)


def _rows(truth: State, places: ColumnPlaces, channel: Tensor) -> dict[str, object]:
    """All columns of ``Observations`` but value and error, for each place once or as often as there are channels."""
    count = len(channel)
    times = count // max(len(places), 1)
    names = np.array([f"column{i}" for i in range(len(places))], dtype=object)
    return {
        "latitude": torch.from_numpy(places.latitude.astype(np.float64)).repeat(times),
        "longitude": torch.from_numpy(wrap_longitude(places.longitude)).repeat(times),
        "elevation": torch.full((count,), torch.nan, dtype=torch.float64),
        "channel": channel,
        "valid_time": np.full(count, truth.valid_time.astype("datetime64[ns]")),
        "station": np.tile(names, times),
        "network": np.full(count, NETWORK, dtype=object),
        "flags": np.zeros(count, np.int32),
        "bound": np.zeros(count, np.int8),
    }


def _at(grid: LatLonGrid, row: np.ndarray, column: np.ndarray) -> ColumnPlaces:
    return ColumnPlaces(grid.latitudes[row].astype(float), grid.longitudes[column].astype(float))


def _require_count(count: int) -> None:
    if count < 1:
        raise UsageError(f"a draw of columns has one or more; found {count}")
