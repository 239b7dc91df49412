"""Scores of every source against the same data: bias, MAE, RMSE, and the RMSE relative to the background's.

With e = source − observation and weights w (1 unless given),

    bias = Σ w e / Σ w,    mae = Σ w |e| / Σ w,    rmse = √(Σ w e² / Σ w),    ratio = rmse / rmse of the background,

each with a block-bootstrap interval (``bootstrap.py``); the ratio's is paired. For the wind vector e is
√((u − u_o)² + (v − v_o)²), and no bias is stated. The formulas are those of the ``scores`` library (Leeuwenburg et al.
2024, doi:10.21105/joss.06889), which computes the values; the intervals use sums by block.

Missing data: a row counts if the observation and *all* sources are finite, so that sources are compared on the same
data; rows left out are counted in ``missing``. A source without any value of a variable is not scored for it.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from scores.continuous import additive_bias, mae, rmse

from rtma_diffda.errors import InputError
from rtma_diffda.verification.bootstrap import BlockBootstrap, block_codes, percentile_interval, resampled_means
from rtma_diffda.verification.matching import sources_of

HOUR = np.timedelta64(1, "h")

LOGGER = logging.getLogger(__name__)

BACKGROUND = "background"
"""Name of the source that ratios refer to."""

VECTOR_WIND = "wind10m"
"""Name under which the 10 m wind vector is scored where both components are there."""

SCORE_COLUMNS = (
    "variable",
    "source",
    "n",
    "stations",
    "blocks",
    "missing",
    "bias",
    "bias_low",
    "bias_high",
    "mae",
    "mae_low",
    "mae_high",
    "rmse",
    "rmse_low",
    "rmse_high",
    "ratio_to_background",
    "ratio_low",
    "ratio_high",
)
"""Columns of a table of scores; SI units. Intervals are NaN where there is only one block, ratios where there is no
background."""


@dataclass(frozen=True)
class _Comparison:
    """One variable's data: rows of the pairs, observed (n,), {source: (n,)}, weights (n,) and rows left out."""

    variable: str
    rows: pd.DataFrame
    observed: np.ndarray
    sources: Mapping[str, np.ndarray]
    weights: np.ndarray
    missing: int

    @property
    def is_vector(self) -> bool:
        return self.variable == VECTOR_WIND


def score_table(
    pairs: pd.DataFrame, *, bootstrap: BlockBootstrap | None = None, weights: str | None = None
) -> pd.DataFrame:
    """Scores of every variable and source, sources in the order of the pairs.

    Args:
        pairs: from ``matching.matched_pairs``; several times may be put together.
        bootstrap: how intervals are made; the defaults of ``BlockBootstrap`` where None.
        weights: name of a column of weights; all rows weigh the same where None.

    Returns:
        ``SCORE_COLUMNS``.

    Raises:
        InputError: a weight is negative or not finite.
    """
    bootstrap = bootstrap or BlockBootstrap()
    rows = [row for comparison in _comparisons(pairs, weights) for row in _scores_of(comparison, bootstrap)]
    return pd.DataFrame(rows, columns=list(SCORE_COLUMNS))


def rmse_by_time(pairs: pd.DataFrame, variable: str, *, every: np.timedelta64 = HOUR) -> pd.DataFrame:
    """RMSE of each source at each analysis time, for the graph of a sequence of cycles.

    Args:
        pairs: with a column ``analysis_time``; without one, data go by their own valid time in intervals.
        variable: short name.
        every: length of these intervals.

    Returns:
        Index: analysis time, or start of the interval; columns: sources and ``n``.
    """
    rows = pairs[pairs["variable"] == variable]
    comparison = next(_comparisons(rows, None), None)
    if comparison is None:
        return pd.DataFrame(columns=["n", *sources_of(pairs)])
    rows = comparison.rows
    times = rows["analysis_time"] if "analysis_time" in rows else rows["valid_time"].dt.floor(pd.Timedelta(every))
    squared = pd.DataFrame({name: (values - comparison.observed) ** 2 for name, values in comparison.sources.items()})
    grouped = squared.set_index(pd.Index(times, name="valid_time")).groupby(level=0)
    return np.sqrt(grouped.mean()).assign(n=grouped.size())


