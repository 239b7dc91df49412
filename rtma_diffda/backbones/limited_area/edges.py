"""``Edges``: a set of edges on the device, and what is done along it: gathering from nodes, summing into them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from rtma_diffda.backbones.limited_area.graph import EDGE_FEATURES as PLANE_FEATURES
from rtma_diffda.backbones.limited_area.graph import EdgeSet


class Edges(nn.Module):
    """Buffers of an ``EdgeSet``; not part of the weights.

    Tensors along it have shape (edge, member, channel), those at nodes (node, member, channel). Features are kept once
    for every different row: on a regular grid few edges differ.
    """

    def __init__(self, edges: EdgeSet) -> None:
        super().__init__()
        for name in ("senders", "receivers"):
            self.register_buffer(name, getattr(edges, name), persistent=False)
        distinct, which = distinct_rows(edges.features)
        self.register_buffer("distinct", distinct, persistent=False)
        self.register_buffer("which", which, persistent=False)
        self.receiver_count, self.degree, self._offsets = edges.receiver_count, edges.degree, edges.offsets
        share = 1.0 / edges.offsets.diff().clamp(min=1).float()
        self.register_buffer("share", share[:, None, None], persistent=False)

    def __len__(self) -> int:
        return len(self.senders)

    def embedded(self, embedder: Callable[[Tensor], Tensor], within: slice = slice(None)) -> Tensor:
        """(edge, 1, channel) what ``embedder`` makes of features (row, k), worked out once for every different row."""
        if 2 * len(self.distinct) > len(self):
            return embedder(self.distinct.index_select(0, self.which[within]))[:, None]
        return embedder(self.distinct).index_select(0, self.which[within])[:, None]

    def of_receivers(self, first: int, last: int) -> slice:
        """The edges of receivers ``first`` … ``last`` − 1."""
        return slice(int(self._offsets[first]), int(self._offsets[last]))

    def from_senders(self, nodes: Tensor, within: slice) -> Tensor:
        """Values (edge, member, channel) at the senders of the edges ``within``."""
        return nodes.index_select(0, self.senders[within])

    def from_receivers(self, nodes: Tensor, first: int, within: slice, *, fixed_degree: bool) -> Tensor:
        """Values at the receivers of the edges ``within``; ``nodes`` are receivers ``first``, ``first`` + 1, …"""
        if fixed_degree and self.degree is not None:
            repeated = nodes[:, None].expand(-1, self.degree, *nodes.shape[1:])
            return repeated.reshape(-1, *nodes.shape[1:])
        return nodes.index_select(0, self.receivers[within] - first)

    def added_at_receivers(
        self, values: Tensor, nodes: Tensor, first: int, within: slice, *, fixed_degree: bool
    ) -> Tensor:
        """``values`` of the edges ``within``, changed in place, plus those of ``from_receivers``."""
        if fixed_degree and self.degree is not None:
            values.view(len(nodes), self.degree, *values.shape[1:]).add_(nodes[:, None])
            return values
        return values.add_(nodes.index_select(0, self.receivers[within] - first))

    def summed(self, messages: Tensor, first: int, last: int, *, mean: bool, fixed_degree: bool) -> Tensor:
        """Sums (or means) at receivers ``first`` … ``last`` − 1 of their messages; 0 where there is none."""
        if fixed_degree and self.degree is not None:
            total = messages.view(last - first, self.degree, *messages.shape[1:]).sum(dim=1)
        else:
            total = messages.new_zeros(last - first, *messages.shape[1:])
            total = total.index_add(0, self.receivers[self.of_receivers(first, last)] - first, messages)
        return total * self.share[first:last].to(total.dtype) if mean else total


def distinct_rows(features: Tensor) -> tuple[Tensor, Tensor]:
    """The different rows (row, k) of edge features (edge, k), and which of them every edge has (edge,) int64.

    Only displacements in a plane (k = 3) repeat often enough to be looked for.
    """
    if features.shape[1] != PLANE_FEATURES:
        return features, torch.arange(len(features))
    bits = features.contiguous().view(torch.int32).long()
    if not len(bits):
        return features, bits.new_zeros(0)
    keys, which = torch.unique((bits[:, 1] << 32) | (bits[:, 2] & 0xFFFFFFFF), return_inverse=True)
    first = torch.full_like(keys, len(bits)).scatter_reduce_(0, which, torch.arange(len(bits)), "amin")
    return features[first], which


def by_node(values: Tensor) -> Tensor:
    """(member, channel, y, x) → (y · x, member, channel), row by row."""
    return values.flatten(2).permute(2, 0, 1)


def by_member(nodes: Tensor, shape: tuple[int, int]) -> Tensor:
    """(y · x, member, channel) → (member, channel, y, x)."""
    return nodes.permute(1, 2, 0).unflatten(2, shape)


def concatenated(parts: list[Tensor]) -> Tensor:
    """Parts along their nodes; one alone is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)
