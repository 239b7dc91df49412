"""Processors: what the nodes of the mesh do among each other, between encoder and decoder; one for each kind of model.

A flat mesh is one level (GraphLAM; also multi-scale graphs, whose long edges join the nodes of the one level); layers
with weights of their own update its nodes and edges. References: Keisler (2022); Lam et al. (2023); Oskarsson et al.
(2023), arXiv 2309.17370.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from rtma_diffda.backbones.limited_area.edges import Edges
from rtma_diffda.backbones.limited_area.evaluation import Evaluation
from rtma_diffda.backbones.limited_area.graph import EDGE_FEATURES, MESH_FEATURES, LimitedAreaGraph
from rtma_diffda.backbones.limited_area.message_passing import Kind, MessagePassing, recomputed
from rtma_diffda.backbones.limited_area.perceptron import Perceptron


class Layers(Protocol):
    """Makes the perceptrons and layers of one network, which agree in widths, and in how they are computed."""

    @property
    def width(self) -> int:
        """Of nodes, edges and messages."""

    @property
    def evaluation(self) -> Evaluation:
        """How they are computed."""

    def embedder(self, features: int) -> Perceptron:
        """From static features to the width; knows no noise level."""

    def perceptron(self, entering: int) -> Perceptron:
        """To the width; told the noise level where the network is."""

    def passing(self, kind: Kind = "interaction", *, mean: bool = False, receives: bool = True) -> MessagePassing:
        """A layer of message passing."""


class FlatMesh(nn.Module):
    """A mesh of one level.

    Args:
        graph: with one level.
        layers: makes its parts.
        count: layers of message passing.
        mean: whether they take the mean of messages.
    """

    def __init__(self, graph: LimitedAreaGraph, layers: Layers, count: int, *, mean: bool = False) -> None:
        super().__init__()
        self.register_buffer("features", graph.mesh_features[0], persistent=False)
        self.edges = Edges(graph.same_level[0])
        self.mesh_embedder, self.m2m_embedder = layers.embedder(MESH_FEATURES), layers.embedder(EDGE_FEATURES)
        self.processor = nn.ModuleDict({f"module_{i}": layers.passing(mean=mean) for i in range(count)})

    def nodes(self) -> Tensor:
        """(node, 1, width) what the nodes are before anything is sent to them."""
        return self.mesh_embedder(self.features)[:, None]

    def forward(self, nodes: Tensor, noise: Tensor | None = None) -> Tensor:
        """Nodes (node, member, width) after all layers."""
        states = self.edges.embedded(self.m2m_embedder)
        for layer in self.processor.values():
            nodes, states = recomputed(layer, layer, nodes, nodes, states, self.edges, noise)
        return nodes


class MeshState:
    """Nodes and edges of all levels while layers work on them; changed in place.

    Args:
        nodes: by level (node, member, width).
        same, up, down: states of edges within levels, from level l to l + 1, and back.
    """

    def __init__(self, nodes: list[Tensor], same: list[Tensor], up: list[Tensor], down: list[Tensor]) -> None:
        self.nodes, self.same, self.up, self.down = nodes, same, up, down

    def pass_within(self, layer: MessagePassing, level: int, edges: Edges, noise: Tensor | None) -> None:
        """A layer within a level."""
        nodes = self.nodes[level]
        self.nodes[level], self.same[level] = recomputed(layer, layer, nodes, nodes, self.same[level], edges, noise)

    def pass_up(self, layer: MessagePassing, level: int, edges: Edges, noise: Tensor | None) -> None:
        """A layer from ``level`` to the one above."""
        senders, receivers = self.nodes[level], self.nodes[level + 1]
        passed = recomputed(layer, layer, senders, receivers, self.up[level], edges, noise)
        self.nodes[level + 1], self.up[level] = passed

    def pass_down(self, layer: MessagePassing, level: int, edges: Edges, noise: Tensor | None) -> None:
        """A layer to ``level`` from the one above."""
        senders, receivers = self.nodes[level + 1], self.nodes[level]
        passed = recomputed(layer, layer, senders, receivers, self.down[level], edges, noise)
        self.nodes[level], self.down[level] = passed


class HierarchicalLevels(nn.Module):
    """What all hierarchical meshes have: embedded levels and edges, a sweep up before, a sweep down after.

    Args:
        graph: with two levels or more.
        layers: makes its parts.
        up, down: kinds of message passing between levels.
    """

    def __init__(self, graph: LimitedAreaGraph, layers: Layers, *, up: Kind, down: Kind) -> None:
        super().__init__()
        self.levels = graph.levels
        for level, features in enumerate(graph.mesh_features):
            self.register_buffer(f"features_{level}", features, persistent=False)
        self.same, self.up, self.down = (
            nn.ModuleList(map(Edges, edges)) for edges in (graph.same_level, graph.upward, graph.downward)
        )
        self.mesh_embedders = nn.ModuleList(layers.embedder(MESH_FEATURES) for _ in range(self.levels))
        self.mesh_same_embedders = _edge_embedders(layers, self.levels)
        self.mesh_up_embedders = _edge_embedders(layers, self.levels - 1)
        self.mesh_down_embedders = _edge_embedders(layers, self.levels - 1)
        self.mesh_init_gnns = nn.ModuleList(layers.passing(up) for _ in range(self.levels - 1))
        self.mesh_read_gnns = nn.ModuleList(layers.passing(down) for _ in range(self.levels - 1))

    def embedded_level(self, level: int) -> Tensor:
        """(node, 1, width) what the nodes of a level are before anything is sent to them."""
        return self.mesh_embedders[level](self.get_buffer(f"features_{level}"))[:, None]

    def begun(self, bottom: Tensor, noise: Tensor | None) -> MeshState:
        """The state after the first sweep up, from level 0 (node, member, width)."""
        members = bottom.shape[1]
        above = [self.embedded_level(level).expand(-1, members, -1) for level in range(1, self.levels)]
        embedded = (
            [edges.embedded(embed) for embed, edges in zip(embedders, sets, strict=True)]
            for embedders, sets in (
                (self.mesh_same_embedders, self.same),
                (self.mesh_up_embedders, self.up),
                (self.mesh_down_embedders, self.down),
            )
        )
        state = MeshState([bottom, *above], *embedded)
        for level, layer in enumerate(self.mesh_init_gnns):
            state.pass_up(layer, level, self.up[level], noise)
        return state

    def read(self, state: MeshState, noise: Tensor | None) -> Tensor:
        """Level 0 after the last sweep down."""
        for level in reversed(range(self.levels - 1)):
            state.pass_down(self.mesh_read_gnns[level], level, self.down[level], noise)
        return state.nodes[0]


class HierarchicalMesh(nn.Module):
    """Hi-LAM: each layer sweeps down from the top level and up again, along edges between levels and within each.

    Args:
        graph: with two levels or more.
        layers: makes its parts.
        count: of such layers.
        up, down: kinds of message passing between levels.
    """

    def __init__(
        self,
        graph: LimitedAreaGraph,
        layers: Layers,
        count: int,
        *,
        up: Kind = "interaction",
        down: Kind = "interaction",
    ) -> None:
        super().__init__()
        self.hierarchy = HierarchicalLevels(graph, layers, up=up, down=down)
        between, levels = graph.levels - 1, graph.levels
        self.mesh_down_gnns = _stacks(layers, count, between, down)
        self.mesh_down_same_gnns = _stacks(layers, count, levels, "interaction")
        self.mesh_up_gnns = _stacks(layers, count, between, up)
        self.mesh_up_same_gnns = _stacks(layers, count, levels, "interaction")

    def nodes(self) -> Tensor:
        """See ``FlatMesh``: of level 0."""
        return self.hierarchy.embedded_level(0)

    def forward(self, nodes: Tensor, noise: Tensor | None = None) -> Tensor:
        """Nodes of level 0 (node, member, width) after all sweeps."""
        state, h = self.hierarchy.begun(nodes, noise), self.hierarchy
        stacks = (self.mesh_down_gnns, self.mesh_down_same_gnns, self.mesh_up_gnns, self.mesh_up_same_gnns)
        for down, down_same, up, up_same in zip(*stacks, strict=True):
            state.pass_within(down_same[-1], h.levels - 1, h.same[-1], noise)
            for level in reversed(range(h.levels - 1)):
                state.pass_down(down[level], level, h.down[level], noise)
                state.pass_within(down_same[level], level, h.same[level], noise)
            state.pass_within(up_same[0], 0, h.same[0], noise)
            for level in range(h.levels - 1):
                state.pass_up(up[level], level, h.up[level], noise)
                state.pass_within(up_same[level + 1], level + 1, h.same[level + 1], noise)
        return h.read(state, noise)


class ParallelMesh(nn.Module):
    """Hi-LAM-Parallel: each layer sends along all edges within and between levels at once.

    Args:
        graph: with two levels or more.
        layers: makes its parts.
        count: of such layers.
        up, down: kinds of the sweeps before and after.
    """

    def __init__(
        self,
        graph: LimitedAreaGraph,
        layers: Layers,
        count: int,
        *,
        up: Kind = "interaction",
        down: Kind = "interaction",
    ) -> None:
        super().__init__()
        self.hierarchy = HierarchicalLevels(graph, layers, up=up, down=down)
        self.processor = nn.ModuleDict({f"module_{i}": _ParallelLayer(graph.levels, layers) for i in range(count)})

    def nodes(self) -> Tensor:
        """See ``FlatMesh``: of level 0."""
        return self.hierarchy.embedded_level(0)

    def forward(self, nodes: Tensor, noise: Tensor | None = None) -> Tensor:
        """Nodes of level 0 (node, member, width) after all layers."""
        state = self.hierarchy.begun(nodes, noise)
        for layer in self.processor.values():
            layer(state, self.hierarchy, noise)
        return self.hierarchy.read(state, noise)


class _ParallelLayer(nn.Module):
    """One message for every edge, from nodes as they were before, with weights by set of edges; then all nodes."""

    def __init__(self, levels: int, layers: Layers) -> None:
        super().__init__()
        self.sets = nn.ModuleList(layers.passing(receives=False) for _ in range(3 * levels - 2))
        self.receivers = nn.ModuleList(layers.perceptron(2 * layers.width) for _ in range(levels))

    def forward(self, state: MeshState, hierarchy: HierarchicalLevels, noise: Tensor | None) -> None:
        levels = hierarchy.levels
        routes = [
            *((state.same, level, level, level, hierarchy.same[level]) for level in range(levels)),
            *((state.up, level, level, level + 1, hierarchy.up[level]) for level in range(levels - 1)),
            *((state.down, level, level + 1, level, hierarchy.down[level]) for level in range(levels - 1)),
        ]
        totals = [torch.zeros_like(nodes) for nodes in state.nodes]
        for layer, (states, position, sender, receiver, edges) in zip(self.sets, routes, strict=True):
            nodes = state.nodes[sender], state.nodes[receiver]
            messages = recomputed(layer, layer.messages, *nodes, states[position], edges, noise)
            states[position] = states[position] + messages
            totals[receiver] = totals[receiver] + layer.total(messages, edges)
        split = self.sets[0].evaluation.split
        for level, (update, total) in enumerate(zip(self.receivers, totals, strict=True)):
            nodes = state.nodes[level]
            state.nodes[level] = nodes + update.of_parts([nodes, total], noise, split=split)


def _edge_embedders(layers: Layers, count: int) -> nn.ModuleList:
    return nn.ModuleList(layers.embedder(EDGE_FEATURES) for _ in range(count))


def _stacks(layers: Layers, count: int, sets: int, kind: Kind) -> nn.ModuleList:
    return nn.ModuleList(nn.ModuleList(layers.passing(kind) for _ in range(sets)) for _ in range(count))
