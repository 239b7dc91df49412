"""Tables that set methods side by side: scores with intervals, ratios to a reference method, rank histograms, cost.

A ratio below 1 is better than the reference. The mean over variables is the mean of the variables' ratios, so that no
unit weighs more than another. Intervals resample whole runs, the same ones for all methods (``run_moments``).
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from rtma_diffda.verification.run_moments import SCORES, RunBootstrap, RunMoments, interval, ratio_to
from rtma_diffda.verification.scores import BACKGROUND

RATIOS = ("rmse", "crps", "energy", "variogram")
"""Scores that are also given as ratios to the reference method."""

_WITH_INTERVAL = ("rmse", "crps", "spread_skill", "roughness_mean")


def comparison_table(cases: pd.DataFrame, *, reference: str, bootstrap: RunBootstrap | None = None) -> pd.DataFrame:
    """Scores of every method by setting, kind of place and variable.

    Args:
        cases: from ``case_scores.case_table``.
        reference: name of the method that ratios refer to.
        bootstrap: how intervals are made; the defaults of ``RunBootstrap`` where None.

    Returns:
        setting, place, variable, method, n, cases, runs; ``SCORES``, SI; ``<score>_ratio`` of ``RATIOS``;
        ``background_ratio``, the RMSE over the background's, NaN where that was not compared; ``<score>_low`` and
        ``_high`` of rmse, crps, spread_skill, roughness_mean and all ratios.

    Raises:
        UsageError: no method of that name.
        InputError: a case stands twice, or none is common to all methods.
    """
    bootstrap = bootstrap or RunBootstrap()
    tables = [
        _scores_table(moments, moments.row_of(reference), bootstrap).assign(setting=setting, place=place)
        for (setting, place), moments in moments_by_setting(cases)
    ]
    table = pd.concat(tables, ignore_index=True)
    first = ["setting", "place"]
    return table[[*first, *(name for name in table if name not in first)]]


def mean_ratio_table(cases: pd.DataFrame, *, reference: str, bootstrap: RunBootstrap | None = None) -> pd.DataFrame:
    """Ratios to the reference method, meant over variables; arguments and errors as of ``comparison_table``.

    Returns:
        setting, place, method, variables (their number), cases, runs, and for each of ``RATIOS`` ``<score>_ratio``
        with ``_low`` and ``_high``; ``worst_variable`` and ``worst_rmse_ratio``. NaN where there is
        no such score.
    """
    bootstrap = bootstrap or RunBootstrap()
    rows = []
    for (setting, place), moments in moments_by_setting(cases):
        found = _mean_ratios(moments, moments.row_of(reference), bootstrap)
        rows += [{"setting": setting, "place": place} | row for row in found]
    return pd.DataFrame(rows)


def rank_table(cases: pd.DataFrame) -> pd.DataFrame:
    """Rank histograms over all cases: setting, place, variable, method, rank (from 0), count, and its share × ranks.

    ``relative`` is 1 throughout where the stated distribution is right. Methods that state none have no rows.

    Where a method's cases have different numbers of ranks, only those of the most frequent number are counted.
    """
    stated = cases[cases["ranks"].notna()]
    rows = []
    for key, group in stated.groupby(["setting", "place", "variable", "method"], sort=False):
        lengths = group["ranks"].map(len)
        counts = np.sum(group["ranks"][lengths == lengths.mode().iloc[0]].tolist(), axis=0)
        relative = counts * counts.size / max(counts.sum(), 1)
        rows += [(*key, rank, count, share) for rank, (count, share) in enumerate(zip(counts, relative, strict=True))]
    return pd.DataFrame(rows, columns=["setting", "place", "variable", "method", "rank", "count", "relative"])


def cost_table(cases: pd.DataFrame) -> pd.DataFrame:
    """What an analysis took: setting, method, analyses, mean ``network_calls``, median and longest ``seconds``, largest
    ``memory_bytes``; NaN where not measured."""
    single = cases.drop_duplicates(["setting", "method", "run", "valid_time"])
    columns = {
        "analyses": ("run", "size"),
        "members": ("members", "max"),
        "network_calls": ("network_calls", "mean"),
        "seconds": ("seconds", "median"),
        "longest_seconds": ("seconds", "max"),
        "memory_bytes": ("memory_bytes", "max"),
    }
    return single.groupby(["setting", "method"], sort=False).agg(**columns).reset_index()


def moments_by_setting(cases: pd.DataFrame) -> Iterator[tuple[tuple[str, str], RunMoments]]:
    """((setting, place), moments) in order of appearance."""
    for key, group in cases.groupby(["setting", "place"], sort=False):
        yield key, RunMoments.of(group)


def _scores_table(moments: RunMoments, reference: int, bootstrap: RunBootstrap) -> pd.DataFrame:
    values, replicates = moments.scores(), moments.replicates(bootstrap)
    columns = {score: values[score] for score in SCORES}
    ends = {score: replicates[score] for score in _WITH_INTERVAL}
    for score in RATIOS:
        columns[f"{score}_ratio"] = ratio_to(values, score, reference)
        ends[f"{score}_ratio"] = ratio_to(replicates, score, reference)
    columns["background_ratio"], ends["background_ratio"] = (
        _to_background(moments, found) for found in (values, replicates)
    )
    for score, found in ends.items():
        columns[f"{score}_low"], columns[f"{score}_high"] = interval(found, bootstrap, runs=len(moments.runs))
    table = {
        "variable": np.repeat(moments.variables, len(moments.methods)),
        "method": np.tile(moments.methods, len(moments.variables)),
        "n": moments.counts.T.ravel().astype(np.int64),
        "cases": moments.cases,
        "runs": len(moments.runs),
    }
    return pd.DataFrame(table | {name: array.T.ravel() for name, array in columns.items()})


def _to_background(moments: RunMoments, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """RMSE over the background's, (…, method, variable); NaN where there is none."""
    if BACKGROUND not in moments.methods:
        return np.full_like(values["rmse"], np.nan)
    return ratio_to(values, "rmse", moments.row_of(BACKGROUND))


def _mean_ratios(moments: RunMoments, reference: int, bootstrap: RunBootstrap) -> Iterator[dict[str, object]]:
    values, replicates = moments.scores(), moments.replicates(bootstrap)
    by_variable = ratio_to(values, "rmse", reference)
    columns = {}
    for score in RATIOS:
        drawn = ratio_to(replicates, score, reference).mean(axis=-1)
        columns[f"{score}_ratio"] = ratio_to(values, score, reference).mean(axis=-1)
        columns[f"{score}_ratio_low"], columns[f"{score}_ratio_high"] = interval(
            drawn, bootstrap, runs=len(moments.runs)
        )
    counts = {"variables": len(moments.variables), "cases": moments.cases, "runs": len(moments.runs)}
    for i, method in enumerate(moments.methods):
        known = np.nan_to_num(by_variable[i], nan=-np.inf)
        worst = {
            "worst_variable": moments.variables[int(known.argmax())],
            "worst_rmse_ratio": float(known.max()) if np.isfinite(known.max()) else np.nan,
        }
        yield {"method": method} | counts | {name: float(array[i]) for name, array in columns.items()} | worst
