"""What a global model is told of the time: solar radiation, and how far the day and the year have progressed.

With s seconds since 1970 and λ the longitude (degrees), as in GraphCast's published ``data_utils.py``,

    year progress y = (s / 86400 / 365.24219) mod 1,        day progress d = ((s mod 86400) / 86400 + λ / 360) mod 1,

each given as sine and cosine of 2π times it; both are rounded to float32 first.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.geo.solar_radiation import hourly_radiation

FORCINGS = (
    "toa_incident_solar_radiation",
    "year_progress_sin",
    "year_progress_cos",
    "day_progress_sin",
    "day_progress_cos",
)
"""Published names, in the order of the channels; the same as those of ``backbones.graphcast.task``."""

_YEAR_DAYS, _DAY_SECONDS = 365.24219, 86400
_TURN = np.float32(2.0 * np.pi)
_SMALL_GRID = 8192
"""Points of a grid whose radiation is remembered: training asks for each time many times."""


def global_forcings(valid_times: ArrayLike, grid: LatLonGrid) -> Tensor:
    """The forcings at some times: (time, 5, y, x) float32, raw (J m⁻² and 1), in the order of ``FORCINGS``.

    Args:
        valid_times: (time,) datetime64, UTC.
        grid: of the globe.
    """
    times = np.atleast_1d(np.asarray(valid_times)).astype("datetime64[ns]")
    values = np.empty((len(times), len(FORCINGS), *grid.shape), np.float32)
    year, day = year_progress(times) * _TURN, day_progress(times, grid.longitudes) * _TURN
    for i, time in enumerate(times):
        values[i, 0] = _radiation(time, grid)
    values[:, 1], values[:, 2] = np.sin(year)[:, None, None], np.cos(year)[:, None, None]
    values[:, 3], values[:, 4] = np.sin(day)[:, None, :], np.cos(day)[:, None, :]
    return torch.from_numpy(values)


def year_progress(times: np.ndarray) -> np.ndarray:
    """(time,) float32, 0 … 1."""
    return ((_seconds(times) / _DAY_SECONDS / _YEAR_DAYS) % 1.0).astype(np.float32)


def day_progress(times: np.ndarray, longitudes: np.ndarray) -> np.ndarray:
    """(time, x) float32, 0 … 1: of the local mean solar day at longitudes (x,) in degrees."""
    greenwich = (_seconds(times) % _DAY_SECONDS) / _DAY_SECONDS
    east = np.deg2rad(longitudes.astype(np.float32)) / _TURN  # rounded where the published code rounds
    return ((greenwich[:, None] + east) % 1.0).astype(np.float32)


def _seconds(times: np.ndarray) -> np.ndarray:
    return (times.astype("datetime64[ns]") - np.datetime64(0, "ns")) / np.timedelta64(1, "s")


def _radiation(time: np.datetime64, grid: LatLonGrid) -> np.ndarray:
    if grid.ny * grid.nx <= _SMALL_GRID:
        return _remembered_radiation(time, grid)
    return hourly_radiation(time, grid.latitudes, grid.longitudes)[0]


@lru_cache(maxsize=8192)
def _remembered_radiation(time: np.datetime64, grid: LatLonGrid) -> np.ndarray:
    return hourly_radiation(time, grid.latitudes, grid.longitudes)[0].astype(np.float32)
