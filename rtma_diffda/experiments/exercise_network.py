"""The network of the exercises: a U-Net from observation channels (and a background) to the fields that are wanted.

With climatological mean m and standard deviation s of each quantity, a channel holds (y − m)/s where there is an
observation, and elsewhere 0, or what the nearest observation says; the output times s is added to m. Where there is a
background x_b, it takes the place of m in the observation channels and under the output, enters as the channel
(x_b − m)/s, and the standard deviation of its error takes the place of s. So 0 means "nothing new" in either exercise,
and an untrained network returns what is known beforehand: the background or the mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rtma_diffda.backbones.unet import UNet, UNetSettings
from rtma_diffda.experiments.exercise_fields import Exercise, ExerciseFields
from rtma_diffda.experiments.sparse_observations import ObservingPlan, SparseObservations


@dataclass(frozen=True)
class Climate:
    """Mean and standard deviation of every quantity over the training fields, and of the background's error.

    Attributes:
        mean, std: (channel,).
        error_std: (wanted,) of background minus truth; of the quantity itself where there is no background.
    """

    mean: Tensor
    std: Tensor
    error_std: Tensor

    @classmethod
    def of(cls, fields: ExerciseFields, wanted: int) -> "Climate":
        """From training fields."""
        mean, std = fields.truth.mean(dim=(0, 2, 3)), fields.truth.std(dim=(0, 2, 3))
        if fields.background is None:
            return cls(mean, std, std[:wanted])
        error = fields.background - fields.truth[:, :wanted]
        return cls(mean, std, error.square().mean(dim=(0, 2, 3)).sqrt())


@dataclass(frozen=True)
class NetworkShape:
    """Names and meanings as in ``conf/reproduce.yaml``."""

    widths: tuple[int, ...] = (48, 96, 128)
    patch: int = 2
    fill: bool = True


class FieldReconstruction(nn.Module):
    """The trainable network.

    Args:
        exercise: for channels, observing plan and window.
        climate: of the training fields.
        shape: of the U-Net, and whether the nearest observation fills the cells without one.
    """

    def __init__(self, exercise: Exercise, climate: Climate, shape: NetworkShape) -> None:
        super().__init__()
        channels = len(exercise.quantities) + exercise.wanted * exercise.has_background
        self.unet = UNet(UNetSettings(channels, exercise.wanted, widths=shape.widths, patch=shape.patch))
        self.fill = shape.fill
        self.plan: ObservingPlan = exercise.plan
        self.wanted, self.size = exercise.wanted, exercise.size
        self.register_buffer("mean", climate.mean[:, None, None])
        self.register_buffer("std", climate.std[:, None, None])
        self.register_buffer("error_std", climate.error_std[:, None, None])

    def forward(self, observations: SparseObservations, background: Tensor | None) -> Tensor:
        """The wanted quantities, (member, wanted, y, x)."""
        known = self.mean.expand_as(observations.values)
        scale = self.std
        if background is not None:
            known = torch.cat([background, known[:, self.wanted :]], dim=1)
            scale = torch.cat([self.error_std, scale[self.wanted :]])
        channels = torch.where(observations.observed_mask, (observations.values - known) / scale, 0.0)
        if self.fill:
            channels = observations.filled(channels)
        if background is not None:
            channels = torch.cat([channels, (background - self.mean[: self.wanted]) / self.std[: self.wanted]], dim=1)
        return known[:, : self.wanted] + self.error_std * self.unet(channels)

    def loss(self, batch: ExerciseFields, *, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        """Mean squared error in units of ``error_std``², of new observations in a window at a random place."""
        cells = batch.truth.shape[-1]
        rows, columns = torch.randint(cells, (2,), generator=generator).tolist() if cells > self.size else (0, 0)
        seen = batch.window(self.size, rows=rows, columns=columns)
        observations = self.plan.observe(seen.truth, generator=generator)
        error = (self(observations, seen.background) - seen.truth[:, : self.wanted]) / self.error_std
        squares = error.square().mean(dim=(0, 2, 3))
        return squares.mean(), {f"mse_{i}": float(value) for i, value in enumerate(squares.detach())}
