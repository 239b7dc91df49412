"""Pages of the experiments that analyse single cases: number of columns, real locations, ablations."""

import numpy as np
import pandas as pd

from rtma_diffda.experiments.diffda_bench import BACKGROUND, FORECAST
from rtma_diffda.experiments.diffda_report import Report
from rtma_diffda.experiments.diffda_single_step import DrawnCase
from rtma_diffda.experiments.diffda_tables import (
    BOOTSTRAP,
    all_scores,
    analysis_scores,
    by_channels,
    by_columns,
    equal_leads,
    hours_text,
    not_worse,
    ratio_text,
    significant,
    spread_over_error,
)
from rtma_diffda.verification.diffda_expected import ANALYSIS, FROM_TRUTH, INTERPOLATION, expected_rmse
from rtma_diffda.verification.global_errors import ALL, NORTH, PLAIN, SINGLE, SOUTH, TROPICS
from rtma_diffda.verification.reports.diffda_figures import Styles, columns_figure, dots_figure
from rtma_diffda.verification.reports.tables import Table

_MAPPED = ("kriging_tuned", "oi", "diffda", "diffda_innovations", "default")
_RELATIVE = "Mean over all channels of RMSE over the background's, mean of the members"


def single_step_page(report: Report, rows: pd.DataFrame, case: DrawnCase | None) -> None:
    """Error against the number of columns."""
    scores = analysis_scores(rows)
    report.table("scores", all_scores(rows))
    whole = _complete(scores)
    _relative_section(report, rows, whole)
    _headline_section(report, whole)
    _worth_section(report, rows, whole)
    _published_section(report, rows)
    _full_section(report, rows)
    _cost_section(report, rows)
    if case is not None:
        report.section("One case", pictures=report.maps(case, _MAPPED))


def _relative_section(report: Report, rows: pd.DataFrame, whole: pd.DataFrame) -> None:
    overall = whole[whole["channel"] == ALL]
    forecasts = whole[whole["method"] == FORECAST]
    singles = analysis_scores(rows, SINGLE) if (rows["product"] == SINGLE).any() else whole[:0]
    figure = columns_figure(
        _methods(whole), forecasts, Styles(report.titles), channels=report.channels, singles=_methods(singles)
    )
    picture = report.picture("error_by_columns", figure, "RMSE against the number of observed columns, by area.")
    alone = singles[singles["channel"] == ALL]
    report.section(
        "Error against the number of columns",
        text=_sentences(_methods(whole), report.titles),
        tables={
            _RELATIVE: by_columns(_methods(overall), report.titles, ratio_text),
            "The same of a single member": by_columns(_methods(alone), report.titles, ratio_text),
        },
        pictures=[picture],
        remark=f"{BOOTSTRAP.confidence * 100:g} % intervals from resampling {report.cases}; few cases of one season "
        "make them too narrow. Forecasts from the truth are valid at the same times as the analyses.",
        told=True,
    )


