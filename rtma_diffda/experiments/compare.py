"""``run_comparison``: methods side by side on simulated weather, with everything else the same for all of them.

Settings are chosen on validation runs, whose truth is known to the tuning; test runs judge. Learned methods bring a
checkpoint; nothing is trained here, and the checkpoint's own runs were drawn from another seed or another split. Every
method gets the same backgrounds, stations, errors and checks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rtma_diffda.cycling.case import limited
from rtma_diffda.errors import UsageError
from rtma_diffda.experiments.compared_methods import COMPARED, ComparedMethod, Workshop, build_compared
from rtma_diffda.experiments.comparison_report import Comparison, write_comparison_report
from rtma_diffda.experiments.data_set import DataSetDesign
from rtma_diffda.experiments.measured import measured
from rtma_diffda.experiments.osse_cases import ObservingSettings, OsseCase, osse_cases
from rtma_diffda.experiments.progress import progress
from rtma_diffda.experiments.reporting import RunSummary
from rtma_diffda.experiments.settings import require_between, require_texts, settings_from
from rtma_diffda.experiments.simulate import SimulateSettings, make_runs
from rtma_diffda.interfaces import Analysis
from rtma_diffda.io.simulation_store import read_pairs
from rtma_diffda.verification.case_scores import CaseLabel, CaseScores, Cost, Judge, case_table
from rtma_diffda.verification.case_spectra import CaseSpectra, case_spectra
from rtma_diffda.verification.reports.comparison_figures import Sweep

DEFAULT = "default"
"""Name of the setting that is not a sensitivity test."""

_NOT_BY_DEFAULT = ("diffda", "diffusion_meshless", "diffusion_unet_global", "diffusion_graph")
DEFAULT_METHODS = tuple(name for name in COMPARED if name not in _NOT_BY_DEFAULT)
"""Without the published recipe, which takes minutes an analysis, the default without its mesh, and networks that do not
ship."""


@dataclass(frozen=True)
class SensitivitySettings:
    """What is changed, one at a time, on the first ``runs`` test runs."""

    stations: tuple[int, ...] = (10, 30, 300)
    error_factor: tuple[float, ...] = (0.05, 0.5, 2.0)
    gross_error_rate: tuple[float, ...] = (0.05,)
    runs: int = 8

    def settings(self, observing: ObservingSettings) -> dict[str, ObservingSettings]:
        """Every changed setting by its name in the tables."""
        changed: dict[str, ObservingSettings] = {}
        for count in self.stations:
            changed[f"{count} stations"] = replace(observing, stations=count)
        for factor in self.error_factor:
            changed[f"errors × {factor:g}"] = replace(observing, error_factor=factor)
        for rate in self.gross_error_rate:
            changed[f"gross errors {rate:.0%}"] = replace(observing, gross_error_rate=rate)
        return changed


@dataclass(frozen=True)
class CompareSettings:
    """Names and meanings as in ``conf/compare.yaml``."""

    data: DataSetDesign = field(default_factory=DataSetDesign)
    methods: tuple[str, ...] = DEFAULT_METHODS
    reference: str = "optimal_interpolation"
    checkpoints: Mapping[str, str | None] = field(default_factory=dict)
    observing: ObservingSettings = field(default_factory=ObservingSettings)
    hours_of_day: tuple[int, ...] = (3, 9, 15, 21)
    sensitivity: SensitivitySettings = field(default_factory=SensitivitySettings)
    seed: int = 1
    workers: int = 2
    output: str = "outputs/compare"
    progress: bool = True

    def __post_init__(self) -> None:
        require_texts("methods", self.methods)
        require_between("seed", self.seed, 0, 2**31 - 1)
        unknown = [name for name in (*self.methods, self.reference) if name not in COMPARED]
        if unknown or not self.methods:
            raise UsageError(f"unknown methods {unknown}; known are {', '.join(COMPARED)}")
        if self.reference not in self.methods:
            raise UsageError(f"the reference {self.reference} is not among the methods {', '.join(self.methods)}")
        if not self.hours_of_day:
            raise UsageError("hours_of_day is empty; give at least one hour of each run to analyse")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "CompareSettings":
        """Settings from a composed configuration."""
        return settings_from(cls, values)


@dataclass
class _Findings:
    """What judging gathers."""

    scores: list[CaseScores] = field(default_factory=list)
    spectra: list[CaseSpectra] = field(default_factory=list)
    shown: tuple[OsseCase, dict[str, Analysis]] | None = None
    degraded: dict[str, None] = field(default_factory=dict)


def run_comparison(settings: CompareSettings) -> RunSummary:
    """Make what runs are missing, choose settings on validation runs, analyse the test runs, and judge.

    Returns:
        The headline tables and where everything is.

    Raises:
        InputError: a checkpoint is absent or damaged, or another data set is in the place of this one.
    """
    data_set = make_runs(
        SimulateSettings(
            settings.data,
            splits=("validation", "test"),
            seed=settings.seed,
            workers=settings.workers,
            progress=settings.progress,
        )
    )
    methods = _choose(settings)
    found = _judged(settings, methods)
    output = Path(settings.output) / settings.data.name / f"seed_{settings.seed}"
    text, files = write_comparison_report(output, _comparison(settings, methods, found))
    files = {"data set": data_set, **files}
    lines = "\n".join(f"{what}: {where}" for what, where in files.items())
    return RunSummary(f"{text}\n\n{lines}", files, tuple(found.degraded))


def _comparison(settings: CompareSettings, methods: Sequence[ComparedMethod], found: _Findings) -> Comparison:
    design, observing = settings.data, settings.observing
    return Comparison(
        title=f"Methods compared: {design.name}, seed {settings.seed}",
        summary=(
            f"{design.runs.test} independent runs of simulated weather, each over its own terrain, analysed at "
            f"{len(settings.hours_of_day)} hours a run from {observing.stations} stations; "
            f"{observing.withheld} further stations verify. Settings of every method were chosen on "
            f"{design.runs.validation} other runs. No method has seen these runs, their terrain or their stations."
        ),
        provenance={**design.description(settings.seed), "observing": str(observing)},
        reference=settings.reference,
        default=DEFAULT,
        methods=methods,
        cases=case_table(found.scores),
        spectra=found.spectra,
        shown=found.shown,
        sweeps=_sweeps(settings),
        degraded=tuple(found.degraded),
    )


def _sweeps(settings: CompareSettings) -> tuple[Sweep, ...]:
    observing, varied = settings.observing, settings.sensitivity
    sweeps = []
    if varied.stations:
        values = {f"{count} stations": float(count) for count in varied.stations}
        sweeps.append(Sweep("number of stations", {**values, DEFAULT: float(observing.stations)}))
    if varied.error_factor:
        values = {f"errors × {factor:g}": float(factor) for factor in varied.error_factor}
        sweeps.append(Sweep("observation error, times its default", {**values, DEFAULT: observing.error_factor}))
    return tuple(sweeps)


def _choose(settings: CompareSettings) -> tuple[ComparedMethod, ...]:
    """Every method with settings chosen on the validation runs."""
    cases = list(_cases(settings, "validation", settings.observing))
    design = settings.data
    pairs = read_pairs(design.path(settings.seed), "validation", runs=design.runs.validation)
    workshop = Workshop([case.known for case in cases], pairs.truth - pairs.background, settings.checkpoints)
    return build_compared(settings.methods, workshop)


def _judged(settings: CompareSettings, methods: Sequence[ComparedMethod]) -> _Findings:
    """Every method in every setting."""
    judge, found = Judge(), _Findings()
    everything = {DEFAULT: settings.observing, **settings.sensitivity.settings(settings.observing)}
    for name, observing in everything.items():
        runs = None if name == DEFAULT else settings.sensitivity.runs
        cases = list(_cases(settings, "test", observing, runs=runs))
        for case in progress(cases, name, shown=settings.progress):
            analyses = {method.name: _analysed(case, method, judge, found, setting=name) for method in methods}
            found.shown = found.shown or (case, analyses)
    return found


def _cases(
    settings: CompareSettings, split: str, observing: ObservingSettings, *, runs: int | None = None
) -> Iterator[OsseCase]:
    return osse_cases(settings.data, observing, seed=settings.seed, split=split, hours=settings.hours_of_day, runs=runs)


def _analysed(case: OsseCase, method: ComparedMethod, judge: Judge, found: _Findings, *, setting: str) -> Analysis:
    """One analysis, scored. The method is moved to the terrain of the case; the generator is the case's own."""
    local = replace(method.method, static=case.known.static)
    generator = case.generator("analysis")
    analysis, taken = measured(lambda: limited(local.analyse(case.problem, generator=generator)))
    calls = analysis.diagnostics.get("network_calls", float(method.network_calls))
    label = CaseLabel(setting, method.name, case.run.name, case.truth.valid_time)
    found.scores += judge.score_case(
        analysis,
        case.truth,
        withheld=case.withheld,
        label=label,
        generator=case.generator("judge"),
        cost=Cost(calls, taken.seconds, taken.memory_bytes),
    )
    if setting == DEFAULT:
        found.spectra += case_spectra(analysis.state, case.truth, label=label)
    found.degraded |= dict.fromkeys(f"{method.name}: {reason}" for reason in analysis.degraded)
    return analysis
