"""``run_era5_uk``: every method on real hourly fields, where the truth is ERA5 itself and the stations are simulated.

The truth is ERA5's 2 m temperature over the British Isles, the background what it was six hours before, the stations
stand at random places and report with an error. Everything is chosen on the first 20 days: the baselines are tuned on
all of them; the denoiser learns from 16 and the other four end its training and calibrate its spreads. Four days then
lie between, and the last ones judge: no choice has seen them. Terrain and land are unknown. One month of one place: the
intervals, from resampling the days that judge, say how little that is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rtma_diffda.assimilation.denoiser_checkpoint import TrainedDenoiser, denoiser_checkpoint
from rtma_diffda.assimilation.truth_cases import TruthCase
from rtma_diffda.errors import UsageError
from rtma_diffda.experiments.compared_methods import ComparedMethod, Workshop
from rtma_diffda.experiments.comparison_report import Comparison, write_comparison_report
from rtma_diffda.experiments.denoiser_fitting import fitted_denoiser
from rtma_diffda.experiments.osse_cases import ObservingSettings, OsseCase, RunIdentity, run_cases
from rtma_diffda.experiments.persistence import Persistence, read_series
from rtma_diffda.experiments.persistence_denoiser import DenoiserSettings, persistence_denoiser, train_denoiser
from rtma_diffda.experiments.persistence_methods import baselines, ensembles
from rtma_diffda.experiments.persistence_scores import density_table, judged, setting_name
from rtma_diffda.experiments.reporting import RunSummary
from rtma_diffda.experiments.settings import require_between, settings_from
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.geo.region import load_region
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.atomic import explain_failures
from rtma_diffda.io.checkpoint import write_checkpoint
from rtma_diffda.observations.simulated_errors import ERROR_STD
from rtma_diffda.training.result import TrainingResult
from rtma_diffda.verification.case_scores import case_table
from rtma_diffda.verification.reports.comparison_figures import Sweep

ERA5_UK = "era5_uk"
"""Its name among the exercises of ``reproduce``."""

FILE = "era5-2mt-2019-03-uk.grib"

_REFERENCE = "optimal_interpolation"

_CARD = """# denoiser

Ensembles of analyses of 2 m temperature. Without observations in its channels it is the prior given the background,
which `kalman` and other conditionings steer; with them it is conditioned on them.

## Trained on

Real weather, one place and one month. {summary}

The command, which also goes on with a training that was interrupted:

    rtma-diffda reproduce experiment={experiment} data=DIR

## Limits

It has learned how 2 m temperature over the British Isles changes in six hours of March, on 25 km, without terrain and
land. Figures of the days that judge are in `validation/README.md`; there, too, is what becomes of it elsewhere.
"""
"""Model card of the checkpoint."""


@dataclass(frozen=True)
class DaySplit:
    """How many days serve for what, one after the other from the first of the file."""

    training: int = 16
    validation: int = 4
    unused: int = 4
    test: int = 7

    def __post_init__(self) -> None:
        for name in ("training", "validation", "test"):
            require_between(f"days.{name}", getattr(self, name), 1, 10_000)
        require_between("days.unused", self.unused, 0, 10_000)

    @property
    def train(self) -> range:
        """Days that the denoiser learns from, counted from 1."""
        return range(1, 1 + self.training)

    @property
    def validate(self) -> range:
        """Days that end its training and calibrate its spreads."""
        return range(self.train.stop, self.train.stop + self.validation)

    @property
    def tune(self) -> range:
        """Days that the baselines are tuned on: all that the denoiser has to do with."""
        return range(1, self.validate.stop)

    @property
    def judge(self) -> range:
        """Days that no choice has seen."""
        begin = self.validate.stop + self.unused
        return range(begin, begin + self.test)

    def split_of(self, day: int) -> str:
        """What the day's stations and errors are drawn for."""
        return "train" if day in self.train else "validation" if day in self.validate else "test"


