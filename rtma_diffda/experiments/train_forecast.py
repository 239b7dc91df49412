"""``train target=forecast``: what a limited-area forecast model is trained with, and its checkpoint.

One step first; then, begun with those weights (``initial``), several steps at once (``forecast.rollout``), so that the
model learns to go on from its own states.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rtma_diffda.backbones.limited_area.boundary_window import BoundaryWindow
from rtma_diffda.backbones.limited_area.graph import LimitedAreaGraph
from rtma_diffda.backbones.limited_area.mesh_design import MeshDesign
from rtma_diffda.errors import UsageError
from rtma_diffda.experiments.data_set import DataSetDesign
from rtma_diffda.experiments.settings import require_between
from rtma_diffda.fields.normalisation import Normalisation
from rtma_diffda.forecast.forecast_checkpoint import forecast_checkpoint, network_of
from rtma_diffda.forecast.forecast_design import ForecastDesign, ForecastPlace
from rtma_diffda.forecast.forecast_inputs import ForecastEncoding
from rtma_diffda.forecast.forecast_network import HISTORY, ForecastNetwork, ForecastTraining
from rtma_diffda.io.checkpoint import Checkpoint, read_checkpoint
from rtma_diffda.io.stored_sequences import SequenceDesign, StoredSequences

FORECAST = "forecast"
"""Name of the target."""

MESHES = ("hierarchical", "parallel", "flat", "multiscale", "none")
_STATISTICS_MEMBERS = 512


@dataclass(frozen=True)
class WindowSettings:
    """Of global states; names and meanings as in ``conf/train.yaml``."""

    past: int = 1
    future: int = 1
    interval_minutes: int = 60
    encoding: int = 8
    interpolated: bool = True

    def window(self, step: np.timedelta64) -> BoundaryWindow:
        """For a model of this step."""
        interval = np.timedelta64(self.interval_minutes, "m")
        return BoundaryWindow(interval=interval, step=step, past=self.past, future=self.future, encoding=self.encoding)

    def reach(self, step: np.timedelta64) -> tuple[np.timedelta64, np.timedelta64]:
        """How far before the first and after the last target the boundary is needed."""
        interval = np.timedelta64(self.interval_minutes, "m")
        before = self.past * interval + max(interval - step, np.timedelta64(0, "m"))
        return max(before, step), max(self.future * interval, np.timedelta64(0, "m"))


@dataclass(frozen=True)
class ForecastNetworkSettings:
    """Shape and training of the forecast network; names and meanings as in ``conf/train.yaml``."""

    mesh: str = "flat"
    spacing: float = 1.0
    refinement: int = 2
    levels: int | None = None
    hidden: int = 64
    layers: int = 2
    propagation: bool = True
    convolutions: tuple[int, ...] = (96, 128)
    patch: int = 4
    width_km: float = 90.0
    overlap: bool = True
    window: WindowSettings = field(default_factory=WindowSettings)
    rollout: int = 1
    without_boundary: float = 0.05

    def __post_init__(self) -> None:
        require_between("forecast.rollout", self.rollout, 1, 48)
        require_between("forecast.width_km", self.width_km, 0.1, 1e4)
        if self.mesh not in MESHES:
            raise UsageError(f"forecast.mesh is '{self.mesh}'; it may be {', '.join(MESHES)}")

    def design(self) -> ForecastDesign:
        """Of the model."""
        kind = self.mesh if self.mesh in ("flat", "multiscale") else "hierarchical"
        levels = None if kind == "flat" else self.levels
        return ForecastDesign(
            MeshDesign(kind=kind, spacing=self.spacing, refinement=self.refinement, levels=levels),
            parallel=self.mesh == "parallel",
            hidden=self.hidden,
            layers=self.layers,
            propagation=self.propagation,
            convolutions=self.convolutions,
            patch=self.patch,
            meshed=self.mesh != "none",
            width=self.width_km * 1e3,
            overlap=self.overlap,
        )


@dataclass(frozen=True)
class ForecastMaterial:
    """What a forecast model is made from.

    Attributes:
        sequences: of training runs.
        validation: of validation runs.
        design, place, encoding, graph: of the network.
        training: what its loss weighs and draws.
    """

    sequences: StoredSequences
    validation: StoredSequences
    design: ForecastDesign
    place: ForecastPlace
    encoding: ForecastEncoding
    graph: LimitedAreaGraph = field(repr=False)
    training: ForecastTraining

    @classmethod
    def of(
        cls,
        settings: ForecastNetworkSettings,
        data: DataSetDesign,
        *,
        data_seed: int,
        runs: int | None = None,
        initial: str | None = None,
    ) -> "ForecastMaterial":
        """From a data set; the statistics are those of ``initial`` where the training begins with a checkpoint.

        Raises:
            InputError: the data set lacks runs, or the checkpoint is none of a forecast model.
        """
        step = np.timedelta64(data.interval_minutes, "m")
        shape = SequenceDesign(HISTORY, settings.rollout, *settings.window.reach(step))
        path = data.path(data_seed)
        sequences = StoredSequences(path, "train", shape, runs=runs)
        place = ForecastPlace(sequences.layout.grid, sequences.boundary_layout.grid)
        if initial is None:
            encoding = fitted_encoding(sequences, settings.window, step)
        else:
            encoding = network_of(read_checkpoint(Path(initial)), place)[0].encoding
        design = settings.design()
        return cls(
            sequences,
            StoredSequences(path, "validation", shape),
            design,
            place,
            encoding,
            design.graph(place, encoding),
            ForecastTraining(without_boundary=settings.without_boundary),
        )

    def network(self) -> ForecastNetwork:
        """Before training; weights are drawn from torch's global generator, which the caller seeds."""
        return self.design.build(self.place, self.encoding, graph=self.graph, training=self.training)

    def checkpoint(self, network: ForecastNetwork, *, card: str, provenance: Mapping[str, Any]) -> Checkpoint:
        """Of the trained network."""
        return forecast_checkpoint(network, self.design, self.place, self.graph, card=card, provenance=provenance)


