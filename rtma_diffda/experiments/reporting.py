"""Pictures and the report of a run: scores at withheld stations, maps of one analysis, graphs, and the page."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from rtma_diffda import __version__
from rtma_diffda.cycling.case import Case
from rtma_diffda.interfaces import Analysis
from rtma_diffda.observations.withholding import withheld_list_id
from rtma_diffda.verification.account import observation_account
from rtma_diffda.verification.bootstrap import BlockBootstrap
from rtma_diffda.verification.calibration import calibration_table
from rtma_diffda.verification.matching import matched_pairs
from rtma_diffda.verification.reports.analysis_figure import AnalysisMaps, analysis_figure, wind_figure
from rtma_diffda.verification.reports.canvas import save_png
from rtma_diffda.verification.reports.departures import departure_histograms, withheld_scatter
from rtma_diffda.verification.reports.html import write_report
from rtma_diffda.verification.reports.report import Picture, Report
from rtma_diffda.verification.reports.score_figures import rmse_series, score_figure
from rtma_diffda.verification.scores import rmse_by_time, score_table


@dataclass(frozen=True)
class RunSummary:
    """What a verb answers: a text for the terminal, the files by what they are, and what is less than normal."""

    text: str
    files: Mapping[str, Path]
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verification:
    """Matched pairs at withheld stations with everything computed from them.

    Attributes:
        pairs: from ``matching.matched_pairs``, one column a source.
        withheld: the stations.
        bootstrap: how intervals are made.
        scores, calibration: tables.
    """

    pairs: pd.DataFrame
    withheld: Collection[str]
    bootstrap: BlockBootstrap
    scores: pd.DataFrame
    calibration: pd.DataFrame

    @classmethod
    def of(cls, pairs: pd.DataFrame, withheld: Collection[str], bootstrap: BlockBootstrap) -> "Verification":
        """Score the pairs."""
        scores, calibration = score_table(pairs, bootstrap=bootstrap), calibration_table(pairs, bootstrap=bootstrap)
        return cls(pairs, withheld, bootstrap, scores, calibration)


def withheld_pairs(case: Case, analyses: Mapping[str, Analysis]) -> pd.DataFrame:
    """What the background and each analysis, through H, say at the withheld stations of one case."""
    withheld = case.observations.withheld()
    states = {"background": case.background} | {name: analysis.state for name, analysis in analyses.items()}
    equivalents = {name: case.operator(state.values.double(), withheld) for name, state in states.items()}
    stated = {
        name: case.operator.tangent(analysis.error_std[None].double(), withheld)[0]
        for name, analysis in analyses.items()
        if analysis.error_std is not None
    }
    pairs = matched_pairs(withheld, equivalents, layout=case.background.layout, error_stds=stated)
    return pairs.assign(analysis_time=case.window.analysis_time)


def draw_analysis(analysis: Analysis, case: Case, directory: Path, *, label: str) -> dict[str, Path]:
    """A PNG file a variable in ``directory``, and one of the wind where both components are there."""
    directory.mkdir(parents=True, exist_ok=True)
    withheld = case.observations.withheld()
    names = analysis.state.layout.names
    maps = {name: AnalysisMaps.of(analysis, name, withheld=withheld) for name in names}
    figures = {name: analysis_figure(maps[name], case.static, place=case.region.title) for name in names}
    if {"u10m", "v10m"} <= set(names):
        figures["wind10m"] = wind_figure(maps["u10m"], maps["v10m"], case.static, place=case.region.title)
    return {name: save_png(figure, directory / f"{label}_{name}.png") for name, figure in figures.items()}


def graphs_of(verification: Verification) -> tuple[Picture, ...]:
    """Score bars, and for each variable the departures, the scatter and, for several times, the RMSE against time."""
    pictures = [Picture.of(score_figure(verification.scores), "RMSE at withheld stations, with intervals.")]
    times = verification.pairs["analysis_time"].nunique() if "analysis_time" in verification.pairs else 1
    for name in verification.pairs["variable"].unique():
        histograms, scatter = departure_histograms(verification.pairs, name), withheld_scatter(verification.pairs, name)
        pictures.append(Picture.of(histograms.figure, f"Departures of {name} at withheld stations."))
        pictures.append(Picture.of(scatter.figure, f"{name}: sources against withheld observations."))
        if times > 2:
            series = rmse_by_time(verification.pairs, name, every=np.timedelta64(30, "m"))
            pictures.append(Picture.of(rmse_series(series, name).figure, f"RMSE of {name} at withheld stations."))
    return tuple(pictures)


@dataclass(frozen=True)
class PageHead:
    """What a page says of its run.

    Attributes:
        title: heading.
        summary: what was run, in plain sentences.
        provenance: {what: value} of the run.
        published: name of the source that is the product.
        degraded: reasons why the product is less than normal; empty when it is not.
    """

    title: str
    summary: str
    provenance: Mapping[str, object]
    published: str
    degraded: tuple[str, ...]


def page(
    path: Path, head: PageHead, *, verification: Verification, maps: Mapping[str, Path], cases: Sequence[Case]
) -> Path:
    """Write the report of a run as one HTML file.

    Args:
        path: of the file.
        head: what is said of the run.
        verification: at withheld stations.
        maps: PNG files by caption.
        cases: whose observations are accounted for.
    """
    report = Report(
        title=head.title,
        summary=head.summary,
        scores=verification.scores,
        withheld_list_id=withheld_list_id(verification.withheld),
        bootstrap=verification.bootstrap,
        created=np.datetime64(datetime.now(UTC).replace(tzinfo=None), "s"),
        provenance={"software": f"rtma_diffda {__version__}", **head.provenance},
        maps=tuple(Picture(file.read_bytes(), f"{name[:1].upper()}{name[1:]}.") for name, file in maps.items()),
        graphs=graphs_of(verification),
        calibration=verification.calibration,
        account=observation_account(pd.concat([case.table for case in cases], ignore_index=True)),
        published=head.published,
        degraded=head.degraded,
    )
    return write_report(path, report)
