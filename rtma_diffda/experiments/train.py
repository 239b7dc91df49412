"""``run_training``: a network trained on the runs of a data set, or on archives of the globe, and its checkpoint.

The training split teaches. The validation split chooses the weights to keep, the parameters of the optimal
interpolation among the inputs, and the calibration of the errors. The test split is not opened. The same command goes
on with a training that was interrupted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from rtma_diffda.assimilation.encoding_config import encoding_from
from rtma_diffda.assimilation.truth_cases import TruthCase
from rtma_diffda.errors import UsageError
from rtma_diffda.experiments.data_set import DataSetDesign
from rtma_diffda.experiments.model_card import model_card
from rtma_diffda.experiments.osse_cases import ObservingSettings, osse_cases
from rtma_diffda.experiments.reporting import RunSummary
from rtma_diffda.experiments.settings import require_between, settings_from
from rtma_diffda.experiments.train_forecast import FORECAST, ForecastMaterial, ForecastNetworkSettings, forecast_card
from rtma_diffda.experiments.train_forecast import spread_out as spread_out_sequences
from rtma_diffda.experiments.train_global import CYCLES, GLOBAL_TARGETS, PAIRS, global_plan, make_cycles, make_pairs
from rtma_diffda.experiments.train_global_settings import GlobeSettings
from rtma_diffda.experiments.train_plan import TrainPlan
from rtma_diffda.experiments.train_targets import TARGETS, Material, NetworkSettings, spread_out
from rtma_diffda.io.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from rtma_diffda.training.loop import train
from rtma_diffda.training.pairs import load_pairs
from rtma_diffda.training.result import TrainingResult
from rtma_diffda.training.settings import TrainingSettings

_TUNING_HOURS = (3, 9, 15, 21)
_DENSITIES = (0.2, 1.0, 2.5)
"""Numbers of stations, relative to the default, that errors and spreads are calibrated on."""


@dataclass(frozen=True)
class RecipeSettings:
    """How it is trained; what ``TrainingSettings`` says, and defaults that were found to work."""

    updates: int = 6000
    batch_size: int = 6
    parts: int = 1
    learning_rate: float = 2e-3
    warm_up_updates: int = 50
    warm_up_from: float | None = None
    decay_until: float | None = None
    final_fraction: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.02
    clip_norm: float = 1.0
    clip_value: float | None = None
    average_half_life: float = 150.0
    bfloat16: bool = True
    validate_every: int = 300
    validation_members: int = 96
    patience: int | None = None
    max_seconds: float | None = None
    max_cpu_seconds: float | None = None
    device: str = "cpu"
    threads: int = 1
    workers: int = 0


@dataclass(frozen=True)
class TrainSettings:
    """Names and meanings as in ``conf/train.yaml``."""

    target: str = "unet_regression"
    name: str | None = None
    data: DataSetDesign = field(default_factory=DataSetDesign)
    data_seed: int = 0
    observing: ObservingSettings = field(default_factory=ObservingSettings)
    runs: int | None = None
    initial: str | None = None
    network: NetworkSettings = field(default_factory=NetworkSettings)
    forecast: ForecastNetworkSettings = field(default_factory=ForecastNetworkSettings)
    globe: GlobeSettings = field(default_factory=GlobeSettings)
    training: RecipeSettings = field(default_factory=RecipeSettings)
    half_precision: bool = True
    output: str = "outputs/checkpoints"
    seed: int = 0
    progress: bool = True

    def __post_init__(self) -> None:
        targets = (*TARGETS, FORECAST, *GLOBAL_TARGETS)
        if self.target not in targets:
            raise UsageError(f"target is '{self.target}'; it may be {', '.join(targets)}")
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
        return Path(self.output) / (self.name or self.target)

    @property
    def large_scale(self) -> bool:
        """Whether what is trained on pairs is told the state of a global run."""
        return self.target == "denoiser" and self.network.told_large_scale

    @property
    def command(self) -> str:
        """What trains the same: the verb, and everything that is not as by default."""
        usual = _leaves(TrainSettings())
        own = [f"{name}={_shown(value)}" for name, value in _leaves(self).items() if value != usual.get(name)]
        without_effect = ("progress=", "output=", "data.directory=")
        return " ".join(["rtma-diffda train", *(text for text in own if not text.startswith(without_effect))])

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
    if settings.target == PAIRS:
        text, directory = make_pairs(settings.globe, device=settings.training.device, shown=settings.progress)
        return RunSummary(text, {"backgrounds": directory})
    if settings.target == CYCLES:
        return _cycles(settings)
    plan = _plan(settings)
    torch.manual_seed(settings.seed)
    network = plan.network()
    earlier: dict[str, Any] = {}
    if settings.initial is not None:
        earlier = {"initial": dict(plan.begin(network, Path(settings.initial)))}
    result = train(
        network,
        plan.data,
        validation=plan.validation,
        settings=settings.training_settings(),
        directory=settings.directory.with_name(f"{settings.directory.name}_training"),
    )
    provenance = {**_provenance(settings, plan, result), **earlier}
    checkpoint = plan.checkpoint(network, provenance)
    path = _written(settings, checkpoint)
    degraded = (result.summary(),) if result.overfitted else ()
    return RunSummary(f"{result.summary()}\n\ncheckpoint: {path}", {"checkpoint": path}, degraded)


def _cycles(settings: TrainSettings) -> RunSummary:
    denoiser = None if settings.initial is None else Path(settings.initial)
    how = {"device": settings.training.device, "seed": settings.seed, "shown": settings.progress}
    checkpoint = make_cycles(settings.globe, denoiser, **how)
    provenance = {**checkpoint.provenance, "command": settings.command}
    path = _written(settings, replace(checkpoint, provenance=provenance))
    return RunSummary(f"checkpoint: {path}", {"checkpoint": path})


def _written(settings: TrainSettings, checkpoint: Checkpoint) -> Path:
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return write_checkpoint(settings.directory, checkpoint, created=created, half_precision=settings.half_precision)


def _plan(settings: TrainSettings) -> TrainPlan:
    if settings.target in GLOBAL_TARGETS:
        given = {"validation_members": settings.training.validation_members, "device": settings.training.device}
        return global_plan(settings.globe, settings.target, **given, shown=settings.progress)
    return _forecast_plan(settings) if settings.target == FORECAST else _analysis_plan(settings)


def _analysis_plan(settings: TrainSettings) -> TrainPlan:
    material, target = _material(settings), TARGETS[settings.target]
    validation = load_pairs(settings.data.path(settings.data_seed), "validation", large_scale=settings.large_scale)

    def checkpoint(network: torch.nn.Module, provenance: Mapping[str, Any]) -> Checkpoint:
        card = model_card(settings.target, provenance)
        return target.checkpoint(network, material, card=card, provenance=provenance)

    return TrainPlan(
        lambda: target.network(settings.network, material),
        _beginning(target.begin),
        material.pairs,
        spread_out(validation, settings.training.validation_members),
        checkpoint,
        _simulated(settings, len(set(material.pairs.run.tolist()))),
    )


def _forecast_plan(settings: TrainSettings) -> TrainPlan:
    found = ForecastMaterial.of(
        settings.forecast,
        settings.data,
        data_seed=settings.data_seed,
        runs=settings.runs,
        initial=settings.initial,
    )

    def checkpoint(network: torch.nn.Module, provenance: Mapping[str, Any]) -> Checkpoint:
        known = {**provenance, "rollout": settings.forecast.rollout}
        return found.checkpoint(network, card=forecast_card(known), provenance=known)

    validation = spread_out_sequences(found.validation, settings.training.validation_members)
    origin = _simulated(settings, found.sequences.runs)
    return TrainPlan(found.network, _beginning(_filled), found.sequences, validation, checkpoint, origin)


def _beginning(
    begin: Callable[[torch.nn.Module, Checkpoint], object],
) -> Callable[[torch.nn.Module, Path], Mapping[str, Any]]:
    """``begin`` for the checkpoint at a path; its provenance is returned."""

    def begun(network: torch.nn.Module, path: Path) -> Mapping[str, Any]:
        start = read_checkpoint(path)
        begin(network, start)
        return start.provenance

    return begun


def _filled(network: torch.nn.Module, start: Checkpoint) -> None:
    start.fill(network)


def _leaves(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Values by dotted name."""
    found: dict[str, Any] = {}
    for part in fields(settings):
        value, name = getattr(settings, part.name), f"{prefix}{part.name}"
        found |= _leaves(value, f"{name}.") if is_dataclass(value) else {name: value}
    return found


