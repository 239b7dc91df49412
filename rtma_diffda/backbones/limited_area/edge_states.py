"""What edges carry into a layer: states that layers update, or ones that follow from their features for good."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from rtma_diffda.backbones.limited_area.edges import Edges
from rtma_diffda.backbones.limited_area.graph import EDGE_FEATURES
from rtma_diffda.backbones.limited_area.perceptron import Perceptron


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
    """

    values: Tensor

    def states(self, within: slice) -> Tensor:
        """See ``EdgeStates``."""
        return self.values[within]

    def projected(self, weight: Tensor, within: slice) -> Tensor:
        """See ``EdgeStates``."""
        return linear(self.values[within], weight)


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
        self.embedder = Perceptron(EDGE_FEATURES, width, hidden_layers=hidden_layers)
        self._edges, self._keep = (edges,), keep  # a tuple, so that the edges are not registered twice
        self._kept: tuple[tuple[object, ...], Tensor] | None = None

    def states(self, within: slice) -> Tensor:
        """See ``EdgeStates``."""
        return self._edges[0].embedded(self.embedder, within)

    def projected(self, weight: Tensor, within: slice) -> Tensor:
        """See ``EdgeStates``."""
        if not self._keep or torch.is_grad_enabled():
            return self._edges[0].embedded(lambda features: linear(self.embedder(features), weight), within)
        made_of = self._made_of(weight)
        if self._kept is None or self._kept[0] != made_of:
            self._kept = (made_of, linear(self.states(slice(None)), weight))
        return self._kept[1][within]

    def _made_of(self, weight: Tensor) -> tuple[object, ...]:
        """Changes whenever what is kept would: other or updated weights, another device or precision."""
        device = weight.device.type
        precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        tensors = (weight, *self.embedder.parameters())
        return (precision, *((tensor.data_ptr(), tensor._version) for tensor in tensors))
