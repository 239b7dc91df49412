"""Message passing by hand: two senders, three receivers of which one has no edge."""

import pytest
import torch

from rtma_diffda.backbones.limited_area.edges import Edges, distinct_rows
from rtma_diffda.backbones.limited_area.evaluation import Evaluation
from rtma_diffda.backbones.limited_area.graph import EdgeSet
from rtma_diffda.backbones.limited_area.message_passing import MessagePassing

WIDTH, SENDERS, RECEIVERS = 4, [0, 1, 1], [0, 0, 2]


def seeded(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def edges() -> Edges:
    return Edges(EdgeSet(torch.tensor(SENDERS), torch.tensor(RECEIVERS), torch.zeros(3, 3), 2, 3))


def by_hand(layer: MessagePassing, senders, receivers, states, *, kind: str, mean: bool):
    """Edge by edge."""
    messages = []
    for edge, (s, r) in enumerate(zip(SENDERS, RECEIVERS, strict=True)):
        m = layer.edge_mlp(torch.cat([states[edge], senders[s], receivers[r]], dim=-1))
        messages.append(senders[s] + m if kind == "propagation" else m)
    found = []
    for r, x in enumerate(receivers):
        own = [m for m, receiver in zip(messages, RECEIVERS, strict=True) if receiver == r]
        total = sum(own, torch.zeros_like(x)) / (max(len(own), 1) if mean or kind == "propagation" else 1)
        change = layer.aggr_mlp(torch.cat([x, total], dim=-1))
        found.append((total if kind == "propagation" else x) + change)
    return torch.stack(found), states + torch.stack(messages)


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize(("kind", "mean"), [("interaction", False), ("interaction", True), ("propagation", False)])
def test_equals_the_sum_edge_by_edge(kind, mean, split):
    torch.manual_seed(0)
    layer = MessagePassing(WIDTH, kind=kind, mean=mean, evaluation=Evaluation(split=split))
    senders, receivers, states = seeded(2, 3, WIDTH, seed=1), seeded(3, 3, WIDTH, seed=2), seeded(3, 3, WIDTH, seed=3)
    expected = by_hand(layer, senders, receivers, states, kind=kind, mean=mean)
    for found, wanted in zip(layer(senders, receivers, states, edges()), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_sums_by_reshape_equal_scattered_ones():
    even = Edges(EdgeSet(torch.tensor([0, 1, 1, 0]), torch.tensor([0, 0, 1, 1]), torch.zeros(4, 3), 2, 2))
    messages = seeded(4, 2, WIDTH, seed=5)
    assert even.degree == 2
    for mean in (False, True):
        sums = [even.summed(messages, 0, 2, mean=mean, fixed_degree=fixed) for fixed in (True, False)]
        torch.testing.assert_close(*sums)
    second = even.summed(messages[2:], 1, 2, mean=False, fixed_degree=False)
    torch.testing.assert_close(second[0], messages[2] + messages[3])


def test_features_are_embedded_once_for_every_different_row():
    features = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, -1.0], [1.0, 1.0, 0.0], [1.0, 0.0, -1.0], [1.0, 0.0, 1.0]])
    distinct, which = distinct_rows(features)
    assert len(distinct) == 3
    torch.testing.assert_close(distinct[which], features)
    repeated = Edges(EdgeSet(torch.zeros(8, dtype=int), torch.arange(8), features[:2].repeat(4, 1), 1, 8))
    seen = []

    def embedder(rows: torch.Tensor) -> torch.Tensor:
        seen.append(len(rows))
        return 2.0 * rows

    torch.testing.assert_close(repeated.embedded(embedder)[:, 0], 2.0 * features[:2].repeat(4, 1))
    torch.testing.assert_close(repeated.embedded(embedder, slice(3, 6))[:, 0], 2.0 * features[:2].repeat(4, 1)[3:6])
    assert seen == [2, 2]
