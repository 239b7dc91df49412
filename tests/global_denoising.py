"""A small global denoiser whose network is a function that is known, and batches for it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from global_world import small_globe
from torch import Tensor, nn

from rtma_diffda.assimilation.global_formulation import DIFFDA, GlobalFormulation
from rtma_diffda.assimilation.graphcast_denoiser import GraphCastDenoiser
from rtma_diffda.assimilation.residual_scale import ResidualScale
from rtma_diffda.backbones.graphcast.task import FORCINGS, STATICS, GraphCastTask
from rtma_diffda.fields.global_pairs import GlobalPairs
from rtma_diffda.fields.global_statistics import GlobalStatistics
from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.geo.static_fields import StaticFields

FEW = GraphCastTask.of(("2m_temperature", "mean_sea_level_pressure"), ("geopotential",), levels=(500, 850))
TIME = np.datetime64("2022-01-03T06:00", "ns")
LEADS = np.array([6, 48], "timedelta64[h]")


class Recorder(nn.Module):
    """Remembers what it is given, and answers a function of it."""

    def __init__(self, answer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.answer, self.seen = answer, None

    def forward(self, values: Tensor) -> Tensor:
        self.seen = values
        return self.answer(values)


@dataclass(frozen=True)
class KnownBackbone:
    """Stands for a GraphCast backbone; its network answers ``answer``, zeros where None."""

    task: GraphCastTask = FEW
    grid: LatLonGrid = field(default_factory=small_globe)
    answer: Callable[[Tensor], Tensor] | None = None

    def network(self) -> Recorder:
        return Recorder(self.answer or self._zeros)

    def _zeros(self, values: Tensor) -> Tensor:
        return values.new_zeros(len(values), len(self.task.outputs), *values.shape[2:])


def statistics_of(task: GraphCastTask) -> GlobalStatistics:
    """Different numbers for every variable and level."""
    keys = [*task.outputs, *((name, None) for name in (*FORCINGS, *STATICS))]
    mean = {key: 10.0 + i for i, key in enumerate(keys)}
    std = {key: 2.0 + 0.1 * i for i, key in enumerate(keys)}
    return GlobalStatistics(mean, std, {key: 0.5 + 0.01 * i for i, key in enumerate(task.outputs)})


def known_denoiser(
    answer: Callable[[Tensor], Tensor] | None = None,
    *,
    task: GraphCastTask = FEW,
    formulation: GlobalFormulation = DIFFDA,
    scale: ResidualScale | None = None,
) -> GraphCastDenoiser:
    """With the statistics of ``statistics_of``, and DiffDA's scale unless given."""
    statistics = statistics_of(task)
    scale = scale or ResidualScale.changes(statistics, task.prognostic, 48.0)
    return GraphCastDenoiser(KnownBackbone(task, answer=answer), statistics, scale, formulation=formulation)


def land_of(grid: LatLonGrid) -> StaticFields:
    rng = np.random.default_rng(3)
    return StaticFields(grid, rng.uniform(0.0, 900.0, grid.shape), rng.uniform(0.0, 1.0, grid.shape), "drawn")


def pairs_of(denoiser: GraphCastDenoiser, *, seed: int = 0) -> GlobalPairs:
    """Two members, a 6-hour and a 48-hour forecast, whose errors are of the size of s."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randn(2, *denoiser.layout.shape, generator=generator)
    errors = denoiser.scale.of(LEADS) * torch.randn(truth.shape, generator=generator)
    land = land_of(denoiser.layout.grid)
    fixed = (torch.from_numpy(f.astype(np.float32)) for f in (land.orography, land.land_fraction))
    times = np.array([TIME, TIME + np.timedelta64(18, "h")])
    return GlobalPairs(truth, truth - errors, *fixed, times, LEADS, denoiser.layout)
