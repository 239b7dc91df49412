"""``run_exercise``: the two exercises of the ML-RTMA talk, from simulated fields to a trained network and a page.

Exercise 1 corrects one field, given a background and sparse observations of it. Exercise 2 reconstructs shallow water
h, u, v without a background from sparse observations of five kinds. Both are scored on independent fields against
interpolation of the same observations, and against (co)kriging and optimal interpolation with exact statistics.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from rtma_diffda import __version__
from rtma_diffda.experiments.exercise_estimates import CLIMATE, NETWORK, TestCases, estimate_test_fields
from rtma_diffda.experiments.exercise_fields import Exercise
from rtma_diffda.experiments.exercise_network import Climate, FieldReconstruction, NetworkShape
from rtma_diffda.experiments.exercise_scores import score_sources
from rtma_diffda.experiments.exercise_shallow_water import shallow_water_exercise
from rtma_diffda.experiments.exercise_size import ExerciseSize
from rtma_diffda.experiments.exercise_temperature import temperature_exercise
from rtma_diffda.experiments.reporting import RunSummary
from rtma_diffda.experiments.settings import require_between, settings_from
from rtma_diffda.io.atomic import explain_failures
from rtma_diffda.training.loop import train
from rtma_diffda.training.metrics import read_metrics
from rtma_diffda.training.result import TrainingResult
from rtma_diffda.training.settings import TrainingSettings
from rtma_diffda.training.state import metrics_path
from rtma_diffda.verification.display import aligned_text, format_interval, format_number
from rtma_diffda.verification.reports.canvas import save_png
from rtma_diffda.verification.reports.exercise_figures import FieldRow, case_figure, score_figure, training_figure
from rtma_diffda.verification.reports.page import PageHead, PageSection, write_page
from rtma_diffda.verification.reports.report import Picture
from rtma_diffda.verification.reports.tables import Table

TINY = ExerciseSize(cells=24, training_runs=8, validation_runs=2, test_runs=2, sites=12, updates=20, batch_size=4)
"""Seconds: everything runs, nothing is learnt."""

_HEADER = ("quantity", "source", "RMSE", "5–95 %", f"{NETWORK} ÷ this", "5–95 %")


@dataclass(frozen=True)
class ExerciseSettings:
    """Names and meanings as in ``conf/reproduce.yaml``."""

    exercise: int
    size: ExerciseSize = field(default_factory=ExerciseSize)
    network: NetworkShape = field(default_factory=NetworkShape)
    tiny: bool = False
    learning_rate: float = 1e-3
    drawn: int = 2
    output: str = "outputs/ml_rtma_exercise"
    seed: int = 1
    progress: bool = True

    def __post_init__(self) -> None:
        require_between("exercise", self.exercise, 1, 2)
        require_between("drawn", self.drawn, 1, 20)
        require_between("seed", self.seed, 0, 2**31 - 1)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "ExerciseSettings":
        """Settings from a composed configuration."""
        return settings_from(cls, {key: value for key, value in values.items() if key != "experiment"})

    @property
    def chosen_size(self) -> ExerciseSize:
        """``size``, or ``TINY``."""
        return TINY if self.tiny else self.size

    @property
    def training(self) -> TrainingSettings:
        """How the network is trained."""
        size = self.chosen_size
        every = max(1, size.updates // 16)
        return TrainingSettings(
            updates=size.updates,
            batch_size=size.batch_size,
            learning_rate=self.learning_rate,
            warm_up_updates=min(100, size.updates // 8),
            validate_every=every,
            save_every=every,
            seed=self.seed,
            show_progress=self.progress,
        )

    @property
    def training_directory(self) -> Path:
        """Where the training goes on when it was interrupted; another one for every choice of settings."""
        facts = (self.exercise, self.chosen_size, self.network, self.learning_rate, self.seed)
        return Path(self.output) / f"training_{sha256(repr(facts).encode()).hexdigest()[:8]}"


def run_exercise(settings: ExerciseSettings) -> RunSummary:
    """Simulate, train, score on independent runs, and write the page.

    The same call goes on with a training that was interrupted.

    Returns:
        The scores in words and the files: ``report``, ``scores`` (CSV) and a PNG file a figure.

    Raises:
        UsageError, InputError: wrong settings, or the output cannot be written.
        TrainingInterrupted: asked to end early; the training's state is saved.
    """
    output = Path(settings.output)
    with explain_failures(f"output directory {output}"):
        output.mkdir(parents=True, exist_ok=True)
    exercise = _build(settings)
    network, result = _trained(exercise, settings)
    cases = estimate_test_fields(
        exercise, network, generator=torch.Generator().manual_seed(settings.seed + 2), shown=settings.progress
    )
    scores = score_sources(
        cases.estimates,
        cases.fields.truth[:, : exercise.wanted].double().numpy(),
        run=cases.fields.run,
        quantities=exercise.quantities[: exercise.wanted],
        reference=NETWORK,
    )
    files = _write(settings, exercise, cases=cases, scores=scores, result=result)
    return RunSummary(_text(exercise, scores, result, files), files)


def _build(settings: ExerciseSettings) -> Exercise:
    generator = torch.Generator().manual_seed(settings.seed)
    if settings.exercise == 1:
        return temperature_exercise(settings.chosen_size, generator=generator)
    return shallow_water_exercise(settings.chosen_size, generator=generator, shown=settings.progress)


def _trained(exercise: Exercise, settings: ExerciseSettings) -> tuple[FieldReconstruction, TrainingResult]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)  # layers draw their initial weights from torch's own generator
        network = FieldReconstruction(exercise, Climate.of(exercise), settings.network)
    result = train(
        network,
        exercise.training,
        validation=exercise.validation,
        settings=settings.training,
        directory=settings.training_directory,
    )
    return network, result


def _write(
    settings: ExerciseSettings,
    exercise: Exercise,
    *,
    cases: TestCases,
    scores: pd.DataFrame,
    result: TrainingResult,
) -> dict[str, Path]:
    output = Path(settings.output)
    metrics = read_metrics(metrics_path(result.directory))
    figures = {
        f"case {i + 1}": case_figure(rows, spacing=exercise.spacing)
        for i, rows in _shown(exercise, cases, settings.drawn)
    }
    figures["scores"] = score_figure(scores)
    figures["training"] = training_figure(
        [row["update"] for row in metrics if "loss" in row],
        [row["loss"] for row in metrics if "loss" in row],
        {row["update"]: row["validation"]["loss"] for row in metrics if "validation" in row},
    )
    files = {name: save_png(figure, output / f"{name.replace(' ', '_')}.png") for name, figure in figures.items()}
    with explain_failures(f"scores in {output}"):
        scores.to_csv(output / "scores.csv", index=False)
    files["score table"] = output / "scores.csv"
    files["report"] = _page(settings, exercise, scores=scores, result=result, pictures=files)
    return files


def _shown(exercise: Exercise, cases: TestCases, count: int) -> list[tuple[int, list[FieldRow]]]:
    """The first fields of the first ``count`` runs, as rows of their figures."""
    firsts = np.unique(cases.fields.run, return_index=True)[1][:count]
    return [(i, [_row(exercise, cases, member, k) for k in range(len(exercise.quantities))])
            for i, member in enumerate(firsts)]  # fmt: skip


def _row(exercise: Exercise, cases: TestCases, member: int, channel: int) -> FieldRow:
    quantity = exercise.quantities[channel]
    values, seen = (part[member, channel].numpy() for part in
                    (cases.observations.values, cases.observations.observed_mask))  # fmt: skip
    wanted = channel < exercise.wanted
    estimates = [item for item in cases.estimates.items() if wanted and item[0] != CLIMATE]
    return FieldRow(
        quantity.title,
        quantity.unit,
        cases.fields.truth[member, channel].numpy() * quantity.scale,
        np.where(seen, values * quantity.scale, np.nan),
        {name: fields[member, channel] * quantity.scale for name, fields in estimates},
    )


def _page(
    settings: ExerciseSettings,
    exercise: Exercise,
    *,
    scores: pd.DataFrame,
    result: TrainingResult,
    pictures: Mapping[str, Path],
) -> Path:
    rows = [(f"{row[0]} ({scores['unit'][i]})", *row[1:]) for i, row in enumerate(_score_rows(scores))]
    runs = settings.chosen_size.test_runs
    remark = (
        f"RMSE over all cells of the fields of {runs} independent test runs, with intervals from resampling runs. All "
        f"sources have the same observations. The last columns are the RMSE of the {NETWORK} over that of the row: "
        "below 1 the network is better. Covariances for kriging and optimal interpolation are those of the training "
        f"fields; observation errors are known to them. {_channels_in_words(settings.network.fill)}"
    )
    graphs = tuple(Picture(pictures[name].read_bytes(), caption) for name, caption in
                   (("scores", "RMSE of every source."), ("training", result.summary())))  # fmt: skip
    maps = tuple(Picture(path.read_bytes(), f"Test {name}: the fields, and below them the errors.")
                 for name, path in pictures.items() if name.startswith("case"))  # fmt: skip
    head = PageHead(
        exercise.title,
        exercise.story,
        np.datetime64(datetime.now(UTC).replace(tzinfo=None), "s"),
        {"software": f"rtma_diffda {__version__}", **_facts(settings)},
    )
    sections = (
        PageSection("Scores on independent fields", tables=(("", Table(_HEADER, rows, text_columns=2)),),
                    pictures=graphs, remark=remark),
        PageSection("Cases", pictures=maps),
    )  # fmt: skip
    return write_page(Path(settings.output) / "report.html", head, sections)


def _channels_in_words(fill: bool) -> str:
    if not fill:
        return f"The {NETWORK} has raw observation channels: 0 where there is no observation."
    return (
        f"Between the sites of each observation channel the {NETWORK} has kriging of that channel alone, and its "
        "output is added to that of the wanted quantities: what it gains over kriging is what it learnt."
    )


def _facts(settings: ExerciseSettings) -> dict[str, Any]:
    training = settings.training
    return {
        **{name.replace("_", " "): value for name, value in asdict(settings.chosen_size).items()},
        "U-Net": ", ".join(f"{name} {value}" for name, value in asdict(settings.network).items()),
        "learning rate": training.learning_rate,
        "seed": settings.seed,
    }


def _score_rows(scores: pd.DataFrame) -> list[tuple[str, ...]]:
    return [
        (
            row["quantity"],
            row["source"],
            format_number(row["rmse"]),
            format_interval(row["rmse_low"], row["rmse_high"]),
            format_number(row["ratio"]),
            format_interval(row["ratio_low"], row["ratio_high"]),
        )
        for row in scores.to_dict("records")
    ]


def _text(exercise: Exercise, scores: pd.DataFrame, result: TrainingResult, files: Mapping[str, Path]) -> str:
    """What the terminal shows."""
    table = aligned_text(_HEADER, _score_rows(scores))
    return "\n".join([exercise.title, "", table, "", result.summary(), "", *(f"{n}: {p}" for n, p in files.items())])
