"""``run_analysis``: one analysis of a region from a background and reports, archived, mapped and verified."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rtma_diffda.errors import InputError
from rtma_diffda.experiments.case import Case, CaseSources, seeded
from rtma_diffda.experiments.fold_verification import FoldSettings, fold_summary, verify_by_folds
from rtma_diffda.experiments.ingest import account_in_words, time_in_names
from rtma_diffda.experiments.methods import BuiltMethod, MethodSettings, build_method
from rtma_diffda.experiments.publication import Publisher
from rtma_diffda.experiments.reporting import RunSummary, Verification, draw_analysis, page, withheld_pairs
from rtma_diffda.experiments.settings import as_paths, as_time, require_between, settings_from
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.region import Region, load_region
from rtma_diffda.interfaces import Analysis
from rtma_diffda.io.background import load_background
from rtma_diffda.io.static_fields import load_static_fields
from rtma_diffda.io.tables import write_table
from rtma_diffda.observations.ingest.files import read_observations
from rtma_diffda.observations.ingest.result import IngestResult
from rtma_diffda.observations.ingest.stations import load_stations
from rtma_diffda.observations.quality_control import BackgroundCheck
from rtma_diffda.observations.screening import QualityControl
from rtma_diffda.observations.withholding import withheld_stations
from rtma_diffda.times import Window, compact_time, format_time, slot_index
from rtma_diffda.verification.account import observation_account
from rtma_diffda.verification.bootstrap import BlockBootstrap
from rtma_diffda.verification.display import format_table

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ControlSettings:
    """Quality control: ``background_limit`` in standard deviations (None: no background check); ``reject`` list."""

    background_limit: float | None = 5.0
    reject: tuple[str, ...] = ()

    def build(self) -> QualityControl:
        """The quality control of these settings."""
        check = None if self.background_limit is None else BackgroundCheck(limit=float(self.background_limit))
        return QualityControl(background_check=check, reject=tuple(map(str, self.reject)))


@dataclass(frozen=True)
class VerificationSettings:
    """How skill is measured.

    Attributes:
        withheld_fraction: of the stations, kept from the published analysis; 0 uses all.
        block_degrees: stations are withheld, and resampled, in whole blocks of this size.
        folds: of a cross-validation beside the published analysis; 0 for none.
        seeds: of the random splits into folds.
        spatial_block_degrees: size of the blocks of one more split, by whole blocks; None for none.
    """

    withheld_fraction: float = 0.1
    block_degrees: float = 0.5
    folds: int = 0
    seeds: tuple[int, ...] = (1,)
    spatial_block_degrees: float | None = 2.0

    def __post_init__(self) -> None:
        require_between("verification.withheld_fraction", self.withheld_fraction, 0.0, 0.9)
        require_between("verification.block_degrees", self.block_degrees, 0.01, 30.0)
        require_between("verification.folds", self.folds, 0, 1000)


@dataclass(frozen=True)
class AnalyseSettings:
    """One analysis. Names and meanings as in ``conf/analyse.yaml``."""

    region: str
    time: np.datetime64
    background: str
    observations: tuple[str, ...]
    data: str | None = None
    stations: str | None = None
    variables: tuple[str, ...] | None = None
    window_minutes: float = 30.0
    method: MethodSettings = field(default_factory=MethodSettings)
    quality_control: ControlSettings = field(default_factory=ControlSettings)
    verification: VerificationSettings = field(default_factory=VerificationSettings)
    output: str = "outputs/analysis"
    seed: int = 1
    overwrite: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        slot_index(self.time)
        require_between("window_minutes", self.window_minutes, 0.0, 720.0)
        require_between("seed", self.seed, 0, 2**63 - 1)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "AnalyseSettings":
        """Settings from a composed configuration."""
        given = {key: value for key, value in values.items() if key != "experiment"}
        given["observations"] = as_paths(given["observations"], "observations")
        given["time"] = as_time(given["time"])
        return settings_from(cls, given)

    @property
    def window(self) -> Window:
        """The times whose data count."""
        half = np.timedelta64(round(self.window_minutes * 60), "s")
        return Window.around(self.time, half, cutoff=max(half, np.timedelta64(15, "m")))


def run_analysis(settings: AnalyseSettings) -> RunSummary:
    """Make, store, draw and verify one analysis.

    Returns:
        The headline and where the files are. ``degraded`` names what is less than normal about the analysis.

    Raises:
        UsageError, InputError: wrong settings, or input missing or rejected; nothing is stored then.
    """
    case, ingest = prepare_case(settings)
    built = build_method(settings.method, [case.problem()], case.static)
    analysis = built.method.analyse(case.problem(), generator=seeded(settings.seed, settings.time))
    analysis = _with_gaps(analysis, case)
    publisher = Publisher.at(settings.output, case, overwrite=settings.overwrite)
    product = publisher.publish(case, analysis, {"method": built.name, "method_settings": built.description})
    files = {"archive": publisher.archive.root, "netcdf": publisher.write_netcdf(product)}
    files |= _maps(case, analysis, publisher.directory / "maps")
    text = [
        f"{case.region.title}, {format_time(settings.time)}: {built.name}",
        *account_in_words(ingest, case.table)[:3],
    ]
    text += ["", observation_account(case.table).to_string(index=False), "", built.description]
    verified = _verify(settings, case, built, analysis)
    for label, verification in verified.items():
        text += ["", f"{label}:", format_table(verification.scores)]
        files[f"pairs, {label}"] = _store_pairs(publisher.directory, label, verification.pairs)
    if settings.verification.folds:
        text += ["", "RMSE (SI) over the splits:", fold_summary(verified)]
    if verified:
        files["report"] = _page(settings, case, built, verified, files)
    text += ["", *(f"{what}: {path}" for what, path in files.items())]
    return RunSummary("\n".join(text), files, analysis.degraded)


def prepare_case(settings: AnalyseSettings) -> tuple[Case, IngestResult]:
    """Read everything that the settings name: the case, and the account of the reports.

    Raises:
        UsageError, InputError: wrong settings, or input missing or rejected.
    """
    region = load_region(settings.region)
    layout = Layout.of(region.grid, settings.variables or region.variables)
    static = load_static_fields(region)
    background = load_background(
        settings.background, layout=layout, static=static, valid_time=settings.time, region=region.name
    )
    ingest = read_observations(
        settings.observations,
        reference_time=settings.time if settings.time is not None else time_in_names(settings.observations),
        stations=load_stations(settings.stations),
    )
    withheld = _withheld(settings, ingest.table, region)
    sources = CaseSources(region, static, settings.quality_control.build(), withheld)
    provenance = {
        "background": background.provenance,
        "observations": ", ".join(settings.observations),
        "height_terms": _height_terms(static.orography is not None, background.terrain_adjusted),
    }
    case = sources.case(background.state, ingest.table, settings.window, provenance)
    if not len(case.observations.used()):
        account = observation_account(case.table).to_string(index=False)
        raise InputError(
            f"no observation can be used at {format_time(settings.time)} in region {region.name}\n{account}"
        )
    return case, ingest


def _withheld(settings: AnalyseSettings, table: pd.DataFrame, region: Region) -> tuple[str, ...]:
    if settings.verification.withheld_fraction == 0:
        return ()
    placed = table[np.isfinite(table["latitude"]) & np.isfinite(table["longitude"])]
    inside = placed[region.grid.contains(placed["latitude"], placed["longitude"])]
    if inside["station"].nunique() < 10:
        _log.warning("only %d stations in the region: none is withheld", inside["station"].nunique())
        return ()
    chosen = settings.verification
    return withheld_stations(
        inside, fraction=chosen.withheld_fraction, block_degrees=chosen.block_degrees, seed=settings.seed
    )


def _height_terms(terrain_known: bool, adjusted: tuple[str, ...]) -> str:
    if not terrain_known:
        return (
            "no model terrain is known: H makes no height correction; the covariance uses station heights and the "
            "background's own value, and grid points take their height from the stations around them"
        )
    return f"H corrects to station height; background adjusted to the region's terrain: {', '.join(adjusted) or 'none'}"


def _with_gaps(analysis: Analysis, case: Case) -> Analysis:
    """The analysis, with a note for each variable that had no datum at all."""
    names = case.background.layout.names
    seen = set(case.observations.used().channel.tolist())
    notes = tuple(f"{name}: no observation; equals the background" for i, name in enumerate(names) if i not in seen)
    return Analysis(
        analysis.state, analysis.problem, analysis.error_std, analysis.diagnostics, (*analysis.degraded, *notes)
    )


def _maps(case: Case, analysis: Analysis, directory: Path) -> dict[str, Path]:
    label = compact_time(case.window.analysis_time)
    return {f"map of {name}": path for name, path in draw_analysis(analysis, case, directory, label=label).items()}


def _verify(settings: AnalyseSettings, case: Case, built: BuiltMethod, analysis: Analysis) -> dict[str, Verification]:
    """Scores by what they were made of: withheld stations, random folds, folds of whole blocks."""
    wanted = settings.verification
    verified = {}
    withheld = case.observations.withheld()
    if len(withheld):
        pairs = withheld_pairs(case, {built.name: analysis})
        bootstrap = BlockBootstrap(block_degrees=wanted.block_degrees)
        verified["withheld stations"] = Verification.of(pairs, set(withheld.station), bootstrap)
    if wanted.folds:
        check = settings.quality_control.build().background_check
        folds = FoldSettings(
            wanted.folds, tuple(wanted.seeds), wanted.spatial_block_degrees, check, progress=settings.progress
        )
        verified |= verify_by_folds(case, settings.method, folds)
    return verified


def _store_pairs(directory: Path, label: str, pairs: pd.DataFrame) -> Path:
    path = directory / "pairs" / f"{label.replace(' ', '_').replace('°', 'deg')}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, pairs)
    return path


def _page(
    settings: AnalyseSettings,
    case: Case,
    built: BuiltMethod,
    verified: Mapping[str, Verification],
    files: Mapping[str, Path],
) -> Path:
    label, headline = next(iter(verified.items()))
    return page(
        Path(settings.output) / "report.html",
        title=f"{case.region.title}: analysis of {format_time(settings.time)}",
        summary=f"Scores: {label}. " + case.provenance["height_terms"] + ".",
        verification=headline,
        maps={name: path for name, path in files.items() if name.startswith("map of")},
        cases=[case],
        provenance={"method": built.name, "method settings": built.description, **case.provenance},
    )