@dataclass(frozen=True)
class Era5Settings:
    """Names and meanings as in ``conf/experiment/era5_uk.yaml``."""

    data: str
    region: str = "uk"
    lead_hours: int = 6
    days: DaySplit = field(default_factory=DaySplit)
    stations: tuple[int, ...] = (10, 30, 100)
    withheld: int = 100
    hours_of_day: tuple[int, ...] = (0, 3, 6, 9, 12, 15, 18, 21)
    denoiser: DenoiserSettings = field(default_factory=DenoiserSettings)
    output: str = "outputs/era5_uk"
    seed: int = 1
    progress: bool = True

    def __post_init__(self) -> None:
        require_between("lead_hours", self.lead_hours, 1, 48)
        require_between("seed", self.seed, 0, 2**31 - 1)
        require_between("withheld", self.withheld, 1, 2000)
        for name, values, highest in (("stations", self.stations, 2000), ("hours_of_day", self.hours_of_day, 23)):
            if not values or len(set(values)) < len(values):
                raise UsageError(f"{name} is {list(values)}; give one number or several, all different")
            for value in values:
                require_between(name, value, int(name == "stations"), highest)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "Era5Settings":
        """Settings from a composed configuration of ``reproduce``, whose other keys are the other exercises'."""
        own = {part.name for part in fields(cls)}
        return settings_from(cls, {key: value for key, value in values.items() if key in own})

    @property
    def training_directory(self) -> Path:
        """Where the training goes on when it was interrupted; another one for every choice of settings."""
        facts = (self.region, self.lead_hours, self.days, self.stations, self.hours_of_day, self.denoiser, self.seed)
        return Path(self.output) / f"training_{sha256(repr(facts).encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class PreparedMethods:
    """Methods ready to be judged, how the network's training went, and where its checkpoint is."""

    methods: tuple[ComparedMethod, ...]
    training: TrainingResult
    checkpoint: Path


def run_era5_uk(settings: Era5Settings) -> RunSummary:
    """Read the file, tune and train, judge, and write tables and page.

    The same call goes on with a training that was interrupted.

    Raises:
        InputError: the file is not there, has gaps, or does not cover the region; the output cannot be written.
        TrainingInterrupted: asked to end early; the training's state is saved.
    """
    region = load_region(settings.region)
    layout = Layout.of(region.grid, ("t2m",))
    return run_on_series(settings, read_series(Path(settings.data) / FILE, layout))


def run_on_series(settings: Era5Settings, series: StateSeries) -> RunSummary:
    """The experiment on any series of t2m on a projected grid.

    Raises:
        InputError: the series lacks one of the days, or the output cannot be written.
    """
    output = Path(settings.output)
    with explain_failures(f"output directory {output}"):
        output.mkdir(parents=True, exist_ok=True)
    weather = Persistence(series, StaticFields(series.layout.grid), np.timedelta64(settings.lead_hours, "h"))
    weather.pairs([*settings.days.tune, *settings.days.judge])  # whatever is missing is told before anything is trained
    prepared = prepared_methods(settings, weather)
    comparison = judged_methods(settings, weather, prepared)
    text, files = write_comparison_report(output, comparison)
    table = density_table(comparison.cases, reference=_REFERENCE)
    files |= {"checkpoint": prepared.checkpoint, "density table": output / "densities.csv"}
    with explain_failures(f"table in {output}"):
        table.to_csv(files["density table"], index=False)
    return RunSummary(_text(settings, prepared, text, table, files), files)


def prepared_methods(settings: Era5Settings, weather: Persistence) -> PreparedMethods:
    """Every method, from the first days alone: ``settings.days.tune``."""
    days = settings.days
    pairs, tuning = weather.pairs(days.train), weather.pairs(days.tune)
    validation = _known(settings, weather, days.validate)
    known = [*_known(settings, weather, days.train), *validation]
    workshop = Workshop(known, tuning.truth - tuning.background, {})
    network = persistence_denoiser(
        pairs, workshop.tuned, settings.denoiser, stations=settings.stations, seed=settings.seed
    )
    result = train_denoiser(
        network,
        pairs,
        weather.pairs(days.validate),
        settings.denoiser.training(seed=settings.seed, progress=settings.progress),
        directory=settings.training_directory,
    )
    trained = fitted_denoiser(network, validation, densities=validation, centre=None, seed=settings.seed)
    methods = (*baselines(workshop, tuning), *ensembles(trained, weather.static))
    return PreparedMethods(methods, result, _stored(settings, trained, result))


