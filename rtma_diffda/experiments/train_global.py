"""``train target=graphcast_…``: what is trained on archives of the globe, and on forecasts of their states.

``graphcast_forecast`` is GraphCast's training: one step first, then, begun with those weights (``initial``), several
(``globe.rollout``). ``graphcast_denoiser`` is DiffDA's: it begins with the weights of a forecast model, and learns from
that model's forecasts, which are made first where they are not there (``graphcast_pairs`` makes them only).
``graphcast_cycles`` trains nothing: it fits B to the errors of cycles (``train_global_cycles``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rtma_diffda.assimilation.graphcast_denoiser import GraphCastDenoiser
from rtma_diffda.assimilation.graphcast_denoiser_checkpoint import (
    ARCHITECTURE,
    TrainedGraphCastDenoiser,
    begun_with_forecast,
    graphcast_denoiser_checkpoint,
)
from rtma_diffda.assimilation.residual_scale import ResidualScale
from rtma_diffda.backbones.graphcast.backbone import GraphCastBackbone
from rtma_diffda.backbones.graphcast.task import FORCINGS, STATICS
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.diffda_store import ResultStore
from rtma_diffda.experiments.global_world import GlobalWorld
from rtma_diffda.experiments.train_global_card import denoiser_card, forecast_card
from rtma_diffda.experiments.train_global_cycles import LONG, cycled_checkpoint, cycled_covariance, denoiser_for_cycles
from rtma_diffda.experiments.train_global_fitting import fitted_covariances, mean_squares
from rtma_diffda.experiments.train_global_pairs import (
    BackgroundsWanted,
    GlobalModel,
    make_backgrounds,
    times_with_forecasts,
)
from rtma_diffda.experiments.train_global_settings import KNOWN_TASKS, GlobeSettings
from rtma_diffda.experiments.train_plan import TrainPlan
from rtma_diffda.fields.global_statistics import GlobalStatistics
from rtma_diffda.forecast.graphcast_checkpoint import graphcast_forecast_checkpoint
from rtma_diffda.forecast.graphcast_network import HISTORY, GraphCastForecastNetwork
from rtma_diffda.io.checkpoint import Checkpoint, read_checkpoint
from rtma_diffda.io.global_pairs import JoinedPairs, Period, StoredGlobalPairs, open_forecasts, remembered, within
from rtma_diffda.io.global_statistics import read_global_statistics
from rtma_diffda.io.global_windows import StoredGlobalWindows, held
from rtma_diffda.io.stored_backgrounds import StatesByTime, read_backgrounds
from rtma_diffda.io.weatherbench import GlobalArchive, open_archive
from rtma_diffda.training.batches import Batches

FORECAST, DENOISER, PAIRS = "graphcast_forecast", "graphcast_denoiser", "graphcast_pairs"
CYCLES = "graphcast_cycles"
GLOBAL_TARGETS = (FORECAST, DENOISER, PAIRS, CYCLES)
"""Names of the targets."""
_SPLITS = ("train", "validation")


def global_plan(
    settings: GlobeSettings, target: str, *, validation_members: int, device: str, shown: bool = False
) -> TrainPlan:
    """What a global target is trained on.

    Raises:
        UsageError: archives or periods are not given.
        InputError: an archive, statistics or forecasts cannot be read, or do not fit together.
    """
    world = GlobalMaterial(settings, device, shown)
    return (
        _forecast_plan(world, validation_members) if target == FORECAST else _denoiser_plan(world, validation_members)
    )


def make_pairs(settings: GlobeSettings, *, device: str, shown: bool) -> tuple[str, Path]:
    """Forecasts of all archives and lead times that are not there yet; what was done in words, and where they lie."""
    world = GlobalMaterial(settings, device, shown)
    made = {wanted.directory: world.made(wanted) for wanted in world.wanted()}
    text = "\n".join(f"{count} forecasts were made in {directory}" for directory, count in made.items())
    return text, Path(settings.backgrounds)


def make_cycles(settings: GlobeSettings, denoiser: Path | None, *, device: str, seed: int, shown: bool) -> Checkpoint:
    """B of the backgrounds of cycles in the first archive, in units of the residuals of ``denoiser``.

    Raises:
        UsageError: the denoiser or the forecast model is not given.
        InputError: one of them cannot be read, or the archive has too few times.
    """
    if denoiser is None or settings.forecast is None:
        raise UsageError(
            "cycles need a denoiser with its covariance (initial=…) and a forecast model (globe.forecast=…)"
        )
    material, begun = GlobalMaterial(settings, device, shown), denoiser_for_cycles(denoiser).covariance(LONG)
    archive = material.archives[0]
    model = GlobalModel(Path(settings.forecast), settings.statistics, device).load(archive.static)
    store = ResultStore(Path(settings.backgrounds), "cycles")
    world = GlobalWorld(archive, model, model.network.change_std.flatten().cpu(), store)
    period = settings.period("train")
    covariance = cycled_covariance(
        world, begun, settings.cycled, within=period, fitting=settings.fitting(), seed=seed, shown=shown
    )
    known = {**material.origin(), "forecast": Path(settings.forecast).name, "denoiser": denoiser.name, "seed": seed}
    return cycled_checkpoint(covariance, settings.cycled, known)


@dataclass(frozen=True)
class GlobalMaterial:
    """Archives, statistics and forecasts.

    Attributes:
        settings: what they are.
        device: where forecasts are computed.
        shown: whether a progress bar is wanted.
    """

    settings: GlobeSettings
    device: str = "cpu"
    shown: bool = False

    @cached_property
    def archives(self) -> tuple[GlobalArchive, ...]:
        """Of true states, with the channels of the task."""
        if not self.settings.archives:
            raise UsageError("globe.archives is empty; give stores in WeatherBench 2's layout, such as [era5.zarr]")
        task = KNOWN_TASKS[self.settings.task]
        opened = tuple(open_archive(path, keys=task.prognostic) for path in self.settings.archives)
        differing = [archive.path for archive in opened if archive.layout != opened[0].layout]
        if differing:
            raise InputError(f"{', '.join(differing)} have another grid than {opened[0].path}")
        return opened

    @cached_property
    def statistics(self) -> GlobalStatistics:
        """Those of files; of the forecast model's checkpoint where none are given."""
        if self.settings.statistics is not None:
            return read_global_statistics(self.settings.statistics)
        if self.settings.forecast is None:
            raise UsageError("globe.statistics is not given: a directory with mean_by_level.nc and the like")
        return GlobalStatistics.from_tensors(read_checkpoint(Path(self.settings.forecast)).statistics)

    @property
    def backbone(self) -> GraphCastBackbone:
        """The design of the network."""
        settings = self.settings
        return GraphCastBackbone(settings.network.settings(), KNOWN_TASKS[settings.task], self.archives[0].layout.grid)

    @cached_property
    def used_statistics(self) -> GlobalStatistics:
        """Of the task's variables only."""
        task = self.backbone.task
        return self.statistics.selected(
            [*task.prognostic, *task.outputs, *((name, None) for name in (*FORCINGS, *STATICS))]
        )

    def windows(self, split: str) -> StoredGlobalWindows:
        """What a forecast model learns from."""
        period, length = self.settings.period(split), HISTORY + self.settings.rollout
        sources = [held(archive, period) for archive in map(self._with_answers, self.archives)]
        return StoredGlobalWindows(sources, length=length, periods=[period] * len(sources))

    def pairs(self, split: str) -> JoinedPairs:
        """What a denoiser learns from; forecasts are made where they are not there."""
        period, parts = self.settings.period(split), []
        for archive in self.archives:
            if not len(within(archive.valid_times, period)):
                continue
            truth = remembered(archive, period)
            leads = [(_hours(lead), self._forecasts(archive, truth, lead)) for lead in self.settings.leads]
            if any(_overlap(forecasts, truth, period) for _, forecasts in leads):
                parts.append(StoredGlobalPairs(truth, leads, archive.static, period=period))
        if not parts:
            raise InputError(f"no forecasts are valid in {split}, {period[0]} … {period[1]}; see target={PAIRS}")
        return JoinedPairs(parts)

    def wanted(self) -> list[BackgroundsWanted]:
        """The forecasts of the settings, for the times of both splits."""
        found = []
        for archive in self.archives:
            times = self._both_splits(archive)
            for lead in self.settings.leads:
                own = times_with_forecasts(archive.valid_times, times, _hours(lead))[:: self.settings.stride]
                directory = self.settings.directory(archive.path, lead)
                if len(own):
                    found.append(
                        BackgroundsWanted(
                            directory, archive, archive.static, own, _hours(lead), Path(archive.path).name
                        )
                    )
        return found

    def made(self, wanted: BackgroundsWanted) -> int:
        """Make forecasts that are not there, and return how many."""
        if self.settings.forecast is None:
            raise UsageError(f"forecasts in {wanted.directory} need a model; give globe.forecast=CHECKPOINT")
        model = GlobalModel(Path(self.settings.forecast), self.settings.statistics, self.device)
        return make_backgrounds(wanted, model, shown=self.shown)

    def origin(self) -> dict[str, Any]:
        """Where the data come from, in plain values."""
        settings = self.settings
        periods = {split: [str(t)[:16] for t in settings.period(split)] for split in _SPLITS}
        source = {
            "archives": [Path(path).name for path in settings.archives],
            "grid": list(self.archives[0].layout.grid.shape),
            "channels": list(self.archives[0].layout.names),
        }
        return {"data_set": source, "splits": periods}

    def _with_answers(self, archive: GlobalArchive) -> GlobalArchive:
        """With what the network only answers as well (precipitation), if the archive has it."""
        try:
            return archive.selected(self.backbone.task.outputs)
        except InputError:
            return archive

    def _both_splits(self, archive: GlobalArchive) -> np.ndarray:
        times = archive.valid_times
        periods = [self.settings.period(split) for split in _SPLITS]
        return times[np.any([(times >= first) & (times <= last) for first, last in periods], axis=0)]

    def _forecasts(self, archive: GlobalArchive, truth: StatesByTime, lead: int) -> StatesByTime:
        stores = dict(zip(self.settings.archives, self.settings.forecast_stores, strict=False))
        if archive.path in stores:
            return open_forecasts(stores[archive.path], _hours(lead), archive.keys)
        return read_backgrounds(self.settings.directory(archive.path, lead), truth)


