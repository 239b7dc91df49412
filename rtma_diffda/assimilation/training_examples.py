"""What one batch of training comes down to once everything is drawn: inputs, targets, and how they are to be turned."""

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

from rtma_diffda.assimilation.network_inputs import InputEncoding, NetworkInputs
from rtma_diffda.assimilation.rotation import possible_turns
from rtma_diffda.errors import UsageError


@dataclass(frozen=True)
class Examples:
    """Prepared on the CPU, where all draws are made; turned where the network is, since that costs little there.

    The same batch turned by different right angles is as good as more data where the law of the weather has no
    direction: turned fields cost no further interpolation, and are worth about as much as new ones.

    Attributes:
        inputs: of the network, as the world is.
        target: (member, channel, y, x) what it is to answer, over s.
        turns: clockwise, in right angles; all members in the first orientation come first.
    """

    inputs: NetworkInputs
    target: Tensor
    turns: tuple[int, ...]

    def to(self, device: torch.device | str) -> Self:
        """The same on another device."""
        moved = {
            part.name: value.to(device)
            for part in fields(self)
            if isinstance(value := getattr(self, part.name), NetworkInputs | Tensor)
        }
        return replace(self, **moved)

    def turned(self, encoding: InputEncoding) -> tuple[NetworkInputs, Tensor]:
        """Inputs and target in all orientations: (orientation × member, …)."""
        if self.turns == (0,):
            return self.inputs, self.target
        inputs = [encoding.turned(self.inputs, turns) for turns in self.turns]
        targets = [encoding.turned_fields(self.target, turns) for turns in self.turns]
        return NetworkInputs.joined_members(inputs), torch.cat(targets)


@dataclass(frozen=True)
class NoisyExamples(Examples):
    """For a denoiser, with noise of its own in every orientation.

    Attributes:
        sigma: (orientation × member,) noise levels.
        noise: (orientation × member, channel, y, x) ε.
    """

    sigma: Tensor
    noise: Tensor


def require_orientations(count: int) -> None:
    """Refuse a number of orientations that there are not.

    Raises:
        UsageError: not 1 … 4.
    """
    if not 1 <= count <= 4:
        raise UsageError(f"a batch can be seen in 1 … 4 orientations, not in {count}")


def draw_turns(shape: tuple[int, int], count: int, *, generator: torch.Generator) -> tuple[int, ...]:
    """``count`` different orientations of fields of ``shape`` (y, x); a count of 1 leaves them as they are.

    Grids that are not square have two orientations.
    """
    if count == 1:
        return (0,)
    possible = possible_turns(shape)
    return tuple(possible[i] for i in torch.randperm(len(possible), generator=generator)[:count].tolist())
