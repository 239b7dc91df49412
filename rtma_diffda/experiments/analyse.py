"""``run_analysis``: one analysis of a region from a background and reports, archived, mapped and verified."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rtma_diffda.cycling.case import Case, CaseSources, limited, seeded
from rtma_diffda.cycling.publication import Publisher
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.fold_verification import FoldSettings, fold_summary, verify_by_folds
from rtma_diffda.experiments.global_forcing import forcing, forcing_in_words
from rtma_diffda.experiments.ingest import account_in_words
from rtma_diffda.experiments.methods import BuiltMethod, MethodSettings, build_method
from rtma_diffda.experiments.reporting import PageHead, RunSummary, Verification, draw_analysis, page, withheld_pairs
from rtma_diffda.experiments.settings import as_texts, as_time, require_between, require_texts, settings_from
from rtma_diffda.fields.boundary import surrounding
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.boundary_points import boundary_grid
from rtma_diffda.geo.region import Region, load_region
from rtma_diffda.interfaces import Analysis
from rtma_diffda.io.atomic import explain_failures
from rtma_diffda.io.background import load_background
from rtma_diffda.io.static_fields import load_static_fields
from rtma_diffda.io.tables import write_table
from rtma_diffda.observations.error_model import DEFAULT_ERRORS, ErrorModel
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
    """Quality control: ``background_limit`` in standard deviations (None: no background check); ``reject`` list;
    ``errors``: {variable: SI standard deviation} of METAR reports, in place of the usual ones."""

    background_limit: float | None = 5.0
    reject: tuple[str, ...] = ()
    errors: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.background_limit is not None:
            require_between("quality_control.background_limit", self.background_limit, 0.1, 1000.0)
        require_texts("quality_control.reject", self.reject)

    def build(self) -> QualityControl:
        """The quality control of these settings."""
        check = None if self.background_limit is None else BackgroundCheck(limit=self.background_limit)
        own = {**DEFAULT_ERRORS, "metar": {**DEFAULT_ERRORS["metar"], **self.errors}}
        return QualityControl(ErrorModel(own), background_check=check, reject=self.reject)


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
        if not isinstance(self.seeds, tuple) or not self.seeds:
            raise UsageError(f"verification.seeds is {self.seeds!r}; it must be a list of numbers, such as [1,2]")
        for seed in self.seeds:
            require_between("verification.seeds", seed, 0, 2**63 - 1)
        if self.spatial_block_degrees is not None:
            require_between("verification.spatial_block_degrees", self.spatial_block_degrees, 0.01, 30.0)


@dataclass(frozen=True)
class AnalyseSettings:
    """One analysis. Names and meanings as in ``conf/analyse.yaml``."""

    region: str
    time: np.datetime64
    background: str
    observations: tuple[str, ...]
    global_runs: str | None = None
    global_model: str = ""
    latency_hours: float = 0.0
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
        require_between("latency_hours", self.latency_hours, 0.0, 240.0)
        require_between("seed", self.seed, 0, 2**63 - 1)
        if self.variables is not None:
            require_texts("variables", self.variables)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "AnalyseSettings":
        """Settings from a composed configuration."""
        given = {key: value for key, value in values.items() if key != "experiment"}
        given["observations"] = as_texts(given["observations"], "observations")
        given["time"] = as_time(given["time"])
        if given.get("variables") is not None:
            given["variables"] = as_texts(given["variables"], "variables")
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
    region = load_region(settings.region)
    publisher = _publisher(settings, region)
    if publisher is not None and publisher.keeps(settings.time):
        return _kept(publisher, settings.time)
    made = _make(settings)
    if publisher is not None and publisher.keeps(settings.time, degraded=bool(made.analysis.degraded)):
        return _kept(publisher, settings.time, made.analysis.degraded)
    publisher = publisher or _new_publisher(settings, region)
    settled = {
        "method": made.built.name,
        "method_settings": made.built.description,
        "global_run_used": "yes" if made.built.forced else "no",
    }
    product = publisher.publish(made.case, made.analysis, settled)
    files = {"archive": publisher.archive.root, "netcdf": publisher.write_netcdf(product)}
    files |= _maps(made, publisher.directory / "maps")
    verified = _verify(settings, made)
    files |= {
        f"pairs, {label}": _store_pairs(publisher.directory, label, verification.pairs)
        for label, verification in verified.items()
    }
    if verified:
        files["report"] = _page(settings, made, verified=verified, files=files)
    return RunSummary(_text(settings, made, verified=verified, files=files), files, made.analysis.degraded)


def _kept(publisher: Publisher, time: np.datetime64, degraded: tuple[str, ...] = ()) -> RunSummary:
    """The summary of a run that leaves everything as it was."""
    kept = f"{publisher.archive.root} has an analysis of {format_time(time)} and keeps it"
    text = f"{kept}; nothing was written. overwrite=true replaces it"
    return RunSummary(text, {"archive": publisher.archive.root}, degraded)


@dataclass(frozen=True)
class _Made:
    """An analysis with what it was made from."""

    case: Case
    ingest: IngestResult
    built: BuiltMethod
    analysis: Analysis


def _make(settings: AnalyseSettings) -> _Made:
    case, ingest = prepare_case(settings)
    built = build_method(settings.method, [case.problem()], case.static)
    analysis = built.method.analyse(case.problem(), generator=seeded(settings.seed, settings.time))
    return _Made(case, ingest, built, limited(_with_gaps(analysis, case)))


def _text(
    settings: AnalyseSettings, made: _Made, *, verified: Mapping[str, Verification], files: Mapping[str, Path]
) -> str:
    """What the terminal shows."""
    lines = [
        f"{made.case.region.title}, {format_time(settings.time)}: {made.built.name}",
        *account_in_words(made.ingest, made.case.table)[:3],
        "",
        observation_account(made.case.table).to_string(index=False),
        "",
        made.built.description,
    ]
    for label, verification in verified.items():
        lines += ["", f"{label}:", format_table(verification.scores)]
    if settings.verification.folds:
        lines += ["", "RMSE (SI) over the splits:", fold_summary(verified)]
    return "\n".join([*lines, "", *(f"{what}: {path}" for what, path in files.items())])


def _publisher(settings: AnalyseSettings, region: Region) -> Publisher | None:
    """The publisher into an archive that is there already, checked before any work is done; None where there is none.

    A new archive is only made once there is something to put into it; that its place can be written is checked now.
    """
    output = Path(settings.output)
    with explain_failures(f"output directory {output}"):
        output.mkdir(parents=True, exist_ok=True)
    return _new_publisher(settings, region) if (output / "archive").exists() else None


def _new_publisher(settings: AnalyseSettings, region: Region) -> Publisher:
    layout = Layout.of(region.grid, settings.variables or region.variables)
    static = load_static_fields(region)
    return Publisher.at(settings.output, region, layout=layout, static=static, overwrite=settings.overwrite)


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
    wider = boundary_grid(region.grid, spacing=region.boundary.spacing, width=region.boundary.width)
    boundary = forcing(settings, Layout.of(wider, layout.names), surrounding(np.atleast_1d(settings.time)))
    ingest = read_observations(
        settings.observations,
        reference_time=settings.time,
        stations=load_stations(settings.stations),
    )
    withheld = _withheld(settings, ingest.table, region)
    sources = CaseSources(region, static, settings.quality_control.build(), withheld)
    provenance = {
        "background": background.provenance,
        "observations": ", ".join(settings.observations),
        **forcing_in_words(boundary),
        "height_terms": _height_terms(static.orography is not None, background.terrain_adjusted),
    }
    case = sources.case(background.state, ingest.table, settings.window, provenance, boundary=boundary)
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
            "No model terrain is known: H makes no height correction; the covariance uses station heights and the "
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


def _maps(made: _Made, directory: Path) -> dict[str, Path]:
    label = compact_time(made.case.window.analysis_time)
    drawn = draw_analysis(made.analysis, made.case, directory, label=label)
    return {f"map of {name}": path for name, path in drawn.items()}


def _verify(settings: AnalyseSettings, made: _Made) -> dict[str, Verification]:
    """Scores by what they were made of: withheld stations, random folds, folds of whole blocks."""
    wanted = settings.verification
    verified = {}
    withheld = made.case.observations.withheld()
    if len(withheld):
        pairs = withheld_pairs(made.case, {made.built.name: made.analysis})
        bootstrap = BlockBootstrap(block_degrees=wanted.block_degrees)
        verified["withheld stations"] = Verification.of(pairs, set(withheld.station), bootstrap)
    if wanted.folds:
        check = settings.quality_control.build().background_check
        folds = FoldSettings(
            wanted.folds, wanted.seeds, wanted.spatial_block_degrees, check, progress=settings.progress
        )
        verified |= verify_by_folds(made.case, settings.method, folds)
    return verified


def _store_pairs(directory: Path, label: str, pairs: pd.DataFrame) -> Path:
    path = directory / "pairs" / f"{label.replace(' ', '_').replace('°', 'deg')}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, pairs)
    return path


def _page(
    settings: AnalyseSettings, made: _Made, *, verified: Mapping[str, Verification], files: Mapping[str, Path]
) -> Path:
    label, headline = next(iter(verified.items()))
    provenance = {"method": made.built.name, "method settings": made.built.description, **made.case.provenance}
    if settings.verification.folds:
        provenance["RMSE (SI) over all splits"] = fold_summary(verified)
    head = PageHead(
        title=f"{made.case.region.title}: analysis of {format_time(settings.time)}",
        summary=f"Scores below are of {label}. " + made.case.provenance["height_terms"] + ".",
        provenance=provenance,
        published=made.built.name,
        degraded=made.analysis.degraded,
    )
    maps = {name: path for name, path in files.items() if name.startswith("map of")}
    return page(Path(settings.output) / "report.html", head, verification=headline, maps=maps, cases=[made.case])