def fitted_encoding(sequences: StoredSequences, window: WindowSettings, step: np.timedelta64) -> ForecastEncoding:
    """An encoding with the statistics of one-step differences of up to 512 sequences, evenly spread."""
    some = spread_out(sequences, _STATISTICS_MEMBERS)
    differences = (some.states[:, HISTORY] - some.states[:, HISTORY - 1]).double()
    found = Normalisation.fit(differences, some.layout)
    return ForecastEncoding(found, window.window(step), window.interpolated)


def spread_out(sequences: StoredSequences, count: int) -> Any:
    """Up to ``count`` members, evenly spread over all."""
    return sequences.select(torch.linspace(0, len(sequences) - 1, min(count, len(sequences))).round().long().numpy())


def forecast_card(provenance: Mapping[str, Any]) -> str:
    """The model card in Markdown; ``provenance`` as in the checkpoint's manifest."""
    data, progress = provenance["data_set"], provenance["progress"]
    grid, loss = data["grid"], progress.get("best_loss")
    begun = provenance.get("initial")
    before = "" if not begun else f", begun with weights of an earlier training ({_effort(begun)})"
    return f"""# forecast

Forecasts of 2 m temperature, 2 m dew point, 10 m wind and surface pressure on a limited area, an hour at a time, from
two states an hour apart and the states of a global run around the area. Those enter at boundary nodes of its graph and,
as far as `interpolated` is set, at its points, which are told the global change.

## Trained on

Simulated weather: data set {data["name"]}, seed {data["seed"]}, {provenance["splits"]["train"]} training runs of
{data["hours"]} h, each with its own terrain, on {grid[1]} × {grid[2]} points of {grid[3] / 1000:g} km;
their large scale, with errors of its own, is the global run.
{provenance["splits"]["validation"]} validation runs chose the weights. Initial states in training are true states.

{_effort(provenance)}{before}; best validation loss
{"not measured" if loss is None else f"{loss:.4f}"} (squared error in units of one-step differences, mean over
variables and {provenance["rollout"]} step(s)).

The command, which also goes on with a training that was interrupted:

    {provenance["command"]}

## Judged

By `rtma-diffda forecast verify=true seed=N`, on runs of other seeds; figures in `validation/README.md`.

## Limits

It has seen simulated weather of the summer half of the year only, points {grid[3] / 1000:g} km apart, and one kind of
error of the global run. It is trained for the first few hours. On real weather it is untested.
"""


def _effort(provenance: Mapping[str, Any]) -> str:
    progress = provenance["progress"]
    return f"{progress['update']} updates in {progress['cpu_seconds'] / 60:.1f} CPU-minutes"
