"""Exercise 2: shallow water h, u, v from sparse observations of five kinds, without a background.

Many short independent runs of the two-dimensional model from random states over random terrain. Beside h, u and v, two
functions of them are observed: wind speed √(u² + v²), which is not linear, and relative vorticity ∂v/∂x − ∂u/∂y, which
is not local. The model's plane is periodic; a window of it is seen, cut out at random places in training.
"""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.dynamics.plane import Plane
from rtma_diffda.dynamics.random_shallow_water import RandomWater, random_water
from rtma_diffda.dynamics.reconstruction import koren
from rtma_diffda.dynamics.shallow_water import STANDARD_GRAVITY, ShallowWater
from rtma_diffda.dynamics.shallow_water_diagnostics import relative_vorticity
from rtma_diffda.experiments.exercise_fields import Exercise, ExerciseFields, Quantity
from rtma_diffda.experiments.exercise_size import ExerciseSize
from rtma_diffda.experiments.progress import progress
from rtma_diffda.experiments.sparse_observations import ObservingPlan

SPACING = 25e3
CORIOLIS = 1e-4
_HOURS = (3, 6)
_TIME_STEP = 200.0  # s; the fastest waves, 31 m/s on 25 m/s of wind, allow 220 s
_TOGETHER = 8  # runs that are integrated at once: their tensors fit a processor's cache
_QUANTITIES = (
    Quantity("h", "depth h", "m"),
    Quantity("u", "eastward wind u", "m/s"),
    Quantity("v", "northward wind v", "m/s"),
    Quantity("speed", "wind speed", "m/s"),
    Quantity("vorticity", "relative vorticity", "10⁻⁵/s", 1e5),
)
_ERROR_STD = (1.0, 0.7, 0.7, 0.7, 1e-5)


def shallow_water_exercise(size: ExerciseSize, *, generator: torch.Generator, shown: bool) -> Exercise:
    """The exercise with its fields; ``shown`` wants a progress bar."""
    counts = (size.training_runs, size.validation_runs, size.test_runs)
    fields = _simulate(size.cells * 4 // 3, sum(counts), generator=generator, shown=shown)
    ends = np.cumsum(counts)
    training, validation, test = (
        fields.of_runs(range(end - count, end)) for count, end in zip(counts, ends, strict=True)
    )
    return Exercise(
        title="Exercise 2: shallow water h, u, v from sparse observations of five kinds",
        story=(
            f"Shallow water from {sum(counts)} independent short runs over random terrain, at hours "
            f"{' and '.join(map(str, _HOURS))}. There is no background. Five channels enter the network: observations "
            "of depth, both wind components, wind speed and relative vorticity; depth and wind come out. Depth, wind "
            "vector, speed and vorticity each have sites of their own, other ones in every field."
        ),
        quantities=_QUANTITIES,
        wanted=3,
        plan=ObservingPlan(
            groups=((0,), (1, 2), (3,), (4,)),
            sites=(size.sites, size.sites, 2 * size.sites, 2 * size.sites),
            error_std=_ERROR_STD,
        ),
        size=size.cells,
        training=training,
        validation=validation,
        test=test,
        spacing=SPACING / 1e3,
    )


def _simulate(cells: int, runs: int, *, generator: torch.Generator, shown: bool) -> ExerciseFields:
    """All five quantities of ``runs`` runs, at ``_HOURS`` each, on a periodic plane."""
    plane = Plane(cells, cells, SPACING, SPACING)
    parts, numbers = [], []
    for first in progress(range(0, runs, _TOGETHER), "shallow water", shown=shown):
        count = min(_TOGETHER, runs - first)
        start, terrain = random_water(
            plane, RandomWater(), coriolis=CORIOLIS, gravity=STANDARD_GRAVITY, count=count, generator=generator
        )
        model = ShallowWater(plane, coriolis=CORIOLIS, terrain=terrain.float(), reconstruct=koren)
        parts.append(_states(model, start.float()))
        numbers.append(np.repeat(np.arange(first, first + count), len(_HOURS)))
    return ExerciseFields(torch.cat(parts), np.concatenate(numbers))


def _states(model: ShallowWater, start: Tensor) -> Tensor:
    """(run × hour, 5, y, x): h, u, v, speed and vorticity."""
    states, hours = [start], (0, *_HOURS)
    for before, after in pairwise(hours):
        states.append(model.integrate(states[-1], 3600.0 * (after - before), time_step=_TIME_STEP))
    values = torch.stack(states[1:], dim=1).flatten(0, 1)
    speed = torch.hypot(values[:, 1], values[:, 2])
    return torch.cat([values, speed[:, None], relative_vorticity(model, values)[:, None]], dim=1)
