"""``run_training``: a network trained on the runs of a data set, and its checkpoint.

The training split teaches. The validation split chooses the weights to keep, the parameters of the optimal
interpolation among the inputs, and the calibration of the errors. The test split is not opened. The same command goes
on with a training that was interrupted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from rtma_diffda.assimilation.correlation import BackgroundError
from rtma_diffda.assimilation.error_calibration import ErrorCalibration
from rtma_diffda.assimilation.network_inputs import InputEncoding
from rtma_diffda.assimilation.regression_checkpoint import regression_checkpoint
from rtma_diffda.assimilation.regression_network import RegressionNetwork, RegressionTraining, unet_settings
from rtma_diffda.assimilation.simulated_observing import Observing
from rtma_diffda.assimilation.truth_cases import TruthCase
from rtma_diffda.assimilation.truth_tuning import truth_starts, tune_on_truth
from rtma_diffda.assimilation.unet_regression import UNetRegression, calibrated
from rtma_diffda.errors import UsageError
from rtma_diffda.experiments.data_set import DataSetDesign
from rtma_diffda.experiments.model_card import model_card
from rtma_diffda.experiments.osse_cases import ObservingSettings, osse_cases
from rtma_diffda.experiments.reporting import RunSummary
from rtma_diffda.experiments.settings import require_between, settings_from
from rtma_diffda.fields.pairs import Pairs
from rtma_diffda.io.checkpoint import read_checkpoint, write_checkpoint
from rtma_diffda.training.loop import train
from rtma_diffda.training.pairs import load_pairs
from rtma_diffda.training.result import TrainingResult
from rtma_diffda.training.settings import TrainingSettings

TARGETS: Mapping[str, bool] = {"unet_regression": True, "background_correction": False}
"""What can be trained, and whether it sees observations."""

_TUNING_HOURS = (3, 9, 15, 21)
_CALIBRATION_SHARES = (0.2, 1.0, 2.5)
"""Numbers of stations, relative to the default, that the errors are calibrated on."""


@dataclass(frozen=True)
class NetworkSettings:
    """Size of the U-Net."""

    widths: tuple[int, ...] = (128, 192)
    blocks: int = 1
    patch: int = 4
    orientations: int = 4
    penalty: str = "squared"


@dataclass(frozen=True)
class RecipeSettings:
    """How it is trained; what ``TrainingSettings`` says, and defaults that were found to work."""

    updates: int = 6000
    batch_size: int = 6
    learning_rate: float = 2e-3
    warm_up_updates: int = 50
    weight_decay: float = 0.02
    average_half_life: float = 150.0
    bfloat16: bool = True
    validate_every: int = 300
    validation_members: int = 96
    patience: int | None = None
    max_cpu_seconds: float | None = None
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class TrainSettings:
    """Names and meanings as in ``conf/train.yaml``."""

    target: str = "unet_regression"
    data: DataSetDesign = field(default_factory=DataSetDesign)
    data_seed: int = 0
    observing: ObservingSettings = field(default_factory=ObservingSettings)
    runs: int | None = None
    initial: str | None = None
    network: NetworkSettings = field(default_factory=NetworkSettings)
    training: RecipeSettings = field(default_factory=RecipeSettings)
    half_precision: bool = True
    output: str = "outputs/checkpoints"
    seed: int = 0
    progress: bool = True

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise UsageError(f"target is '{self.target}'; it may be {', '.join(TARGETS)}")
        require_between("data_seed", self.data_seed, 0, 2**31 - 1)
        require_between("seed", self.seed, 0, 2**31 - 1)
        require_between("training.threads", self.training.threads, 1, 1024)
        require_between("training.validation_members", self.training.validation_members, 1, 100_000)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "TrainSettings":
        """Settings from a composed configuration."""
        return settings_from(cls, values)

    @property
    def directory(self) -> Path:
        """Of the checkpoint; state and metrics of the training lie beside it."""
        return Path(self.output) / self.target

    def training_settings(self) -> TrainingSettings:
        """Of the loop."""
        own = ("threads", "validation_members")
        recipe = {name: value for name, value in vars(self.training).items() if name not in own}
        return TrainingSettings(**recipe, seed=self.seed, show_progress=self.progress)


def run_training(settings: TrainSettings) -> RunSummary:
    """Train, calibrate, and write the checkpoint.

    Raises:
        InputError: the data set lacks runs; ``rtma-diffda simulate`` makes them.
        TrainingInterrupted: asked to end early; the state is saved, and the same call goes on.
    """
    torch.set_num_threads(settings.training.threads)
    data_set = settings.data.path(settings.data_seed)
    pairs = load_pairs(data_set, "train", runs=settings.runs)
    validation = _spread_out(load_pairs(data_set, "validation"), settings.training.validation_members)
    cases = _validation_cases(settings, share=1.0)
    network = _network(settings, pairs, cases)
    earlier: dict[str, Any] = {}
    if settings.initial is not None:
        start = read_checkpoint(Path(settings.initial))
        start.fill(network)
        earlier = {"initial": dict(start.provenance)}
    result = train(
        network,
        pairs,
        validation=validation,
        settings=settings.training_settings(),
        directory=settings.directory.with_name(f"{settings.target}_training"),
    )
    calibration = _calibrated(settings, network)
    provenance = {**_provenance(settings, pairs, result), **earlier}
    checkpoint = regression_checkpoint(
        network, calibration=calibration, card=model_card(settings.target, provenance), provenance=provenance
    )
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = write_checkpoint(settings.directory, checkpoint, created=created, half_precision=settings.half_precision)
    degraded = (result.summary(),) if result.overfitted else ()
    return RunSummary(f"{result.summary()}\n\ncheckpoint: {path}", {"checkpoint": path}, degraded)


def _network(settings: TrainSettings, pairs: Pairs, cases: Sequence[TruthCase]) -> RegressionNetwork:
    """The network before training, the same for the same settings."""
    torch.manual_seed(settings.seed)
    observes, layout = TARGETS[settings.target], cases[0].truth.layout
    errors: dict[str, BackgroundError] = {}
    factors: dict[str, float] = {}
    if observes:
        tuned = tune_on_truth(cases, truth_starts(layout))
        errors = {name: found.background_error for name, found in tuned.items()}
        factors = {name: found.observation_error_factor for name, found in tuned.items()}
    encoding = InputEncoding(_scales(pairs), errors, factors, observes, layout.grid.dx)
    own = settings.network
    unet = unet_settings(encoding, own.widths, blocks=own.blocks, patch=own.patch)
    training = RegressionTraining(observing=Observing(), penalty=own.penalty, orientations=own.orientations)
    return RegressionNetwork(encoding, unet, training)


def _scales(pairs: Pairs) -> dict[str, float]:
    """s: root mean square of truth minus background by variable, SI, from up to 512 members."""
    some = _spread_out(pairs, 512)
    scales = (some.truth - some.background).double().square().mean(dim=(0, 2, 3)).sqrt()
    return dict(zip(some.layout.names, scales.tolist(), strict=True))


def _spread_out(pairs: Pairs, count: int) -> Pairs:
    """Up to ``count`` members, evenly spread over all."""
    return pairs.select(torch.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().long().numpy())


def _validation_cases(settings: TrainSettings, *, share: float) -> list[TruthCase]:
    """Cases of the validation runs, with ``share`` times the default number of stations."""
    cases = osse_cases(
        settings.data,
        replace(settings.observing, stations=max(1, round(share * settings.observing.stations))),
        seed=settings.data_seed,
        split="validation",
        hours=_TUNING_HOURS,
    )
    return [case.known for case in cases]


def _calibrated(settings: TrainSettings, network: RegressionNetwork) -> ErrorCalibration:
    """Fitted on validation runs, over networks of few and of many stations where observations are seen."""
    shares = _CALIBRATION_SHARES if TARGETS[settings.target] else (1.0,)
    cases = [case for share in shares for case in _validation_cases(settings, share=share)]
    return calibrated(UNetRegression(cases[0].static, network), cases).calibration


def _provenance(settings: TrainSettings, pairs: Pairs, result: TrainingResult) -> dict[str, Any]:
    return {
        "data_set": settings.data.description(settings.data_seed),
        "splits": {"train": len(set(pairs.run.tolist())), "validation": settings.data.runs.validation},
        "members": len(pairs),
        **result.provenance(),
    }