def _comparisons(pairs: pd.DataFrame, weights: str | None) -> Iterator[_Comparison]:
    """One comparison a variable, in order of appearance, and the wind vector at the end."""
    names = [name for name in sources_of(pairs) if name != weights]
    weighted = pairs.assign(weight=1.0 if weights is None else pairs[weights])
    if not (np.isfinite(weighted["weight"]) & (weighted["weight"] >= 0)).all():
        raise InputError(f"the weights in column '{weights}' must be finite and not negative")
    for variable in weighted["variable"].unique():
        yield from _complete(variable, weighted[weighted["variable"] == variable], names)
    if {"u10m", "v10m"} <= set(weighted["variable"]):
        yield from _complete(VECTOR_WIND, _vector_errors(weighted, names), names)


def _complete(variable: str, rows: pd.DataFrame, names: list[str]) -> Iterator[_Comparison]:
    present = [name for name in names if np.isfinite(rows[name]).any()]
    complete = rows[np.isfinite(rows[["observed", *present]]).all(axis=1)]
    missing = len(rows) - len(complete)
    if missing:
        LOGGER.warning("%s: %d of %d data lack a value of some source and are not scored", variable, missing, len(rows))
    if present and len(complete):
        sources = {name: complete[name].to_numpy(float) for name in present}
        observed, weights = complete["observed"].to_numpy(float), complete["weight"].to_numpy(float)
        yield _Comparison(variable, complete, observed, sources, weights, missing)


def _vector_errors(pairs: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Length of the wind vector's error by source, "observed" as 0; a station may report twice in one minute."""
    key = ["station", "network", "valid_time", "repeat"]
    numbered = pairs.assign(repeat=pairs.groupby(["variable", *key[:-1]]).cumcount())
    u, v = (numbered[numbered["variable"] == name].set_index(key) for name in ("u10m", "v10m"))
    u, v = u.align(v, join="inner", axis=0)
    lengths = {name: np.hypot(u[name] - u["observed"], v[name] - v["observed"]) for name in names}
    return u.assign(variable=VECTOR_WIND, observed=0.0, **lengths).reset_index()


def _scores_of(comparison: _Comparison, bootstrap: BlockBootstrap) -> Iterator[dict[str, float]]:
    blocks = block_codes(comparison.rows, bootstrap)
    intervals = _intervals(comparison, blocks, bootstrap)
    points = {name: _point_scores(comparison, values) for name, values in comparison.sources.items()}
    reference = points.get(BACKGROUND, {"rmse": np.nan})["rmse"]
    for name, point in points.items():
        yield {
            "variable": comparison.variable,
            "source": name,
            "n": len(comparison.observed),
            "stations": comparison.rows["station"].nunique(),
            "blocks": int(blocks.max()) + 1,
            "missing": comparison.missing,
            **point,
            "ratio_to_background": point["rmse"] / reference if reference > 0 else np.nan,
            **intervals[name],
        }


def _point_scores(comparison: _Comparison, values: np.ndarray) -> dict[str, float]:
    source, observed, weights = (
        xr.DataArray(column, dims="datum") for column in (values, comparison.observed, comparison.weights)
    )
    return {
        "bias": np.nan if comparison.is_vector else float(additive_bias(source, observed, weights=weights)),
        "mae": float(mae(source, observed, weights=weights)),
        "rmse": float(rmse(source, observed, weights=weights)),
    }


def _intervals(comparison: _Comparison, blocks: np.ndarray, bootstrap: BlockBootstrap) -> dict[str, dict[str, float]]:
    """{source: ends of the intervals}; all sources share the draws, so ratios are paired."""
    errors = np.stack([values - comparison.observed for values in comparison.sources.values()], axis=1)
    count = errors.shape[1]
    moments = np.concatenate([errors, np.abs(errors), errors**2], axis=1)
    means = resampled_means(moments, blocks, bootstrap=bootstrap, weights=comparison.weights)
    bias, absolute, root = means[:, :count], means[:, count : 2 * count], np.sqrt(means[:, 2 * count :])
    names = list(comparison.sources)
    reference = root[:, [names.index(BACKGROUND)]] if BACKGROUND in names else np.full((len(root), 1), np.nan)
    ratio = np.divide(root, reference, out=np.full_like(root, np.nan), where=reference > 0)
    replicates = {"bias": bias, "mae": absolute, "rmse": root, "ratio": ratio}
    if comparison.is_vector:
        replicates["bias"] = np.full_like(bias, np.nan)
    if blocks.max() == 0:  # one block can only be drawn as it is: nothing is known about chance
        replicates = {score: np.full_like(values, np.nan) for score, values in replicates.items()}
    ends = {score: percentile_interval(values, bootstrap) for score, values in replicates.items()}
    return {
        name: {f"{score}_{end}": float(ends[score][k][i]) for score in ends for k, end in enumerate(("low", "high"))}
        for i, name in enumerate(names)
    }
