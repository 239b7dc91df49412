"""``LimitedAreaBackbone``: a limited-area network with the graph that it has on a given grid."""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import torch
from torch import nn

from rtma_diffda.backbones.limited_area.graph import EdgeSet, LimitedAreaGraph
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
        design: of the mesh. A multi-scale one on a smaller grid leaves out the longest edges, which weights allow.
        grid: that it is on.
        stored: the graph as it was trained on; None: built from the design.
        unit: length of the shortest mesh edge in the features of edges, as trained; None: as the graph on the grid has
            it. Features of edges keep their meaning on every grid.
    """

    settings: LimitedAreaSettings
    design: MeshDesign
    grid: ProjectedGrid
    stored: LimitedAreaGraph | None = field(default=None, repr=False, compare=False)
    unit: float | None = None

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
        graph = without_coordinates(self._built())
        return graph if self.unit is None else with_unit(graph, self.unit)

    def _built(self) -> LimitedAreaGraph:
        grid, design = self.settings.graph_grid(self.grid), self.design
        if design.kind != "multiscale" or design.levels is None:
            return build_graph(grid, design)
        for levels in range(design.levels, 1, -1):
            with suppress(UsageError):  # too small for so many; it may do for fewer
                return build_graph(grid, replace(design, levels=levels))
        return build_graph(grid, replace(design, kind="flat", levels=None))

    def network(self) -> nn.Module:
        """See ``Backbone``."""
        return limited_area_network(self.settings, self.graph)

    def on_grid(self, grid: ProjectedGrid) -> Self:
        """See ``Backbone``."""
        if (grid.nx, grid.ny, grid.dx, grid.dy) == (self.grid.nx, self.grid.ny, self.grid.dx, self.grid.dy):
            return self
        moved = replace(self, grid=grid, stored=None, unit=unit_of(self.graph))
        _ = moved.graph  # says at once where the grid is too small
        return moved


def unit_of(graph: LimitedAreaGraph) -> float:
    """Length of the shortest edge within mesh levels, as features have it."""
    return min(float(edges.features[:, 0].min()) for edges in graph.same_level)


def with_unit(graph: LimitedAreaGraph, unit: float) -> LimitedAreaGraph:
    """The graph with features of edges in which its shortest mesh edge is ``unit`` long."""
    factor = unit / unit_of(graph)

    def scaled(edges: EdgeSet) -> EdgeSet:
        return replace(edges, features=edges.features * factor)

    return replace(
        graph,
        grid_to_mesh=scaled(graph.grid_to_mesh),
        mesh_to_grid=scaled(graph.mesh_to_grid),
        **{name: tuple(map(scaled, getattr(graph, name))) for name in ("same_level", "upward", "downward")},
    )


def without_coordinates(graph: LimitedAreaGraph) -> LimitedAreaGraph:
    """The graph with mesh nodes that are told no place: weights then do for any part of the world."""
    return replace(graph, mesh_features=tuple(torch.zeros_like(part) for part in graph.mesh_features))
