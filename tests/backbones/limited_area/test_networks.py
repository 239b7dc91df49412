"""Limited-area networks: every weight used, one answer however it is computed, boundary and noise level heard."""

import pytest
import torch
from small_world import GRID, boundary_points, fields, graph_of, network_of

from rtma_diffda.backbones.limited_area.evaluation import Evaluation
from rtma_diffda.backbones.limited_area.networks import LimitedAreaSettings, limited_area_network
from rtma_diffda.errors import UsageError

SHAPES = {
    "flat": {"mesh": "flat"},
    "flat mean": {"mesh": "flat", "mean": True, "hidden_layers": 2},
    "hierarchical": {"mesh": "hierarchical"},
    "propagation": {
        "mesh": "hierarchical", "grid_to_mesh": "propagation", "mesh_to_grid": "propagation",
        "up": "propagation", "down": "propagation",
    },
    "parallel": {"mesh": "parallel"},
    "noise": {"mesh": "parallel", "noise_level": True},
    "hybrid": {"mesh": "flat", "convolutions": (4, 8), "noise_level": True},
    "before": {"mesh": "flat", "convolutions": (4, 8), "mesh_channels": 2, "square": 4, "noise_level": True},
}  # fmt: skip
WAYS = {
    "chunks": Evaluation(chunk=50),
    "recomputed": Evaluation(recompute=True),
    "recomputed chunks": Evaluation(chunk=17, recompute=True),
    "unsplit": Evaluation(split=False),
    "unsplit chunks": Evaluation(split=False, chunk=64, recompute=True),
    "nothing kept": Evaluation(keep_static=False),
    "scattered": Evaluation(fixed_degree=False),
}
SIGMA = torch.tensor([0.1, 1.0, 20.0])


def sigma_of(shape: dict) -> torch.Tensor | None:
    return SIGMA if shape.get("noise_level") else None