def _forecast_plan(world: GlobalMaterial, validation_members: int) -> TrainPlan:
    statistics, static = world.used_statistics, world.archives[0].static

    def network() -> GraphCastForecastNetwork:
        return GraphCastForecastNetwork(world.backbone, statistics, static)

    def begin(network: GraphCastForecastNetwork, path: Path) -> Mapping[str, Any]:
        start = read_checkpoint(path)
        start.fill(network)
        return start.provenance

    def checkpoint(network: torch.nn.Module, provenance: Mapping[str, Any]) -> Checkpoint:
        known = {**provenance, "rollout": world.settings.rollout}
        return graphcast_forecast_checkpoint(network, card=forecast_card(known), provenance=known)

    validation = spread_over(world.windows("validation"), validation_members)
    return TrainPlan(network, begin, world.windows("train"), validation, checkpoint, world.origin())


def _denoiser_plan(world: GlobalMaterial, validation_members: int) -> TrainPlan:
    settings = world.settings
    if settings.forecast is not None and not settings.forecast_stores:
        for wanted in world.wanted():
            world.made(wanted)
    data, validation = (world.pairs(split) for split in _SPLITS)
    scale = _scale(world, data)

    def network() -> GraphCastDenoiser:
        formulation = settings.chosen_formulation()
        return GraphCastDenoiser(world.backbone, world.used_statistics, scale, formulation=formulation)

    def begin(network: GraphCastDenoiser, path: Path) -> Mapping[str, Any]:
        return _begun(network, path, world)

    def checkpoint(network: GraphCastDenoiser, provenance: Mapping[str, Any]) -> Checkpoint:
        covariances = {}
        if settings.fitted_members:
            some = spread_over(validation, settings.fitted_members)
            covariances = fitted_covariances(network.eval(), some, settings.fitting())
        trained = TrainedGraphCastDenoiser(network, covariances)
        known = {**provenance, "formulation": settings.formulation, "lead_hours": list(settings.leads)}
        return graphcast_denoiser_checkpoint(trained, card=denoiser_card(known), provenance=known)

    chosen = spread_over(validation, validation_members)
    return TrainPlan(network, begin, data, chosen, checkpoint, world.origin())


