"""Exercise 1: one field, 2 m temperature with fronts and detail, and a background in which the fronts lie elsewhere.

The truth is T = T₀ + a tanh(s) + b d with a smooth field s, whose zero line is a front, and a ragged detail d. The
background has the same form, with s moved by a smooth random displacement and with a detail of which a part is its own.
So truth and background have the same statistics: nothing but the observations tells them apart, and the error (a front
in the wrong place) is not Gaussian, which is where a network can do better than linear interpolation.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rtma_diffda.dynamics.plane import Plane
from rtma_diffda.dynamics.random_shallow_water import random_plane_fields
from rtma_diffda.experiments.exercise_fields import Exercise, ExerciseFields, Quantity
from rtma_diffda.experiments.exercise_size import ExerciseSize
from rtma_diffda.experiments.sparse_observations import ObservingPlan

SPACING = 5e3
_MEAN, _FRONT, _DETAIL = 285.0, 4.0, 0.8  # K
_SHIFT = 10e3  # m, standard deviation along each axis
_COMMON_DETAIL = 0.8  # correlation of the background's detail with the truth's
_ERROR_STD = 0.5  # K


def temperature_exercise(size: ExerciseSize, *, generator: torch.Generator) -> Exercise:
    """The exercise with its fields; every field is an independent run."""
    counts = (size.training_runs, size.validation_runs, size.test_runs)
    fields = _fields(size.cells, sum(counts), generator=generator)
    ends = np.cumsum(counts)
    training, validation, test = (
        fields.select(np.arange(end - count, end)) for count, end in zip(counts, ends, strict=True)
    )
    return Exercise(
        title="Exercise 1: temperature from a background and sparse observations",
        story=(
            "Simulated 2 m temperature with fronts and detail. The background has the same statistics as the truth, "
            "but its fronts lie elsewhere. Two channels enter the network, background and observations (0 where there "
            "is none); one comes out. Every field is independent, and so are its sites."
        ),
        quantities=(Quantity("t2m", "2 m temperature", "K"),),
        wanted=1,
        plan=ObservingPlan(groups=((0,),), sites=(size.sites,), error_std=(_ERROR_STD,)),
        size=size.cells,
        training=training,
        validation=validation,
        test=test,
        spacing=SPACING / 1e3,
    )


def _fields(cells: int, count: int, *, generator: torch.Generator) -> ExerciseFields:
    wide = Plane(cells + 32, cells + 32, SPACING, SPACING)  # opposite edges of the part that is kept are independent

    def draw(length: float, smoothness: float, fields: int = 1) -> Tensor:
        drawn = random_plane_fields(
            wide, length=length, smoothness=smoothness, count=fields * count, generator=generator
        )
        return drawn.reshape(fields, count, *drawn.shape[-2:]).float()

    air, detail, own_detail = draw(30e3, 3.0)[0], draw(10e3, 1.5)[0], draw(10e3, 1.5)[0]
    shift = _SHIFT / SPACING * draw(60e3, 4.0, fields=2)
    moved = _displaced(torch.stack([air, detail], dim=1), shift)
    mixed = _COMMON_DETAIL * moved[:, 1] + (1.0 - _COMMON_DETAIL**2) ** 0.5 * own_detail
    inner = slice(16, 16 + cells)
    truth, background = (
        (_MEAN + _FRONT * torch.tanh(2.0 * smooth) + _DETAIL * rough)[:, None, inner, inner]
        for smooth, rough in ((air, detail), (moved[:, 0], mixed))
    )
    return ExerciseFields(truth, np.arange(count), background)


def _displaced(fields: Tensor, shift: Tensor) -> Tensor:
    """Fields (member, channel, y, x) moved by shifts (2, member, y, x), in cells; edges are continued flat."""
    ny, nx = fields.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(float(ny)), torch.arange(float(nx)), indexing="ij")
    where = torch.stack([2.0 * (columns - shift[1]) / (nx - 1) - 1.0, 2.0 * (rows - shift[0]) / (ny - 1) - 1.0], dim=-1)
    return functional.grid_sample(fields, where, mode="bicubic", padding_mode="border", align_corners=True)