def _sentences(scores: pd.DataFrame, titles: dict[str, str]) -> list[str]:
    """The middle number of columns in words, best first; and who is ever worse than the background."""
    counts = sorted(scores["columns"].unique())
    count = counts[len(counts) // 2]
    overall = scores[(scores["channel"] == ALL) & (scores["columns"] == count)].sort_values("rmse")
    ranked = ", ".join(f"{titles[row.method]} {row.rmse:.2f}" for row in overall.itertuples())
    single = scores[scores["channel"] != ALL]
    worse = single.assign(worse=single["ratio"] > 1.0).groupby("method", sort=False)["worse"].agg(["sum", "size"])
    never = [titles[name] for name, row in worse.iterrows() if row["sum"] == 0]
    sentence = (
        f"Never worse than the background, in any channel at any number of columns: {', '.join(never) or 'none'}."
    )
    return [f"Error over the background's with {count:,} columns: {ranked}.", sentence]


def _headline_section(report: Report, whole: pd.DataFrame) -> None:
    counts = sorted(count for count in whole["columns"].unique() if count >= 0)
    titles = {BACKGROUND: "background", **report.titles}
    tables = {
        f"RMSE with {count:,} columns": by_channels(
            whole[whole["columns"].isin([count, -1]) & (whole["lead_hours"] == -1.0)], titles, report.channels
        )
        for count in counts
    }
    report.section("Headline channels", tables=tables)


def _worth_section(report: Report, rows: pd.DataFrame, whole: pd.DataFrame) -> None:
    leads = equal_leads(whole)
    longest = whole.loc[whole["method"] == FORECAST, "lead_hours"].max()
    channels = sum(name != ALL for name in whole["channel"].unique())
    report.section(
        "What the analyses are worth",
        tables={
            f"Lead time (h) of the forecast from the truth with the same {_RELATIVE[:1].lower()}{_RELATIVE[1:]}": (
                by_columns(leads[leads["channel"] == ALL], report.titles, lambda r: hours_text(r["lead"], most=longest))
            ),
            f"Channels, of {channels}, that are no worse than the background": by_columns(
                not_worse(whole), report.titles, lambda r: str(r["count"])
            ),
            "Spread of the members over the error of their mean": by_columns(
                spread_over_error(rows), report.titles, lambda r: f"{r['ratio']:.2f}"
            ),
        },
        told=True,
    )


def _published_section(report: Report, rows: pd.DataFrame) -> None:
    """Unweighted errors, as published; with real data the published ones beside them."""
    plain = _complete(analysis_scores(rows, weighting=PLAIN))
    single = analysis_scores(rows, SINGLE, PLAIN) if (rows["product"] == SINGLE).any() else plain[:0]
    figure = columns_figure(
        _methods(plain),
        plain[plain["method"] == FORECAST],
        Styles(report.titles),
        channels=report.channels,
        singles=_methods(single),
    )
    picture = report.picture("error_by_columns_unweighted", figure, "The same without weights, as published.")
    tables = {} if report.settings.miniature else published_tables(plain)
    report.section(
        "Without weights, as published",
        tables=tables,
        pictures=[picture],
        remark="All grid points count alike, so that polar rows count for more than their area.",
    )


def published_tables(plain: pd.DataFrame) -> dict[str, Table]:
    """Measured beside published RMSE, of every channel and number of columns that has both.

    Args:
        plain: unweighted scores, of the mean of the members.
    """
    found = {}
    for title, method, source in (
        ("DiffDA, shortened", "diffda", ANALYSIS),
        ("Interpolation, kriging", "kriging", INTERPOLATION),
        ("Forecasts from the truth", FORECAST, FROM_TRUTH),
    ):
        rows = []
        for row in plain[(plain["method"] == method) & (plain["channel"] != ALL)].itertuples():
            count = None if method == FORECAST else row.columns
            published = expected_rmse(source, row.channel, columns=count, lead_hours=row.lead_hours)
            if np.isfinite(published):
                what = f"{row.lead_hours:g} h" if method == FORECAST else f"{row.columns:,} columns"
                numbers = (significant(row.rmse), significant(published), f"{row.rmse / published:.2f}")
                rows.append((row.channel, what, *numbers))
        found[f"{title}: unweighted RMSE, SI"] = Table(
            ("channel", "of", "measured", "published", "ratio"), rows, text_columns=2
        )
    return found


def _full_section(report: Report, rows: pd.DataFrame) -> None:
    """DiffDA's recipe in full, in the one case that it was used in, with all others in that case."""
    own = rows[rows["method"] == "diffda_full"]
    if not len(own):
        return
    count = own["columns"].iloc[0]
    same = rows[(rows["case"] == own["case"].iloc[0]) & rows["columns"].isin([count, -1])]
    scores = analysis_scores(same)
    titles = {BACKGROUND: "background", **report.titles}
    report.section(
        "The published recipe in full",
        tables={
            f"RMSE in one case with {count:,} columns": by_channels(
                scores[scores["lead_hours"] == -1.0], titles, report.channels
            )
        },
        remark="One case: no difference of some per cent is one.",
        told=True,
    )


def _cost_section(report: Report, rows: pd.DataFrame) -> None:
    seconds = rows.groupby("method")["seconds"].mean()
    lines = [
        (recipe.title, str(recipe.members), f"{recipe.calls * recipe.members:,}", significant(seconds[recipe.name]))
        for recipe in report.bench.recipes
        if recipe.name in seconds
    ]
    report.section(
        "Cost", tables={"Of one analysis": Table(("method", "members", "network calls, all members", "seconds"), lines)}
    )


def locations_page(report: Report, rows: pd.DataFrame, case: DrawnCase | None, *, count: int, source: str) -> None:
    """Columns at given locations beside as many drawn ones, by belts of latitude."""
    belts = {NORTH: "north of 20°N", TROPICS: "tropics", SOUTH: "south of 20°S"}
    belts = {name: title for name, title in belts.items() if name in set(rows["weighting"])}
    titles = {BACKGROUND: "background", **report.titles}
    report.table("scores", all_scores(rows))
    for network, words in ((0, source), (count, f"{count:,} columns drawn")):
        own = rows[rows["columns"].isin([network, -1]) & (rows["lead_hours"] == -1.0)]
        scores = pd.concat([analysis_scores(own, weighting=name).assign(kind=name) for name in belts])
        globe = analysis_scores(own)
        figure = dots_figure(scores, titles, channels=report.channels, kinds=belts)
        name = "error_at_locations" if network == 0 else "error_drawn"
        picture = report.picture(name, figure, f"RMSE by belts of latitude, {words}.")
        tables = {f"RMSE, globe, {words}": by_channels(globe, titles, report.channels)}
        tables |= {
            f"RMSE, {belts[kind]}, {words}": by_channels(scores[scores["kind"] == kind], titles, report.channels)
            for kind in belts
        }
        report.section(f"Observed: {words}", tables=tables, pictures=[picture], told=True)
    if case is not None:
        report.section("One case", pictures=report.maps(case, _MAPPED))


def _methods(scores: pd.DataFrame) -> pd.DataFrame:
    """Without background and forecasts."""
    return scores[~scores["method"].isin([BACKGROUND, FORECAST])]


def _complete(scores: pd.DataFrame) -> pd.DataFrame:
    """Methods that have all cases: others are not to be compared by their RMSE."""
    return scores[scores["cases"] == scores["cases"].max()]
