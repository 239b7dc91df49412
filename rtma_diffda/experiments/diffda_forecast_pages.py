"""Pages of the experiments that forecast from analyses: lead time lost, and cycles."""

import numpy as np
import pandas as pd

from rtma_diffda.experiments.diffda_autoregressive import FIXED, FREE, steady_errors
from rtma_diffda.experiments.diffda_bench import BACKGROUND, FORECAST
from rtma_diffda.experiments.diffda_lead_time import FROM_MEAN, lead_time_lost, share_within
from rtma_diffda.experiments.diffda_report import Report
from rtma_diffda.experiments.diffda_tables import BOOTSTRAP, NO_INTERVALS, by_columns, chosen, hours_text, significant
from rtma_diffda.verification.diffda_expected import FROM_ANALYSIS, FROM_TRUTH, expected_rmse
from rtma_diffda.verification.global_errors import ALL, MEAN, PLAIN, SINGLE, SPREAD, Summary
from rtma_diffda.verification.reports.diffda_figures import Styles, channel_title, cycles_figure, lost_figure
from rtma_diffda.verification.reports.tables import Table

AHEAD = 48.0
_MOST = 48.0
_SETTLED = 8
"""Cycles after which sequences are taken as settled."""


def lead_time_page(report: Report, rows: pd.DataFrame) -> None:
    """Lead time lost against the number of columns."""
    lost = lead_time_lost(chosen(rows, FROM_MEAN), AHEAD, bootstrap=BOOTSTRAP)
    report.table("lead_time_lost", lost)
    report.table("scores", _all_scores(rows))
    figure = lost_figure(lost[lost["columns"] >= 0], Styles(report.titles), channels=report.channels, most=_MOST)
    picture = report.picture("lead_time_lost", figure, "Lead time lost by beginning with an analysis, by area.")
    overall = lost[lost["channel"] == ALL]
    singles = _of_single_members(rows)
    report.section(
        "Lead time lost",
        text=[_without(overall)],
        tables={
            "Hours lost, by the mean over channels; forecasts begin with the mean of the members": by_columns(
                overall, report.titles, _lost_text
            ),
            "The same of forecasts from single members": by_columns(singles, report.titles, _lost_text),
            "Channels that lose no more than 24 h": by_columns(
                share_within(lost, 24.0), report.titles, lambda r: f"{r['within']} of {r['channels']}"
            ),
        },
        pictures=[picture],
        remark=f"Of the {AHEAD:g}-h forecast. Forecasts from the truth are known to {AHEAD + _MOST:g} h. "
        f"{BOOTSTRAP.confidence * 100:g} % intervals from resampling {report.cases}.",
        told=True,
    )
    if not report.settings.miniature:
        tables = published_forecasts(chosen(rows, SINGLE, PLAIN), chosen(rows, MEAN, PLAIN))
        report.section("Without weights, as published", tables=tables)


def _lost_text(row: pd.Series) -> str:
    ends = (hours_text(row[name], most=_MOST) for name in ("low", "high"))
    return f"{hours_text(row['lost'], most=_MOST)} [{', '.join(ends)}]"


def _without(overall: pd.DataFrame) -> str:
    row = overall[overall["method"] == BACKGROUND].iloc[0]
    return f"Without any analysis {hours_text(row['lost'], most=_MOST)} h are lost."


def _of_single_members(rows: pd.DataFrame) -> pd.DataFrame:
    single = chosen(rows, SINGLE)
    if not len(single):
        return pd.DataFrame(columns=["method", "columns"])
    known = chosen(rows, MEAN)
    lost = lead_time_lost(pd.concat([single, known[known["method"] == FORECAST]]), AHEAD, bootstrap=BOOTSTRAP)
    return lost[lost["channel"] == ALL]


def _all_scores(rows: pd.DataFrame) -> pd.DataFrame:
    groups, reference = ("method", "columns", "lead_hours"), {"method": FORECAST, "columns": -1, "lead_hours": AHEAD}
    summary = Summary(groups, reference, bootstrap=BOOTSTRAP)
    parts = [
        summary.table(chosen(rows, product, weighting)).assign(product=product, weighting=weighting)
        for product in (FROM_MEAN, MEAN)
        for weighting in rows["weighting"].unique()
    ]
    return pd.concat(parts, ignore_index=True)


