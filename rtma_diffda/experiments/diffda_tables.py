"""Tables of the experiments of DiffDA: scores over cases, and the same as texts for terminal and page."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from rtma_diffda.experiments.diffda_bench import BACKGROUND, FORECAST
from rtma_diffda.verification.bootstrap import BlockBootstrap
from rtma_diffda.verification.display import format_number
from rtma_diffda.verification.global_errors import ALL, AREA, MEAN, SINGLE, SPREAD, Summary, equal_lead
from rtma_diffda.verification.reports.diffda_figures import channel_display, channel_title
from rtma_diffda.verification.reports.tables import Table

BOOTSTRAP = BlockBootstrap(None, iterations=1000)
GROUPS = ("method", "columns", "lead_hours")
_BACKGROUND = {"method": BACKGROUND, "columns": -1, "lead_hours": -1.0}
NO_INTERVALS = BlockBootstrap(None, iterations=1)


def chosen(rows: pd.DataFrame, product: str = MEAN, weighting: str = AREA) -> pd.DataFrame:
    """The rows of one product and weighting."""
    return rows[(rows["product"] == product) & (rows["weighting"] == weighting)]


def analysis_scores(rows: pd.DataFrame, product: str = MEAN, weighting: str = AREA) -> pd.DataFrame:
    """RMSE of ``GROUPS`` by channel, relative to the background, over cases; see ``Summary.table``.

    Single members are relative to the background as well, which has one.
    """
    own = chosen(rows, product, weighting)
    if product != MEAN:
        known = chosen(rows, MEAN, weighting)
        own = pd.concat([own, known[known["method"] == BACKGROUND]])
    return Summary(GROUPS, _BACKGROUND, bootstrap=BOOTSTRAP).table(own)


def all_scores(rows: pd.DataFrame) -> pd.DataFrame:
    """``analysis_scores`` of every product and weighting, for a file."""
    parts = [
        analysis_scores(rows, product, weighting).assign(product=product, weighting=weighting)
        for product in (MEAN, SINGLE)
        for weighting in rows["weighting"].unique()
        if (rows["product"] == product).any()
    ]
    found = pd.concat(parts, ignore_index=True)
    return found[(found["product"] == MEAN) | (found["method"] != BACKGROUND)].reset_index(drop=True)


def spread_over_error(rows: pd.DataFrame) -> pd.DataFrame:
    """Spread of an ensemble over the error of its mean, the mean over channels: ``method``, ``columns``, ``ratio``."""
    parts = []
    for product in (MEAN, SPREAD):
        own = chosen(rows, product)
        parts.append(own.groupby(["method", "columns", "channel"], sort=False)["mse"].mean())
    ratio = np.sqrt(parts[1] / parts[0]).dropna()
    return ratio.groupby(["method", "columns"], sort=False).mean().rename("ratio").reset_index()


def not_worse(scores: pd.DataFrame, reference: str = BACKGROUND, lead_hours: float = -1.0) -> pd.DataFrame:
    """For how many channels the RMSE is no larger than another's: ``method``, ``columns``, ``count``, ``channels``.

    Args:
        scores: of ``analysis_scores``.
        reference: ``BACKGROUND``, or ``FORECAST`` with its ``lead_hours``.
        lead_hours: of the forecast from the truth.
    """
    single = scores[scores["channel"] != ALL]
    limit = single[(single["method"] == reference) & (single["lead_hours"] == lead_hours)].set_index("channel")["rmse"]
    own = single[~single["method"].isin([BACKGROUND, FORECAST])]
    counted = own.assign(count=own["rmse"] <= own["channel"].map(limit) * (1 + 1e-9))
    return counted.groupby(["method", "columns"], sort=False)["count"].agg(count="sum", channels="size").reset_index()


def equal_leads(scores: pd.DataFrame) -> pd.DataFrame:
    """Lead time (h) of the forecast from the truth with the same error: ``method``, ``columns``, ``channel``, ``lead``.

    0 h has no error; beyond the longest lead time it is infinite.
    """
    forecasts = scores[scores["method"] == FORECAST].sort_values("lead_hours")
    found = []
    for row in scores[~scores["method"].isin([BACKGROUND, FORECAST])].itertuples():
        own = forecasts[forecasts["channel"] == row.channel]
        leads, errors = (np.concatenate([[0.0], own[name].to_numpy(float)]) for name in ("lead_hours", "rmse"))
        found.append((row.method, row.columns, row.channel, equal_lead(row.rmse, leads, errors)))
    return pd.DataFrame(found, columns=["method", "columns", "channel", "lead"])


def by_columns(
    table: pd.DataFrame, titles: Mapping[str, str], text: Callable[[pd.Series], str], *, first: str = "method"
) -> Table:
    """A line a method and a column a number of observed columns.

    Args:
        table: ``method``, ``columns``, and what ``text`` looks at.
        titles: of the methods, in order.
        text: of one row.
        first: heading of the methods.
    """
    counts = sorted(count for count in table["columns"].unique() if count >= 0)
    rows = []
    for name, title in titles.items():
        own = table[table["method"] == name].set_index("columns")
        if len(own):
            rows.append((title, *(text(own.loc[count]) if count in own.index else "–" for count in counts)))
    return Table((first, *(f"{count:,}" for count in counts)), rows)


def by_channels(table: pd.DataFrame, titles: Mapping[str, str], channels: Sequence[str]) -> Table:
    """RMSE in display units, a line a method and a column a channel, and the relative error last.

    Args:
        table: ``method``, ``channel``, ``rmse``, of one number of columns.
        titles: of the methods, in order.
        channels: labels.
    """
    heads = []
    for channel in channels:
        unit = channel_display(channel)[1]
        heads.append(channel_title(channel) + (f" ({unit})" if unit else ""))
    rows = []
    for name, title in titles.items():
        own = table[table["method"] == name].set_index("channel")["rmse"]
        if len(own):
            rows.append((title, *(significant(own[channel] * channel_display(channel)[0]) for channel in channels)))
    return Table(("method", *heads), rows)


def significant(value: float) -> str:
    """Three figures that count, no exponent for what can be read without; a dash for no number."""
    if not np.isfinite(value):
        return "–"
    if value != 0.0 and abs(value) < 1e-3:
        return f"{value:.2e}"
    digits = max(0, 2 - int(np.floor(np.log10(abs(value))))) if value else 2
    return f"{value:.{digits}f}"


def ratio_text(row: pd.Series) -> str:
    """``0.72 [0.68, 0.77]``: a relative error with its interval."""
    return f"{format_number(row['ratio'])} [{format_number(row['ratio_low'])}, {format_number(row['ratio_high'])}]"


def hours_text(value: float, *, most: float, least: float = 0.0) -> str:
    """Hours, or what they are beyond."""
    if value == np.inf:
        return f"> {most:g}"
    return f"≤ {least:g}" if value == -np.inf else f"{value:.0f}"
