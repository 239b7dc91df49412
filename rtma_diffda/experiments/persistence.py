"""A series of gridded analyses as truth, and its own past as background: x_b(t) = x_t(t − lead).

Real weather with a known truth, and a background whose errors are real too: the weather of one lead, diurnal cycle
included. Days play the part of independent runs, though successive ones are not quite independent.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.pairs import Pairs
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.gridded import find_fields, load_field
from rtma_diffda.io.region_regrid import RegionRegrid
from rtma_diffda.io.simulation_store import SimulatedRun
from rtma_diffda.times import DAY


@dataclass(frozen=True)
class Persistence:
    """Truths and their persisted backgrounds.

    Attributes:
        series: the truth, at equal intervals of which the lead is a multiple.
        static: terrain and land of its grid.
        lead: age of the background.
    """

    series: StateSeries
    static: StaticFields
    lead: np.timedelta64

    def __post_init__(self) -> None:
        if len(self.series) < 2:
            raise InputError(f"a persisted background needs two times or more; the series has {len(self.series)}")
        if self.lead <= np.timedelta64(0) or self.lead % self._interval != np.timedelta64(0):
            raise UsageError(f"the lead is {self.lead}; it must be a multiple of the series' interval {self._interval}")

    def day(self, number: int) -> SimulatedRun:
        """The times of one day, counted from 1 at the series' first, that have a background.

        Raises:
            InputError: the series does not hold the whole day.
        """
        rows = self._rows(number)
        truth, background = self._truth_and_background(rows)
        times, layout = self.series.valid_times[rows], self.series.layout
        return SimulatedRun(
            f"day {number}", self.static, StateSeries(truth, layout, times), StateSeries(background, layout, times)
        )

    def pairs(self, numbers: Iterable[int]) -> Pairs:
        """All times of some days as a training batch; unknown terrain is flat land, as networks see it."""
        days = [(number, self._rows(number)) for number in numbers]
        rows = np.concatenate([found for _, found in days])
        truth, background = self._truth_and_background(rows)
        flat = torch.zeros(len(rows), *self.series.layout.grid.shape)
        run = np.concatenate([np.full(len(found), number, np.int64) for number, found in days])
        return Pairs(truth, background, flat, flat + 1.0, self.series.valid_times[rows], run, self.series.layout)

    def _rows(self, number: int) -> np.ndarray:
        times = self.series.valid_times
        begin = times[0].astype("datetime64[D]") + (number - 1) * DAY
        rows = np.flatnonzero((times >= begin) & (times < begin + DAY))
        if begin < times[0] or times[-1] + self._interval < begin + DAY:
            raise InputError(f"day {number} is not within the series from {times[0]} to {times[-1]}")
        return rows[rows >= self._offset]

    def _truth_and_background(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        at, before = torch.from_numpy(rows), torch.from_numpy(rows - self._offset)
        return self.series.values[at], self.series.values[before]

    @property
    def _offset(self) -> int:
        return int(self.lead // self._interval)

    @property
    def _interval(self) -> np.timedelta64:
        return self.series.valid_times[1] - self.series.valid_times[0]


def read_series(path: str | Path, layout: Layout) -> StateSeries:
    """Fields of every time of a file, bilinear on the layout's grid.

    Raises:
        InputError: no such file, a field that cannot be read, times at unequal intervals, or a grid not covered.
    """
    regrid, fields = RegionRegrid(layout.grid), {}
    for reference in find_fields(path):
        if reference.variable in layout.names:
            field = load_field(reference)
            if field is None:
                raise InputError(f"{reference.source} cannot be read; a series needs every time of it")
            fields[(reference.valid_time, reference.variable)] = regrid(field).astype(np.float32)
    times = np.array(sorted({time for time, _ in fields}), "datetime64[ns]")
    if len(times) < 2 or len(np.unique(np.diff(times))) > 1 or len(fields) != len(times) * len(layout.names):
        raise InputError(f"{path} has {len(fields)} fields at {len(times)} times; expected all at equal intervals")
    values = np.stack([[fields[(time, name)] for name in layout.names] for time in times])
    if not np.isfinite(values).all():
        raise InputError(f"{path} does not cover the grid: {int((~np.isfinite(values)).sum())} values are missing")
    return StateSeries(torch.from_numpy(values), layout, times)
