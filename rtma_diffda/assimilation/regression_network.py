"""A network that learns the analysis itself: E[truth | background, observations], by regression.

In units of s, the typical error of the background, it predicts what optimal interpolation leaves,

    (x_t − x_b) / s  ≈  K d / s + f(background, land, time of day, observation channels),

so that an untrained network (f = 0) *is* optimal interpolation. Minimising the squared error makes f the conditional
mean. Networks of stations and their errors are drawn anew for every member of every batch, so that f learns to use any
network. Without observations the same regression gives E[truth | background], the correction that the background's
own systematic errors allow.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from rtma_diffda.assimilation.network_inputs import InputEncoding, NetworkInputs
from rtma_diffda.assimilation.simulated_observing import Observing, Reports, observe
from rtma_diffda.assimilation.training_examples import Examples, draw_turns, require_orientations
from rtma_diffda.backbones.unet import UNet, UNetSettings
from rtma_diffda.errors import UsageError
from rtma_diffda.fields.pairs import Pairs

PENALTIES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "squared": torch.square,
    "absolute": torch.abs,
}
"""Of a standardised error, by name; its mean is the loss. Squares lead to the mean, absolute values to the median."""


@dataclass(frozen=True)
class RegressionTraining:
    """What the loss draws and weighs.

    Attributes:
        observing: networks of stations that are drawn.
        penalty: a name of ``PENALTIES``.
        orientations: in how many ways, turned by different right angles, the network sees every batch; 1: only as it
            is.
    """

    observing: Observing = field(default_factory=Observing)
    penalty: str = "squared"
    orientations: int = 1

    def __post_init__(self) -> None:
        require_orientations(self.orientations)
        if self.penalty not in PENALTIES:
            raise UsageError(f"unknown penalty '{self.penalty}'; known are {', '.join(PENALTIES)}")


def unet_settings(encoding: InputEncoding, widths: tuple[int, ...] = (128, 192), **others: object) -> UNetSettings:
    """Settings of a U-Net with the channels that regression on ``encoding`` needs.

    Args:
        encoding: how its inputs are made.
        widths: of ``UNetSettings``.
        others: of ``UNetSettings``. Patches are of 4 × 4 points unless given: they take half the time of 2 × 2 with
            one more resolution, and on simulated weather of 5 km the network came further in the same time.
    """
    channels = encoding.context_count + encoding.observed_count
    return UNetSettings(channels, len(encoding.names), widths, **{"patch": 4, **others})


class RegressionNetwork(nn.Module):
    """The network and its loss.

    Args:
        encoding: how its inputs are made.
        settings: of its U-Net; channels as ``unet_settings`` gives them.
        training: what the loss draws.
    """

    def __init__(
        self, encoding: InputEncoding, settings: UNetSettings, training: RegressionTraining | None = None
    ) -> None:
        super().__init__()
        expected = unet_settings(encoding)
        if (settings.in_channels, settings.out_channels) != (expected.in_channels, expected.out_channels):
            raise UsageError(
                f"regression on these inputs takes {expected.in_channels} channels and gives {expected.out_channels}; "
                f"the U-Net's are {settings.in_channels} and {settings.out_channels}"
            )
        self.encoding, self.training_settings = encoding, training or RegressionTraining()
        self.unet = UNet(settings)

    def forward(self, inputs: NetworkInputs) -> Tensor:
        """The increment over s: (member, channel, y, x), float32."""
        return inputs.increment.float() + self.unet(inputs.side_by_side()).float()

    def prepare(self, batch: Pairs, *, generator: torch.Generator) -> Examples:
        """Everything that is drawn for a batch: networks of stations and their errors, and turns.

        Args:
            batch: of the encoding's variables, on the CPU.
            generator: on the CPU.
        """
        with torch.autocast("cpu", enabled=False):  # covariances need float32
            inputs = self.encoding.of_batch(batch, self._draw(batch, generator))
        target = (batch.truth - batch.background) / self.encoding.scale(batch.background)
        count = self.training_settings.orientations
        return Examples(inputs, target, draw_turns(batch.layout.grid.shape, count, generator=generator))

    def loss(self, batch: Pairs, *, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        """``prepared_loss`` of what is drawn for a batch."""
        return self.prepared_loss(self.prepare(batch, generator=generator))

    def prepared_loss(self, examples: Examples) -> tuple[Tensor, Mapping[str, float]]:
        """Mean penalty of the standardised error, variables and grid points alike.

        Returns:
            The loss, and for the log the standardised root mean square error by variable (``rmse_t2m`` …).
        """
        inputs, target = examples.turned(self.encoding)
        error = self(inputs) - target
        value = PENALTIES[self.training_settings.penalty](error).mean()
        rmse = error.detach().square().mean(dim=(0, 2, 3)).sqrt().tolist()
        return value, {f"rmse_{name}": size for name, size in zip(self.encoding.names, rmse, strict=True)}

    def _draw(self, batch: Pairs, generator: torch.Generator) -> list[Reports]:
        if not self.encoding.observations:
            return []
        return observe(batch, self.training_settings.observing, generator=generator)