def boundary_values(channels: int, members: int = 3, *, seed: int = 3) -> torch.Tensor:
    return torch.randn(members, len(boundary_points()), channels, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_answer_and_gradients_however_computed(shape):
    settings = {**SHAPES[shape], "boundary_channels": 5}
    arguments = (fields(2), SIGMA[:2] if settings.get("noise_level") else None, boundary_values(5, 2))
    plain = network_of(**settings)
    expected = plain(*arguments)
    expected.square().mean().backward()
    for way, evaluation in WAYS.items():
        other = network_of(evaluation, **settings)
        found = other(*arguments)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-5, msg=way)
        with torch.no_grad():
            torch.testing.assert_close(other(*arguments), expected, rtol=1e-5, atol=2e-5, msg=way)
        found.square().mean().backward()
        for (name, weight), changed in zip(plain.named_parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(changed.grad, weight.grad, rtol=1e-3, atol=1e-4, msg=f"{way}: {name}")


@pytest.mark.parametrize("shape", SHAPES)
def test_members_do_not_influence_each_other(shape):
    network, sigma = network_of(**SHAPES[shape]), sigma_of(SHAPES[shape])
    values = fields()
    alone = torch.cat(
        [network(values[i : i + 1], None if sigma is None else sigma[i : i + 1]) for i in range(len(values))]
    )
    torch.testing.assert_close(network(values, sigma), alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_reach_every_weight_that_can_matter(shape):
    """Edges that are updated last, and no more read, teach nothing."""
    settings = {**SHAPES[shape], "boundary_channels": 5}
    network = network_of(**settings)
    network(fields(), sigma_of(settings), boundary_values(5)).square().sum().backward()
    idle = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not idle


@pytest.mark.parametrize("shape", ["flat", "hierarchical", "parallel"])
def test_noise_level_is_not_heard_before_training(shape):
    """γ and β begin at zero: with weights of a network that knows no noise level, the answer is that network's."""
    told = LimitedAreaSettings(3, 2, mesh=shape, hidden=8, processor_layers=2, noise_level=True)
    torch.manual_seed(0)
    network = limited_area_network(told, graph_of(told))
    plain = network_of(mesh=shape)
    weights = {name: values for name, values in network.state_dict().items() if "film" not in name}
    plain.load_state_dict({name: values for name, values in weights.items() if "embedding" not in name})
    torch.testing.assert_close(network(fields(), SIGMA), plain(fields()))


def test_noise_level_is_heard_where_it_was_learned():
    network = network_of(mesh="flat", noise_level=True)
    values = fields(1).expand(2, -1, -1, -1)
    low, high = network(values, torch.tensor([0.1, 10.0]))
    assert (low - high).abs().max() > 0.05


@pytest.mark.parametrize("shape", ["flat", "hierarchical", "parallel"])
def test_boundary_is_heard_everywhere_and_most_at_the_rim(shape):
    network, values = network_of(**SHAPES[shape], boundary_channels=2), fields(1)
    given = boundary_values(2, 1)
    points = boundary_points()
    outside = torch.from_numpy((points.x < GRID.x[0]) | (points.x > GRID.x[-1]))
    changed = torch.where(outside[None, :, None], given + 1.0, given)
    answer = (network(values, None, changed) - network(values, None, given)).abs().mean(dim=(0, 1, 2))
    assert answer.max() > 1e-4
    assert answer[[0, -1]].mean() > answer[GRID.nx // 2]


def test_kept_terms_follow_the_weights():
    network, values = network_of(mesh="flat"), fields()
    with torch.no_grad():
        before = network(values)
        network.graph.g2m_states.embedder.first.weight.mul_(1.5)
        after = network(values)
    expected = network(values)
    assert (after - before).abs().max() > 1e-3
    torch.testing.assert_close(after, expected.detach())


def test_half_precision_is_near():
    network, values = network_of(mesh="hierarchical", noise_level=True), fields()
    with torch.no_grad():
        expected = network(values, SIGMA)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = network(values, SIGMA)
    assert (found - expected).square().mean() < 0.03**2 * expected.square().mean()


def test_hybrid_without_its_mesh_is_the_convolutions_alone():
    bare = network_of(mesh="flat", convolutions=(4, 8), meshed=False)
    assert not [name for name, _ in bare.named_parameters() if not name.startswith("convolutions.")]
    torch.testing.assert_close(bare(fields()), bare.convolutions(fields(), beneath=lambda coarse: coarse))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"values": fields(channels=4)}, r"takes \(168 nodes, member, 3 channels\)"),
        ({"values": fields()[..., 1:]}, "takes"),
        ({"values": fields()[0]}, "takes"),
        ({"sigma": SIGMA}, "takes no noise level; found one"),
        ({"boundary": None}, "takes a boundary of .* found no boundary"),
        ({"boundary": boundary_values(4)}, "found a boundary of .* × 3 members × 4 channels"),
    ],
)
def test_wrong_arguments_are_told(change, sentence):
    network = network_of(mesh="flat", boundary_channels=5)
    arguments = {"values": fields(), "sigma": None, "boundary": boundary_values(5), **change}
    with pytest.raises(UsageError, match=sentence):
        network(**arguments)


def test_settings_that_do_not_fit_the_graph():
    flat, deep = LimitedAreaSettings(3, 2, mesh="flat"), LimitedAreaSettings(3, 2, mesh="hierarchical")
    with pytest.raises(UsageError, match="a hierarchical mesh does not fit a graph of 1 mesh levels"):
        limited_area_network(deep, graph_of(flat))
    with pytest.raises(UsageError, match="5 boundary channels does not fit a graph with 0 boundary nodes"):
        limited_area_network(LimitedAreaSettings(3, 2, 5, mesh="flat"), graph_of(flat))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"mesh": "round"}, "mesh is 'round'"),
        ({"up": "guess"}, "message passing is .*guess"),
        ({"hidden": 0}, "positive channels"),
        ({"meshed": False}, "needs convolutions"),
    ],
)
def test_impossible_settings(settings, sentence):
    with pytest.raises(UsageError, match=sentence):
        LimitedAreaSettings(3, 2, **settings)


def test_impossible_chunk():
    with pytest.raises(UsageError, match="one receiver or more"):
        Evaluation(chunk=0)
