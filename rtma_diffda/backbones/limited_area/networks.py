"""``limited_area_network``: the one constructor of limited-area networks for fields, pure graph or hybrid.

A hybrid looks at local detail by convolutions on the grid (the U-Net's), and at the large scale and at a boundary of
another grid by a mesh. The mesh lies *beneath* the convolutions, in place of the coarsest of them, whose points stand
for ``LimitedAreaSettings.stride`` grid points a side:

    x ← x + GraphNetwork(x),

and what it adds comes back up through the finer convolutions; its last layer begins at zero. Or it lies *before* them:
it is told what is known on a wider grid, such as a global run, and convolutions see what it makes of that and of means
of all input over squares, brought to the points by bilinear interpolation:

    answer = U(input, bilinear(GraphNetwork(means of input and of what it alone is told))).

Reference: pure graph networks lose to convolutions at kilometre scale (HRRRCast, arXiv 2507.05658; CRPS-LAM, arXiv
2510.09484), which by themselves see the large scale badly.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from rtma_diffda.backbones.limited_area.edges import by_member, by_node
from rtma_diffda.backbones.limited_area.graph import LimitedAreaGraph
from rtma_diffda.backbones.limited_area.graph_network import GraphNetwork
from rtma_diffda.backbones.limited_area.settings import LimitedAreaSettings
from rtma_diffda.backbones.noise_level import zeroed
from rtma_diffda.backbones.unet import UNet, UNetSettings
from rtma_diffda.errors import UsageError

__all__ = ["FieldNetwork", "HybridNetwork", "InformedConvolutions", "LimitedAreaSettings", "limited_area_network"]


def limited_area_network(settings: LimitedAreaSettings, graph: LimitedAreaGraph) -> nn.Module:
    """The network of ``settings``, for fields (member, in, y, x) and boundary nodes (member, node, boundary channels).

    Args:
        settings: pure graph, or with convolutions.
        graph: on ``settings.graph_grid`` of the region's grid.

    Raises:
        UsageError: settings and graph do not fit.
    """
    if not settings.convolutions:
        return FieldNetwork(settings, graph)
    return InformedConvolutions(settings, graph) if settings.mesh_channels else HybridNetwork(settings, graph)


class FieldNetwork(nn.Module):
    """A graph network on fields."""

    def __init__(self, settings: LimitedAreaSettings, graph: LimitedAreaGraph) -> None:
        super().__init__()
        self.settings, self.graph = settings, GraphNetwork(settings, graph)

    def forward(self, values: Tensor, sigma: Tensor | None = None, boundary: Tensor | None = None) -> Tensor:
        """The answer (member, out, y, x).

        Args:
            values: (member, in, y, x).
            sigma: (member,) noise level, for a network that is told one.
            boundary: (member, boundary node, boundary channels), for a network with boundary nodes.

        Raises:
            UsageError: as ``GraphNetwork`` says.
        """
        if values.ndim != 4:
            raise UsageError(f"a limited-area network takes (member, channel, y, x); found {tuple(values.shape)}")
        answer = self.graph(by_node(values), sigma, None if boundary is None else boundary.transpose(0, 1))
        return by_member(answer, tuple(values.shape[-2:])).to(values.dtype)


class HybridNetwork(nn.Module):
    """Convolutions on the grid, and beneath them a mesh."""

    def __init__(self, settings: LimitedAreaSettings, graph: LimitedAreaGraph) -> None:
        super().__init__()
        self.settings = settings
        coarsest = settings.convolutions[-1]
        self.convolutions = _convolutions(settings, beneath=True)
        self.graph = None
        if settings.meshed:
            inner = replace(settings, in_channels=coarsest, out_channels=coarsest, convolutions=())
            self.graph = GraphNetwork(inner, graph)
            zeroed(self.graph.output_map.last)

    def forward(self, values: Tensor, sigma: Tensor | None = None, boundary: Tensor | None = None) -> Tensor:
        """As ``FieldNetwork``."""

        def beneath(coarse: Tensor) -> Tensor:
            if self.graph is None:
                return coarse
            nodes = self.graph(by_node(coarse), sigma, None if boundary is None else boundary.transpose(0, 1))
            return coarse + by_member(nodes, tuple(coarse.shape[-2:]))

        return self.convolutions(values, sigma, beneath=beneath)


class InformedConvolutions(nn.Module):
    """A mesh, and convolutions on the grid that are told what it makes of its channels."""

    def __init__(self, settings: LimitedAreaSettings, graph: LimitedAreaGraph) -> None:
        super().__init__()
        self.settings = settings
        self.convolutions = _convolutions(settings, beneath=False)
        self.graph = None
        if settings.meshed:
            inner = replace(settings, out_channels=settings.mesh_channels, mesh_channels=0, convolutions=())
            self.graph = GraphNetwork(inner, graph)

    def forward(self, values: Tensor, sigma: Tensor | None = None, boundary: Tensor | None = None) -> Tensor:
        """As ``FieldNetwork``; without its mesh the convolutions are told zeros."""
        seen = values[:, : values.shape[1] - self.settings.mesh_channels]
        if self.graph is None:
            told = torch.zeros_like(values[:, seen.shape[1] :])
        else:
            told = self._told(values, sigma, boundary).to(values)
        return self.convolutions(torch.cat([seen, told], dim=1), sigma)

    def _told(self, values: Tensor, sigma: Tensor | None, boundary: Tensor | None) -> Tensor:
        """What the mesh makes of its channels (member, mesh channels, y, x)."""
        square, (ny, nx) = self.settings.square, values.shape[-2:]
        coarse = at_stride(values, square)
        nodes = self.graph(by_node(coarse), sigma, None if boundary is None else boundary.transpose(0, 1))
        made = by_member(nodes, tuple(coarse.shape[-2:]))
        return interpolate(made, scale_factor=float(square), mode="bilinear")[..., :ny, :nx]


def _convolutions(settings: LimitedAreaSettings, *, beneath: bool) -> UNet:
    return UNet(
        UNetSettings(
            settings.in_channels,
            settings.out_channels,
            settings.convolutions,
            patch=settings.patch,
            noise_level=settings.noise_level,
            beneath=beneath,
        )
    )


def at_stride(values: Tensor, stride: int) -> Tensor:
    """Means over squares of ``stride`` points a side (member, channel, y, x); incomplete ones of what is there."""
    return avg_pool2d(values, stride, ceil_mode=True, count_include_pad=False)