def _shown(value: Any) -> str:
    """As a command line takes it."""
    if isinstance(value, tuple | list):
        return "[" + ",".join(_shown(part) for part in value) + "]"
    return "null" if value is None else str(value)


def _material(settings: TrainSettings) -> Material:
    """Training pairs and validation cases."""
    data_set = settings.data.path(settings.data_seed)
    pairs = load_pairs(data_set, "train", runs=settings.runs, large_scale=settings.large_scale)
    by_share = {share: _validation_cases(settings, share=share) for share in _DENSITIES}
    densities = [case for cases in by_share.values() for case in cases]
    known = None if settings.initial is None else encoding_from(read_checkpoint(Path(settings.initial)).config)
    return Material(pairs, by_share[1.0], densities, settings.seed, known)


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


def _simulated(settings: TrainSettings, runs: int) -> dict[str, Any]:
    """Where the data of a simulated data set come from."""
    splits = {"train": runs, "validation": settings.data.runs.validation}
    return {"data_set": settings.data.description(settings.data_seed), "splits": splits}


def _provenance(settings: TrainSettings, plan: TrainPlan, result: TrainingResult) -> dict[str, Any]:
    return {
        **plan.origin,
        "members": len(plan.data),
        "command": settings.command,
        "machine": {"device": settings.training.device, "workers": settings.training.workers},
        **result.provenance(),
    }
