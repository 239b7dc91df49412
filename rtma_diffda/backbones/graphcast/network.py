"""``GraphCastNetwork``: encode, process, decode.

    g = MLP[inputs, grid features],   m = MLP[0, mesh features],   edges = MLP[edge features]
    m ← m + MLP[m, Σ messages from g]          g ← g + MLP[g]                      grid to mesh
    m ← m + MLP[m, Σ messages from m],         edges ← edges + messages            mesh, k times, own weights each
    g ← g + MLP[g, Σ messages from m]          answer = MLP[g]                     mesh to grid

Nothing here knows units: inputs are normalised, and so is the answer. The inputs of mesh nodes are zeros as wide as
those of the grid; their columns are kept, and not multiplied. So are the weights of the last update of mesh nodes,
whose result nobody uses. Reference: Lam et al. (2023), arXiv 2212.12794, section 3.
"""

from collections.abc import Callable

from torch import Tensor, nn

from rtma_diffda.backbones.graphcast.graph import GraphCastGraph
from rtma_diffda.backbones.graphcast.processor import Processor
from rtma_diffda.backbones.graphcast.settings import GraphCastSettings
from rtma_diffda.backbones.graphcast.structural_features import NODE_FEATURES
from rtma_diffda.backbones.limited_area.edge_states import StaticStates
from rtma_diffda.backbones.limited_area.edges import Edges, by_member, by_node, concatenated
from rtma_diffda.backbones.limited_area.message_passing import MessagePassing, recomputed
from rtma_diffda.backbones.limited_area.perceptron import Perceptron
from rtma_diffda.backbones.remembered import Remembered
from rtma_diffda.errors import UsageError


