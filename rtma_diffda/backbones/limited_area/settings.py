"""``LimitedAreaSettings``: the shape of a limited-area network, a pure graph network or a hybrid with convolutions."""

import math
from dataclasses import dataclass, field
from typing import Literal

from rtma_diffda.backbones.limited_area.evaluation import Evaluation
from rtma_diffda.backbones.limited_area.message_passing import Kind, MessagePassing
from rtma_diffda.backbones.limited_area.perceptron import Perceptron
from rtma_diffda.errors import UsageError
from rtma_diffda.geo.grid import ProjectedGrid

Mesh = Literal["flat", "hierarchical", "parallel"]
_MESHES = ("flat", "hierarchical", "parallel")
_KINDS = ("interaction", "propagation")


@dataclass(frozen=True)
class LimitedAreaSettings:
    """Attributes:
    in_channels, out_channels: of fields.
    boundary_channels: of boundary nodes; 0 for a network without them.
    mesh: flat (GraphLAM; also for multi-scale graphs), hierarchical (Hi-LAM) or parallel (Hi-LAM-Parallel).
    hidden: width of nodes, edges and messages.
    hidden_layers: of every perceptron.
    processor_layers: on the mesh.
    mean: whether a flat mesh takes means of messages instead of sums.
    grid_to_mesh, mesh_to_grid, up, down: kinds of message passing between sets of nodes.
    noise_level: whether the network is told a noise level.
    convolutions: channels at each resolution of convolutions on the grid, finest first, below which the mesh sees the
        weather (hybrid); empty for a pure graph network.
    patch: points a side of what the finest convolutions see as one vector.
    mesh_channels: how many of the last input channels the mesh of a hybrid alone is told: convolutions get as many that
        it makes of all input instead. 0: the mesh lies beneath the convolutions, in place of the coarsest.
    square: points a side of the squares over which a mesh that is told channels takes means, and which are the graph's
        grid nodes.
    meshed: False leaves the mesh of a hybrid out, to see what it is worth.
    evaluation: how it is computed.
    """

    in_channels: int
    out_channels: int
    boundary_channels: int = 0
    mesh: Mesh = "hierarchical"
    hidden: int = 64
    hidden_layers: int = 1
    processor_layers: int = 4
    mean: bool = False
    grid_to_mesh: Kind = "interaction"
    mesh_to_grid: Kind = "interaction"
    up: Kind = "interaction"
    down: Kind = "interaction"
    noise_level: bool = False
    convolutions: tuple[int, ...] = ()
    patch: int = 2
    mesh_channels: int = 0
    square: int = 4
    meshed: bool = True
    evaluation: Evaluation = field(default_factory=Evaluation)

    def __post_init__(self) -> None:
        counts = (self.in_channels, self.out_channels, self.hidden, self.patch, *self.convolutions)
        if min(counts) < 1 or min(self.boundary_channels, self.hidden_layers, self.processor_layers) < 0:
            raise UsageError(f"a limited-area network needs positive channels, widths and layers; found {self}")
        if self.mesh not in _MESHES:
            raise UsageError(f"mesh is '{self.mesh}'; it may be {', '.join(_MESHES)}")
        kinds = (self.grid_to_mesh, self.mesh_to_grid, self.up, self.down)
        if any(kind not in _KINDS for kind in kinds):
            raise UsageError(f"message passing is {', '.join(kinds)}; each may be {' or '.join(_KINDS)}")
        if not self.meshed and not self.convolutions:
            raise UsageError("a network without a mesh needs convolutions")
        if not 0 <= self.mesh_channels < self.in_channels or (self.mesh_channels and not self.convolutions):
            raise UsageError(
                f"{self.mesh_channels} of {self.in_channels} channels are for the mesh alone; expected fewer than all, "
                "and convolutions that see the others"
            )
        if self.square < 1:
            raise UsageError(f"a mesh takes means over squares of one point or more a side; found {self.square}")

    @property
    def stride(self) -> int:
        """Points a side of what one grid node of the graph stands for; 1 for a pure graph network."""
        if self.mesh_channels:
            return self.square
        return self.patch * 2 ** (len(self.convolutions) - 1) if self.convolutions else 1

    def graph_grid(self, grid: ProjectedGrid) -> ProjectedGrid:
        """The grid whose points are the graph's grid nodes: the region's, the coarsest convolutions', or squares.

        Raises:
            UsageError: the region is too small for two of them a side.
        """
        if self.stride == 1:
            return grid
        n, middle = self.stride, 0.5 * (self.stride - 1)
        if min(grid.nx, grid.ny) <= n:
            raise UsageError(
                f"a region of {grid.nx} × {grid.ny} points is too small for a mesh under squares of {n} × {n}; "
                f"expected more than {n} a side"
            )
        return ProjectedGrid(
            grid.projection,
            math.ceil(grid.nx / n),
            math.ceil(grid.ny / n),
            grid.dx * n,
            grid.dy * n,
            grid.x0 + middle * grid.dx,
            grid.y0 + middle * grid.dy,
        )


@dataclass(frozen=True)
class NetworkLayers:
    """Makes the parts of one graph network (``processors.Layers``).

    Attributes:
        settings: their widths and kinds.
        noise_width: of the embedded noise level; None: not told one.
    """

    settings: LimitedAreaSettings
    noise_width: int | None

    @property
    def width(self) -> int:
        """Of nodes, edges and messages."""
        return self.settings.hidden

    @property
    def evaluation(self) -> Evaluation:
        """How they are computed."""
        return self.settings.evaluation

    def embedder(self, features: int) -> Perceptron:
        """See ``processors.Layers``."""
        return Perceptron(features, self.width, hidden_layers=self.settings.hidden_layers)

    def perceptron(self, entering: int) -> Perceptron:
        """See ``processors.Layers``."""
        return Perceptron(entering, self.width, hidden_layers=self.settings.hidden_layers, noise_width=self.noise_width)

    def passing(self, kind: Kind = "interaction", *, mean: bool = False, receives: bool = True) -> MessagePassing:
        """See ``processors.Layers``."""
        return MessagePassing(
            self.width,
            kind=kind,
            mean=mean,
            hidden_layers=self.settings.hidden_layers,
            noise_width=self.noise_width,
            evaluation=self.evaluation,
            receives=receives,
        )
