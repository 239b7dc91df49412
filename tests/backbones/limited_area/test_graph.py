"""The graph value: what it refuses, where edges of a receiver lie, and the way through a file."""

from dataclasses import replace

import pytest
import torch

from rtma_diffda.backbones.limited_area.graph import EdgeSet, LimitedAreaGraph
from rtma_diffda.backbones.limited_area.graph_builder import build_graph
from rtma_diffda.backbones.limited_area.mesh_design import MeshDesign
from rtma_diffda.errors import InputError
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.io.tensor_file import read_tensors, write_tensors

PROJECTION = "+proj=lcc +lat_1=25 +lat_2=25 +lat_0=25 +lon_0=265 +a=6371200 +b=6371200 +units=m"
GRID = ProjectedGrid(PROJECTION, 20, 18, 2500.0, 2500.0, 0.0, 0.0)


def edges(senders, receivers, sender_count=5, receiver_count=4):
    features = torch.arange(3.0 * len(senders)).reshape(-1, 3)
    return EdgeSet(torch.tensor(senders), torch.tensor(receivers), features, sender_count, receiver_count)


def test_offsets_say_where_the_edges_of_each_receiver_lie():
    found = edges([4, 0, 1], [1, 1, 3])
    assert found.offsets.tolist() == [0, 0, 2, 2, 3] and len(found) == 3 and found.degree is None
    assert edges([4, 0, 1, 1], [0, 0, 1, 1], receiver_count=2).degree == 2
    assert edges([4, 0], [0, 0], receiver_count=2).degree is None
    nothing = EdgeSet(torch.empty(0).long(), torch.empty(0).long(), torch.empty(0, 3), 2, 2)
    assert nothing.offsets.tolist() == [0, 0, 0] and nothing.degree is None


@pytest.mark.parametrize(
    ("senders", "receivers", "sentence"),
    [
        ([0, 5], [0, 1], "senders 0 … 5; there are 5"),
        ([-1, 0], [0, 1], "senders -1 … 0"),
        ([0, 1], [0, 4], "receivers 0 … 4; there are 4"),
        ([0, 1], [-1, 0], "receivers -1 … 0"),
        ([0, 1], [1, 0], "sorted by receiver"),
        ([0, 1, 2], [0, 1], "3 senders, receivers of shape"),
    ],
)
def test_edges_that_name_no_node_or_lie_out_of_order_are_refused(senders, receivers, sentence):
    with pytest.raises(InputError, match=sentence):
        edges(senders, receivers)


def test_sorting_keeps_the_order_within_a_receiver_and_features_with_their_edges():
    senders, receivers = torch.tensor([3, 2, 1, 0]), torch.tensor([1, 0, 1, 0])
    features = torch.stack([senders.float()] * 3, 1)
    found = EdgeSet.sorted(senders, receivers, features, sender_count=4, receiver_count=2)
    assert found.senders.tolist() == [2, 0, 3, 1] and found.receivers.tolist() == [0, 0, 1, 1]
    assert found.features[:, 0].tolist() == [2, 0, 3, 1]


@pytest.mark.parametrize("kind", ["flat", "multiscale", "hierarchical"])
def test_a_graph_comes_back_from_a_file_with_its_key(tmp_path, kind):
    graph = build_graph(GRID, MeshDesign(kind=kind, refinement=2))
    path = write_tensors(tmp_path / "graph.safetensors", graph.tensors(), {"key": graph.key})
    tensors, facts = read_tensors(path)
    again = LimitedAreaGraph.from_tensors(tensors)
    assert again.key == graph.key == facts["key"] and again.levels == graph.levels
    assert torch.equal(again.grid_to_mesh.senders, graph.grid_to_mesh.senders)
    assert again.grid_to_mesh.senders.dtype == torch.int64
    for a, b in zip(again.downward, graph.downward, strict=True):
        assert torch.equal(a.receivers, b.receivers) and torch.equal(a.features, b.features)


def test_a_stored_graph_that_lacks_something_is_refused():
    tensors = build_graph(GRID, MeshDesign(refinement=2)).tensors()
    for name in ("counts", "mesh_to_grid.edges", "upward.0.features"):
        with pytest.raises(InputError, match="lacks something"):
            LimitedAreaGraph.from_tensors({key: values for key, values in tensors.items() if key != name})


def test_parts_that_do_not_fit_together_are_refused():
    graph = build_graph(GRID, MeshDesign(refinement=2))
    with pytest.raises(InputError, match="mesh levels needs"):
        replace(graph, upward=())
    with pytest.raises(InputError, match="grid-to-mesh edges lead from 360 to 42 nodes; expected 361 and 42"):
        replace(graph, boundary_count=1)
    with pytest.raises(InputError, match="down to 0 edges lead"):
        replace(graph, downward=graph.downward[::-1])
