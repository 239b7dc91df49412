"""Scores of the stated uncertainty as text: CRPS and joint scores against the reference method, and ensembles against
every other method."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from rtma_diffda.verification.case_scores import GRID, WITHHELD
from rtma_diffda.verification.comparison_text import PLACE_TITLES, format_probability
from rtma_diffda.verification.display import (
    aligned_text,
    display_difference,
    format_interval,
    format_number,
    source_title,
    title_of,
)
from rtma_diffda.verification.judgement import Judgement
from rtma_diffda.verification.paired import PAIRED_SCORES

JOINT_PLACES = (GRID, WITHHELD)
"""Kinds of place that have joint scores."""

JOINT_HEADER = (
    "place",
    "method",
    "CRPS ratio",
    "p (Holm)",
    "energy ratio",
    "interval",
    "p (Holm)",
    "variogram ratio",
    "interval",
    "p (Holm)",
)
"""Headings of ``joint_rows``; ratios to the reference method, means over variables."""

JOINT_SCORE_HEADER = (
    "variable",
    "method",
    "energy score",
    "ratio",
    "interval",
    "p (Holm)",
    "variogram score",
    "ratio",
    "interval",
    "p (Holm)",
)
"""Headings of ``joint_score_rows``."""

ENSEMBLE_HEADER = (
    "place",
    "method",
    "than",
    "RMSE (%)",
    "p (Holm)",
    "CRPS (%)",
    "p (Holm)",
    "energy (%)",
    "p (Holm)",
    "variogram (%)",
    "p (Holm)",
)
"""Headings of ``ensemble_rows``: how much larger a method's scores are than an ensemble's, all variables together."""

RIVAL_HEADER = ("place", "ensemble", "RMSE", "CRPS", "energy", "variogram")
"""Headings of ``rival_rows``."""


def joint_rows(one: Judgement) -> Iterator[tuple[str, ...]]:
    """A judgement of one setting; columns as in ``JOINT_HEADER``. Kinds of place without joint scores have no rows."""
    for row in one.ratios[one.ratios["energy_ratio"].notna()].to_dict("records"):
        at = {"setting": row["setting"], "place": row["place"]}
        p = {score: format_probability(one.chance(row["method"], **at, score=score)) for score in PAIRED_SCORES}
        yield (
            PLACE_TITLES[row["place"]],
            source_title(row["method"]),
            format_number(row["crps_ratio"], digits=3),
            p["crps"],
            *_ratio(row, "energy"),
            p["energy"],
            *_ratio(row, "variogram"),
            p["variogram"],
        )


def joint_score_rows(one: Judgement, place: str) -> Iterator[tuple[str, ...]]:
    """Every variable of a judgement of one setting at one kind of place; columns as in ``JOINT_SCORE_HEADER``."""
    rows = one.scores[(one.scores["place"] == place) & one.scores["energy"].notna()]
    for row in rows.to_dict("records"):
        scale, unit = display_difference(row["variable"], 1.0)
        at = {"setting": row["setting"], "place": place, "variable": row["variable"]}
        cells = []
        for score in ("energy", "variogram"):
            p = format_probability(one.chance(row["method"], **at, score=score))
            cells += [format_number(row[score] * scale, digits=3), *_ratio(row, score), p]
        yield (title_of(row["variable"]) + (f" ({unit})" if unit else ""), source_title(row["method"]), *cells)


def ensemble_rows(ensembles: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """Rows of ``Judgement.ensembles`` of one setting; columns as in ``ENSEMBLE_HEADER``."""
    for (place, ensemble, method), group in ensembles.groupby(["place", "reference", "method"], sort=False):
        by_score = group.set_index("score")
        cells = []
        for score in PAIRED_SCORES:
            known = score in by_score.index
            change = 100.0 * np.expm1(by_score.loc[score, "difference"]) if known else np.nan
            cells.append(f"{change:+.1f}" if np.isfinite(change) else "–")
            cells.append(format_probability(by_score.loc[score, "p_holm"] if known else np.nan))
        yield (PLACE_TITLES[place], source_title(method), source_title(ensemble), *cells)


def rival_rows(ensembles: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """For each ensemble and score the best of the methods that are none, how much larger its score is than the
    ensemble's, and Holm's p; arguments as of ``ensemble_rows``, columns as in ``RIVAL_HEADER``."""
    others = ensembles[~ensembles["method"].isin(ensembles["reference"].unique())]
    for (place, ensemble), group in others.groupby(["place", "reference"], sort=False):
        cells = []
        for score in PAIRED_SCORES:
            known = group[(group["score"] == score) & group["difference"].notna()]
            if known.empty:
                cells.append("–")
                continue
            best = known.loc[known["difference"].idxmin()]
            change, p = 100.0 * np.expm1(best["difference"]), format_probability(best["p_holm"])
            cells.append(f"{source_title(best['method'])} {change:+.1f} %, p {p}")
        yield (PLACE_TITLES[place], source_title(ensemble), *cells)


def format_joint(one: Judgement) -> str:
    """What the terminal shows of the stated uncertainty of a judgement of one setting; empty without joint scores."""
    rows = list(joint_rows(one))
    if not rows:
        return ""
    lines = ["stated uncertainty, of many places together (mean over variables):", aligned_text(JOINT_HEADER, rows)]
    against = one.ensembles[one.ensembles["place"].isin(JOINT_PLACES)]
    if len(against):
        lines += ["", "how far the best other method's score is above an ensemble's (+: the ensemble is better):"]
        lines.append(aligned_text(RIVAL_HEADER, list(rival_rows(against))))
    return "\n".join(lines)


def _ratio(row: dict[str, float], score: str) -> tuple[str, str]:
    name = f"{score}_ratio"
    ends = format_interval(row[f"{name}_low"], row[f"{name}_high"], digits=3)
    return format_number(row[name], digits=3), ends
