"""Is any variable worse than the background's, or than the reference method's, in any setting?

A mean over variables can hide one that an analysis spoils, and a default setting can hide a sparse network or bad
reports. Ratios are of RMSE in the same setting and at the same kind of place; above 1 is worse, by chance or not.
"""

from collections.abc import Iterator

import pandas as pd

AGAINST = {"background": "background_ratio", "reference": "rmse_ratio"}
"""What methods are set against, and the column of ``comparison.comparison_table`` that does."""


def worse_variables(scores: pd.DataFrame) -> pd.DataFrame:
    """Every ratio with a flag: setting, place, variable, method, ``background_ratio`` with ``_low`` and ``_high``,
    ``rmse_ratio`` likewise, ``worse_than_background`` and ``worse_than_reference``.

    Args:
        scores: from ``comparison.comparison_table``.
    """
    ratios = [f"{name}{end}" for name in AGAINST.values() for end in ("", "_low", "_high")]
    table = scores[["setting", "place", "variable", "method", *ratios]]
    return table.assign(**{f"worse_than_{other}": table[name] > 1.0 for other, name in AGAINST.items()})


def worst_variables(table: pd.DataFrame) -> pd.DataFrame:
    """``worse_variables`` in a row for each kind of place and method.

    Returns:
        place, method, ``checked`` (variables × settings), and for background and reference ``worse_than_<other>`` (how
        many), ``<other>_worst`` (the largest ratio; NaN where there is none), ``<other>_variable`` and
        ``<other>_setting`` of it.
    """
    rows = []
    for (place, method), group in table.groupby(["place", "method"], sort=False):
        row = {"place": place, "method": method, "checked": len(group)}
        for other, name in AGAINST.items():
            row |= dict(_worst(group, other, name))
        rows.append(row)
    return pd.DataFrame(rows)


def _worst(group: pd.DataFrame, other: str, name: str) -> Iterator[tuple[str, object]]:
    known = group[group[name].notna()]
    at = None if known.empty else known.loc[known[name].idxmax()]
    yield f"worse_than_{other}", int(group[f"worse_than_{other}"].sum())
    yield f"{other}_worst", float("nan") if at is None else float(at[name])
    yield f"{other}_variable", "" if at is None else at["variable"]
    yield f"{other}_setting", "" if at is None else at["setting"]
