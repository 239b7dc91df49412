"""Runs of a global model, simulated: the large scale of a nature run as forecast files that ``GlobalRunFiles`` reads.

A run starts every 6 hours, the first one 6 hours before the series, so that each time has an older run. All runs have
the same states, hourly ones with the errors of the large scale: a later run is newer, not better.
"""

from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np

from rtma_diffda.dynamics.coarse_states import CoarseStates
from rtma_diffda.dynamics.nature_settings import NatureSettings
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.fields.state import State
from rtma_diffda.geo.boundary_points import boundary_grid
from rtma_diffda.geo.region import Region
from rtma_diffda.io.forecast_file import ForecastProduct, write_forecast

RUN_INTERVAL = np.timedelta64(6, "h")
"""Between initial times, and from the first of them to the first state."""

LONGEST_LEAD = np.timedelta64(24, "h")


def margin_for(region: Region, nature: NatureSettings) -> int:
    """Points beyond the region that a nature run needs for its large scale to cover the region's boundary grid."""
    grid, n = region.grid, nature.coarsening
    wider = boundary_grid(grid, spacing=region.boundary.spacing, width=region.boundary.width)
    spans = ((grid.nx, (wider.nx - 1) * wider.dx / grid.dx), (grid.ny, (wider.ny - 1) * wider.dy / grid.dy))
    # coarse cells, from centre to centre across the wider grid, with a point to spare as they need not be centred
    needed = [(points, n * (ceil((across + 1.0) / n) + 1)) for points, across in spans]
    return max(nature.margin, *(ceil((whole - points) / 2) for points, whole in needed))


def times_with_reach(times: np.ndarray, nature: NatureSettings) -> np.ndarray:
    """``times`` (time,) and one more, so late that large-scale states surround the last one, and one follows them."""
    interval = nature.large_scale_interval
    whole = -(-(times[-1] - times[0]) // interval)
    return np.append(times, times[0] + (whole + 1) * interval)


def write_global_runs(directory: Path, region: Region, coarse: CoarseStates) -> Path:
    """Write a file for each run, reaching 24 hours or to the end of the series; returns their directory.

    Raises:
        InputError: the file system refused.
    """
    states = list(StateSeries(coarse.values, coarse.layout, coarse.times.astype("datetime64[ns]")))
    first, last = states[0].valid_time, states[-1].valid_time
    for initial_time in np.arange(first - RUN_INTERVAL, last, RUN_INTERVAL):
        _write_run(directory, region, coarse, initial_time, states)
    return directory


def _write_run(
    directory: Path, region: Region, coarse: CoarseStates, initial_time: np.datetime64, states: Sequence[State]
) -> None:
    end = initial_time + LONGEST_LEAD
    product = ForecastProduct(
        domain=f"{region.name}_global",
        states=[state for state in states if initial_time <= state.valid_time <= end],
        initial_time=initial_time,
        static=coarse.static,
        created=initial_time,
        provenance={"source": "simulated large scale"},
    )
    write_forecast(product, directory)
