"""Whether stated errors agree with departures: the diagnostics of Desroziers et al., by variable.

With d_b = y − H(x_b) ("O−B") and d_a = y − H(x_a) ("O−A") of the data used, a linear analysis whose errors are stated
rightly has

    E[d_a d_bᵀ] = R,        E[(d_b − d_a) d_bᵀ] = H B Hᵀ,        E[d_b d_bᵀ] = H B Hᵀ + R.

Only the diagonals are looked at here, as means over data and times: the square roots of the first two are the
*diagnosed* errors of observations and background, to be held against the stated ones. Biases count as errors.

What is diagnosed of R is right where the analysis weighs by the right B; a wrong B shows in it too. In the scalar case
it is R (B_true + R_true) / (B + R), whichever of the two is wrong: hence the condition in ``remark``.

Intervals come from resampling blocks of time, since departures of successive cycles are not independent.

Reference: Desroziers, Berre, Chapnik and Poli (2005), Q. J. R. Meteorol. Soc. 131, 3385–3396, equations (1) to (3),
doi:10.1256/qj.05.108.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.io.tables import read_table
from rtma_diffda.times import compact_time, parse_time

_log = logging.getLogger(__name__)

LOWEST, HIGHEST = 0.7, 1.4
"""Ratios of diagnosed to stated observation error that pass without a remark."""

_PERIOD = np.timedelta64(3, "h")
_COLUMNS = ["variable", "flags", "ombg", "oman", "error_std"]


@dataclass(frozen=True)
class Resampling:
    """How intervals are made: percentiles over resampled blocks of time.

    Attributes:
        period: of a block.
        iterations: number of resamplings.
        confidence: share of the resamplings inside the interval.
        seed: of the draws.
    """

    period: np.timedelta64 = _PERIOD
    iterations: int = 500
    confidence: float = 0.95
    seed: int = 0


def read_feedback(directory: Path, start: np.datetime64, end: np.datetime64) -> pd.DataFrame:
    """The feedback of all analyses from ``start`` to ``end``, both included, with a column ``analysis_time``.

    A table that cannot be read is logged and passed over.

    Args:
        directory: with files such as ``20260101T0015Z.parquet``.
        start: first valid time.
        end: last valid time.
    """
    first, last = compact_time(start), compact_time(end)
    paths = [path for path in sorted(directory.glob("*.parquet")) if first <= path.stem <= last]
    tables = list(_readable(paths))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*_COLUMNS, "analysis_time"])


def consistency_table(feedback: pd.DataFrame, resampling: Resampling | None = None) -> pd.DataFrame:
    """Diagnosed against stated errors of the data used, a row for each variable.

    Args:
        feedback: from ``read_feedback``.
        resampling: how intervals are made.

    Returns:
        ``variable``, ``n``, ``innovation_variance``, ``stated_error`` (root mean square of ``error_std``),
        ``diagnosed_error``, ``diagnosed_background_error``, ``ratio`` (diagnosed / stated observation error) with
        ``ratio_low`` and ``ratio_high``, and ``remark`` (empty where the ratio is unsuspicious). SI; NaN where a
        diagnosed variance is not positive, and for intervals of less than two blocks.
    """
    used = feedback[feedback["flags"] == 0]
    used = used[np.isfinite(used[["ombg", "oman", "error_std"]].astype(float)).all(axis=1)]
    rows = [_row(str(name), data, resampling or Resampling()) for name, data in used.groupby("variable", sort=False)]
    return pd.DataFrame(rows, columns=[*_row("", used.iloc[:0], Resampling())])


def remark(variable: str, ratio: float) -> str:
    """What a ratio of diagnosed to stated observation error says; empty where it says nothing.

    Args:
        variable: short name.
        ratio: NaN where the diagnosed variance is not positive.
    """
    if np.isnan(ratio):
        return f"{variable}: O−A is opposite to O−B on average; the analysis goes beyond its observations"
    if LOWEST <= ratio <= HIGHEST:
        return ""
    weight = "too little" if ratio < LOWEST else "too much"
    return (
        f"{variable}: the diagnosed observation error is {ratio:.2f} of the stated one; if the background error is "
        f"right, the analysis gives observations {weight} weight"
    )


def _readable(paths: list[Path]) -> Iterator[pd.DataFrame]:
    for path in paths:
        try:
            yield read_table(path)[_COLUMNS].assign(analysis_time=_time_of(path))
        except (InputError, UsageError, KeyError) as error:
            _log.warning("feedback of %s is passed over: %s", path.stem, error)


def _time_of(path: Path) -> np.datetime64:
    """``20260101T0015Z.parquet`` → its valid time."""
    return parse_time(path.stem)


def _row(name: str, data: pd.DataFrame, resampling: Resampling) -> dict[str, object]:
    """One variable; the means of nothing are NaN."""
    before, after, error = (data[column].to_numpy(float) for column in ("ombg", "oman", "error_std"))
    products = np.column_stack([before**2, after * before, (before - after) * before, error**2])
    innovation, observation, background, stated = products.mean(axis=0) if len(data) else np.full(4, np.nan)
    ratio = float(_root(observation / stated))
    low, high = _interval(products, data["analysis_time"].to_numpy("datetime64[ns]"), resampling)
    return {
        "variable": name,
        "n": len(data),
        "innovation_variance": float(innovation),
        "stated_error": float(_root(stated)),
        "diagnosed_error": float(_root(observation)),
        "diagnosed_background_error": float(_root(background)),
        "ratio": ratio,
        "ratio_low": low,
        "ratio_high": high,
        "remark": remark(name, ratio),
    }


def _interval(products: np.ndarray, times: np.ndarray, resampling: Resampling) -> tuple[float, float]:
    """Interval of the ratio: blocks of time are drawn with replacement, as many as there are."""
    periods = times.astype(np.int64) // (resampling.period // np.timedelta64(1, "ns"))
    _, block = np.unique(periods, return_inverse=True)
    count = int(block.max()) + 1 if len(block) else 0
    if count < 2:
        return float("nan"), float("nan")
    sums = np.zeros((count, products.shape[1]))
    np.add.at(sums, block, products)
    rng = np.random.default_rng(resampling.seed)
    drawn = rng.multinomial(count, np.full(count, 1.0 / count), size=resampling.iterations) @ sums
    ratios = np.nan_to_num(_root(drawn[:, 1] / drawn[:, 3]))
    tail = 0.5 * (1.0 - resampling.confidence)
    low, high = np.quantile(ratios, [tail, 1.0 - tail])
    return float(low), float(high)


def _root(variance: np.ndarray | float) -> np.ndarray:
    """Square root; NaN where the variance is not positive."""
    return np.sqrt(np.where(np.asarray(variance) > 0.0, variance, np.nan))
