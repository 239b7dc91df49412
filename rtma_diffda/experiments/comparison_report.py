"""The report of a comparison: tables, figures and maps of one case, as files, as a page and for the terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from rtma_diffda import __version__
from rtma_diffda.experiments.compared_methods import ComparedMethod
from rtma_diffda.experiments.osse_cases import OsseCase
from rtma_diffda.interfaces import Analysis
from rtma_diffda.io.tables import write_table
from rtma_diffda.verification.case_scores import GRID, WITHHELD
from rtma_diffda.verification.case_spectra import CaseSpectra, mean_spectra, octave_table
from rtma_diffda.verification.checks_text import format_checks
from rtma_diffda.verification.comparison_text import format_comparison
from rtma_diffda.verification.display import format_number, source_title
from rtma_diffda.verification.joint_text import format_joint
from rtma_diffda.verification.judgement import Judgement
from rtma_diffda.verification.reports.comparison_figures import Sweep
from rtma_diffda.verification.reports.comparison_page import ComparisonPage, comparison_page
from rtma_diffda.verification.reports.method_maps import MethodMaps, method_figure
from rtma_diffda.verification.reports.page import PageHead, PageSection
from rtma_diffda.verification.reports.report import Picture
from rtma_diffda.verification.reports.weather_maps import StationPlaces

_SHOWN = ("t2m", "u10m", "sp")
"""Variables of the maps."""
_SHOWN_BY_MEMBER, _MEMBERS_SHOWN = "u10m", 4


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes:
        title, summary: what was compared, in words.
        provenance: {what: value}.
        reference: method that the others are compared with.
        default: name of the setting that is not a sensitivity test.
        methods: all of them.
        cases: from ``case_scores.case_table``.
        spectra: of the default setting's analyses.
        shown: one case, and every method's analysis of it.
        sweeps: what was varied.
        degraded: reasons why results are less than normal.
    """

    title: str
    summary: str
    provenance: Mapping[str, object]
    reference: str
    default: str
    methods: Sequence[ComparedMethod]
    cases: pd.DataFrame
    spectra: Sequence[CaseSpectra]
    shown: tuple[OsseCase, Mapping[str, Analysis]]
    sweeps: tuple[Sweep, ...]
    degraded: tuple[str, ...] = ()


def write_comparison_report(output: Path, comparison: Comparison) -> tuple[str, dict[str, Path]]:
    """Write tables (parquet, CSV) and the page; returns the text for the terminal and the files by what they are."""
    judgement = Judgement.of(comparison.cases, reference=comparison.reference)
    spectra = mean_spectra(comparison.spectra)
    octaves = octave_table(spectra)
    files = _tables(output, judgement, octaves, comparison.cases)
    head = PageHead(
        title=comparison.title,
        summary=comparison.summary,
        created=np.datetime64(datetime.now(UTC).replace(tzinfo=None), "s"),
        provenance={"software": f"rtma_diffda {__version__}", **comparison.provenance},
    )
    page = ComparisonPage(
        judgement=judgement,
        setting=comparison.default,
        sweeps=comparison.sweeps,
        spectra=spectra,
        maps=_maps(*comparison.shown),
        sections=(_settings_of(comparison.methods),),
        degraded=comparison.degraded,
    )
    files["report"] = comparison_page(output / "report.html", head, page)
    return _text(judgement, octaves, comparison), files


def _tables(output: Path, judgement: Judgement, octaves: pd.DataFrame, cases: pd.DataFrame) -> dict[str, Path]:
    cases = cases.assign(ranks=[None if r is None else list(r) for r in cases["ranks"]])
    return {
        "case scores": write_table(output / "cases.parquet", cases),
        "scores": write_table(output / "scores.parquet", judgement.scores),
        "ratios": write_table(output / "ratios.parquet", judgement.ratios),
        "significance": write_table(output / "significance.parquet", judgement.significance),
        "joint significance": write_table(output / "joint_significance.parquet", judgement.joint_significance),
        "against ensembles": write_table(output / "ensembles.parquet", judgement.ensembles),
        "reliability": write_table(output / "reliability.parquet", judgement.reliability),
        "octaves": write_table(output / "octaves.parquet", octaves),
    }


def _maps(case: OsseCase, analyses: Mapping[str, Analysis]) -> tuple[Picture, ...]:
    """Truth, analyses and their errors for some variables; then members of every ensemble for one of them."""
    shown = [name for name in _SHOWN if name in case.truth.layout.names]
    pictures = []
    for name in shown:
        estimates = {method: analysis.state.mean().channel(name)[0].numpy() for method, analysis in analyses.items()}
        caption = f"{name}: the truth, and each method with its error."
        pictures.append(_picture(case, name, estimates, caption))
    for method, analysis in analyses.items():
        if analysis.state.members > 1 and _SHOWN_BY_MEMBER in shown:
            members = _members_of(analysis, _SHOWN_BY_MEMBER)
            caption = f"{source_title(method)}: the truth, and members. Their mean is the best estimate, and smoother."
            pictures.append(_picture(case, _SHOWN_BY_MEMBER, members, caption))
    return tuple(pictures)


def _members_of(analysis: Analysis, name: str) -> dict[str, np.ndarray]:
    members = analysis.state.channel(name).numpy()
    shown = {f"member {number}": member for number, member in enumerate(members[:_MEMBERS_SHOWN], start=1)}
    return {f"mean of {len(members)} members": members.mean(axis=0), **shown}


def _picture(case: OsseCase, name: str, estimates: Mapping[str, np.ndarray], caption: str) -> Picture:
    """Fields (y, x) by what they are, beside the truth, with their errors and the stations."""
    seen, withheld = case.problem.observations.of_channel(0), case.withheld.of_channel(0)
    places = StationPlaces(
        np.concatenate([seen.latitude.numpy(), withheld.latitude.numpy()]),
        np.concatenate([seen.longitude.numpy(), withheld.longitude.numpy()]),
        np.arange(len(seen) + len(withheld)) >= len(seen),
    )
    maps = MethodMaps(name, case.truth.valid_time, case.truth.channel(name)[0].numpy(), estimates, places)
    return Picture.of(method_figure(maps, case.known.static, place=f"run {case.run.name}"), caption)


def _settings_of(methods: Sequence[ComparedMethod]) -> PageSection:
    lines = tuple(f"{source_title(method.name)}: {method.description}" for method in methods)
    return PageSection("Settings, chosen on validation runs", text=lines)


def _text(judgement: Judgement, octaves: pd.DataFrame, comparison: Comparison) -> str:
    found = format_comparison(judgement.scores, judgement.ratios, setting=comparison.default, places=(GRID, WITHHELD))
    others = [_sensitivity_row(judgement, setting) for setting in judgement.settings if setting != comparison.default]
    joint = format_joint(judgement.of_setting(comparison.default))
    checks = format_checks(judgement, octaves, setting=comparison.default)
    lines = [found, "", *judgement.sentences(comparison.default), "", joint, "", checks]
    if others:
        lines += ["", f"RMSE over that of {source_title(comparison.reference)} in the same setting, grid:", *others]
    return "\n".join(lines)


def _sensitivity_row(judgement: Judgement, setting: str) -> str:
    rows = judgement.of_setting(setting).ratios
    rows = rows[rows["place"] == GRID]
    parts = [
        f"{source_title(method)} {format_number(ratio, digits=3)}"
        for method, ratio in zip(rows["method"], rows["rmse_ratio"], strict=True)
    ]
    return f"{setting}: {', '.join(parts)}"
