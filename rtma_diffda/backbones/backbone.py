"""``Backbone``: the design of a network for fields, from which the network on a given grid is made."""

from typing import Protocol, Self

from torch import nn

from rtma_diffda.geo.grid import ProjectedGrid


class Backbone(Protocol):
    """What a denoiser's network is made from. Weights are the same on every grid.

    The network takes (member, in, y, x) and, where it is told one, a noise level (member,), and gives
    (member, out, y, x).
    """

    @property
    def in_channels(self) -> int:
        """Channels of what the network takes."""

    @property
    def out_channels(self) -> int:
        """Channels of its answer."""

    @property
    def noise_level(self) -> bool:
        """Whether it is told a noise level."""

    def network(self) -> nn.Module:
        """The network before training."""

    def on_grid(self, grid: ProjectedGrid) -> Self:
        """The design for fields of another grid; itself where the grid does not matter.

        Raises:
            UsageError: there is no such network on that grid: it is too small.
        """
