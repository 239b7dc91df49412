"""Forecasts from analyses: how much lead time is lost by beginning with an analysis instead of the truth.

Analyses at two consecutive times, each from a 48-h forecast, begin the forecast model; its 48-h forecast is compared
with forecasts from the truth of 48 … 96 h that are valid at the same time. The lead time of the one with the same
error, minus 48 h, is what is lost. Reference: Huang et al. (2024), arXiv 2401.05932, figure of forecasts from analyses.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from rtma_diffda.experiments.diffda_autoregressive import FIXED
from rtma_diffda.experiments.diffda_bench import BACKGROUND, FORECAST, Bench, Recipe
from rtma_diffda.experiments.diffda_single_step import problem_of, truth_forecast_errors
from rtma_diffda.experiments.global_world import HOUR
from rtma_diffda.experiments.progress import progress
from rtma_diffda.fields.state import State
from rtma_diffda.times import format_time
from rtma_diffda.verification.bootstrap import BlockBootstrap
from rtma_diffda.verification.global_errors import ALL, MEAN, Summary, equal_lead, score_rows

NAME = "lead_time"
FROM_MEAN = "from_mean"
"""A product beside those of the members' forecasts: the forecast that begins with the mean of the members."""


@dataclass(frozen=True)
class LeadTime:
    """What is forecast.

    Attributes:
        times: valid times of the later analysis of each case.
        columns: numbers of observed columns.
        lead: of the backgrounds.
        ahead: of the forecasts from the analyses.
        leads: of the forecasts from the truth; ``ahead`` is the first.
        network: ``FIXED``: both analyses of a case have the same columns, as stations are; ``FREE``: columns of their
            own, and then the difference between both, which the model takes for a tendency, has their errors in it.
    """

    times: np.ndarray
    columns: tuple[int, ...]
    lead: np.timedelta64
    ahead: np.timedelta64
    leads: tuple[np.timedelta64, ...]
    network: str = FIXED


def run_lead_time(bench: Bench, run: LeadTime) -> pd.DataFrame:
    """Every case with every method and number of columns; results that the store has are not made again.

    The background without any analysis (method ``background``) is what the forecast would be that goes on.

    Returns:
        Rows of ``score_rows`` with ``case``, ``method``, ``columns`` (−1 without), ``lead_hours`` (of forecasts from
        the truth; −1 for those from analyses).
    """
    rows: list[dict[str, object]] = list(_known_rows(bench, run))
    units = [(i, count, recipe) for i in range(len(run.times)) for count in run.columns for recipe in bench.recipes
             if recipe.serves(i, count)]  # fmt: skip
    for i, count, recipe in progress(units, "forecasts from analyses", shown=bench.shown):
        rows += _rows(bench, run, run.times[i], (count, recipe))
    return pd.DataFrame(rows)


def _rows(bench: Bench, run: LeadTime, time: np.datetime64, unit: tuple[int, Recipe]) -> Iterator[dict[str, object]]:
    count, recipe = unit
    leads = (float(run.lead / HOUR), float(run.ahead / HOUR))
    key = bench.key_of(recipe, NAME, format_time(time), *leads, run.network, count)

    def make() -> Mapping[str, Any]:
        states, seconds = [], 0.0
        for valid_time in (time - bench.world.time_step, time):
            drawn_for = time if run.network == FIXED else valid_time
            problem = _recent_problem(bench, valid_time, run.lead, count, drawn_for)
            analysis, spent = bench.analysed(recipe, problem, run.lead, count)
            states.append(analysis.state)
            seconds += spent
        return {"errors": _forecast_errors(bench, states, run.ahead), "seconds": seconds}

    label = {"case": format_time(time + run.ahead), "method": recipe.name, "columns": count, "lead_hours": -1.0}
    yield from score_rows(bench.kept(key, make)["errors"], bench.world.layout.names, **label)


_recent_problem = lru_cache(maxsize=2)(problem_of)


def _forecast_errors(bench: Bench, analyses: list[State], ahead: np.timedelta64) -> dict[str, Any]:
    """Of the members' forecasts and of their mean; and of the forecast from the mean of the members."""
    errors = bench.world.errors(bench.world.forecast_from(analyses, ahead))
    if analyses[0].members == 1:
        return errors | {FROM_MEAN: errors[MEAN]}
    from_mean = bench.world.forecast_from([state.mean() for state in analyses], ahead)
    return errors | {FROM_MEAN: bench.world.errors(from_mean)[MEAN]}


def _known_rows(bench: Bench, run: LeadTime) -> Iterator[dict[str, object]]:
    """Forecasts from the truth, and the one without an analysis, which is the forecast from the truth gone on."""
    names = bench.world.layout.names
    without = run.lead + run.ahead
    units = [(time, lead) for time in run.times for lead in sorted({*run.leads, run.ahead, without})]
    for time, lead in progress(units, "forecasts from the truth", shown=bench.shown):
        errors = truth_forecast_errors(bench, time + run.ahead, lead)
        errors = errors | {FROM_MEAN: errors[MEAN]}
        label = {"case": format_time(time + run.ahead), "columns": -1}
        yield from score_rows(errors, names, **label, method=FORECAST, lead_hours=float(lead / HOUR))
        if lead == without:
            yield from score_rows(errors, names, **label, method=BACKGROUND, lead_hours=-1.0)


def lead_time_lost(rows: pd.DataFrame, ahead_hours: float, *, bootstrap: BlockBootstrap | None = None) -> pd.DataFrame:
    """Hours lost by method, number of columns and channel; ``ALL``: by the mean of errors over the 48-h forecast's.

    Args:
        rows: of ``run_lead_time``, of one product and weighting.
        ahead_hours: of the forecasts.
        bootstrap: of the cases.

    Returns:
        ``method``, ``columns``, ``channel``, ``lost`` (h; −inf where better than the 48-h forecast from the truth, +inf
        where worse than all of those that there are), ``low``, ``high``.
    """
    bootstrap = bootstrap or BlockBootstrap(iterations=1000)
    reference = {"method": FORECAST, "columns": -1, "lead_hours": ahead_hours}
    found = Summary(("method", "columns", "lead_hours"), reference, bootstrap=bootstrap).measured(rows)
    groups = found.groups
    known = np.flatnonzero(groups["method"] == FORECAST)
    known = known[np.argsort(groups["lead_hours"].to_numpy()[known])]
    leads = groups["lead_hours"].to_numpy(float)[known]
    known, leads = known[leads >= ahead_hours], leads[leads >= ahead_hours]
    tail = 0.5 * (1.0 - bootstrap.confidence)
    table = []
    for i in np.flatnonzero(groups["method"] != FORECAST):
        for k, channel in enumerate(found.channels):
            lost = [
                equal_lead(v[0, i, k], leads, v[0, known, k]) - ahead_hours for v in (found.values, *found.replicates)
            ]
            low, high = np.quantile(lost[1:], [tail, 1.0 - tail], method="nearest")
            table.append((groups["method"][i], groups["columns"][i], channel, lost[0], low, high))
    return pd.DataFrame(table, columns=["method", "columns", "channel", "lost", "low", "high"])


def share_within(lost: pd.DataFrame, hours: float) -> pd.DataFrame:
    """For how many channels no more than ``hours`` are lost: ``method``, ``columns``, ``within``, ``channels``."""
    single = lost[lost["channel"] != ALL]
    grouped = single.assign(within=single["lost"] <= hours).groupby(["method", "columns"], sort=False)["within"]
    return grouped.agg(within="sum", channels="size").reset_index()
