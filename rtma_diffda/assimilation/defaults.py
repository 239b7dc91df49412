"""Structure to begin with, where nothing is known about a background yet: starts for tuning, and stand-ins for it.

Standard deviations are of the size of short-range forecast errors at stations; lengths scale with the region, since
what a small region's data can tell apart is small. Correlations fall with distance, height difference and difference
of the background's value, exponentially: of the functions tried on real forecasts it predicts withheld stations best.
Pressure errors are smooth and large, and their heights are already in H. The linear errors of ``correlation`` are left
out: over Europe they gained 0.02 K at withheld stations and carried increments of 8 K far beyond the last station.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from rtma_diffda.assimilation.correlation import BackgroundError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.grid import ProjectedGrid

_FORECAST_STD = {
    "t2m": 2.0, "d2m": 2.0, "q2m": 8e-4, "r2m": 0.1, "u10m": 2.0, "v10m": 2.0, "ws10m": 2.0, "gust": 4.0, "sp": 100.0,
    "msl": 100.0, "vis": 8000.0, "ceil": 1500.0, "tcc": 0.3,
}  # fmt: skip
"""SI: standard deviation of the error of a short forecast."""
_WEATHER_STD = {"t2m": 5.0, "d2m": 5.0, "u10m": 4.0, "v10m": 4.0, "sp": 800.0, "msl": 800.0}
"""SI: standard deviation of the field itself over a region, about its mean and its trend with height."""
_HEIGHT_TREND = {"t2m": 6.5e-3, "d2m": 3e-3, "sp": 12.0}
"""SI per metre: size of a field's trend with height."""
_LAPSE_ERROR = {"t2m": 3e-3, "d2m": 2e-3}
"""SI per metre: error of a background's trend with height where its terrain is much smoother than the true one."""
_LONGEST, _SHORTEST = 600e3, 20e3


def default_background_error(name: str, grid: ProjectedGrid) -> BackgroundError:
    """B of a variable for a short forecast on ``grid``."""
    std, length = _FORECAST_STD.get(name, 1.0), _length(grid)
    if name in {"sp", "msl"}:
        return BackgroundError(std, 2.0 * length, function="soar", bias_std=0.5 * std)
    return BackgroundError(std, length, 800.0, 6.0 * std, land_sea_factor=0.7, function="exponential")


def default_background_errors(layout: Layout) -> dict[str, BackgroundError]:
    """B of every channel."""
    return {name: default_background_error(name, layout.grid) for name in layout.names}


def default_structures(layout: Layout) -> dict[str, BackgroundError]:
    """The covariance of every channel's own values, for interpolating observations without a background."""
    return {name: _structure(name, layout.grid) for name in layout.names}


def spare_background_error(name: str, grid: ProjectedGrid) -> BackgroundError:
    """B of distance and height alone: the classical form, as a reference and as a second start."""
    std = _FORECAST_STD.get(name, 1.0)
    return BackgroundError(std, 0.5 * _length(grid), 500.0, function="soar")


def drifting_background_error(name: str, grid: ProjectedGrid) -> BackgroundError:
    """The default with errors that are linear in height (a background of smoother terrain has them), or common to all.

    Only for grids of known terrain: far from any station a made-up height would be turned into a large increment.
    """
    error = default_background_error(name, grid)
    if name in {"sp", "msl"}:
        return replace(error, function="exponential", height_drift_std=3e-4 * float(error.std))
    return replace(error, bias_std=0.5 * float(error.std), height_drift_std=_LAPSE_ERROR.get(name, 0.0))


def starts_for(
    names: Iterable[str], grid: ProjectedGrid, *, terrain_known: bool = False
) -> dict[str, tuple[BackgroundError, ...]]:
    """Starts of the tuning by variable, between which leave-one-out chooses.

    The default, the classical form and, where the grid's terrain is known, the default with an error in height.
    """
    forms = [default_background_error, spare_background_error]
    return {
        name: tuple(form(name, grid) for form in [*forms, *([drifting_background_error] if terrain_known else [])])
        for name in names
    }


def _structure(name: str, grid: ProjectedGrid) -> BackgroundError:
    std = _WEATHER_STD.get(name, 2.0 * _FORECAST_STD.get(name, 1.0))
    trend = _HEIGHT_TREND.get(name, 0.0)
    return BackgroundError(
        std, 2.0 * _length(grid), 1500.0, function="exponential", bias_std=2.0 * std, height_drift_std=trend
    )


def _length(grid: ProjectedGrid) -> float:
    """An eighth of the region's extent, within limits (m)."""
    extent = np.sqrt(grid.nx * grid.dx * grid.ny * grid.dy)
    return float(np.clip(extent / 8.0, _SHORTEST, _LONGEST))
