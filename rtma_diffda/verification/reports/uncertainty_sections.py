"""Sections of a comparison's page about the stated uncertainty: reliability, and scores of many places together."""

import pandas as pd

from rtma_diffda.verification.case_scores import PLACES, Judge
from rtma_diffda.verification.checks_text import FLAG, reliability_rows
from rtma_diffda.verification.comparison_text import PLACE_TITLES
from rtma_diffda.verification.display import format_number, source_title, title_of
from rtma_diffda.verification.joint_scores import BLOCK, RADIUS
from rtma_diffda.verification.joint_text import (
    ENSEMBLE_HEADER,
    JOINT_HEADER,
    JOINT_PLACES,
    JOINT_SCORE_HEADER,
    ensemble_rows,
    joint_rows,
    joint_score_rows,
)
from rtma_diffda.verification.judgement import Judgement
from rtma_diffda.verification.reports.comparison_figures import rank_figure, ratio_figure, spread_figure
from rtma_diffda.verification.reports.page import PageSection
from rtma_diffda.verification.reports.report import Picture
from rtma_diffda.verification.reports.tables import Table

_RELIABILITY_HEADER = ("variable", "method", "place", "spread/skill", "rank deviation", "rank", "by chance up to")

_RELIABILITY_REMARK = (
    f"{FLAG}: spread/skill outside 0.9 to 1.1; the count of a rank, over all cases, more than 30 % off the number "
    "expected. Where a method hands on several members, these are judged; otherwise the Gaussian that it states. The "
    "last column says how far the worst of the ranks would be off by chance in one of twenty comparisons, were all "
    "places independent; they are not, and chance reaches further."
)


def uncertainty_section(one: Judgement) -> PageSection:
    """Is the stated uncertainty right at single places? Of a judgement of one setting."""
    if one.ranks.empty:
        return PageSection("Uncertainty")
    variables = list(one.scores["variable"].unique())
    header = ("place", "method", *map(title_of, variables))
    overview = Table(header, list(reliability_rows(one.reliability, variables)), text_columns=2)
    detail = Table(_RELIABILITY_HEADER, [_reliability_row(row) for row in _records(one.reliability)], text_columns=3)
    tables = (("Spread/skill, and largest deviation of a rank's count", overview), ("In detail", detail))
    return PageSection("Uncertainty", tables=tables, pictures=_reliability_pictures(one), remark=_RELIABILITY_REMARK)


def joint_section(one: Judgement) -> PageSection:
    """Is it right of many places together? Of a judgement of one setting; empty where that was not scored."""
    title, rows = "Many places together", list(joint_rows(one))
    if not rows:
        return PageSection(title)
    tables = [("", Table(JOINT_HEADER, rows, text_columns=2))]
    for place in JOINT_PLACES:
        if by_variable := list(joint_score_rows(one, place)):
            title_of_place = PLACE_TITLES[place][:1].upper() + PLACE_TITLES[place][1:]
            tables.append((title_of_place, Table(JOINT_SCORE_HEADER, by_variable, text_columns=2)))
    if len(one.ensembles):
        table = Table(ENSEMBLE_HEADER, list(ensemble_rows(one.ensembles)), text_columns=3)
        tables.append(("Scores above those of the ensembles; positive: the ensemble is better", table))
    return PageSection(title, tables=tuple(tables), pictures=_joint_pictures(one), remark=_joint_remark(one))


def _reliability_pictures(one: Judgement) -> tuple[Picture, ...]:
    methods = list(one.scores["method"].unique())
    spread = Picture.of(
        spread_figure(one.scores),
        "Spread over RMSE: below 1 a method is too sure of itself, above 1 too timid. Grey: 0.9 to 1.1.",
    )
    histograms = (
        Picture.of(
            rank_figure(one.ranks[one.ranks["place"] == place], methods=methods),
            f"Rank histograms, {PLACE_TITLES[place]}: how often the truth took each rank among the members (or each "
            "bin of a stated Gaussian), over the number expected. Flat at 1 is right, a bowl is over-confident, a dome "
            "timid, a slope biased.",
        )
        for place in PLACES
        if place in set(one.ranks["place"])
    )
    return (spread, *histograms)


def _joint_pictures(one: Judgement) -> tuple[Picture, ...]:
    known = {score: one.ratios[one.ratios[f"{score}_ratio"].notna()] for score in ("energy", "variogram")}
    return tuple(
        Picture.of(
            ratio_figure(rows, score=score, reference=one.reference),
            f"{score.capitalize()} score over that of {source_title(one.reference)}, mean over variables.",
        )
        for score, rows in known.items()
        if len(rows)
    )


def _joint_remark(one: Judgement) -> str:
    return (
        "Energy score: distance of the truth from the members, less half of their distance from each other, of all "
        f"withheld stations together, or of blocks of {BLOCK} × {BLOCK} grid points. Variogram score (order ½): are "
        f"differences between stations up to {RADIUS / 1e3:.0f} km apart as large as stated? It tells errors that go "
        "together from errors that do not. A method that states a mean and an error is taken at its word: Gaussians "
        f"that know nothing of each other ({Judge.gaussian_members} members are drawn for the energy score; the "
        "variogram score has a closed form). A method that states no error is a point. Both scores are fair: the "
        f"number of members neither helps nor harms. Ratios are to {source_title(one.reference)}; below 1 is better."
    )


def _reliability_row(row: dict[str, object]) -> tuple[str, ...]:
    return (
        title_of(row["variable"]),
        source_title(row["method"]),
        PLACE_TITLES[row["place"]],
        format_number(row["spread_skill"]) + FLAG * row["spread_off"],
        f"{format_number(100.0 * row['rank_deviation'], digits=0)} %{FLAG * row['ranks_off']}",
        f"{row['rank'] + 1} of {row['ranks']}",
        f"{format_number(100.0 * row['chance'], digits=0)} %",
    )


def _records(table: pd.DataFrame) -> list[dict[str, object]]:
    """By variable, so that rows of one stand together."""
    return table.sort_values("variable", key=lambda names: pd.factorize(names)[0], kind="stable").to_dict("records")
