"""``StoredGlobalPairs``: truths and forecasts of archives as data to learn from, read batch by batch.

A member is a valid time with a forecast of one lead time. The truths of a small archive are held in memory
(``remembered``), since training asks for each of them many times, and a store is made of chunks of many times.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.fields.global_layout import Key, global_grid, global_layout
from rtma_diffda.fields.global_pairs import GlobalPairs, terrain_and_land
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.stored_backgrounds import StatesByTime
from rtma_diffda.io.weatherbench import GlobalArchive
from rtma_diffda.io.weatherbench_layout import open_dataset

MEMORY_LIMIT = 4 * 2**30
"""Bytes of truths that are held in memory."""

_BLOCK = 256
Period = tuple[np.datetime64, np.datetime64]
"""First and last valid time."""


@dataclass(frozen=True)
class RememberedStates:
    """Global states by valid time, in memory.

    Attributes:
        layout: of the states.
        valid_times: (time,) datetime64[ns], ascending.
        states: (time, channel, y, x) float32.
    """

    layout: Layout
    valid_times: np.ndarray = field(repr=False)
    states: Tensor = field(repr=False)

    def values(self, valid_times: np.ndarray) -> Tensor:
        """See ``StatesByTime``; the times must be among ``valid_times``."""
        return self.states[torch.from_numpy(np.searchsorted(self.valid_times, valid_times))]


def remembered(source: StatesByTime, period: Period | None = None, *, memory_limit: int = MEMORY_LIMIT) -> StatesByTime:
    """The states of a period, read into memory once; the source itself where they take more than ``memory_limit``."""
    times = within(source.valid_times, period)
    if 4 * len(times) * int(np.prod(source.layout.shape)) > memory_limit:
        return source
    states = torch.empty((len(times), *source.layout.shape))
    for first in range(0, len(times), _BLOCK):
        states[first : first + _BLOCK] = source.values(times[first : first + _BLOCK])
    return RememberedStates(source.layout, times, states)


def within(valid_times: np.ndarray, period: Period | None) -> np.ndarray:
    """Those of some times that lie in a period; all where it is None."""
    return valid_times if period is None else valid_times[(valid_times >= period[0]) & (valid_times <= period[1])]


class StoredGlobalPairs:
    """The pairs of one archive.

    Args:
        truth: what is true.
        forecasts: lead times (whole minutes), each with the forecasts of it.
        static: terrain and land on the grid.
        period: of valid times; None: all.

    Raises:
        InputError: terrain or land are not known, the forecasts are of other channels, or there are no pairs.
    """

    def __init__(
        self,
        truth: StatesByTime,
        forecasts: Sequence[tuple[np.timedelta64, StatesByTime]],
        static: StaticFields,
        *,
        period: Period | None = None,
    ) -> None:
        self.layout = truth.layout
        self._land = terrain_and_land(static)
        self._sources = [source for _, source in forecasts]
        self._leads = np.array([lead.astype("timedelta64[m]") for lead, _ in forecasts])
        times = [_shared_times(truth, source, period) for source in self._sources]
        self._source_of = np.repeat(np.arange(len(times)), [len(found) for found in times])
        self._time_of = np.concatenate(times) if times else np.empty(0, "datetime64[ns]")
        if not len(self._time_of):
            raise InputError(f"there are no forecasts whose valid time the archive has within {period or 'its times'}")
        self._truth = truth

    def __len__(self) -> int:
        return len(self._time_of)

    def select(self, members: np.ndarray) -> GlobalPairs:
        """The members of an index array (m,)."""
        rows = np.atleast_1d(np.asarray(members))
        times, sources = self._time_of[rows], self._source_of[rows]
        truth = self._truth.values(times)
        background = torch.empty_like(truth)
        for number in np.unique(sources):
            own = np.flatnonzero(sources == number)
            background[own] = self._sources[number].values(times[own])
        return GlobalPairs(truth, background, *self._land, times, self._leads[sources], self.layout)


class JoinedPairs:
    """The pairs of several archives of one layout, terrain and land, one archive after the other."""

    def __init__(self, parts: Sequence[StoredGlobalPairs]) -> None:
        if not parts or any(part.layout != parts[0].layout for part in parts):
            raise InputError(f"pairs of {len(parts)} archives cannot be joined: some are needed, of one layout")
        self.layout, self._parts = parts[0].layout, list(parts)
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def select(self, members: np.ndarray) -> GlobalPairs:
        """The members of an index array (m,), those of one archive together."""
        rows = np.atleast_1d(np.asarray(members))
        part_of = np.searchsorted(self._ends, rows, side="right")
        starts = self._ends - [len(part) for part in self._parts]
        chosen = [self._parts[i].select(rows[part_of == i] - starts[i]) for i in np.unique(part_of)]
        return chosen[0] if len(chosen) == 1 else _joined(chosen)


def open_forecasts(path: str | Path, lead: np.timedelta64, keys: Sequence[Key]) -> GlobalArchive:
    """Forecasts of one lead time by *valid* time, from a store of WeatherBench 2's forecasts.

    Args:
        path: a Zarr store whose ``time`` is the initial time, with a dimension ``prediction_timedelta``.
        lead: which forecasts.
        keys: the channels wanted, in order.

    Raises:
        InputError: it is not there, has no such lead time, or lacks a variable.
    """
    dataset = open_dataset(path)
    if "prediction_timedelta" not in dataset.dims:
        raise InputError(f"{path} holds no forecasts: it has no dimension prediction_timedelta")
    leads = dataset["prediction_timedelta"].values.astype("timedelta64[ns]")
    place = np.flatnonzero(leads == lead.astype("timedelta64[ns]"))
    if not len(place):
        raise InputError(f"{path} has no forecasts of {lead}; it has {len(leads)}, up to {leads.max()}")
    of_lead = dataset.isel(prediction_timedelta=int(place[0]), drop=True)
    times = of_lead["time"].values.astype("datetime64[ns]") + lead.astype("timedelta64[ns]")
    grid = global_grid(of_lead["latitude"].values, of_lead["longitude"].values)
    archive = GlobalArchive(
        str(path), of_lead.assign_coords(time=times), global_layout(keys, grid), times, StaticFields(grid)
    )
    return archive.selected(keys)


def _shared_times(truth: StatesByTime, source: StatesByTime, period: Period | None) -> np.ndarray:
    if source.layout != truth.layout:
        raise InputError(
            f"forecasts of {len(source.layout.channels)} channels on {source.layout.grid.shape} points with an archive "
            f"of {len(truth.layout.channels)} on {truth.layout.grid.shape}"
        )
    return within(np.intersect1d(truth.valid_times, source.valid_times), period)


def _joined(parts: Sequence[GlobalPairs]) -> GlobalPairs:
    first = parts[0]
    if any(not torch.equal(part.orography, first.orography) for part in parts):
        raise InputError("pairs of archives with different terrain cannot be in one batch")
    return GlobalPairs(
        torch.cat([part.truth for part in parts]),
        torch.cat([part.background for part in parts]),
        first.orography,
        first.land_fraction,
        np.concatenate([part.valid_time for part in parts]),
        np.concatenate([part.lead for part in parts]),
        first.layout,
    )
