"""``ExerciseFields``: gridded truths of several quantities, from independent runs, and perhaps their backgrounds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.experiments.sparse_observations import ObservingPlan


@dataclass(frozen=True)
class Quantity:
    """What a channel is: ``name`` for tables, ``title`` in words, ``unit`` as shown, shown = value × ``scale``."""

    name: str
    title: str
    unit: str
    scale: float = 1.0


@dataclass(frozen=True)
class ExerciseFields:
    """Fields to learn from or to be scored on; also the batch that training takes.

    Attributes:
        truth: (member, channel, y, x): all observed quantities.
        run: (member,) int64; members of one independent run share their number.
        background: (member, wanted, y, x) of the wanted quantities, the first channels; None where there is none.
    """

    truth: Tensor
    run: np.ndarray
    background: Tensor | None = None

    def __post_init__(self) -> None:
        if self.truth.ndim != 4 or len(self.run) != len(self.truth):
            raise InputError(f"fields of shape {tuple(self.truth.shape)} with {len(self.run)} run numbers")

    def __len__(self) -> int:
        return len(self.run)

    def select(self, members: np.ndarray) -> "ExerciseFields":
        """The members of an index array (m,)."""
        rows = torch.from_numpy(np.asarray(members))
        background = None if self.background is None else self.background[rows]
        return replace(self, truth=self.truth[rows], run=self.run[members], background=background)

    def to(self, device: torch.device | str) -> "ExerciseFields":
        """The same on another device."""
        background = None if self.background is None else self.background.to(device)
        return replace(self, truth=self.truth.to(device), background=background)

    def window(self, size: int, *, rows: int = 0, columns: int = 0) -> "ExerciseFields":
        """The ``size`` × ``size`` cells that begin at a row and column of the periodic plane."""

        def cut(field: Tensor) -> Tensor:
            return field.roll((-rows, -columns), dims=(-2, -1))[..., :size, :size]

        return replace(
            self, truth=cut(self.truth), background=None if self.background is None else cut(self.background)
        )

    def of_runs(self, runs: Sequence[int]) -> "ExerciseFields":
        """The members of some runs."""
        return self.select(np.flatnonzero(np.isin(self.run, runs)))


@dataclass(frozen=True)
class Exercise:
    """One exercise: what is wanted, what is observed, and the fields.

    Attributes:
        title: of the page.
        story: what is simulated, in a few sentences.
        quantities: all channels; the first ``wanted`` ones are wanted.
        wanted: how many.
        plan: how they are observed.
        size: cells a side of the window that is seen; smaller than the fields only where these are periodic.
        training, validation, test: fields of separate independent runs.
        spacing: of the cells (km), for figures.
    """

    title: str
    story: str
    quantities: tuple[Quantity, ...]
    wanted: int
    plan: ObservingPlan
    size: int
    training: ExerciseFields
    validation: ExerciseFields
    test: ExerciseFields
    spacing: float

    @property
    def has_background(self) -> bool:
        """Whether there is something to correct, or everything comes from observations."""
        return self.training.background is not None

    @property
    def is_periodic(self) -> bool:
        """Whether the fields are those of a periodic plane, of which a smaller window is seen."""
        return self.training.truth.shape[-1] > self.size
