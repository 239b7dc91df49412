"""Single-step assimilation: analyses of the same cases by every method, against the number of observed columns.

The background is a 48-h forecast from the truth; columns of the truth at the analysis time are observed. Beside the
methods stand the background itself and forecasts from the truth, valid at the same times, of 6 … 48 h: *which lead time
has the same error?* Reference: Huang et al. (2024), arXiv 2401.05932, figure of single-step assimilation.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from rtma_diffda.experiments.diffda_bench import BACKGROUND, FORECAST, Bench, Recipe, result_of
from rtma_diffda.experiments.global_world import HOUR
from rtma_diffda.experiments.progress import progress
from rtma_diffda.fields.state import State
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.times import format_time
from rtma_diffda.verification.global_errors import score_rows

NAME = "single_step"
HEADLINE = ("z500", "t850", "t2m", "msl", "u10m", "v10m")
"""Channels with a panel of their own."""


@dataclass(frozen=True)
class SingleStep:
    """What is analysed.

    Attributes:
        times: valid times of the cases.
        columns: numbers of observed columns; 0: the plan's own locations.
        lead: of the background.
        leads: of the forecasts from the truth to compare with; ``lead`` is one of them.
        drawn: number of columns that the first case is drawn for; None: no maps.
    """

    times: np.ndarray
    columns: tuple[int, ...]
    lead: np.timedelta64
    leads: tuple[np.timedelta64, ...] = ()
    drawn: int | None = None


def run_single_step(bench: Bench, step: SingleStep) -> pd.DataFrame:
    """Every case with every method and number of columns; results that the store has are not made again.

    Returns:
        Rows of ``score_rows`` with ``case`` (valid time), ``method``, ``columns`` (−1 for the background and the
        forecasts) and ``lead_hours`` (of forecasts from the truth; −1 for analyses); with seconds and calls.
    """
    rows: list[dict[str, object]] = list(_forecast_rows(bench, step))
    units = [(i, count, recipe) for i in range(len(step.times)) for count in step.columns for recipe in bench.recipes
             if recipe.serves(i, count)]  # fmt: skip
    for i, count, recipe in progress(units, "analyses", shown=bench.shown):
        rows += _analysis_rows(bench, step, (i, count), recipe)
    return pd.DataFrame(rows)


def problem_of(
    bench: Bench,
    valid_time: np.datetime64,
    lead: np.timedelta64,
    count: int,
    drawn_for: np.datetime64 | None = None,
) -> AssimilationProblem:
    """The problem of one case: its 48-h forecast, and columns drawn for its time, or for another time."""
    places = bench.places(count, NAME, format_time(valid_time if drawn_for is None else drawn_for))
    return bench.problem(bench.world.forecast(valid_time, lead), places)


_latest_problem = lru_cache(maxsize=1)(problem_of)


def _analysis_rows(
    bench: Bench, step: SingleStep, unit: tuple[int, int], recipe: Recipe
) -> Iterator[dict[str, object]]:
    (i, count), names = unit, bench.world.layout.names
    time = step.times[i]
    key = bench.key_of(recipe, NAME, format_time(time), float(step.lead / HOUR), count)
    drawn = i == 0 and count == step.drawn
    if drawn and bench.store.arrays(key) is None:
        bench.store.discard(key)

    def make() -> Mapping[str, Any]:
        problem = _latest_problem(bench, time, step.lead, count)
        analysis, seconds = bench.analysed(recipe, problem, step.lead, count)
        if drawn:
            bench.store.put_arrays(key, headline_fields(analysis.state))
        return result_of(analysis, bench.world.errors(analysis.state), seconds)

    result = bench.kept(key, make)
    label = {"case": format_time(time), "method": recipe.name, "columns": count, "lead_hours": -1.0}
    yield from score_rows(result["errors"], names, **label, seconds=result["seconds"])


def _forecast_rows(bench: Bench, step: SingleStep) -> Iterator[dict[str, object]]:
    """The background, and forecasts from the truth of every lead."""
    names = bench.world.layout.names
    units = [(time, lead) for time in step.times for lead in sorted({*step.leads, step.lead})]
    for time, lead in progress(units, "forecasts from the truth", shown=bench.shown):
        errors = truth_forecast_errors(bench, time, lead, keep=lead == step.lead)
        label = {"case": format_time(time), "columns": -1, "seconds": np.nan}
        yield from score_rows(errors, names, **label, method=FORECAST, lead_hours=float(lead / HOUR))
        if lead == step.lead:
            yield from score_rows(errors, names, **label, method=BACKGROUND, lead_hours=-1.0)


def truth_forecast_errors(
    bench: Bench, valid_time: np.datetime64, lead: np.timedelta64, *, keep: bool = False
) -> Mapping[str, Any]:
    """Errors of the forecast from the truth; ``keep`` keeps its fields, too, for other uses."""
    make = bench.world.forecast if keep else bench.world.fresh_forecast
    key = (FORECAST, format_time(valid_time), float(lead / HOUR))
    return bench.kept(key, lambda: {"errors": bench.world.errors(make(valid_time, lead))})["errors"]


def headline_fields(state: State) -> dict[str, np.ndarray]:
    """{channel: (y, x)} of the mean of a state's members, for maps."""
    there = [name for name in HEADLINE if name in state.layout.names]
    mean = state.values.cpu().mean(dim=0).numpy()
    return {name: mean[state.layout.index(name)] for name in there}


@dataclass(frozen=True)
class DrawnCase:
    """Fields of one case for maps: {channel: (y, x)} each.

    Attributes:
        time: valid time.
        truth, background: what they are.
        analyses: by name of the method.
        latitude, longitude: (k,) of the columns.
    """

    time: np.datetime64
    truth: Mapping[str, np.ndarray]
    background: Mapping[str, np.ndarray]
    analyses: Mapping[str, Mapping[str, np.ndarray]]
    latitude: np.ndarray
    longitude: np.ndarray


def drawn_case(bench: Bench, step: SingleStep) -> DrawnCase | None:
    """The first case as it was drawn for, once the run is through; None where none was."""
    if step.drawn is None:
        return None
    time = step.times[0]
    places = bench.places(step.drawn, NAME, format_time(time))
    found = {
        recipe.name: bench.store.arrays(
            bench.key_of(recipe, NAME, format_time(time), float(step.lead / HOUR), step.drawn)
        )
        for recipe in bench.recipes
    }
    return DrawnCase(
        time,
        headline_fields(bench.world.truth(time)),
        headline_fields(bench.world.forecast(time, step.lead)),
        {name: fields for name, fields in found.items() if fields is not None},
        places.latitude,
        places.longitude,
    )


def hours(values: Sequence[float]) -> tuple[np.timedelta64, ...]:
    """Intervals of so many hours."""
    return tuple(np.timedelta64(round(60 * value), "m") for value in values)
