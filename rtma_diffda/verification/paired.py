"""Is one method better than another, or was it luck? Paired tests over independent runs.

Both methods analyse the same cases, so their errors are compared run by run. Two statements for each variable:

- the difference of their RMSE, or of another score, with a paired bootstrap interval over runs (``run_moments``);
- a *sign-flip* test: were the methods equal, each run's difference d_r of squared errors, or of the other score, summed
  over its places, could as well have had the other sign. p is the share of random signs s_r = ±1 with
  |Σ s_r d_r| ≥ |Σ d_r|; it assumes no distribution, only that runs are independent and that differences are symmetric
  about 0 under the null hypothesis.

Over all variables together, d_r is the mean of the variables' log ratios of the score, which weighs units alike.

Many comparisons make one of them look good by chance. Holm's (1979) correction makes a p that may be compared with 0.05
directly. For one score, setting and kind of place there are two families of comparisons, corrected each by itself: the
methods over all variables together, which is the question, and the methods variable by variable, which is the detail.

Reference: Good (2005), Permutation, parametric and bootstrap tests of hypotheses, §3.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from rtma_diffda.verification.comparison import moments_by_setting
from rtma_diffda.verification.run_moments import RunBootstrap, RunMoments, interval

ALL_VARIABLES = "all"
"""Stands for the comparison over all variables together."""

PAIRED_SCORES = ("rmse", "crps", "energy", "variogram")
"""Scores whose differences can be tested."""

SIGNIFICANT = 0.05

_FLIPS = 20_000
_TRIED_OUT = 14  # up to 2^14 signs all are tried, and p is exact


def significance_table(
    cases: pd.DataFrame,
    *,
    reference: str,
    bootstrap: RunBootstrap | None = None,
    scores: Sequence[str] = ("rmse",),
) -> pd.DataFrame:
    """Every other method against the reference, by setting and kind of place.

    Args:
        cases: from ``case_scores.case_table``.
        reference: name of the method that the others are compared with.
        bootstrap: of the intervals; its seed also draws the signs.
        scores: of ``PAIRED_SCORES``; one that a kind of place does not have has no rows there.

    Returns:
        setting, place, score, variable (or ``ALL_VARIABLES``), method, reference, difference (score of the method minus
        the reference's, SI; for all variables the mean log ratio) with ``_low`` and ``_high``, better_runs (runs in
        which the method's score is lower), runs, p, p_holm, and verdict: ``better``, ``worse`` or ``undecided``.

    Raises:
        UsageError: no method of that name.
    """
    bootstrap = bootstrap or RunBootstrap()
    tables = []
    for (setting, place), moments in moments_by_setting(cases):
        found = _comparisons(moments, moments.row_of(reference), bootstrap, scores)
        rows = pd.DataFrame(list(found), columns=_COLUMNS)
        family = [rows["score"], rows["variable"] == ALL_VARIABLES]
        corrected = rows["p"].groupby(family).transform(lambda p: holm(p.to_numpy(float)))
        rows = rows.assign(p_holm=corrected, reference=reference, setting=setting, place=place)
        tables.append(rows.assign(verdict=_verdicts(rows)))
    return pd.concat(tables, ignore_index=True)[list(SIGNIFICANCE_COLUMNS)]


def sign_flip_p(differences: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Two-sided p of paired differences (run, k) by flipping signs: (k,); NaN where a difference is not finite.

    All signs are tried for up to 14 runs, 20,000 random ones otherwise.
    """
    signs = _signs(len(differences), seed)
    seen = np.abs(differences.sum(axis=0))
    flipped = np.abs(signs @ differences)
    # Sums of the same numbers in another order differ by rounding: such a draw is as extreme as the data.
    tolerance = 1e-12 * np.abs(differences).sum(axis=0)
    p = (flipped >= seen - tolerance).mean(axis=0)
    return np.where(np.isfinite(seen), p, np.nan)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's corrected p-values (k,), in the order given; NaN stay NaN and do not count as comparisons."""
    corrected = np.full(p.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    stepped = p[order] * (len(order) - np.arange(len(order)))
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return corrected


_KEY = ["score", "variable", "method"]
_COLUMNS = [*_KEY, "difference", "difference_low", "difference_high", "better_runs", "runs", "p"]

SIGNIFICANCE_COLUMNS = ("setting", "place", *_KEY, "reference", *_COLUMNS[3:], "p_holm", "verdict")
"""Columns of ``significance_table``."""


def _comparisons(
    moments: RunMoments, reference: int, bootstrap: RunBootstrap, scores: Sequence[str]
) -> Iterator[tuple[object, ...]]:
    others = [i for i in range(len(moments.methods)) if i != reference]
    if not others:
        return
    total, drawn, run = moments.scores(), moments.replicates(bootstrap), moments.scores_by_run()
    for score in scores:
        if not np.isfinite(total[score]).any():
            continue
        values = {"total": total[score][None], "drawn": drawn[score], "run": run[score]}
        change = {name: _changes(found, reference)[:, others] for name, found in values.items()}
        sums = moments.sum_of("mse" if score == "rmse" else score)
        by_run = np.concatenate([(sums - sums[:, [reference]])[:, others], change["run"][..., -1:]], axis=-1)
        p = sign_flip_p(by_run.reshape(len(by_run), -1), seed=bootstrap.seed).reshape(by_run.shape[1:])
        low, high = interval(change["drawn"], bootstrap, runs=len(moments.runs))
        better = (change["run"] < 0.0).sum(axis=0)
        for j, variable in enumerate([*moments.variables, ALL_VARIABLES]):
            for k, other in enumerate(others):
                ends = (float(change["total"][0, k, j]), float(low[k, j]), float(high[k, j]))
                counts = (int(better[k, j]), len(moments.runs), float(p[k, j]))
                yield (score, variable, moments.methods[other], *ends, *counts)


def _changes(values: np.ndarray, reference: int) -> np.ndarray:
    """(…, method, variable + 1): differences of a score from the reference's, and last the mean log ratio."""
    base = values[:, reference : reference + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        together = np.log(values / base).mean(axis=-1, keepdims=True)
    return np.concatenate([values - base, together], axis=-1)


def _signs(runs: int, seed: int) -> np.ndarray:
    """(draw, run) of ±1: every combination for few runs; otherwise random ones, the first being what was seen."""
    if runs <= _TRIED_OUT:
        return 1.0 - 2.0 * ((np.arange(2**runs)[:, None] >> np.arange(runs)) & 1)
    signs = 1.0 - 2.0 * np.random.default_rng(seed).integers(2, size=(_FLIPS, runs))
    signs[0] = 1.0  # p is never 0: what was seen is one of the possible draws
    return signs


def _verdicts(rows: pd.DataFrame) -> np.ndarray:
    decided = rows["p_holm"] < SIGNIFICANT
    return np.where(decided, np.where(rows["difference"] < 0.0, "better", "worse"), "undecided")