def judged_methods(settings: Era5Settings, weather: Persistence, prepared: PreparedMethods) -> Comparison:
    """The methods on the days that judge; the page shows the middle number of stations in full."""
    found = judged(_tests(settings, weather), prepared.methods, shown=settings.progress)
    default = setting_name(sorted(settings.stations)[len(settings.stations) // 2])
    return Comparison(
        title="ERA5, British Isles: methods on real hourly fields",
        summary=_summary(settings, prepared.training),
        provenance={"settings": str(settings), "training": prepared.training.summary()},
        reference=_REFERENCE,
        default=default,
        methods=prepared.methods,
        cases=case_table(found.scores),
        spectra=found.spectra_of(default),
        shown=found.shown[default],
        sweeps=(Sweep("number of stations", {setting_name(n): float(n) for n in settings.stations}),),
    )


def _stored(settings: Era5Settings, trained: TrainedDenoiser, result: TrainingResult) -> Path:
    """The denoiser as a checkpoint, for other experiments."""
    card = _CARD.format(summary=_summary(settings, result), experiment=ERA5_UK)
    checkpoint = denoiser_checkpoint(trained, card=card, provenance=result.provenance())
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return write_checkpoint(Path(settings.output) / "denoiser", checkpoint, created=created, half_precision=True)


def _tests(settings: Era5Settings, weather: Persistence) -> dict[str, list[OsseCase]]:
    """Cases of the days that judge, by setting: all hours with every number of stations."""
    days, hours = settings.days.judge, settings.hours_of_day
    return {
        setting_name(count): [
            case for day in days for case in _cases(settings, weather, day, stations=count, hours=hours)
        ]
        for count in settings.stations
    }


def _known(settings: Era5Settings, weather: Persistence, days: Iterable[int]) -> list[TruthCase]:
    """Cases of some days, at their hours with each number of stations in turn."""
    counts, found = settings.stations, []
    for day in days:
        for i, count in enumerate(counts):
            hours = settings.hours_of_day[(day + i) % len(counts) :: len(counts)]
            found += [case.known for case in _cases(settings, weather, day, stations=count, hours=hours)]
    return found


def _cases(
    settings: Era5Settings, weather: Persistence, day: int, *, stations: int, hours: Sequence[int]
) -> Iterator[OsseCase]:
    """Cases of one day. Each day has its own network, and smaller networks are part of larger ones."""
    observing = ObservingSettings(stations, settings.withheld, background_limit=None)
    identity = RunIdentity(settings.seed, settings.days.split_of(day), day)
    yield from run_cases(weather.day(day), observing, identity, hours=hours)


def _summary(settings: Era5Settings, result: TrainingResult) -> str:
    days = settings.days
    return (
        f"The truth is ERA5's 2 m temperature; the background is the truth of {settings.lead_hours} hours before; "
        f"stations at random places report it with an error of {ERROR_STD['t2m']:g} K, and {settings.withheld} others "
        f"verify. Baselines are tuned on the first {len(days.tune)} days; the denoiser is trained on the first "
        f"{days.training} of them, ended and calibrated on the other {days.validation}; {days.unused} days are left "
        f"out; the next {days.test}, which no choice has seen, judge at {len(settings.hours_of_day)} hours each. "
        f"Terrain and land are unknown to all methods. {result.summary()}"
    )


def _text(
    settings: Era5Settings, prepared: PreparedMethods, text: str, table: pd.DataFrame, files: Mapping[str, Path]
) -> str:
    """What the terminal shows."""
    lines = [_summary(settings, prepared.training), "", table.to_string(index=False), "", text, ""]
    return "\n".join([*lines, *(f"{what}: {path}" for what, path in files.items())])
