"""``LimitedAreaBackbone``: a limited-area network with the graph that it has on a given grid."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import torch
from torch import nn

from rtma_diffda.backbones.limited_area.graph import LimitedAreaGraph
from rtma_diffda.backbones.limited_area.graph_builder import build_graph
from rtma_diffda.backbones.limited_area.mesh_design import MeshDesign
from rtma_diffda.backbones.limited_area.networks import limited_area_network
from rtma_diffda.backbones.limited_area.settings import LimitedAreaSettings
from rtma_diffda.errors import UsageError
from rtma_diffda.geo.grid import ProjectedGrid


@dataclass(frozen=True)
class LimitedAreaBackbone:
    """A network for any part of the world: mesh nodes are told no coordinates, so that weights fit grids of any size.

    Attributes:
        settings: of the network, without boundary nodes.
        design: of the mesh; with a fixed number of levels for networks that shall fit grids of any size.
        grid: that it is on.
        stored: the graph as it was trained on; None: built from the design.
    """

    settings: LimitedAreaSettings
    design: MeshDesign
    grid: ProjectedGrid
    stored: LimitedAreaGraph | None = field(default=None, repr=False)

    @property
    def in_channels(self) -> int:
        """See ``Backbone``."""
        return self.settings.in_channels

    @property
    def out_channels(self) -> int:
        """See ``Backbone``."""
        return self.settings.out_channels

    @property
    def noise_level(self) -> bool:
        """See ``Backbone``."""
        return self.settings.noise_level

    @cached_property
    def graph(self) -> LimitedAreaGraph:
        """The graph on the grid."""
        if self.stored is not None:
            return self.stored
        graph = build_graph(self.settings.graph_grid(self.grid), self.design)
        return replace(graph, mesh_features=tuple(torch.zeros_like(part) for part in graph.mesh_features))

    def network(self) -> nn.Module:
        """See ``Backbone``."""
        return limited_area_network(self.settings, self.graph)

    def on_grid(self, grid: ProjectedGrid) -> Self:
        """See ``Backbone``."""
        if (grid.nx, grid.ny, grid.dx, grid.dy) == (self.grid.nx, self.grid.ny, self.grid.dx, self.grid.dy):
            return self
        for own, there in ((self.grid.dx, grid.dx), (self.grid.dy, grid.dy)):
            if abs(there / own - 1.0) > 0.1:
                raise UsageError(
                    f"a limited-area network of {self.grid.dx:g} × {self.grid.dy:g} m cannot be laid over a grid of "
                    f"{grid.dx:g} × {grid.dy:g} m"
                )
        return replace(self, grid=grid, stored=None)
