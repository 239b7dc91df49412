"""The network: symmetries, gradients, ways of computing it, what is kept between calls, and its initial weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_graphcast import PLAIN, computed, globe, small_backbone, small_graphcast, small_settings, stacked
from torch import nn

from rtma_diffda.backbones.graphcast.graph_builder import build_graph
from rtma_diffda.backbones.limited_area.evaluation import Evaluation
from rtma_diffda.errors import UsageError

WAYS = {
    "default": Evaluation(),
    "split": replace(PLAIN, split=True),
    "fixed degree": replace(PLAIN, fixed_degree=True),
    "static": replace(PLAIN, keep_static=True),
    "chunks": Evaluation(chunk=37),
    "recomputed": Evaluation(recompute=True),
    "recomputed chunks": Evaluation(chunk=50, recompute=True),
}


@pytest.fixture(scope="module")
def backbone():
    return small_backbone()


@pytest.fixture(scope="module")
def network(backbone):
    return small_graphcast(backbone)


def gradients(network, values):
    network.zero_grad()
    answer = network(values)
    (answer * torch.linspace(-1, 1, answer.shape[-1])).square().mean().backward()
    return answer.detach(), {n: w.grad for n, w in network.named_parameters() if w.grad is not None}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_computing_gives_the_same(network, backbone, way):
    values = stacked(backbone, members=3)
    plain, other = computed(network, backbone, PLAIN), computed(network, backbone, WAYS[way])
    expected, expected_gradients = gradients(plain, values)
    found, found_gradients = gradients(other, values)
    with torch.no_grad():
        calm = other(values)
    assert torch.allclose(found, expected, atol=2e-5) and torch.allclose(calm, expected, atol=2e-5)
    assert found_gradients.keys() == expected_gradients.keys()
    for name, gradient in expected_gradients.items():
        scale = float(gradient.abs().max())
        assert torch.allclose(found_gradients[name], gradient, atol=1e-4 * scale + 1e-9), name


def test_gradients_are_derivatives(backbone):
    """Against a difference quotient in float64, along a random direction of weights and input together."""
    network, values = small_graphcast(backbone).double(), stacked(backbone, members=1).double()
    generator = torch.Generator().manual_seed(5)
    weights = [w for n, w in network.named_parameters() if not n.startswith("decoding_mesh")]
    directions = [torch.randn(w.shape, generator=generator, dtype=w.dtype) for w in weights]
    toward = torch.randn(values.shape, generator=generator, dtype=values.dtype)

    def at(step: float) -> float:
        with torch.no_grad():
            for weight, direction in zip(weights, directions, strict=True):
                weight += step * direction
            found = float(network(values + step * toward).sin().sum())
            for weight, direction in zip(weights, directions, strict=True):
                weight -= step * direction
        return found

    inputs = values.clone().requires_grad_()
    network(inputs).sin().sum().backward()
    slope = sum((w.grad * d).sum() for w, d in zip(weights, directions, strict=True)) + (inputs.grad * toward).sum()
    assert float(slope) == pytest.approx((at(1e-6) - at(-1e-6)) / 2e-6, rel=1e-5)


def test_a_gradient_reaches_every_weight_that_is_used(network, backbone):
    _, found = gradients(network, stacked(backbone, members=1))
    without = {n for n, w in network.named_parameters() if n not in found or not found[n].abs().max() > 0}
    assert without == {n for n, _ in network.named_parameters() if n.startswith("decoding_mesh")}
    padding = found["mesh_embedder.0.weight"][:, : backbone.in_channels]
    assert not padding.any() and found["mesh_embedder.0.weight"][:, backbone.in_channels :].any()


def test_columns_of_the_mesh_nodes_zeros_do_not_matter(network, backbone):
    other = computed(network, backbone, Evaluation())
    with torch.no_grad():
        other.mesh_embedder.first.weight[:, : backbone.in_channels] = 7.0
        assert torch.equal(other(stacked(backbone)), network(stacked(backbone)))


def test_members_do_not_see_each_other(network, backbone):
    values = stacked(backbone, members=3)
    with torch.no_grad():
        together, alone = network(values), torch.cat([network(value[None]) for value in values])
    assert torch.allclose(together, alone, atol=1e-5)


def test_renamed_mesh_nodes_give_the_same_answer(network, backbone):
    """Nodes are told apart by their features and edges alone."""
    graph, values = backbone.graph, stacked(backbone, members=1)
    order = torch.randperm(42, generator=torch.Generator().manual_seed(3))
    name = torch.empty_like(order)
    name[order] = torch.arange(42)

    def renamed(edges, *, senders=False, receivers=False):
        ends = (
            name[edges.senders] if senders else edges.senders,
            name[edges.receivers] if receivers else edges.receivers,
        )
        counts = {"sender_count": edges.sender_count, "receiver_count": edges.receiver_count}
        return type(edges).sorted(*ends, edges.features, **counts)

    other = replace(
        graph,
        mesh_features=graph.mesh_features[order],
        grid_to_mesh=renamed(graph.grid_to_mesh, receivers=True),
        mesh=renamed(graph.mesh, senders=True, receivers=True),
        mesh_to_grid=renamed(graph.mesh_to_grid, senders=True),
    )
    moved = replace(backbone, stored=other).network().eval()
    moved.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert torch.allclose(moved(values), network(values), atol=1e-5)


def test_a_turned_globe_gives_a_turned_answer():
    """By 120 degrees the mesh comes upon itself; without the nodes' longitudes nothing else tells east from west."""
    backbone = replace(small_backbone(), grid=globe(15.0))
    graph = backbone.graph
    blind = replace(
        graph,
        grid_features=graph.grid_features * torch.tensor([1.0, 0.0, 0.0]),
        mesh_features=graph.mesh_features * torch.tensor([1.0, 0.0, 0.0]),
    )
    backbone = replace(backbone, stored=blind)
    network, values = small_graphcast(backbone), stacked(backbone, members=1)
    with torch.no_grad():
        turned = network(values.roll(8, dims=-1)).roll(-8, dims=-1)
        difference = (turned - network(values)).abs().amax(dim=(0, 1))
    assert float(difference.median()) < 1e-4  # ties in mesh-to-grid edges go another way


