"""``GraphNetwork``: encode, process, decode (GraphLAM, Hi-LAM, Hi-LAM-Parallel), with boundary nodes or without.

    g = embed(grid input),  b = embed(boundary input)
    m ← grid-to-mesh([g, b], m)          g ← g + MLP(g)
    m ← processor(m)
    g ← mesh-to-grid(m, g)               answer = MLP(g)          at the points of the region

Boundary nodes send to the mesh and receive nothing. Told a noise level, every LayerNorm but those of static features
takes its scale and shift from it. References: Oskarsson et al. (2023), arXiv 2309.17370; Adamov et al. (2025), arXiv
2504.09340 (boundary nodes); Larsson et al. (2025), arXiv 2502.07532 (denoiser).
"""

import torch
from torch import Tensor, nn

from rtma_diffda.backbones.limited_area.edge_states import StaticStates
from rtma_diffda.backbones.limited_area.edges import Edges, concatenated
from rtma_diffda.backbones.limited_area.graph import LimitedAreaGraph
from rtma_diffda.backbones.limited_area.message_passing import recomputed
from rtma_diffda.backbones.limited_area.perceptron import Perceptron
from rtma_diffda.backbones.limited_area.processors import FlatMesh, HierarchicalMesh, ParallelMesh
from rtma_diffda.backbones.limited_area.settings import LimitedAreaSettings, NetworkLayers
from rtma_diffda.backbones.noise_level import NoiseLevelEmbedding
from rtma_diffda.errors import UsageError


