"""Files of a tiny globe, as ``reproduce`` of DiffDA's experiments takes them: truth, model, denoisers, climatology."""

from pathlib import Path

import numpy as np
import torch
from global_denoising import statistics_of
from global_world import SIZES, global_dataset, small_globe, write_store

from rtma_diffda.assimilation.global_formulation import DIFFDA, IMPROVED
from rtma_diffda.assimilation.graphcast_denoiser import GraphCastDenoiser
from rtma_diffda.assimilation.graphcast_denoiser_checkpoint import (
    TrainedGraphCastDenoiser,
    graphcast_denoiser_checkpoint,
)
from rtma_diffda.assimilation.residual_scale import ResidualScale
from rtma_diffda.assimilation.sphere_covariance import SphereCovariance
from rtma_diffda.assimilation.sphere_structure import SphereStructure
from rtma_diffda.backbones.graphcast.backbone import GraphCastBackbone
from rtma_diffda.backbones.graphcast.settings import GraphCastSettings
from rtma_diffda.backbones.graphcast.task import FORCINGS, STATICS, GraphCastTask
from rtma_diffda.experiments.diffda_settings import GlobalFiles
from rtma_diffda.fields.global_statistics import GlobalStatistics
from rtma_diffda.forecast.graphcast_checkpoint import graphcast_forecast_checkpoint
from rtma_diffda.forecast.graphcast_network import GraphCastForecastNetwork
from rtma_diffda.io.checkpoint import Checkpoint, write_checkpoint
from rtma_diffda.io.weatherbench import open_archive

TASK = GraphCastTask.of(("2m_temperature", "mean_sea_level_pressure"), ("geopotential",), levels=(500, 850))
SMALL = GraphCastSettings(mesh_size=1, latent_size=8, message_steps=1)


def write_files(directory: Path, *, times: int = 40) -> GlobalFiles:
    """Random weather, an untrained model of it, and untrained denoisers with covariances."""
    store = write_store(directory / "truth.zarr", global_dataset(times=times, grid=small_globe()))
    archive = open_archive(store, keys=TASK.prognostic)
    statistics, backbone = statistics_of_weather(), GraphCastBackbone(SMALL, TASK, archive.layout.grid)
    torch.manual_seed(0)
    model = GraphCastForecastNetwork(backbone, statistics, archive.static)
    paths = {
        "data": str(store),
        "forecast_checkpoint": _written(directory, "model", graphcast_forecast_checkpoint(model)),
    }
    change = statistics.change_std_of(TASK.prognostic)
    ours = ResidualScale.of_residuals({6.0: change.square(), 48.0: 4.0 * change.square()})
    for name, formulation, scale in (
        ("denoiser", IMPROVED, ours),
        ("denoiser_48h", DIFFDA, ResidualScale((48.0,), change[None])),
        ("denoiser_6h", DIFFDA, ResidualScale((6.0,), change[None])),
    ):
        denoiser = GraphCastDenoiser(backbone, statistics, scale, formulation=formulation)
        covariances = {hours: _covariance(scale.values[i]) for i, hours in enumerate(scale.hours)}
        trained = TrainedGraphCastDenoiser(denoiser, covariances)
        paths[name] = _written(directory, name, graphcast_denoiser_checkpoint(trained))
    return GlobalFiles(**paths)


def statistics_of_weather() -> GlobalStatistics:
    """Means and spreads of ``global_dataset``; forcings and static fields as of ``statistics_of``."""
    other = statistics_of(TASK)
    fixed = [(name, None) for name in (*FORCINGS, *STATICS)]
    mean = {key: SIZES[key[0]][0] for key in TASK.outputs} | {key: other.mean[key] for key in fixed}
    std = {key: SIZES[key[0]][1] for key in TASK.outputs} | {key: other.std[key] for key in fixed}
    return GlobalStatistics(mean, std, {key: SIZES[key[0]][1] for key in TASK.outputs})


def _covariance(scale: torch.Tensor) -> SphereCovariance:
    spectrum = SphereStructure("gaussian", 2.0e6).spectrum(small_globe())
    floor = 1e-3 * torch.eye(spectrum.shape[-1], dtype=torch.float64)
    channels = len(scale)
    return SphereCovariance(
        (spectrum + floor).expand(channels, *spectrum.shape).clone(),
        torch.eye(channels, dtype=torch.float64),
        scale.double(),
        small_globe().nx,
    )


def _written(directory: Path, name: str, checkpoint: Checkpoint) -> str:
    return str(write_checkpoint(directory / name, checkpoint, created="2026-01-01T00:00:00Z"))


def hours_of(lead: np.timedelta64) -> float:
    return float(lead / np.timedelta64(1, "h"))
