"""``Processor``: messages among the nodes of the multi-mesh, in steps with weights of their own.

    m_e = MLP_k[e, x_s, x_r],   x_r ← x_r + MLP_k[x_r, Σ m_e],   e ← e + m_e,        k = 1 … steps

Reference: Lam et al. (2023), arXiv 2212.12794, section 3.6.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from rtma_diffda.backbones.graphcast.settings import GraphCastSettings
from rtma_diffda.backbones.graphcast.structural_features import EDGE_FEATURES
from rtma_diffda.backbones.limited_area.edge_states import EdgeStates, GivenStates
from rtma_diffda.backbones.limited_area.edges import Edges
from rtma_diffda.backbones.limited_area.graph import EdgeSet
from rtma_diffda.backbones.limited_area.message_passing import MessagePassing, recomputed
from rtma_diffda.backbones.limited_area.perceptron import Perceptron
from rtma_diffda.backbones.remembered import Remembered


class Processor(nn.Module):
    """Steps on the mesh.

    Args:
        settings: their number, width and way of computing.
        mesh: edges of the multi-mesh.
    """

    def __init__(self, settings: GraphCastSettings, mesh: EdgeSet) -> None:
        super().__init__()
        width, layers = settings.latent_size, {"hidden_layers": settings.hidden_layers}
        self.edges, self.evaluation = Edges(mesh), settings.evaluation
        self.edge_embedder = Perceptron(EDGE_FEATURES, width, **layers)
        steps = (MessagePassing(width, evaluation=settings.evaluation, **layers) for _ in range(settings.message_steps))
        self.steps = nn.ModuleList(steps)
        self._embedded, self._product = Remembered(), Remembered()

    def forward(self, nodes: Tensor) -> Tensor:
        """Mesh nodes (node, member, latent) after all steps."""
        return self.traced(nodes)[0][-1]

    def traced(self, nodes: Tensor) -> tuple[list[Tensor], Tensor]:
        """Mesh nodes after each step, and edges (edge, member, latent) after the last, in the order of ``edges``."""
        states, after = self._first_states(), []
        for step in self.steps:
            nodes, messages = recomputed(step, step.passed, nodes, nodes, states, self.edges)
            after.append(nodes)
            values = states.values + messages if torch.is_grad_enabled() else messages.add_(states.values)
            states = GivenStates(values)
        return after, states.values

    def forget(self) -> None:
        """See ``GraphCastNetwork``."""
        self._embedded.forget()
        self._product.forget()

    def _first_states(self) -> EdgeStates:
        """Embedded edges, and their part in the first step's messages: the same for every weather."""
        weights = tuple(self.edge_embedder.parameters())
        if not self.evaluation.keep_static:
            return GivenStates(self.edges.embedded(self.edge_embedder))
        embedded = self._embedded(weights, lambda: self.edges.embedded(self.edge_embedder))
        of_edges = self.steps[0].edge_mlp.first.weight
        columns = of_edges.shape[1] // 3

        def product() -> Tensor:
            return linear(embedded, of_edges[:, :columns])

        return GivenStates(embedded, self._product((of_edges, *weights), product) if self.evaluation.split else None)
