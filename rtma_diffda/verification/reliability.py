"""Is the stated uncertainty right? Two numbers for each variable, with the limits that they should keep.

- *spread/skill*: the stated spread over the RMSE, 1 where it is right on average (``ensemble_scores``);
- *rank deviation*: how far a rank histogram with k ranks and n counts in all is from flat,

      D = max_r |c_r k / n − 1|,

  over all cases together. By chance alone, were all n counts independent, D would exceed z √((k − 1)/n) once in
  twenty, with Φ(z) = 1 − 0.05 / (2 k): below that, a deviation says nothing. Neighbouring places are not independent,
  so chance reaches further than this.
"""

import numpy as np
import pandas as pd
from scipy.special import ndtri

SPREAD_LIMITS = (0.9, 1.1)
"""Between which spread/skill should be."""

RANK_LIMIT = 0.3
"""Largest rank deviation that should be."""

_KEY = ["setting", "place", "variable", "method"]


def reliability_table(scores: pd.DataFrame, ranks: pd.DataFrame) -> pd.DataFrame:
    """Spread/skill and rank deviation of every method that states an uncertainty.

    Args:
        scores: from ``comparison.comparison_table``.
        ranks: from ``comparison.rank_table``.

    Returns:
        setting, place, variable, method, spread_skill, rank_deviation, ``rank`` (the one that is furthest off, from 0),
        ``ranks`` (their number), ``chance`` (the limit above), and the flags ``spread_off`` and ``ranks_off``.
    """
    stated = scores.loc[scores["spread_skill"].notna(), [*_KEY, "spread_skill"]]
    table = stated.merge(_deviations(ranks), on=_KEY)
    low, high = SPREAD_LIMITS
    return table.assign(
        spread_off=(table["spread_skill"] < low) | (table["spread_skill"] > high),
        ranks_off=table["rank_deviation"] > RANK_LIMIT,
    )


def _deviations(ranks: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for key, group in ranks.groupby(_KEY, sort=False):
        deviation = (group["relative"] - 1.0).abs().to_numpy(float)
        k, n = len(group), group["count"].sum()
        chance = ndtri(1.0 - 0.025 / k) * np.sqrt((k - 1) / max(n, 1))
        rows.append((*key, deviation.max(), int(deviation.argmax()), k, chance))
    return pd.DataFrame(rows, columns=[*_KEY, "rank_deviation", "rank", "ranks", "chance"])