def _begun(network: GraphCastDenoiser, path: Path, world: GlobalMaterial) -> Mapping[str, Any]:
    """With the weights of a denoiser, or of a forecast model: ours, or a published one."""
    if path.suffix == ".npz":
        model = GlobalModel(path, world.settings.statistics).load(world.archives[0].static)
        begun_with_forecast(network, model.network.state_dict())
        return {"published": path.name}
    start = read_checkpoint(path)
    if start.config.get("architecture") == ARCHITECTURE:
        start.fill(network)
    else:
        begun_with_forecast(network, start.weights)
    return start.provenance


def _scale(world: GlobalMaterial, data: Batches) -> ResidualScale:
    """DiffDA's, of 6-hour changes; or that of the residuals of each lead time."""
    keys, leads = world.backbone.task.prognostic, sorted(world.settings.leads)
    if world.settings.formulation == "diffda":
        return ResidualScale.changes(world.used_statistics, keys, leads[0])
    return ResidualScale.of_residuals(mean_squares(data, leads))


def spread_over(data: Batches, count: int) -> Any:
    """Up to ``count`` members, evenly spread over all."""
    return data.select(np.linspace(0, len(data) - 1, min(count, len(data))).round().astype(np.int64))


def _overlap(forecasts: StatesByTime, truth: StatesByTime, period: Period) -> bool:
    return len(within(np.intersect1d(forecasts.valid_times, truth.valid_times), period)) > 0


def _hours(lead: int) -> np.timedelta64:
    return np.timedelta64(lead, "h")
