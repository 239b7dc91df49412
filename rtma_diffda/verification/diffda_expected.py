"""What DiffDA's authors found: the errors printed in the figures of their repository, all levels, as a table.

RMSE in SI units against ERA5 at 0.25°, not weighted by area, of one or very few cases of 2022 with an unknown draw of
columns: case-study numbers, from which ten per cent is no difference. The analysis has a 48-h GraphCast forecast as its
background; ``forecast_from_analysis`` is GraphCast's 48-h forecast begun with two such analyses, and
``forecast_from_truth`` its forecast begun with ERA5. The interpolation's error was read from the colours of a map.

References: Huang et al. (2024), arXiv 2401.05932; ``figs/ablation_experiment1``, ``figs/ablation_experiment3`` and
``figs/error_visualization`` of github.com/spcl/DiffDA at 3802e57.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

ANALYSIS, FROM_ANALYSIS, FROM_TRUTH, INTERPOLATION = (
    "analysis",
    "forecast_from_analysis",
    "forecast_from_truth",
    "interpolation",
)
"""Values of ``source``."""

COLUMNS = (1_000, 2_000, 4_000, 8_000, 10_000, 20_000, 40_000)
"""Numbers of observed columns among 721 × 1440."""

LEADS = (6, 12, 18, 24, 48, 60, 72, 84, 96)
"""Leads (h) of forecasts from the truth."""

BLUR = 1.5
"""σ of the soft mask, in cells, that the printed figures are for where nothing else is said."""

_FILE = Path(__file__).with_name("diffda_expected.csv")


@cache
def _table() -> pd.DataFrame:
    return pd.read_csv(_FILE, dtype={"columns": "Int64"})


def expected_values() -> pd.DataFrame:
    """All values, one a row.

    Returns:
        ``source``; ``channel`` (label of a global layout, ``z500``); ``columns`` observed (missing for forecasts from
        the truth); ``lead_hours`` of forecasts; ``blur`` σ of the soft mask in cells; ``rmse`` in SI.
    """
    return _table().copy()


def expected_rmse(
    source: str, channel: str, *, columns: int | None = None, lead_hours: float | None = None, blur: float = BLUR
) -> float:
    """One value; NaN where none is printed.

    Args:
        source: one of the four.
        channel: label, such as ``z500``.
        columns: observed, for all but forecasts from the truth.
        lead_hours: of a forecast from the truth.
        blur: σ of the soft mask in cells.
    """
    table = _table()
    found = table[(table["source"] == source) & (table["channel"] == channel)]
    if columns is not None:
        found = found[(found["columns"] == columns) & (found["blur"].isna() | (found["blur"] == blur))]
    if source == FROM_TRUTH:
        found = found[found["lead_hours"] == lead_hours]
    return float(found["rmse"].iloc[0]) if len(found) else float("nan")


def count_not_worse(source: str, *, columns: int, than_lead: float) -> tuple[int, int]:
    """For how many channels the printed error is no larger than that of the forecast from the truth at a lead.

    Args:
        source: ``ANALYSIS`` or ``FROM_ANALYSIS``.
        columns: observed.
        than_lead: h.

    Returns:
        That number, and the number of channels.
    """
    table = _table()
    own = table[(table["source"] == source) & (table["columns"] == columns) & (table["blur"] == BLUR)]
    limit = table[(table["source"] == FROM_TRUTH) & (table["lead_hours"] == than_lead)]
    both = own.merge(limit, on="channel", suffixes=("", "_limit"))
    return int(np.sum(both["rmse"] <= both["rmse_limit"])), len(both)
