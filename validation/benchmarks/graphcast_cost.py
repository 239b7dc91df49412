"""What a step of GraphCast costs in arithmetic, and what bounds its time on an H200; for ``graphcast.py``.

A linear layer costs 2 · rows · in · out. As published, every edge multiplies edge, sender and receiver (3 D²), and
nothing is kept between steps. With savings, senders and receivers are multiplied once a node, and what does not depend
on the weather is kept: embedded edges and mesh nodes, and the part of the former in the first layers of encoder,
decoder and the first step. The last update of mesh nodes, whose result nobody uses, is left out in both.
"""

from dataclasses import dataclass

from rtma_diffda.backbones.graphcast.backbone import GraphCastBackbone

TENSOR_CORES = 790e12
"""FLOP/s in bfloat16 measured on an H200; its data sheet says 989e12."""
TRAFFIC_SECONDS = {"GraphCast": 0.066, "GraphCast_operational": 0.066, "GraphCast_small": 0.009}
"""Of a step in bfloat16 on an H200 (4.3e12 bytes/s), if every operation writes its result to memory."""
WITHIN_REACH = {"GraphCast": 0.15, "GraphCast_operational": 0.15, "GraphCast_small": 0.02}
"""Seconds of a step without gradients in bfloat16 on an H200, estimated for operations that are not fused."""


@dataclass(frozen=True)
class Cost:
    """FLOP of a step of one member.

    Attributes:
        published: in the order of the published code.
        saved: with both savings.
    """

    published: float
    saved: float


def cost_of(backbone: GraphCastBackbone) -> Cost:
    """The cost on the backbone's grid."""
    graph, settings = backbone.graph, backbone.settings
    width, deep = settings.latent_size, settings.hidden_layers
    grid, mesh = len(graph.grid_features), len(graph.mesh_features)
    to_mesh, within, to_grid = len(graph.grid_to_mesh), len(graph.mesh), len(graph.mesh_to_grid)
    steps = settings.message_steps

    def perceptron(rows: int, entering: float, leaving: int = width) -> float:
        """Of a perceptron; 0 entering: what follows its first layer."""
        return 2.0 * rows * (entering * width + (deep - 1) * width**2 + width * leaving)

    entering = backbone.in_channels + 3
    nodes = perceptron(grid, entering) + perceptron(grid, width) + perceptron(grid, 2 * width)
    nodes += perceptron(grid, width, backbone.out_channels) + (1 + steps) * perceptron(mesh, 2 * width)
    embedded = perceptron(mesh, entering) + sum(perceptron(edges, 4) for edges in (to_mesh, within, to_grid))
    messages = perceptron(to_mesh, 3 * width) + perceptron(to_grid, 3 * width) + steps * perceptron(within, 3 * width)
    at_nodes = 2.0 * width**2 * (grid + mesh + 2 * steps * mesh + mesh + grid)
    at_edges = perceptron(to_mesh, 0) + perceptron(to_grid, 0) + perceptron(within, 0)
    at_edges += (steps - 1) * perceptron(within, width)
    return Cost(nodes + embedded + messages, nodes + at_nodes + at_edges)
