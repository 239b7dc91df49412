"""``Stacking``: normalised fields put in the order in which a GraphCast network wants its channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from rtma_diffda.backbones.graphcast.task import EARLIER, FORCINGS, LATER, STATIC, STATICS, TARGET, GraphCastTask, Key
from rtma_diffda.errors import UsageError


@dataclass(frozen=True)
class Stacking:
    """From fields to the stacked input of a task, and from its answer to fields.

    Attributes:
        task: of the network.
        channels: the states' channels, in the order of the fields' tensors; at least the task's prognostic ones.
    """

    task: GraphCastTask
    channels: tuple[Key, ...]

    def __call__(self, earlier: Tensor, later: Tensor, forcings: Tensor, static: Tensor) -> Tensor:
        """The stacked input (member, in, y, x).

        Args:
            earlier: (member, channel, y, x) in the slot of the time step before, normalised.
            later: the same, in the slot of the initial time.
            forcings: (member, 3, 5, y, x) or (1, 3, 5, y, x): at the two input times and the target time, of
                ``task.FORCINGS`` in that order, normalised.
            static: (2, y, x) of ``task.STATICS`` in that order, normalised.
        """
        members, size = len(later), later.shape[-2:]
        parts = (
            earlier,
            later,
            forcings.flatten(1, 2).expand(members, -1, *size),
            static.expand(members, -1, *size),
        )
        return torch.cat(parts, dim=1)[:, self._order.to(later.device)]

    def answers(self, channels: Sequence[Key]) -> Tensor:
        """Where (k,) ``channels`` stand in the network's answer.

        Raises:
            UsageError: the network does not answer one of them.
        """
        return _positions(channels, self.task.outputs, "the network's answer")

    @cached_property
    def _order(self) -> Tensor:
        """(in,) indices into [earlier, later, forcings of three times, static]."""
        given = [(*key, frame) for frame in (EARLIER, LATER) for key in self.channels]
        given += [(name, None, frame) for frame in (EARLIER, LATER, TARGET) for name in FORCINGS]
        given += [(name, None, STATIC) for name in STATICS]
        wanted = [(channel.variable, channel.level, channel.frame) for channel in self.task.inputs]
        return _positions(wanted, given, "the fields given")


def _positions(wanted: Sequence[tuple], among: Sequence[tuple], where: str) -> Tensor:
    place = {key: i for i, key in enumerate(among)}
    missing = [key for key in wanted if key not in place]
    if missing:
        raise UsageError(f"{len(missing)} channels are not in {where}, the first is {missing[0]}")
    return torch.tensor([place[key] for key in wanted], dtype=torch.int64)
