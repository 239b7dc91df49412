"""Message passing along one set of edges s → r, with sender x_s, receiver x_r and edge e of one width:

    interaction:  m = MLP_e[e, x_s, x_r],         a_r = Σ m,      x_r ← x_r + MLP_a[x_r, a_r],    e ← e + m
    propagation:  m = x_s + MLP_e[e, x_s, x_r],   a_r = mean m,   x_r ← a_r + MLP_a[x_r, a_r],    e ← e + m

The sum may be a mean too; a receiver without an edge has a_r = 0. Tensors are (node or edge, member, channel); what
does not depend on the member has one member. References: Battaglia et al. (2016); Oskarsson et al. (2024),
arXiv 2406.04759 (propagation).
"""

from collections.abc import Callable
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.utils.checkpoint import checkpoint

from rtma_diffda.backbones.limited_area.edge_states import EdgeStates, GivenStates
from rtma_diffda.backbones.limited_area.edges import Edges, concatenated
from rtma_diffda.backbones.limited_area.evaluation import Evaluation
from rtma_diffda.backbones.limited_area.perceptron import Perceptron

Kind = Literal["interaction", "propagation"]
_Result = TypeVar("_Result")


class MessagePassing(nn.Module):
    """One layer along one set of edges.

    Args:
        width: of nodes, edges and messages.
        kind: interaction or propagation.
        mean: whether interaction takes the mean of the messages; propagation always does.
        hidden_layers: of both perceptrons.
        noise_width: of the embedded noise level; None: not told one.
        evaluation: how it is computed.
        receives: False for a layer that only makes messages (``messages``, ``total``); its receivers have their own.
        float32_sum: whether messages are summed in float32, whatever the precision of the rest.
    """

    def __init__(
        self,
        width: int,
        *,
        kind: Kind = "interaction",
        mean: bool = False,
        hidden_layers: int = 1,
        noise_width: int | None = None,
        evaluation: Evaluation | None = None,
        receives: bool = True,
        float32_sum: bool = False,
    ) -> None:
        super().__init__()
        layers = {"hidden_layers": hidden_layers, "noise_width": noise_width}
        self.edge_mlp = Perceptron(3 * width, width, **layers)
        self.aggr_mlp = Perceptron(2 * width, width, **layers) if receives else None
        self.propagates, self.mean = kind == "propagation", mean or kind == "propagation"
        self.evaluation, self.float32_sum = evaluation or Evaluation(), float32_sum

    def forward(
        self, senders: Tensor, receivers: Tensor, states: Tensor, edges: Edges, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Receivers and edges after the layer.

        Args:
            senders, receivers: (node, member, width).
            states: e (edge, member or 1, width).
            edges: along which.
            noise: (member, noise width).
        """
        passed, messages = self.passed(senders, receivers, GivenStates(states), edges, noise)
        return passed, states + messages

    def passed(
        self, senders: Tensor, receivers: Tensor, states: EdgeStates, edges: Edges, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Receivers after the layer, and messages m (edge, member, width); arguments as for ``received``."""
        everyone = (0, edges.receiver_count)
        messages = self._messages(self.projected(senders), receivers, states, edges, everyone, noise)
        return self._received(receivers, self.total(messages, edges), noise), messages

    def messages(
        self, senders: Tensor, receivers: Tensor, states: Tensor, edges: Edges, noise: Tensor | None = None
    ) -> Tensor:
        """m (edge, member, width); arguments as for ``forward``."""
        everyone = (0, edges.receiver_count)
        return self._messages(self.projected(senders), receivers, GivenStates(states), edges, everyone, noise)

    def total(self, messages: Tensor, edges: Edges, between: tuple[int, int] | None = None) -> Tensor:
        """a (receiver, member, width), of the receivers first … last − 1 of ``between`` or of all."""
        first, last = between or (0, edges.receiver_count)
        if self.float32_sum:
            messages = messages.to(torch.promote_types(messages.dtype, torch.float32))
        return edges.summed(messages, first, last, mean=self.mean, fixed_degree=self.evaluation.fixed_degree)

    def received(
        self, senders: Tensor, receivers: Tensor, states: EdgeStates, edges: Edges, noise: Tensor | None = None
    ) -> Tensor:
        """Receivers after the layer, where edges are not updated; worked through in chunks of receivers.

        Args:
            senders, receivers: (node, member, width); receivers may have one member that stands for all.
            states: e.
            edges: along which.
            noise: (member, noise width).
        """
        projected = self.projected(senders)
        parts = [
            recomputed(self, self.received_slice, projected, receivers[first:last], states, edges, (first, last), noise)
            for first, last in self.evaluation.slices(edges.receiver_count, senders.shape[1])
        ]
        return concatenated(parts)

    def projected(self, senders: Tensor) -> tuple[Tensor, Tensor | None]:
        """The senders, and W_s x_s where the first layer is split."""
        return senders, linear(senders, self._columns()[1]) if self.evaluation.split else None

    def received_slice(
        self,
        senders: tuple[Tensor, Tensor | None],
        receivers: Tensor,
        states: EdgeStates,
        edges: Edges,
        between: tuple[int, int],
        noise: Tensor | None,
    ) -> Tensor:
        """As ``received``, for the receivers first … last − 1 of ``between`` alone, of ``projected`` senders."""
        messages = self._messages(senders, receivers, states, edges, between, noise)
        return self._received(receivers, self.total(messages, edges, between), noise)

    def _messages(
        self,
        senders: tuple[Tensor, Tensor | None],
        receivers: Tensor,
        states: EdgeStates,
        edges: Edges,
        between: tuple[int, int],
        noise: Tensor | None,
    ) -> Tensor:
        first, within, fixed = between[0], edges.of_receivers(*between), self.evaluation.fixed_degree
        nodes, projected = senders
        if projected is not None:
            of_edges, _, of_receivers = self._columns()
            own = linear(receivers, of_receivers, self.edge_mlp.first.bias)
            z = edges.from_senders(projected, within).add_(states.projected(of_edges, within))
            z = edges.added_at_receivers(z, own, first, within, fixed_degree=fixed)
            messages = self.edge_mlp.after_first(z, noise)
        else:
            at_receivers = edges.from_receivers(receivers, first, within, fixed_degree=fixed)
            parts = [states.states(within), edges.from_senders(nodes, within), at_receivers]
            messages = self.edge_mlp.of_parts(parts, noise, split=False)
        return messages + edges.from_senders(nodes, within) if self.propagates else messages

    def _received(self, receivers: Tensor, total: Tensor, noise: Tensor | None) -> Tensor:
        change = self.aggr_mlp.of_parts([receivers, total], noise, split=self.evaluation.split)
        return (total if self.propagates else receivers) + change

    def _columns(self) -> tuple[Tensor, Tensor, Tensor]:
        """W_e, W_s and W_r of the first layer."""
        return self.edge_mlp.first.weight.chunk(3, dim=1)


def recomputed(layer: MessagePassing, function: Callable[..., _Result], *arguments: object) -> _Result:
    """``function`` of the arguments; activations are computed again in the backward pass if its evaluation says so."""
    if layer.evaluation.recompute and torch.is_grad_enabled():
        return checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)
    return function(*arguments)