def published_forecasts(single: pd.DataFrame, mean: pd.DataFrame) -> dict[str, Table]:
    """Measured beside published RMSE of forecasts from DiffDA's analyses, and from the truth; unweighted.

    Args:
        single, mean: rows of these products; DiffDA's has one member, whose product is ``mean``.
    """
    known = pd.concat([single, mean]).drop_duplicates(["case", "method", "columns", "lead_hours", "channel"])
    rmse = np.sqrt(known.groupby(["method", "columns", "lead_hours", "channel"], sort=False)["mse"].mean())
    found: dict[str, list[tuple[str, ...]]] = {"diffda": [], FORECAST: []}
    for (method, columns, lead, channel), value in rmse.items():
        if method not in found:
            continue
        source = FROM_ANALYSIS if method == "diffda" else FROM_TRUTH
        published = expected_rmse(source, channel, columns=columns if method == "diffda" else None, lead_hours=lead)
        if np.isfinite(published):
            what = f"{lead:g} h" if method == FORECAST else f"{columns:,} columns"
            found[method].append(
                (channel, what, significant(value), significant(published), f"{value / published:.2f}")
            )
    heads = ("channel", "of", "measured", "published", "ratio")
    titles = {"diffda": "48-h forecasts from DiffDA's analyses", FORECAST: "Forecasts from the truth"}
    return {f"{titles[name]}: unweighted RMSE, SI": Table(heads, rows, text_columns=2) for name, rows in found.items()}


def cycles_page(report: Report, rows: pd.DataFrame, *, step_hours: float, lead_hours: float) -> None:
    """Error by cycle, of free and of fixed columns."""
    scores = _cycle_scores(rows)
    report.table("scores", scores)
    titles = {FORECAST: "forecast, no observations", **report.titles}
    for network, words in ((FREE, "new columns every cycle"), (FIXED, "the same columns every cycle")):
        own = scores[scores["network"].isin([network, ""]) & (scores["stage"] == "analysis")]
        if (own["network"] == network).any():
            figure = cycles_figure(
                own,
                Styles(titles),
                channels=report.channels,
                step_hours=step_hours,
                relative_to=f"the {lead_hours:g}-h forecast's of cycle 0",
            )
            picture = report.picture(f"error_by_cycle_{network}", figure, f"RMSE of analyses by cycle, {words}.")
            report.section(f"Cycles with {words}", pictures=[picture])
    _steady_section(report, scores, titles)
    _drift_section(report, rows)


def _cycle_scores(rows: pd.DataFrame) -> pd.DataFrame:
    """RMSE by method, network, stage and cycle; relative to the background of cycle 0 without observations."""
    reference = {"method": FORECAST, "network": "", "stage": "analysis", "cycle": 0}
    groups = ("method", "network", "stage", "cycle")
    return (
        Summary(groups, reference, bootstrap=NO_INTERVALS)
        .table(chosen(rows))
        .drop(columns=["low", "high", "ratio_low", "ratio_high"])
    )


def _steady_section(report: Report, scores: pd.DataFrame, titles: dict[str, str]) -> None:
    steady = steady_errors(scores[scores["stage"] == "analysis"], first=_SETTLED)
    report.table("settled_cycles", steady)
    last = int(scores["cycle"].max())
    lines = []
    for name, title in titles.items():
        for network in ("", FREE, FIXED):
            own = steady[(steady["method"] == name) & (steady["network"] == network)].set_index("channel")
            if len(own):
                means = (significant(own.loc[channel, "mean"]) for channel in (ALL,))
                growths = (f"{own.loc[channel, 'growth']:.2f}" for channel in report.channels)
                lines.append((title, network or "–", *means, *growths))
    heads = ("method", "columns", "relative error", *(channel_title(c) for c in report.channels))
    report.section(
        f"Do errors build up? Cycles {_SETTLED} to {last}",
        text=[_blow_up(steady)],
        tables={
            "Mean relative error; then growth: the last quarter of these cycles over the first": Table(
                heads, lines, text_columns=2
            )
        },
        remark="Growth well above 1 is error that builds up; a blow-up would be many times that.",
        told=True,
    )


def _blow_up(steady: pd.DataFrame) -> str:
    """Whether any method's error, mean over channels, has doubled after it had settled."""
    own = steady[(steady["channel"] == ALL) & (steady["method"] != FORECAST)]
    worst = own.loc[own["growth"].idxmax()]
    said = (
        f"The largest growth of the mean over channels is {worst['growth']:.2f} ({worst['method']}, {worst['network']})"
    )
    return f"{said}: no sequence blows up." if worst["growth"] < 2.0 else f"{said}: this sequence blows up."


def _drift_section(report: Report, rows: pd.DataFrame) -> None:
    """Spread over error, and what adaptive methods were told."""
    late = rows[(rows["cycle"] >= _SETTLED) & (rows["stage"] == "analysis")]
    means = {
        product: chosen(late, product).groupby(["method", "network", "channel"])["mse"].mean()
        for product in (MEAN, SPREAD)
    }
    ratio = np.sqrt(means[SPREAD] / means[MEAN]).dropna().groupby(["method", "network"]).mean()
    told = late.groupby(["method", "network"])["told_hours"].mean()
    lines = [
        (report.titles[method], network, f"{value:.2f}", f"{told[method, network]:.0f}")
        for (method, network), value in ratio.items()
    ]
    report.section(
        "Spread in cycles",
        tables={
            "Spread of the members over the error of their mean; lead time (h) told": Table(
                ("method", "columns", "spread / error", "lead time"), lines, text_columns=2
            )
        },
        remark="An adaptive method is told the lead time of forecasts whose errors are as large as its innovations.",
        told=True,
    )
