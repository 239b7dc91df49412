"""``global_source``: where the states of a global run come from, as the settings of a verb name them."""

from typing import Protocol

import numpy as np

from rtma_diffda.fields.boundary import Boundary, BoundaryNeed
from rtma_diffda.fields.layout import Layout
from rtma_diffda.io.global_store_runs import global_runs_at
from rtma_diffda.times import format_time


class ForcedSettings(Protocol):
    """Settings with a global run; names and meanings as in ``conf/forecast.yaml`` and ``conf/analyse.yaml``."""

    global_runs: str | None
    global_model: str
    latency_hours: float
    time: np.datetime64


def forcing(settings: ForcedSettings, layout: Layout, need: BoundaryNeed) -> Boundary | None:
    """The states of the newest global run that had arrived; None where the settings name no global runs.

    Args:
        settings: where they are (files, or stores of forecasts such as GraphCast's), and how late they arrive.
        layout: the boundary grid, and the variables wanted.
        need: what a model or an analysis needs of them.

    Raises:
        InputError: no run serves, with the reason.
    """
    if settings.global_runs is None:
        return None
    source = global_runs_at(
        settings.global_runs,
        layout=layout,
        latency=np.timedelta64(round(settings.latency_hours * 60), "m"),
        source=settings.global_model,
    )
    return source.bracketing(need, available_at=settings.time, before=settings.time)


def forcing_in_words(boundary: Boundary | None) -> dict[str, str]:
    """Which global run forced a product, for its metadata."""
    if boundary is None:
        return {"global_run": "none", "global_run_initial_time": "none"}
    return {"global_run": boundary.source, "global_run_initial_time": format_time(boundary.initial_time)}
