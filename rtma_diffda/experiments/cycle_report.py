"""The report of a run of cycles, made of its archive and feedback alone: scores at withheld stations."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from rtma_diffda import __version__
from rtma_diffda.cycling.feedback_files import feedback_of, withheld_pairs_of
from rtma_diffda.cycling.publication import Publisher
from rtma_diffda.experiments.reporting import Verification, graphs_of
from rtma_diffda.io.tables import write_table
from rtma_diffda.observations.withholding import withheld_list_id
from rtma_diffda.times import format_time
from rtma_diffda.verification.account import observation_account
from rtma_diffda.verification.bootstrap import BlockBootstrap
from rtma_diffda.verification.display import aligned_text, format_table
from rtma_diffda.verification.matching import ERROR_SUFFIX
from rtma_diffda.verification.reports.html import write_report
from rtma_diffda.verification.reports.report import Report

_HOURS = 3
"""Length of the parts of the day in the table of spread and skill."""


@dataclass(frozen=True)
class CycleReport:
    """What is said of a run.

    Attributes:
        verification: at withheld stations.
        text: tables for the terminal.
        path: of the page.
    """

    verification: Verification
    text: str
    path: Path


@dataclass(frozen=True)
class Told:
    """What the page says of the run besides its scores.

    Attributes:
        title: heading.
        method: name of the method.
        provenance: {what: value}.
        degraded: reasons that occurred.
    """

    title: str
    method: str
    provenance: dict[str, object]
    degraded: tuple[str, ...]


def write_cycle_report(
    publisher: Publisher, times: np.ndarray, told: Told, *, block_degrees: float
) -> CycleReport | None:
    """Score and write the page of these analyses; None where no station was withheld.

    Args:
        publisher: whose archive and feedback are read.
        times: (time,) valid times of published analyses.
        told: of the run.
        block_degrees: stations are resampled in whole blocks of this size.
    """
    feedback = feedback_of(publisher, list(times))
    pairs = withheld_pairs_of(feedback, told.method) if len(feedback) else feedback
    if not len(pairs):
        return None
    write_table(publisher.directory / "pairs.parquet", pairs)
    bootstrap = BlockBootstrap(block_degrees=block_degrees)
    verification = Verification.of(pairs, set(pairs["station"]), bootstrap)
    path = _page(publisher.directory / "report.html", verification, feedback, told, times)
    stations = pairs["station"].nunique()
    text = "\n".join(
        [
            f"At {stations} withheld stations (no cycle has used them), {len(times)} analyses:",
            format_table(verification.scores),
            "",
            "Stated over found departures there (errors of analysis and observation together), by hours (UTC):",
            spread_skill_text(pairs, told.method),
        ]
    )
    return CycleReport(verification, text, path)


def spread_skill(pairs: pd.DataFrame, source: str) -> pd.DataFrame:
    """Stated over found departures of withheld data, by part of the run and variable; 1 where errors are honest.

    The stated error of a departure is that of the analysis and of the observation together (of an ensemble with
    (M + 1)/M, calibrated). Withheld reports are not checked against any background, so gross errors are among them:
    the ratio is that of quartiles, 1.349 over the interquartile range of (y − a)/√(s² + r²).

    Returns:
        Index: start of each part; columns: variables and ``all``.
    """
    rows = pd.DataFrame(
        {
            "part": pairs["analysis_time"].dt.floor(f"{_HOURS}h"),
            "variable": pairs["variable"],
            "z": (pairs["observed"] - pairs[source]) / np.hypot(pairs[f"{source}{ERROR_SUFFIX}"], pairs["error_std"]),
        }
    ).dropna()
    by_variable = rows.groupby(["part", "variable"], sort=False)["z"].agg(_ratio_of_quartiles).reset_index()
    table = by_variable.pivot_table(index="part", columns="variable", values="z", sort=False)
    return table.assign(all=rows.groupby("part")["z"].agg(_ratio_of_quartiles))


def _ratio_of_quartiles(z: pd.Series) -> float:
    """Interquartile range of a standard Gaussian over that of z."""
    low, high = np.percentile(z, [25.0, 75.0])
    return float(1.349 / (high - low)) if high > low else float("nan")


def spread_skill_text(pairs: pd.DataFrame, source: str) -> str:
    """``spread_skill`` as a table of text."""
    if f"{source}{ERROR_SUFFIX}" not in pairs:
        return "(the method states no errors)"
    table = spread_skill(pairs, source)
    rows = [
        [format_time(np.datetime64(start, "ns")), *(f"{value:.2f}" for value in values)]
        for start, values in zip(table.index, table.to_numpy(), strict=True)
    ]
    return aligned_text(["from", *map(str, table.columns)], rows, text_columns=1)


def _page(path: Path, verification: Verification, feedback: pd.DataFrame, told: Told, times: np.ndarray) -> Path:
    report = Report(
        title=told.title,
        summary=(
            f"{len(times)} analyses from {format_time(times[0])} to {format_time(times[-1])}, scored at stations that "
            "no cycle has used. The background is each cycle's own first guess."
        ),
        scores=verification.scores,
        withheld_list_id=withheld_list_id(verification.withheld),
        bootstrap=verification.bootstrap,
        created=np.datetime64(datetime.now(UTC).replace(tzinfo=None), "s"),
        provenance={"software": f"rtma_diffda {__version__}", **told.provenance},
        maps=(),
        graphs=graphs_of(verification),
        calibration=verification.calibration,
        account=observation_account(feedback),
        published=told.method,
        degraded=told.degraded,
    )
    return write_report(path, report)