class GraphCastNetwork(nn.Module):
    """The network on the grid of ``graph``.

    Args:
        settings: its shape, and how it is computed.
        graph: grid, mesh and edges.
        in_channels, out_channels: of the stacked input and the answer.
    """

    def __init__(
        self, settings: GraphCastSettings, graph: GraphCastGraph, *, in_channels: int, out_channels: int
    ) -> None:
        super().__init__()
        self.settings, self.in_channels, self.out_channels = settings, in_channels, out_channels
        self.grid_shape = graph.grid_shape
        width, layers = settings.latent_size, {"hidden_layers": settings.hidden_layers}
        for name in ("grid_features", "mesh_features"):
            self.register_buffer(name, getattr(graph, name), persistent=False)
        self.grid_embedder = Perceptron(in_channels + NODE_FEATURES, width, **layers)
        self.mesh_embedder = Perceptron(in_channels + NODE_FEATURES, width, **layers)
        self.to_mesh_edges, self.to_grid_edges = Edges(graph.grid_to_mesh), Edges(graph.mesh_to_grid)
        keep = settings.evaluation.keep_static
        self.to_mesh_states = StaticStates(self.to_mesh_edges, width, keep=keep, **layers)
        self.to_mesh = MessagePassing(width, evaluation=settings.evaluation, float32_sum=True, **layers)
        self.encoding_grid = Perceptron(width, width, **layers)
        self.processor = Processor(settings, graph.mesh)
        self.to_grid_states = StaticStates(self.to_grid_edges, width, keep=keep, **layers)
        self.to_grid = MessagePassing(width, evaluation=settings.evaluation, **layers)
        self.decoding_mesh = Perceptron(width, width, **layers)  # nobody uses its answer; see above
        self.output_map = Perceptron(width, width, out_channels, normalised=False, **layers)
        self._mesh_nodes = Remembered()
        self.apply(_as_haiku)

    def forward(self, values: Tensor) -> Tensor:
        """The answer (member, out, y, x), normalised, in the task's order.

        Args:
            values: (member, in, y, x) stacked input, normalised.

        Raises:
            UsageError: other channels, or another grid.
        """
        expected = (self.in_channels, *self.grid_shape)
        if values.ndim != 4 or values.shape[1:] != expected:
            raise UsageError(f"this GraphCast network takes (member, *{expected}); found {tuple(values.shape)}")
        grid = self.embedded(by_node(values))
        mesh = self.processor(self.encoded(grid))
        return by_member(self.decoded(mesh, grid), self.grid_shape).to(values.dtype)

    def embedded(self, values: Tensor) -> Tensor:
        """g (grid node, member, latent) of stacked inputs (grid node, member, in)."""
        features = self.grid_features[:, None]

        def of_slice(values: Tensor, features: Tensor) -> Tensor:
            return self.grid_embedder.of_parts([values, features], split=self.settings.evaluation.split)

        return self._by_grid_node(of_slice, values.shape[1], values, features)

    def encoded(self, grid: Tensor) -> Tensor:
        """m (mesh node, member, latent) after what embedded grid nodes ``grid`` have sent."""
        mesh, edges = self.mesh_nodes(), self.to_mesh_edges
        projected = self.to_mesh.projected(grid)
        share = max(1, len(grid) // len(mesh))  # chunks of as many edges as the decoder's
        parts = [
            recomputed(
                *(self.to_mesh, self.to_mesh.received_slice),
                *(projected, mesh[first:last], self.to_mesh_states, edges, (first, last), None),
            )
            for first, last in self.settings.evaluation.slices(len(mesh), share * grid.shape[1])
        ]
        return concatenated(parts)

    def decoded(self, mesh: Tensor, grid: Tensor) -> Tensor:
        """The answer (grid node, member, out) from processed mesh nodes and embedded grid nodes."""
        projected = self.to_grid.projected(mesh)

        def of_slice(nodes: Tensor, first: int) -> Tensor:
            between = (first, first + len(nodes))
            encoded = self.encoded_grid(nodes)
            received = self.to_grid.received_slice(
                projected, encoded, self.to_grid_states, self.to_grid_edges, between, None
            )
            return self.output_map(received)

        parts = [
            recomputed(self.to_grid, of_slice, grid[first:last], first)
            for first, last in self.settings.evaluation.slices(len(grid), grid.shape[1])
        ]
        return concatenated(parts)

    def encoded_grid(self, grid: Tensor) -> Tensor:
        """g after the encoder, of embedded grid nodes: they receive nothing."""
        return grid + self.encoding_grid(grid)

    def mesh_nodes(self) -> Tensor:
        """m (mesh node, 1, latent) before anything is sent to the mesh; the same for every member."""

        def make() -> Tensor:
            first = self.mesh_embedder.first
            columns = first.weight[:, self.in_channels :]
            entered = nn.functional.linear(self.mesh_features, columns, first.bias)
            return self.mesh_embedder.after_first(entered)[:, None]

        return self._mesh_nodes(self.mesh_embedder.parameters(), make)

    def forget(self) -> None:
        """Make anew what is kept between calls, where weights may have been changed behind autograd's back."""
        for kept in (self.to_mesh_states, self.to_grid_states, self.processor, self._mesh_nodes):
            kept.forget()

    def train(self, mode: bool = True) -> "GraphCastNetwork":
        """As of every module; what is kept is forgotten."""
        self.forget()
        return super().train(mode)

    def _apply(self, function: Callable[[Tensor], Tensor], recurse: bool = True) -> "GraphCastNetwork":
        self.forget()
        return super()._apply(function, recurse)

    def _by_grid_node(self, function: Callable[..., Tensor], members: int, *values: Tensor) -> Tensor:
        slices = self.settings.evaluation.slices(len(values[0]), members)
        parts = [recomputed(self.to_grid, function, *(part[first:last] for part in values)) for first, last in slices]
        return concatenated(parts)


def _as_haiku(layer: nn.Module) -> None:
    """Weights of linear layers as the published code draws them: normal within 2 σ, σ = 1/√in; no bias."""
    if isinstance(layer, nn.Linear):
        spread = layer.in_features**-0.5
        nn.init.trunc_normal_(layer.weight, std=spread, a=-2.0 * spread, b=2.0 * spread)
        nn.init.zeros_(layer.bias)
