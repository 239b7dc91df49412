"""The network of the exercises: a U-Net from observation channels (and a background) to the fields that are wanted.

What is known beforehand is the background, or where there is none the climatological mean; s is the standard deviation
of truth minus that. An observation channel holds departures d = (y − known)/s at its sites. Between them it holds 0 or,
where channels are filled, what kriging of this channel alone says of d. The network adds s times its output to what is
known, and to the filled channels of the wanted quantities. So untrained it returns what is known, or kriging of each
quantity by itself; what it learns is everything else. A background also enters as a channel of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rtma_diffda.backbones.unet import UNet, UNetSettings
from rtma_diffda.experiments.channel_kriging import ChannelKriging
from rtma_diffda.experiments.exercise_baselines import LagCovariance
from rtma_diffda.experiments.exercise_fields import Exercise, ExerciseFields
from rtma_diffda.experiments.sparse_observations import ObservingPlan, SparseObservations


@dataclass(frozen=True)
class Climate:
    """Statistics of the training fields.

    Attributes:
        mean, std: (channel,) of every quantity.
        departure_std: (channel,) of truth minus what is known beforehand, about 0.
        correlation: of these departures, by lag.
    """

    mean: Tensor
    std: Tensor
    departure_std: Tensor
    correlation: LagCovariance

    @classmethod
    def of(cls, exercise: Exercise) -> "Climate":
        """From the training fields of an exercise."""
        truth, background = exercise.training.truth, exercise.training.background
        mean, std = truth.mean(dim=(0, 2, 3)), truth.std(dim=(0, 2, 3))
        departures = truth - _known(mean[:, None, None], background, like=truth)
        departure_std = departures.square().mean(dim=(0, 2, 3)).sqrt()
        scaled = (departures / departure_std[:, None, None]).double().numpy()
        return cls(mean, std, departure_std, LagCovariance.estimated(scaled, periodic=exercise.is_periodic))


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
        shape: of the U-Net, and whether kriging fills the observation channels.
    """

    def __init__(self, exercise: Exercise, climate: Climate, shape: NetworkShape) -> None:
        super().__init__()
        channels = len(exercise.quantities) + exercise.wanted * exercise.has_background
        self.unet = UNet(UNetSettings(channels, exercise.wanted, widths=shape.widths, patch=shape.patch))
        self.plan: ObservingPlan = exercise.plan
        self.wanted, self.size = exercise.wanted, exercise.size
        error_variance = (torch.tensor(exercise.plan.error_std) / climate.departure_std) ** 2
        self.fill = ChannelKriging(climate.correlation, error_variance) if shape.fill else None
        self.register_buffer("mean", climate.mean[:, None, None])
        self.register_buffer("std", climate.std[:, None, None])
        self.register_buffer("departure_std", climate.departure_std[:, None, None])

    def forward(self, observations: SparseObservations, background: Tensor | None) -> Tensor:
        """The wanted quantities, (member, wanted, y, x)."""
        wanted, observed_mask = slice(0, self.wanted), observations.observed_mask
        known = _known(self.mean, background, like=observations.values)
        channels = torch.where(observed_mask, (observations.values - known) / self.departure_std, 0.0)
        first_guess = known[:, wanted]
        if self.fill is not None:
            channels = self.fill(channels, observed_mask)
            first_guess = first_guess + self.departure_std[wanted] * channels[:, wanted]
        if background is not None:
            channels = torch.cat([channels, (background - self.mean[wanted]) / self.std[wanted]], dim=1)
        return first_guess + self.departure_std[wanted] * self.unet(channels)

    def loss(self, batch: ExerciseFields, *, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        """Mean squared error in units of ``departure_std``², of new observations in a window at a random place."""
        cells = batch.truth.shape[-1]
        rows, columns = torch.randint(cells, (2,), generator=generator).tolist() if cells > self.size else (0, 0)
        seen = batch.window(self.size, rows=rows, columns=columns)
        observations = self.plan.observe(seen.truth, generator=generator)
        error = (self(observations, seen.background) - seen.truth[:, : self.wanted]) / self.departure_std[: self.wanted]
        squares = error.square().mean(dim=(0, 2, 3))
        return squares.mean(), {f"mse_{i}": float(value) for i, value in enumerate(squares.detach())}


def _known(mean: Tensor, background: Tensor | None, *, like: Tensor) -> Tensor:
    """What is known of every channel beforehand, (member, channel, y, x): the background, or the mean."""
    means = mean.expand_as(like)
    return means if background is None else torch.cat([background, means[:, background.shape[1] :]], dim=1)
