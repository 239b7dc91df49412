"""What edges carry into a layer: states that layers update, or ones that follow from their features for good."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from rtma_diffda.backbones.limited_area.edges import Edges
from rtma_diffda.backbones.limited_area.perceptron import Perceptron
from rtma_diffda.backbones.remembered import Remembered

_EDGES_AT_ONCE = 1 << 18


class EdgeStates(Protocol):
    """The states e of a set of edges."""

    def states(self, within: slice) -> Tensor:
        """e (edge, member or 1, width) of the edges ``within``."""

    def projected(self, weight: Tensor, within: slice) -> Tensor:
        """W_e e (edge, member or 1, width) of the edges ``within``."""


@dataclass(frozen=True)
class GivenStates:
    """States that were handed over.

    Attributes:
        values: (edge, member or 1, width).
        product: W_e e, where it is known.
    """

    values: Tensor
    product: Tensor | None = None

    def states(self, within: slice) -> Tensor:
        """See ``EdgeStates``."""
        return self.values[within]

    def projected(self, weight: Tensor, within: slice) -> Tensor:
        """See ``EdgeStates``."""
        return linear(self.values[within], weight) if self.product is None else self.product[within]


class StaticStates(nn.Module):
    """States that are embedded features and never change: one member stands for all.

    Args:
        edges: whose features.
        width: of the states.
        hidden_layers: of the embedder.
        keep: whether W_e e is kept between calls outside training, until weights change.
    """

    def __init__(self, edges: Edges, width: int, *, hidden_layers: int = 1, keep: bool = True) -> None:
        super().__init__()
        self.embedder = Perceptron(edges.distinct.shape[1], width, hidden_layers=hidden_layers)
        self._edges, self._keep = (edges,), keep  # a tuple, so that the edges are not registered twice
        self._kept = Remembered()

    def states(self, within: slice) -> Tensor:
        """See ``EdgeStates``."""
        return self._edges[0].embedded(self.embedder, within)

    def projected(self, weight: Tensor, within: slice) -> Tensor:
        """See ``EdgeStates``."""
        if not self._keep or (torch.is_grad_enabled() and weight.requires_grad):
            return self._edges[0].embedded(lambda features: linear(self.embedder(features), weight), within)
        made_of = (weight, *self.embedder.parameters())
        return self._kept(made_of, lambda: self._products(weight))[within]

    def _products(self, weight: Tensor) -> Tensor:
        """W_e e of all edges, a few at a time: hidden layers of millions of edges would take more memory than they."""
        count = len(self._edges[0])
        slices = (slice(first, first + _EDGES_AT_ONCE) for first in range(0, count, _EDGES_AT_ONCE))
        products = weight.new_empty(0)
        for within in slices:
            part = linear(self.states(within), weight)
            if not products.numel():
                products = part.new_empty(count, *part.shape[1:])
            products[within] = part
        return products

    def forget(self) -> None:
        """Keep nothing, where weights may have been changed behind autograd's back."""
        self._kept.forget()
