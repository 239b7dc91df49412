"""Calibration: are the errors that a source states as large as its errors are?

The departure of a withheld observation y from an analysis a has, if both state their errors honestly,

    y − a ~ N(0, s²),    s² = error_std_analysis² + error_std_observation²,

since neither error knows of the other. So |y − a| ≤ s in 68.3 % of cases, ≤ 2 s in 95.4 %, and the root mean square of
(y − a) / s is 1: above 1 the stated errors are too small, below 1 too large.

Missing data: rows without a finite departure, or without a positive s, are left out and counted in ``missing``.
"""

import numpy as np
import pandas as pd

from rtma_diffda.verification.bootstrap import BlockBootstrap, block_codes, percentile_interval, resampled_means
from rtma_diffda.verification.matching import ERROR_SUFFIX, sources_of

EXPECTED = {"within_1": 0.6827, "within_2": 0.9545, "standardised_rms": 1.0}
"""What honest Gaussian errors give."""

CALIBRATION_COLUMNS = (
    "variable",
    "source",
    "n",
    "missing",
    "within_1",
    "within_2",
    "standardised_rms",
    "standardised_rms_low",
    "standardised_rms_high",
)
"""Columns of a table of calibration; all without unit."""


def calibration_table(pairs: pd.DataFrame, *, bootstrap: BlockBootstrap | None = None) -> pd.DataFrame:
    """Shares within one and two stated errors and the standardised RMS, by variable and source that states errors.

    Args:
        pairs: from ``matching.matched_pairs`` with ``error_stds``.
        bootstrap: how the interval of the standardised RMS is made; the defaults of ``BlockBootstrap`` where None.

    Returns:
        ``CALIBRATION_COLUMNS``; no rows where no source states its errors.
    """
    bootstrap = bootstrap or BlockBootstrap()
    stating = [source for source in sources_of(pairs) if f"{source}{ERROR_SUFFIX}" in pairs]
    rows = [
        {"variable": variable, "source": source} | _calibration(of_variable, source, bootstrap)
        for variable, of_variable in pairs.groupby("variable", sort=False)
        for source in stating
    ]
    return pd.DataFrame(rows, columns=list(CALIBRATION_COLUMNS))


def standardised_departures(pairs: pd.DataFrame, source: str) -> np.ndarray:
    """(observed − source) / s, (n,); NaN where a value is missing or s is not positive."""
    total = np.hypot(pairs[f"{source}{ERROR_SUFFIX}"], pairs["error_std"]).to_numpy()
    departure = (pairs["observed"] - pairs[source]).to_numpy()
    return np.divide(departure, total, out=np.full(len(pairs), np.nan), where=total > 0)


def _calibration(pairs: pd.DataFrame, source: str, bootstrap: BlockBootstrap) -> dict[str, float]:
    departures = standardised_departures(pairs, source)
    known = np.isfinite(departures)
    z = departures[known]
    if not z.size:
        return {"n": 0, "missing": len(pairs)}
    blocks = block_codes(pairs[known], bootstrap)
    replicates = np.sqrt(resampled_means(z[:, None] ** 2, blocks, bootstrap=bootstrap))
    low, high = percentile_interval(replicates, bootstrap) if blocks.max() else ([np.nan], [np.nan])
    return {
        "n": z.size,
        "missing": int((~known).sum()),
        "within_1": float(np.mean(np.abs(z) <= 1.0)),
        "within_2": float(np.mean(np.abs(z) <= 2.0)),
        "standardised_rms": float(np.sqrt(np.mean(z**2))),
        "standardised_rms_low": float(low[0]),
        "standardised_rms_high": float(high[0]),
    }
