"""``GlobalArchive``: analyses of the globe in a store of WeatherBench 2's layout, read when they are asked for.

Names and units are those published (``variables.GLOBAL_NAMES``); a level is found by its value and a time by its
value, whatever the store's resolution. See ``io.weatherbench_layout`` for what stores may look like.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.global_layout import Key, global_grid, global_layout, key_label, keys_of
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.weatherbench_layout import WHERE_FROM, open_dataset
from rtma_diffda.times import format_time
from rtma_diffda.variables import GLOBAL_NAMES

GRAVITY = 9.80665
"""m s⁻²: geopotential over height, as in ERA5."""

_TOLD = 8
_SPATIAL = ("latitude", "longitude")


@dataclass(frozen=True)
class GlobalArchive:
    """Analyses of the globe by valid time.

    Attributes:
        path: of the store, for messages.
        dataset: made alike by ``weatherbench_layout``; lazy.
        layout: of the states: channels by published name, then level; rows from south to north.
        valid_times: (time,) datetime64[ns], increasing.
        static: terrain (m) and land; None in it where the store has none.
    """

    path: str
    dataset: xr.Dataset = field(repr=False)
    layout: Layout = field(repr=False)
    valid_times: np.ndarray = field(repr=False)
    static: StaticFields = field(repr=False)

    @property
    def keys(self) -> tuple[Key, ...]:
        """Published names and levels of the channels."""
        return keys_of(self.layout)

    def state(self, valid_time: np.datetime64) -> State:
        """The state at a valid time: one member, float32.

        Raises:
            InputError: the store has no such time, or values there that are not finite.
        """
        return State(self.values(np.atleast_1d(valid_time)), self.layout, valid_time.astype("datetime64[ns]"))

    def values(self, valid_times: np.ndarray) -> Tensor:
        """The states at valid times (time,): (time, channel, y, x) float32.

        Raises:
            InputError: the store lacks one of the times, cannot be read, or has values that are not finite.
        """
        values = read_channels(self.dataset.isel(time=self.rows(valid_times)), self.keys, self.path)
        self._require_finite(values, valid_times)
        return values

    def rows(self, valid_times: np.ndarray) -> np.ndarray:
        """Positions (time,) of valid times among those of the store.

        Raises:
            InputError: the store lacks one of them.
        """
        wanted = np.atleast_1d(valid_times).astype("datetime64[ns]")
        rows = np.minimum(np.searchsorted(self.valid_times, wanted), len(self.valid_times) - 1)
        missing = wanted[self.valid_times[rows] != wanted]
        if len(missing):
            told = ", ".join(map(format_time, missing[:_TOLD])) + (" …" if len(missing) > _TOLD else "")
            raise InputError(f"{self.path} has no state at {told}; it has {self._extent()}")
        return rows

    def selected(self, keys: Sequence[Key]) -> "GlobalArchive":
        """With these channels, in this order.

        Raises:
            InputError: the store lacks some of them; all are named.
        """
        require_keys(self.dataset, keys, self.path)
        return replace(self, layout=global_layout(keys, self.layout.grid))

    def _extent(self) -> str:
        times = self.valid_times
        return f"{len(times)} from {format_time(times[0])} to {format_time(times[-1])}"

    def _require_finite(self, values: Tensor, valid_times: np.ndarray) -> None:
        if bool(torch.isfinite(values).all()):
            return
        for one, time in zip(values, np.atleast_1d(valid_times), strict=True):
            State(one[None], self.layout, time).require_finite(f"{self.path} at {format_time(time)}")


def open_archive(
    path: str | Path, *, keys: Sequence[Key] | None = None, levels: Collection[float] | None = None
) -> GlobalArchive:
    """The archive at a path or URL.

    Args:
        path: a Zarr store in WeatherBench 2's layout, or a NetCDF file of GraphCast's examples.
        keys: the channels wanted, in order; all variables of global states that the store has where None.
        levels: hPa, of the upper-air variables where ``keys`` is None; all that the store has where None.

    Raises:
        InputError: it is not there, cannot be read, is a forecast, or lacks a variable or level; all are named.
        UsageError: a URL that needs a package which is not installed, or both keys and levels.
    """
    if keys is not None and levels is not None:
        raise UsageError("an archive is opened with keys or with levels, not both")
    dataset = open_dataset(path)
    if "prediction_timedelta" in dataset.dims:
        raise InputError(f"{path} holds forecasts (dimension prediction_timedelta); expected analyses by valid time")
    if "time" not in dataset.coords:
        raise InputError(f"{path} has no times; {WHERE_FROM}")
    times = dataset["time"].values.astype("datetime64[ns]")
    if not (np.diff(times) > np.timedelta64(0, "ns")).all():
        raise InputError(f"times of {path} do not increase")
    keys = all_keys(dataset, levels, str(path)) if keys is None else keys
    require_keys(dataset, keys, str(path))
    grid = global_grid(*(dataset[name].values for name in _SPATIAL))
    return GlobalArchive(str(path), dataset, global_layout(keys, grid), times, static_of(dataset, grid, str(path)))


def read_channels(dataset: xr.Dataset, keys: Sequence[Key], source: str) -> Tensor:
    """Channels (…, channel, y, x) float32 of a dataset made alike; only what is needed is read.

    Args:
        dataset: lazy; its variables have the same leading dimensions.
        keys: channels that it has.
        source: for messages.

    Raises:
        InputError: it cannot be read.
    """
    levels = sorted({float(level) for _, level in keys if level is not None})
    chosen = dataset[sorted({name for name, _ in keys})]
    if levels:
        there = dataset["level"].values.astype(float).tolist()
        chosen = chosen.isel(level=[there.index(level) for level in levels])
    read = _read(chosen, source)
    fields = [read[name] if level is None else read[name].isel(level=levels.index(level)) for name, level in keys]
    return torch.from_numpy(np.stack([field.values.astype(np.float32, copy=False) for field in fields], axis=-3))


def static_of(dataset: xr.Dataset, grid: LatLonGrid, source: str) -> StaticFields:
    """Terrain (m) and land of a dataset made alike; the first time of those that carry one."""
    terrain, land = (_fixed(dataset, name, source) for name in ("geopotential_at_surface", "land_sea_mask"))
    return StaticFields(
        grid,
        None if terrain is None else terrain / GRAVITY,
        None if land is None else np.clip(land, 0.0, 1.0),
        source=source,
    )


def _fixed(dataset: xr.Dataset, name: str, source: str) -> np.ndarray | None:
    if name not in dataset:
        return None
    array = dataset[[name]]
    array = array.isel({dim: 0 for dim in array.dims if dim not in _SPATIAL})
    return _read(array, source)[name].values.astype(np.float64)


def _read(dataset: xr.Dataset, source: str) -> xr.Dataset:
    try:
        return dataset.compute()
    except Exception as error:  # remote stores fail in as many ways as there are packages for them
        raise InputError(f"{source} cannot be read: {type(error).__name__}: {error}") from error


def all_keys(dataset: xr.Dataset, levels: Collection[float] | None, source: str) -> tuple[Key, ...]:
    """All variables of global states that a dataset made alike has, sorted by name, on ``levels`` or all, ascending.

    Raises:
        InputError: there are none.
    """
    names = sorted(name for name in GLOBAL_NAMES if name in dataset)
    if not names:
        raise InputError(f"{source} has none of the variables of global states: {', '.join(sorted(GLOBAL_NAMES))}")
    there = dataset["level"].values.astype(float) if "level" in dataset.coords else ()
    chosen = sorted(float(level) for level in (there if levels is None else levels))
    return tuple((name, level) for name in names for level in (chosen if "level" in dataset[name].dims else (None,)))


def require_keys(dataset: xr.Dataset, keys: Sequence[Key], source: str) -> None:
    """Nothing where a dataset made alike has all these channels.

    Raises:
        InputError: some are missing; they are named, and what there is.
    """
    there = {float(level) for level in dataset["level"].values} if "level" in dataset.coords else set()

    def has(key: Key) -> bool:
        name, level = key
        if name not in dataset or ("level" in dataset[name].dims) != (level is not None):
            return False
        return level is None or float(level) in there

    missing = [key_label(key) for key in keys if not has(key)]
    if missing:
        told = ", ".join(missing[:_TOLD]) + (f" and {len(missing) - _TOLD} more" if len(missing) > _TOLD else "")
        raise InputError(
            f"{source} lacks {told}; it has {', '.join(sorted(map(str, dataset.data_vars)))}"
            + (f" on levels {', '.join(f'{level:g}' for level in sorted(there))} hPa" if there else "")
        )
