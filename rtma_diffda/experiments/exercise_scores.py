"""RMSE of every source over the test fields, with intervals over independent runs."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from rtma_diffda.experiments.exercise_fields import Quantity

COLUMNS = ("quantity", "unit", "source", "rmse", "rmse_low", "rmse_high", "ratio", "ratio_low", "ratio_high")
_RESAMPLES = 1000


def score_sources(
    sources: Mapping[str, np.ndarray],
    truth: np.ndarray,
    *,
    run: np.ndarray,
    quantities: Sequence[Quantity],
    reference: str,
) -> pd.DataFrame:
    """One row for each quantity and source.

    Args:
        sources: {name: (member, wanted, y, x)}.
        truth: (member, wanted, y, x).
        run: (member,): what is resampled as a whole.
        quantities: of the wanted channels.
        reference: the source that the others are compared with.

    Returns:
        ``COLUMNS``: RMSE in shown units, RMSE of the reference over this source's (below 1 where the reference is
        better), and 5–95 % intervals of both from resampling runs, the same ones for all sources.
    """
    runs, members = np.unique(run, return_inverse=True)
    draws = np.random.default_rng(0).integers(len(runs), size=(_RESAMPLES, len(runs)))
    squares = {
        name: _by_run((values - truth) ** 2, members, len(runs)) for name, values in sources.items()
    }  # (run, wanted)
    rows = []
    for i, quantity in enumerate(quantities):
        for name, by_run in squares.items():
            rmse = np.sqrt(by_run[:, i].mean())
            resampled = np.sqrt(by_run[draws, i].mean(axis=1))
            reference_rmse = np.sqrt(squares[reference][:, i].mean())
            ratios = np.sqrt(squares[reference][draws, i].mean(axis=1)) / resampled
            shown = quantity.scale * np.array([rmse, *np.quantile(resampled, (0.05, 0.95))])
            ratio = (reference_rmse / rmse, *np.quantile(ratios, (0.05, 0.95)))
            rows.append((quantity.title, quantity.unit, name, *shown, *ratio))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _by_run(squares: np.ndarray, members: np.ndarray, count: int) -> np.ndarray:
    """Mean over each run's fields and cells: (run, wanted)."""
    means = squares.mean(axis=(2, 3))
    return np.stack([means[members == k].mean(axis=0) for k in range(count)])