class GraphNetwork(nn.Module):
    """The network of ``settings`` on ``graph``; tensors are (node, member, channel).

    Raises:
        UsageError: a mesh that does not fit the graph, or boundary channels without boundary nodes.
    """

    def __init__(self, settings: LimitedAreaSettings, graph: LimitedAreaGraph) -> None:
        super().__init__()
        _require_fit(settings, graph)
        self.settings, self.interior_count, self.boundary_count = settings, graph.interior_count, graph.boundary_count
        noise_width = 2 * settings.hidden if settings.noise_level else None
        layers = NetworkLayers(settings, noise_width)
        evaluation, depth = settings.evaluation, {"hidden_layers": settings.hidden_layers}
        self.embedding = None if noise_width is None else NoiseLevelEmbedding(noise_width)
        self.grid_embedder = layers.perceptron(settings.in_channels)
        self.boundary_embedder = layers.perceptron(settings.boundary_channels) if settings.boundary_channels else None
        self.g2m_edges, self.m2g_edges = Edges(graph.grid_to_mesh), Edges(graph.mesh_to_grid)
        self.g2m_states, self.m2g_states = (
            StaticStates(edges, settings.hidden, keep=evaluation.keep_static, **depth)
            for edges in (self.g2m_edges, self.m2g_edges)
        )
        self.g2m_gnn, self.m2g_gnn = layers.passing(settings.grid_to_mesh), layers.passing(settings.mesh_to_grid)
        self.encoding_grid_mlp = layers.perceptron(settings.hidden)
        self.mesh = _mesh(settings, graph, layers)
        self.output_map = Perceptron(settings.hidden, settings.hidden, settings.out_channels, normalised=False, **depth)

    def forward(self, values: Tensor, sigma: Tensor | None = None, boundary: Tensor | None = None) -> Tensor:
        """The answer (node, member, out) at the points of the region.

        Args:
            values: (node, member, in) at the points of the region.
            sigma: (member,) noise level > 0, for a network that is told one, and only then.
            boundary: (boundary node, member, boundary channels), for a network with boundary nodes, and only then.

        Raises:
            UsageError: other numbers of nodes or channels, a boundary or noise level missing or not asked for.
        """
        self._check(values, sigma, boundary)
        noise = None if self.embedding is None else self.embedding(sigma.to(values))
        embedded = self.embedded(values, noise)
        mesh = self.encoded(embedded, noise, boundary)
        mesh = self.mesh(mesh, noise)
        kept = None if self.settings.evaluation.chunk else embedded
        return self.decoded(mesh, values, noise, kept)

    def embedded(self, values: Tensor, noise: Tensor | None) -> Tensor:
        """g (node, member, hidden)."""
        slices = self.settings.evaluation.slices(len(values), values.shape[1])
        parts = [self._recomputed(self.grid_embedder, values[first:last], noise) for first, last in slices]
        return concatenated(parts)

    def encoded(self, embedded: Tensor, noise: Tensor | None = None, boundary: Tensor | None = None) -> Tensor:
        """Level 0 of the mesh (node, member, hidden) after what the grid has sent to it."""
        if self.boundary_embedder is not None:
            embedded = torch.cat([embedded, self.boundary_embedder(boundary, noise)])
        nodes = self.mesh.nodes().expand(-1, embedded.shape[1], -1)
        return self.g2m_gnn.received(embedded, nodes, self.g2m_states, self.g2m_edges, noise)

    def decoded(self, mesh: Tensor, values: Tensor, noise: Tensor | None, embedded: Tensor | None) -> Tensor:
        """The answer (node, member, out); points that are not given ``embedded`` are embedded anew, in chunks."""
        projected = self.m2g_gnn.projected(mesh)
        parts = []
        for first, last in self.settings.evaluation.slices(len(values), values.shape[1]):
            given = None if embedded is None else embedded[first:last]
            parts.append(self._recomputed(self._decoded, projected, values[first:last], given, (first, last), noise))
        return concatenated(parts)

    def _decoded(
        self,
        mesh: tuple[Tensor, Tensor | None],
        values: Tensor,
        embedded: Tensor | None,
        between: tuple[int, int],
        noise: Tensor | None,
    ) -> Tensor:
        nodes = self.grid_embedder(values, noise) if embedded is None else embedded
        nodes = nodes + self.encoding_grid_mlp(nodes, noise)
        nodes = self.m2g_gnn.received_slice(mesh, nodes, self.m2g_states, self.m2g_edges, between, noise)
        return self.output_map(nodes)

    def _recomputed(self, function, *arguments: object) -> Tensor:
        return recomputed(self.m2g_gnn, function, *arguments)

    def _check(self, values: Tensor, sigma: Tensor | None, boundary: Tensor | None) -> None:
        s = self.settings
        if values.ndim != 3 or values.shape[::2] != (self.interior_count, s.in_channels):
            raise UsageError(
                f"this graph network takes ({self.interior_count} nodes, member, {s.in_channels} channels); found "
                f"{tuple(values.shape)}"
            )
        if (sigma is None) == s.noise_level:
            told = "is told a" if s.noise_level else "takes no"
            raise UsageError(f"this graph network {told} noise level; found {'none' if sigma is None else 'one'}")
        expected = (self.boundary_count, values.shape[1], s.boundary_channels) if s.boundary_channels else None
        found = None if boundary is None else tuple(boundary.shape)
        if found != expected:
            raise UsageError(f"this graph network takes {_described(expected)}; found {_described(found)}")


def _described(shape: tuple[int, ...] | None) -> str:
    return (
        "no boundary" if shape is None else f"a boundary of {shape[0]} nodes × {shape[1]} members × {shape[2]} channels"
    )


def _mesh(settings: LimitedAreaSettings, graph: LimitedAreaGraph, layers: NetworkLayers) -> nn.Module:
    count = settings.processor_layers
    if settings.mesh == "flat":
        return FlatMesh(graph, layers, count, mean=settings.mean)
    made = HierarchicalMesh if settings.mesh == "hierarchical" else ParallelMesh
    return made(graph, layers, count, up=settings.up, down=settings.down)


def _require_fit(settings: LimitedAreaSettings, graph: LimitedAreaGraph) -> None:
    if (graph.levels == 1) != (settings.mesh == "flat"):
        raise UsageError(f"a {settings.mesh} mesh does not fit a graph of {graph.levels} mesh levels")
    if bool(settings.boundary_channels) != bool(graph.boundary_count):
        raise UsageError(
            f"a network with {settings.boundary_channels} boundary channels does not fit a graph with "
            f"{graph.boundary_count} boundary nodes"
        )
