"""Tables of a comparison as text in display units, for the terminal and for pages.

Errors are shown as K, m/s and hPa; ratios, spread over skill and roughness are pure numbers.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from rtma_diffda.verification.case_scores import GRID, REPORTS, WITHHELD
from rtma_diffda.verification.display import (
    aligned_text,
    display_difference,
    format_interval,
    format_number,
    source_title,
    title_of,
)
from rtma_diffda.verification.paired import ALL_VARIABLES

PLACE_TITLES = {GRID: "over the grid", WITHHELD: "withheld stations, truth", REPORTS: "withheld stations, reports"}
"""Kinds of place in words."""

SCORE_HEADER = (
    "variable",
    "method",
    "bias",
    "RMSE",
    "interval",
    "ratio",
    "interval",
    "CRPS",
    "CRPS ratio",
    "spread/skill",
    "within 1, 2",
    "roughness",
)
"""Headings of ``score_rows``; ratios are to the reference method; roughness is of the mean, over the truth's."""

RATIO_HEADER = (
    "place",
    "method",
    "RMSE ratio",
    "interval",
    "CRPS ratio",
    "interval",
    "worst variable",
    "cases",
    "runs",
)
"""Headings of ``ratio_rows``."""

SIGNIFICANCE_HEADER = ("variable", "method", "difference", "interval", "better in", "p", "p (Holm)", "verdict")
"""Headings of ``significance_rows``; the difference is of RMSE, method − reference; for all variables, in per cent."""

COST_HEADER = ("setting", "method", "members", "analyses", "network calls", "seconds", "longest", "memory (MB)")
"""Headings of ``cost_rows``."""


def score_rows(table: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """Rows of ``comparison.comparison_table`` of one setting and kind of place; columns as in ``SCORE_HEADER``."""
    for row in table.to_dict("records"):
        scale, unit = display_difference(row["variable"], 1.0)
        yield (
            title_of(row["variable"]) + (f" ({unit})" if unit else ""),
            source_title(row["method"]),
            format_number(row["bias"] * scale),
            format_number(row["rmse"] * scale, digits=3),
            format_interval(row["rmse_low"] * scale, row["rmse_high"] * scale, digits=3),
            format_number(row["rmse_ratio"], digits=3),
            format_interval(row["rmse_ratio_low"], row["rmse_ratio_high"], digits=3),
            format_number(row["crps"] * scale, digits=3),
            format_number(row["crps_ratio"], digits=3),
            format_number(row["spread_skill"]),
            f"{format_number(row['within_1'])}, {format_number(row['within_2'])}",
            format_number(row["roughness_mean"]),
        )


def ratio_rows(table: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """Rows of ``comparison.mean_ratio_table`` of one setting; columns as in ``RATIO_HEADER``."""
    for row in table.to_dict("records"):
        yield (
            PLACE_TITLES[row["place"]],
            source_title(row["method"]),
            format_number(row["rmse_ratio"], digits=3),
            format_interval(row["rmse_ratio_low"], row["rmse_ratio_high"], digits=3),
            format_number(row["crps_ratio"], digits=3),
            format_interval(row["crps_ratio_low"], row["crps_ratio_high"], digits=3),
            f"{row['worst_variable']} {format_number(row['worst_rmse_ratio'], digits=3)}",
            f"{row['cases']:,}",
            f"{row['runs']:,}",
        )


def significance_rows(table: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """Rows of ``paired.significance_table`` of one setting and kind of place; columns as in ``SIGNIFICANCE_HEADER``."""
    for row in table.to_dict("records"):
        ends = [row[name] for name in ("difference", "difference_low", "difference_high")]
        if row["variable"] == ALL_VARIABLES:
            shown, title = 100.0 * np.expm1(ends), "all variables (%)"
        else:
            shown, unit = display_difference(row["variable"], np.array(ends))
            title = title_of(row["variable"]) + (f" ({unit})" if unit else "")
        yield (
            title,
            source_title(row["method"]),
            f"{shown[0]:+.3f}" if np.isfinite(shown[0]) else "–",
            format_interval(shown[1], shown[2], digits=3),
            f"{row['better_runs']} of {row['runs']} runs",
            format_probability(row["p"]),
            format_probability(row["p_holm"]),
            row["verdict"],
        )


def cost_rows(table: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """Rows of ``comparison.cost_table``; columns as in ``COST_HEADER``."""
    for row in table.to_dict("records"):
        yield (
            row["setting"],
            source_title(row["method"]),
            f"{row['members']:,}",
            f"{row['analyses']:,}",
            format_number(row["network_calls"], digits=0),
            format_number(row["seconds"]),
            format_number(row["longest_seconds"]),
            format_number(row["memory_bytes"] / 1e6, digits=0),
        )


def format_comparison(scores: pd.DataFrame, ratios: pd.DataFrame, *, setting: str, places: Sequence[str]) -> str:
    """What the terminal shows of one setting: ratios, and the scores of every variable at some kinds of place.

    Args:
        scores: from ``comparison.comparison_table``.
        ratios: from ``comparison.mean_ratio_table``.
        setting: which.
        places: kinds of place whose scores are shown in full.
    """
    lines = ["mean over variables:", aligned_text(RATIO_HEADER, list(ratio_rows(_of(ratios, setting))))]
    for place in places:
        rows = list(score_rows(_of(scores, setting, place)))
        lines += ["", f"{PLACE_TITLES[place]}:", aligned_text(SCORE_HEADER, rows)]
    return "\n".join(lines)


def format_probability(p: float) -> str:
    """A p-value, or a dash where there is none."""
    if not np.isfinite(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _of(table: pd.DataFrame, setting: str, place: str | None = None) -> pd.DataFrame:
    rows = table[table["setting"] == setting]
    return rows if place is None else rows[rows["place"] == place]
