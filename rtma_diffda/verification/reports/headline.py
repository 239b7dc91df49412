"""The result in words: what the published product scores at withheld stations, and where another source does better."""

import numpy as np
import pandas as pd

from rtma_diffda.verification.display import display_difference, source_title, title_of
from rtma_diffda.verification.scores import BACKGROUND


def headline_sentences(scores: pd.DataFrame, published: str) -> list[str]:
    """A sentence for each variable about the published product, and one about the variables where it is not the best.

    The product is named beforehand: the best of several sources at the withheld stations would be chosen by the very
    data that measure it.

    Args:
        scores: from ``scores.score_table``.
        published: name of the source that is published.

    Returns:
        RMSE of the background and of the product, and the change with its interval; a variable of which the product
        has no score is said to have none. Empty where there are no scores.
    """
    by_variable = [(str(name), rows.set_index("source")) for name, rows in scores.groupby("variable", sort=False)]
    sentences = [_sentence(variable, rows, published) for variable, rows in by_variable]
    better = [text for variable, rows in by_variable if (text := _better(variable, rows, published))]
    if better:
        sentences.append(f"A lower RMSE than {source_title(published)} at these stations: {', '.join(better)}.")
    return sentences


def _sentence(variable: str, rows: pd.DataFrame, published: str) -> str:
    """What the published product scores of one variable; ``rows`` by source."""
    title, product = title_of(variable), source_title(published)
    known = BACKGROUND in rows.index
    if published not in rows.index:
        background = f"; the background has {_rmse(variable, rows.loc[BACKGROUND])}" if known else ""
        return f"{title}: {product} has no score{background}."
    row = rows.loc[published]
    if published == BACKGROUND or not known:
        return f"{title}: RMSE {_rmse(variable, row)} by {product}."
    before = display_difference(variable, rows.loc[BACKGROUND, "rmse"])[0]
    return f"{title}: RMSE {before:.2f} → {_rmse(variable, row)} by {product} ({_change(row)})."


def _better(variable: str, rows: pd.DataFrame, published: str) -> str:
    """The best source of one variable, where its RMSE is visibly lower than the published one's; empty otherwise."""
    if published not in rows.index or not rows["rmse"].notna().any():
        return ""
    best = rows["rmse"].idxmin()
    if _rmse(variable, rows.loc[best]) == _rmse(variable, rows.loc[published]):  # no difference that is shown
        return ""
    return f"{source_title(best)} for {title_of(variable)} ({_rmse(variable, rows.loc[best])})"


def _rmse(variable: str, row: pd.Series) -> str:
    shown, unit = display_difference(variable, row["rmse"])
    return f"{shown:.2f} {unit}".rstrip()


def _change(row: pd.Series) -> str:
    """The ratio to the background as a signed percentage, with its interval where there is one."""
    percent = [100.0 * (row[name] - 1.0) for name in ("ratio_to_background", "ratio_low", "ratio_high")]
    if not np.isfinite(percent[0]):
        return "no ratio to the background"
    text = _signed(percent[0])
    if not np.isfinite(percent[1:]).all():
        return text
    return f"{text}, interval {_signed(percent[1])} to {_signed(percent[2])}"


def _signed(percent: float) -> str:
    return f"{percent:+.0f} %".replace("-", "−").replace("+0 %", "±0 %").replace("−0 %", "±0 %")
