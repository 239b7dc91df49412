"""``GraphCastBackbone``: a GraphCast network with the graph that it has on a given grid."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

from rtma_diffda.backbones.graphcast.graph import GraphCastGraph
from rtma_diffda.backbones.graphcast.graph_builder import build_graph
from rtma_diffda.backbones.graphcast.network import GraphCastNetwork
from rtma_diffda.backbones.graphcast.settings import GraphCastSettings
from rtma_diffda.backbones.graphcast.task import GraphCastTask
from rtma_diffda.geo.grid import LatLonGrid


@dataclass(frozen=True)
class GraphCastBackbone:
    """A network for a task on a global grid. Weights are the same on every grid.

    Attributes:
        settings: of the network.
        task: whose channels it takes and answers.
        grid: that it is on.
        stored: the graph, where mesh-to-grid edges were chosen elsewhere; None: built from grid and settings.
    """

    settings: GraphCastSettings
    task: GraphCastTask
    grid: LatLonGrid
    stored: GraphCastGraph | None = field(default=None, repr=False, compare=False)

    @property
    def in_channels(self) -> int:
        """See ``Backbone``."""
        return len(self.task.inputs)

    @property
    def out_channels(self) -> int:
        """See ``Backbone``."""
        return len(self.task.outputs)

    @property
    def noise_level(self) -> bool:
        """See ``Backbone``."""
        return False

    @cached_property
    def graph(self) -> GraphCastGraph:
        """The graph on the grid."""
        return build_graph(self.grid, self.settings) if self.stored is None else self.stored

    def network(self) -> GraphCastNetwork:
        """See ``Backbone``."""
        channels = {"in_channels": self.in_channels, "out_channels": self.out_channels}
        return GraphCastNetwork(self.settings, self.graph, **channels)

    def on_grid(self, grid: LatLonGrid) -> Self:
        """See ``Backbone``."""
        return self if grid == self.grid else replace(self, grid=grid, stored=None)
