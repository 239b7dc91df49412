"""GraphCast forecast models as checkpoints: directories of this package, or the published ``.npz`` files.

A directory has the statistics with the weights. Published files have none: GraphCast's are three NetCDF files beside
them (``io.global_statistics``). Terrain and land are in neither; they come with the states.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rtma_diffda.backbones.graphcast.backbone import GraphCastBackbone
from rtma_diffda.backbones.graphcast.config import graphcast_config, graphcast_from, graphcast_tensors
from rtma_diffda.backbones.graphcast.deepmind import from_deepmind, settings_from, task_from
from rtma_diffda.backbones.graphcast.task import FORCINGS, STATICS
from rtma_diffda.backbones.precision import fast_in_bfloat16
from rtma_diffda.errors import InputError
from rtma_diffda.fields.global_statistics import GlobalStatistics
from rtma_diffda.forecast.graphcast import GraphCastForecast
from rtma_diffda.forecast.graphcast_network import GraphCastForecastNetwork
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.checkpoint import Checkpoint, read_checkpoint
from rtma_diffda.io.deepmind_checkpoint import is_deepmind_checkpoint, read_deepmind_checkpoint
from rtma_diffda.io.global_statistics import read_global_statistics

logger = logging.getLogger(__name__)

ARCHITECTURE = "graphcast_forecast"
PUBLISHED_WEIGHTS = "gs://dm_graphcast/graphcast/params/"


def graphcast_forecast_checkpoint(
    network: GraphCastForecastNetwork, *, card: str = "", provenance: Mapping[str, Any] | None = None
) -> Checkpoint:
    """A forecast model as a checkpoint.

    Args:
        network: with its statistics.
        card: the model card, in Markdown.
        provenance: data sets, seeds, settings, scores; plain values.
    """
    task = network.backbone.task
    used = [*task.prognostic, *task.outputs, *((name, None) for name in (*FORCINGS, *STATICS))]
    return Checkpoint(
        network.state_dict(),
        {"architecture": ARCHITECTURE, "backbone": graphcast_config(network.backbone)},
        {**network.statistics.selected(used).tensors(), **graphcast_tensors(network.backbone)},
        card,
        dict(provenance or {}),
    )


def graphcast_forecast_from_checkpoint(
    checkpoint: Checkpoint, static: StaticFields, *, bfloat16: bool = False
) -> GraphCastForecastNetwork:
    """The forecast network of a checkpoint, in evaluation mode.

    Args:
        checkpoint: of ``graphcast_forecast_checkpoint``.
        static: terrain and land; the network is made for their grid.
        bfloat16: how the network is computed.

    Raises:
        InputError: it is of another architecture, or not understood, or terrain or land are missing.
    """
    found = checkpoint.config.get("architecture")
    if found != ARCHITECTURE:
        raise InputError(f"checkpoint is of architecture '{found}', expected '{ARCHITECTURE}'")
    backbone = graphcast_from(checkpoint.config.get("backbone") or {}, checkpoint.statistics).on_grid(static.grid)
    statistics = GlobalStatistics.from_tensors(checkpoint.statistics)
    network = GraphCastForecastNetwork(backbone, statistics, static, bfloat16=bfloat16)
    checkpoint.fill(network)
    return network.eval()


def load_graphcast(
    path: str | Path,
    *,
    static: StaticFields,
    statistics: GlobalStatistics | str | Path | None = None,
    device: torch.device | str = "cpu",
    bfloat16: bool | None = None,
) -> GraphCastForecast:
    """The forecast model of a checkpoint.

    Args:
        path: a directory of this package, or a published ``.npz`` file.
        static: terrain and land on the grid of the states.
        statistics: what to normalise by, or the directory with GraphCast's three files; needed for a published file,
            instead of its own for a directory.
        device: where steps are computed.
        bfloat16: whether the network is computed in bfloat16; None: on accelerators that are fast in it.

    Raises:
        InputError: the checkpoint or statistics are absent, damaged or of another kind, or terrain or land are missing.
    """
    path, device = Path(path), torch.device(device)
    bfloat16 = (device.type != "cpu" and fast_in_bfloat16(device)) if bfloat16 is None else bfloat16
    if not path.exists():
        raise InputError(f"GraphCast checkpoint {path} does not exist; the published ones are in {PUBLISHED_WEIGHTS}")
    given = read_global_statistics(statistics) if isinstance(statistics, str | Path) else statistics
    if is_deepmind_checkpoint(path):
        network = _published(path, static, given, bfloat16=bfloat16)
    else:
        checkpoint = read_checkpoint(path)
        if given is not None:
            graph = {name: v for name, v in checkpoint.statistics.items() if name.startswith("graph.")}
            checkpoint = Checkpoint(checkpoint.weights, checkpoint.config, given.tensors() | graph)
        network = graphcast_forecast_from_checkpoint(checkpoint, static, bfloat16=bfloat16)
    return GraphCastForecast(network.to(device))


def _published(
    path: Path, static: StaticFields, statistics: GlobalStatistics | None, *, bfloat16: bool
) -> GraphCastForecastNetwork:
    if statistics is None:
        raise InputError(
            f"{path} holds weights only: give statistics=DIRECTORY with mean_by_level.nc, stddev_by_level.nc and "
            "diffs_stddev_by_level.nc, public in gs://dm_graphcast/graphcast/stats/"
        )
    stored = read_deepmind_checkpoint(path)
    settings, task = settings_from(stored.model_config), task_from(stored.task_config)
    _compare_resolution(float(stored.model_config.get("resolution", 0.0)), static, path)
    network = GraphCastForecastNetwork(
        GraphCastBackbone(settings, task, static.grid), statistics, static, bfloat16=bfloat16
    )
    network.network.load_state_dict(from_deepmind(stored.params, settings))
    return network.eval()


def _compare_resolution(trained: float, static: StaticFields, path: Path) -> None:
    spacing = 360.0 / static.grid.shape[1]
    if trained > 0.0 and not np.isclose(spacing, trained, rtol=1e-3):
        logger.warning("%s was trained on a grid of %g degrees; the states are on one of %g", path, trained, spacing)
