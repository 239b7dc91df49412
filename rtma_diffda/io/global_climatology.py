"""Climatologies of the globe in files: WeatherBench 2's tables, and harmonics.

WeatherBench 2 (such as ``gs://weatherbench2/datasets/era5-hourly-climatology/1990-2019_6h_1440x721.zarr``) has a mean
for each ``hour`` and ``dayofyear``. A file of harmonics, as ``scripts/global_statistics.py`` writes it, has each
variable with dimension ``harmonic`` (mean, cos, sin), and ``<variable>_by_hour`` with dimension ``hour``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from rtma_diffda.errors import InputError
from rtma_diffda.fields.global_climatology import Climatology, HarmonicClimatology
from rtma_diffda.fields.global_layout import Key, global_grid, global_layout, keys_of
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.io.weatherbench import all_keys, read_channels, require_keys
from rtma_diffda.io.weatherbench_layout import open_dataset
from rtma_diffda.times import format_time

_BY_HOUR = "_by_hour"
_HARMONICS = ["mean", "cos", "sin"]


@dataclass(frozen=True)
class TabulatedClimatology:
    """A ``Climatology`` of WeatherBench 2, read when it is asked for.

    Attributes:
        path: of the store, for messages.
        dataset: made alike by ``weatherbench_layout``; lazy.
        layout: of the states.
    """

    path: str
    dataset: xr.Dataset = field(repr=False)
    layout: Layout = field(repr=False)

    def state(self, valid_time: np.datetime64) -> State:
        """See ``Climatology``.

        Raises:
            InputError: the table lacks the hour or the day, cannot be read, or has values that are not finite.
        """
        time = np.datetime64(valid_time, "ns")
        day, hour = time.astype("datetime64[D]"), (time - time.astype("datetime64[D]")) / np.timedelta64(1, "h")
        wanted = {"hour": float(hour), "dayofyear": int((day - day.astype("datetime64[Y]")).astype(int)) + 1}
        places = {}
        for name, value in wanted.items():
            there = self.dataset[name].values.astype(float).tolist()
            if value not in there:
                raise InputError(
                    f"climatology {self.path} has no {name} {value:g} (of {format_time(time)}); it has {len(there)} "
                    f"from {there[0]:g} to {there[-1]:g}"
                )
            places[name] = there.index(value)
        values = read_channels(self.dataset.isel(places), keys_of(self.layout), self.path)
        return State(values[None], self.layout, time).require_finite(f"climatology {self.path} at {format_time(time)}")


def open_climatology(path: str | Path, *, keys: Sequence[Key] | None = None) -> Climatology:
    """The climatology at a path or URL.

    Args:
        path: a store of WeatherBench 2, or a file of harmonics.
        keys: the channels wanted, in order; all that there are where None.

    Raises:
        InputError: it is not there, cannot be read, is neither kind, or lacks a channel; all are named.
    """
    dataset = open_dataset(path)
    keys = all_keys(dataset, None, str(path)) if keys is None else keys
    require_keys(dataset, keys, str(path))
    layout = global_layout(keys, global_grid(dataset["latitude"].values, dataset["longitude"].values))
    if "harmonic" in dataset.dims:
        return _harmonics(dataset, layout, str(path))
    if {"hour", "dayofyear"} <= set(dataset.dims):
        return TabulatedClimatology(str(path), dataset, layout)
    raise InputError(
        f"{path} is no climatology: it has dimensions {', '.join(map(str, dataset.dims))}; expected harmonic and hour, "
        "or hour and dayofyear"
    )


def _harmonics(dataset: xr.Dataset, layout: Layout, source: str) -> HarmonicClimatology:
    found = [str(name) for name in dataset["harmonic"].values] if "harmonic" in dataset.coords else []
    if sorted(found) != sorted(_HARMONICS):
        raise InputError(f"harmonics of climatology {source} are {found}; expected {_HARMONICS}")
    keys = keys_of(layout)
    hourly = {f"{name}{_BY_HOUR}" for name, _ in keys}
    lacking = sorted(hourly - set(map(str, dataset.data_vars)))
    if lacking:
        raise InputError(f"climatology {source} lacks {', '.join(lacking)}")
    means = dataset[sorted({name for name, _ in keys})].sel(harmonic=_HARMONICS).transpose("harmonic", ...)
    departures = dataset[sorted(hourly)].rename({name: name.removesuffix(_BY_HOUR) for name in hourly})
    departures = departures.sortby("hour").transpose("hour", ...)
    return HarmonicClimatology(
        layout,
        read_channels(means, keys, source),
        departures["hour"].values.astype(float),
        read_channels(departures, keys, source),
    )