def test_what_is_kept_follows_the_weights(network, backbone):
    values = stacked(backbone)
    kept, fresh = (computed(network, backbone, Evaluation(keep_static=keep)) for keep in (True, False))
    with torch.no_grad():
        for step in range(3):
            for other in (kept, fresh):
                for weight in other.parameters():
                    weight.mul_(1.0 + 0.1 * step)
            assert torch.allclose(kept(values), fresh(values), atol=2e-5)
        before = kept(values)
        kept.to_mesh_states.embedder.first.weight.data.zero_()  # behind autograd's back
        kept.train().eval()
        assert not torch.allclose(kept(values), before, atol=1e-3)
        kept.double()
        assert kept(values.double()).dtype == torch.float64


def test_what_is_kept_outside_serves_inference_mode_and_gradients_of_the_input(network, backbone):
    other, values = computed(network, backbone, Evaluation()), stacked(backbone, members=1)
    with torch.inference_mode():
        expected = other(values).clone()
    other.requires_grad_(False)
    values.requires_grad_()
    found = other(values)
    found.sum().backward()
    assert torch.allclose(found.detach(), expected, atol=1e-6) and values.grad.abs().max() > 0


def test_bfloat16_is_near_and_sums_to_the_mesh_are_in_float32(network, backbone):
    values, seen = stacked(backbone), []
    total = network.to_mesh.total
    network.to_mesh.total = lambda *args, **kwargs: seen.append(total(*args, **kwargs)) or seen[-1]
    try:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            rounded = network(values)
    finally:
        del network.to_mesh.total
    with torch.no_grad():
        exact = network(values)
    assert rounded.dtype == torch.float32 and seen[0].dtype == torch.float32
    error = (rounded - exact).square().mean().sqrt() / exact.std()
    assert 1e-4 < float(error) < 0.05


def test_initial_weights_are_drawn_as_the_published_code_draws_them():
    network = replace(small_backbone(), settings=small_settings(latent_size=128)).network()
    for layer in (layer for layer in network.modules() if isinstance(layer, nn.Linear)):
        spread = layer.in_features**-0.5
        assert float(layer.weight.detach().abs().max()) <= 2 * spread + 1e-6 and not layer.bias.any()
    weight = network.processor.steps[0].edge_mlp.first.weight.detach()
    truncated = 0.8796 * weight.shape[1] ** -0.5  # standard deviation of a normal number cut at 2 σ
    assert float(weight.std()) == pytest.approx(truncated, rel=0.02)


def test_other_channels_or_grids_are_refused(network, backbone):
    with pytest.raises(UsageError, match="takes"):
        network(stacked(backbone)[:, 1:])
    with pytest.raises(UsageError, match="takes"):
        network(stacked(backbone)[..., 1:])


def test_weights_serve_on_another_grid(network, backbone):
    moved = backbone.on_grid(globe(12.0))
    other = moved.network().eval()
    other.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert other(stacked(moved)).shape == (2, backbone.out_channels, 16, 30)
    assert backbone.on_grid(globe()) is backbone
    assert moved.graph.key == build_graph(globe(12.0), backbone.settings).key
    assert np.prod(moved.grid.shape) == len(moved.graph.grid_features)


@pytest.mark.parametrize("wrong", [{"mesh_size": 9}, {"latent_size": 0}, {"radius_fraction": 0.0}])
def test_settings_that_make_no_network_are_refused(wrong):
    with pytest.raises(UsageError):
        small_settings(**wrong)
