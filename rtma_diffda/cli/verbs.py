"""The verbs: each turns settings into one documented call, and prints what that call answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rtma_diffda.errors import DegradedResult

if TYPE_CHECKING:
    from rtma_diffda.experiments.reporting import RunSummary

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Verb:
    """One verb of the command line.

    Attributes:
        name: as typed; its configuration file has the same name.
        summary: one line for the help.
        run: takes the composed settings; raises the package's errors.
        positional: setting that a bare word stands for, or empty.
        flags: options without value, and the override that each stands for.
        options: options with a value, and the setting that each sets.
    """

    name: str
    summary: str
    run: Callable[[Settings], None]
    positional: str = ""
    flags: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


def _demo(settings: Settings) -> None:
    from rtma_diffda.experiments.demo import DemoSettings, run_demo

    _tell(run_demo(DemoSettings.from_mapping(settings)))


def _analyse(settings: Settings) -> None:
    from rtma_diffda.experiments.analyse import AnalyseSettings, run_analysis

    _tell(run_analysis(AnalyseSettings.from_mapping(settings)))


def _tell(summary: "RunSummary") -> None:
    """Print the summary; then, everything being stored, say so by the exit status if the result is degraded."""
    print(summary.text)
    if summary.degraded:
        raise DegradedResult(f"the result is degraded: {'; '.join(summary.degraded)}")


def _ingest(settings: Settings) -> None:
    from rtma_diffda.experiments.ingest import IngestSettings, run_ingest

    print(run_ingest(IngestSettings.from_mapping(settings)).text)


def _simulate(settings: Settings) -> None:
    from rtma_diffda.experiments.simulate import SimulateSettings, run_simulation

    _tell(run_simulation(SimulateSettings.from_mapping(settings)))


def _train(settings: Settings) -> None:
    from rtma_diffda.experiments.train import TrainSettings, run_training

    _tell(run_training(TrainSettings.from_mapping(settings)))


def _compare(settings: Settings) -> None:
    from rtma_diffda.experiments.compare import CompareSettings, run_comparison

    _tell(run_comparison(CompareSettings.from_mapping(settings)))


def _reproduce(settings: Settings) -> None:
    from rtma_diffda.experiments.diffda_settings import EXERCISES
    from rtma_diffda.experiments.era5_uk import ERA5_UK

    if settings["exercise"] in EXERCISES:
        from rtma_diffda.experiments.diffda import run_named

        _tell(run_named(settings))
    elif settings["exercise"] == ERA5_UK:
        from rtma_diffda.experiments.era5_uk import Era5Settings, run_era5_uk

        _tell(run_era5_uk(Era5Settings.from_mapping(settings)))
    else:
        from rtma_diffda.experiments.ml_rtma_exercises import ExerciseSettings, run_exercise

        _tell(run_exercise(ExerciseSettings.from_mapping(settings)))


def _forecast(settings: Settings) -> None:
    from rtma_diffda.experiments.forecast import ForecastSettings, run_forecast

    _tell(run_forecast(ForecastSettings.from_mapping(settings)))


def _cycle(settings: Settings) -> None:
    from rtma_diffda.experiments.cycle import run_cycles
    from rtma_diffda.experiments.cycle_settings import CycleSettings

    _tell(run_cycles(CycleSettings.from_mapping(settings)))


def _status(settings: Settings) -> None:
    from rtma_diffda.experiments.status import StatusSettings, run_status

    _tell(run_status(StatusSettings.from_mapping(settings)))


def _regions(settings: Settings) -> None:
    from rtma_diffda.experiments.regions import describe_regions

    print(describe_regions(settings["name"], output=settings["output"]))


def _doctor(settings: Settings) -> None:
    from rtma_diffda.experiments.doctor import examine

    print(examine())


VERBS = {
    verb.name: verb
    for verb in (
        Verb("demo", "simulated METAR reports to verified analyses of a small region, every 15 minutes", _demo),
        Verb("analyse", "one analysis of a region from a background and station reports", _analyse),
        Verb(
            "cycle",
            "analyses every 15 minutes, of the past or live; resumes where it stopped",
            _cycle,
            flags={"--live": "live=true"},
            options={"--keep": "archive.keep"},
        ),
        Verb("status", "how a run of cycles has fared in the last hours", _status, "output"),
        Verb(
            "forecast",
            "a limited area some hours ahead, forced by a global run; or the globe, days ahead; or verification",
            _forecast,
        ),
        Verb("ingest", "read station reports into a table and account for every one", _ingest, "observations"),
        Verb("simulate", "simulated weather with known truth: runs, backgrounds, stations, METAR text", _simulate),
        Verb("train", "train a network on simulated runs; resumes where it stopped", _train),
        Verb("compare", "methods side by side on simulated weather that none of them has seen", _compare),
        Verb("reproduce", "published experiments again, with figures", _reproduce),
        Verb("regions", "list the regions, or describe and draw one", _regions, "name"),
        Verb("doctor", "versions, devices, optional parts, and how to get what is missing", _doctor),
    )
}
