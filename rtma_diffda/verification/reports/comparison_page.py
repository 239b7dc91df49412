"""The page of a comparison: methods side by side, over the grid and at withheld stations, with all that was varied."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from rtma_diffda.verification.case_scores import GRID, PLACES, REPORTS, WITHHELD
from rtma_diffda.verification.comparison_text import (
    COST_HEADER,
    PLACE_TITLES,
    RATIO_HEADER,
    SCORE_HEADER,
    SIGNIFICANCE_HEADER,
    cost_rows,
    ratio_rows,
    score_rows,
    significance_rows,
)
from rtma_diffda.verification.display import source_title
from rtma_diffda.verification.judgement import Judgement
from rtma_diffda.verification.reports.comparison_figures import (
    Sweep,
    ratio_figure,
    sweep_figure,
)
from rtma_diffda.verification.reports.page import PageHead, PageSection, write_page
from rtma_diffda.verification.reports.report import Picture
from rtma_diffda.verification.reports.score_figures import score_figure
from rtma_diffda.verification.reports.spectra_section import spectra_section
from rtma_diffda.verification.reports.tables import Table
from rtma_diffda.verification.reports.uncertainty_sections import joint_section, uncertainty_section
from rtma_diffda.verification.reports.worse_section import worse_section

_REMARKS = {
    GRID: "Errors against the simulated truth at every grid point.",
    WITHHELD: "Errors against the truth at the position and height of stations that no method has seen.",
    REPORTS: (
        "Departures from the reports of these stations, as they would be measured in reality. They hold the reports' "
        "own errors, which every method has in common; CRPS, coverage and ranks allow for them."
    ),
}


@dataclass(frozen=True)
class ComparisonPage:
    """What goes on the page besides its head.

    Attributes:
        judgement: all tables.
        setting: whose scores are shown in full.
        sweeps: what was varied.
        spectra: from ``case_spectra.mean_spectra``; None to leave them out.
        maps: pictures of single cases.
        sections: further sections, before the cost.
        degraded: what went wrong, in words; empty where nothing did.
    """

    judgement: Judgement
    setting: str
    sweeps: tuple[Sweep, ...] = ()
    spectra: pd.DataFrame | None = None
    maps: tuple[Picture, ...] = ()
    sections: tuple[PageSection, ...] = field(default=())
    degraded: tuple[str, ...] = ()


def comparison_page(path: Path, head: PageHead, page: ComparisonPage) -> Path:
    """Write the page of a comparison as one HTML file; returns its path.

    Raises:
        InputError: it cannot be written there.
    """
    one = page.judgement.of_setting(page.setting)
    places = [place for place in PLACES if place in set(one.scores["place"])]
    sections = [
        PageSection("Less than normal", text=page.degraded),
        _result(page, one),
        PageSection("One case", pictures=page.maps, remark="Every method had the same background and reports."),
        *(_scores(one, place) for place in places),
        _significance(one, places),
        uncertainty_section(one),
        joint_section(one),
        spectra_section(page.spectra, page.setting),
        _sensitivity(page),
        worse_section(page.judgement),
        *page.sections,
        _cost(page.judgement),
    ]
    return write_page(path, head, sections)


def _result(page: ComparisonPage, one: Judgement) -> PageSection:
    reference = source_title(one.reference)
    captions = {
        "rmse": f"RMSE of each method over that of {reference}, mean over variables, with intervals. Left of the "
        f"dashed line a method is better than {reference}.",
        "crps": "The same for the CRPS, which also rewards an honest statement of uncertainty. A method that states "
        "none is scored as if it were certain.",
    }
    pictures = tuple(
        Picture.of(ratio_figure(one.ratios, score=score, reference=one.reference), caption)
        for score, caption in captions.items()
    )
    minor = {RATIO_HEADER.index("CRPS ratio"), RATIO_HEADER.index("cases"), RATIO_HEADER.index("runs"), 5}
    table = Table(RATIO_HEADER, list(ratio_rows(one.ratios)), text_columns=2, minor=minor)
    remark = (
        f"Setting: {page.setting}. {one.bootstrap.describe()}, the same for all methods: the hours of one run are not "
        "independent. Ratios are worked out for each variable and then averaged."
    )
    return PageSection(
        "Result", tuple(page.judgement.sentences(page.setting)), (("", table),), pictures=pictures, remark=remark
    )


def _scores(one: Judgement, place: str) -> PageSection:
    rows = one.scores[one.scores["place"] == place]
    bars = score_figure(rows.rename(columns={"method": "source"}))
    minor = {SCORE_HEADER.index(name) for name in ("bias", "ratio", "CRPS ratio", "within 1, 2", "roughness")}
    table = Table(SCORE_HEADER, list(score_rows(rows)), text_columns=2, minor={*minor, 6})
    caption = f"RMSE of every variable, {PLACE_TITLES[place]}, with intervals over runs."
    remark = (
        f"{_REMARKS[place]} Ratios are to {source_title(one.reference)}. Where the stated uncertainty is right, "
        "spread/skill is 1, and 0.68 and 0.95 of the errors are within 1 and 2 spreads. Roughness: amplitude of the "
        "analysis' Laplacian over the truth's."
    )
    title = PLACE_TITLES[place]
    return PageSection(
        f"Scores {title}" if place == GRID else f"Scores at {title}",
        tables=(("", table),),
        pictures=(Picture.of(bars, caption),),
        remark=remark,
    )


def _significance(one: Judgement, places: Sequence[str]) -> PageSection:
    tables = []
    for place in places:
        rows = one.significance[one.significance["place"] == place]
        table = Table(SIGNIFICANCE_HEADER, list(significance_rows(rows)), text_columns=2, minor={3, 5})
        tables.append((PLACE_TITLES[place][:1].upper() + PLACE_TITLES[place][1:], table))
    remark = (
        f"Difference of RMSE from {source_title(one.reference)}: negative is better; over all variables, the mean "
        "change in per cent. p: how often random signs of the runs' differences give as large a sum; p (Holm) allows "
        "for the number of comparisons, and the verdict takes it at 0.05."
    )
    return PageSection("Is the difference more than chance?", tables=tuple(tables), remark=remark)


def _sensitivity(page: ComparisonPage) -> PageSection:
    judgement = page.judgement
    pictures = []
    for sweep in page.sweeps:
        for score in ("rmse", "crps"):
            figure = sweep_figure(judgement.ratios, sweep, score=score, reference=judgement.reference)
            caption = (
                f"{score.upper()} over that of {source_title(judgement.reference)} in the same setting, against "
                f"{sweep.title}. Bands are intervals over runs."
            )
            pictures.append(Picture.of(figure, caption))
    others = [setting for setting in judgement.settings if setting != page.setting]
    tables = tuple(
        (setting, Table(RATIO_HEADER, list(ratio_rows(judgement.of_setting(setting).ratios)), text_columns=2))
        for setting in others
    )
    return PageSection("Sensitivity", tables=tables, pictures=tuple(pictures))


def _cost(judgement: Judgement) -> PageSection:
    remark = (
        "Per analysis: mean number of network evaluations (a member counts as one), median and longest time on the "
        "machine named below, and the largest memory taken beyond what was held before."
    )
    table = Table(COST_HEADER, list(cost_rows(judgement.cost)), text_columns=2)
    return PageSection("Cost", tables=(("", table),), remark=remark)
