"""A toy globe for the experiments of DiffDA: waves that drift eastward, a model of them with errors, toy methods."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from global_world import small_globe

from rtma_diffda.errors import InputError
from rtma_diffda.experiments.diffda_bench import Bench, ObservingPlan, Recipe
from rtma_diffda.experiments.diffda_store import ResultStore
from rtma_diffda.experiments.global_world import GlobalWorld
from rtma_diffda.fields.layout import Channel, Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import Analysis

GRID = small_globe()
LAYOUT = Layout(GRID, (Channel("z", 500.0), Channel("t2m")))
FIRST = np.datetime64("2026-01-01T00", "ns")
STEP = np.timedelta64(6, "h")
MEANS, STDS = torch.tensor([55000.0, 280.0])[:, None, None], torch.tensor([800.0, 5.0])[:, None, None]
PERSISTENCE = 0.99


def smooth_noise(generator) -> torch.Tensor:
    """(channel, y, x) of spread about 1: a few waves."""
    longitude = torch.deg2rad(torch.from_numpy(GRID.longitudes)).float()
    amplitudes = torch.randn(2, GRID.ny, 6, generator=generator) / 3**0.5
    waves = torch.stack([f(k * longitude) for k in (1, 2, 3) for f in (torch.cos, torch.sin)])
    return (amplitudes + amplitudes.roll(1, dims=1)) / 2**0.5 @ waves


def true_fields(times: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    fields = [smooth_noise(generator)]
    for _ in range(times - 1):
        fresh = (1 - PERSISTENCE**2) ** 0.5 * smooth_noise(generator)
        fields.append(PERSISTENCE * fields[-1].roll(1, dims=-1) + fresh)
    return torch.stack(fields)


@dataclass
class ToyArchive:
    """The truth, and how often it was asked for."""

    fields: torch.Tensor
    layout: Layout = LAYOUT
    static: StaticFields = field(default_factory=lambda: StaticFields(GRID))
    asked: int = 0

    @property
    def valid_times(self) -> np.ndarray:
        return FIRST + np.arange(len(self.fields)) * STEP

    def state(self, valid_time) -> State:
        self.asked += 1
        i = int((valid_time - FIRST) / STEP)
        if not 0 <= i < len(self.fields):
            raise InputError(f"no state at {valid_time}")
        return State((MEANS + STDS * self.fields[i])[None], self.layout, valid_time)


@dataclass
class ToyModel:
    """Drifts by one cell a step, as the truth does without what is new in it. Two states, of which it needs one."""

    layout: Layout = LAYOUT
    time_step: np.timedelta64 = STEP
    history_length: int = 2
    steps: int = 0

    def step(self, history, boundary, *, generator) -> State:
        assert history[-1].valid_time - history[-2].valid_time == STEP
        self.steps += 1
        departure = (history[-1].values - MEANS) / STDS
        values = MEANS + STDS * PERSISTENCE * departure.roll(1, dims=-1)
        return State(values, self.layout, history[-1].valid_time + STEP)


@dataclass
class ToyMethod:
    """Each channel by optimal interpolation with the truth's own correlation; members get noise of their own.

    Attributes:
        error: variance of the data's error over the background's.
        noise: of the members, in standard deviations of the channel.
        calls: how often it analysed.
    """

    error: float = 1e-2
    noise: float = 0.0
    calls: int = 0

    def analyse(self, problem, *, generator) -> Analysis:
        self.calls += 1
        background, observations = problem.background, problem.observations
        correlation = self._correlation()
        values, innovations = background.values.clone(), problem.innovations()
        for channel in range(len(LAYOUT.channels)):
            rows = observations.channel == channel
            chosen = observations.select(rows.numpy())
            stencil = problem.operator.rows(chosen)
            where = stencil.points.gather(1, stencil.weights.argmax(dim=1, keepdim=True))[:, 0]
            gain = correlation[:, where] @ torch.linalg.inv(
                correlation[where][:, where] + self.error * torch.eye(len(where), dtype=torch.float64)
            )
            increment = (innovations[:, rows] @ gain.T).reshape(values[:, channel].shape)
            values[:, channel] += increment.float()
        if self.noise:
            values += self.noise * STDS * torch.randn(values.shape, generator=generator)
        return Analysis(background.with_values(values), problem)

    def _correlation(self) -> torch.Tensor:
        row, column = (index.ravel() for index in np.indices(GRID.shape))
        apart = np.abs(row[:, None] - row)
        rows = np.minimum(apart, GRID.ny - apart)  # the first row is the last one's neighbour
        turn = np.deg2rad(GRID.longitudes)[column][:, None] - np.deg2rad(GRID.longitudes)[column]
        along = np.mean([np.cos(k * turn) for k in (1, 2, 3)], axis=0)
        return torch.from_numpy(np.select([rows == 0, rows == 1], [1.0, 0.5], 0.0) * along)


def toy_recipe(name: str = "oi", method: ToyMethod | None = None, **more) -> Recipe:
    method = method or ToyMethod()
    return Recipe(name, name.upper(), lambda lead: method, facts=(name, method.error, method.noise), **more)


def toy_bench(
    directory: Path, *recipes: Recipe, times: int = 60, seed: int = 1, plan: ObservingPlan | None = None
) -> Bench:
    world = GlobalWorld(
        ToyArchive(true_fields(times)), ToyModel(), STDS[:, 0, 0] * 0.5, ResultStore(directory / "forecasts", "toy")
    )
    store = ResultStore(directory / "results", "toy")
    return Bench(world, recipes or (toy_recipe(),), plan or ObservingPlan(), store, seed)
