"""Stored graphs of Neural-LAM: its own two, a hand-drawn one, and the older format."""

import numpy as np
import pytest
import torch
from backbones.limited_area.neural_lam_samples import XY, as_legacy, drawn, stored

from rtma_diffda.backbones.limited_area.neural_lam_graph import graph_of_neural_lam
from rtma_diffda.errors import InputError


def same_edges(edges, index, features):
    """Whether ``edges`` are those of ``index`` (2, edge) with ``features``, in any order."""
    found = torch.cat([torch.stack([edges.senders, edges.receivers], 1).float(), edges.features], 1)
    expected = torch.cat([index.T.float(), features], 1)
    return sorted(map(tuple, found.tolist())) == sorted(map(tuple, expected.tolist()))


@pytest.mark.parametrize(("name", "sizes"), [("graph_lam", (99,)), ("hi_lam", (64, 16, 4))])
def test_stored_graphs_are_divided_by_span_and_longest_edge(shared, name, sizes):
    tensors, xy = stored(shared / "fixtures" / "lam" / f"{name}.npz")
    graph = graph_of_neural_lam(tensors, xy)
    assert graph.level_sizes == sizes and graph.interior_count == 480 and graph.boundary_count == 0
    longest = max(values[:, 0].max() for values in tensors["m2m_features"])
    assert same_edges(graph.grid_to_mesh, tensors["g2m_edge_index"], tensors["g2m_features"] / longest)
    assert same_edges(graph.mesh_to_grid, tensors["m2g_edge_index"], tensors["m2g_features"] / longest)
    for kind, name in (("same_level", "m2m"), ("upward", "mesh_up"), ("downward", "mesh_down")):
        for level, edges in enumerate(getattr(graph, kind)):
            index, features = (tensors[f"{name}_{part}"][level] for part in ("edge_index", "features"))
            assert same_edges(edges, index, features / longest)
    for values, raw in zip(graph.mesh_features, tensors["mesh_features"], strict=True):
        torch.testing.assert_close(values, raw / 57_500.0)  # 23 cells of 2.5 km, the longer side
    assert graph.mesh_to_grid.degree == 4


def test_a_hand_drawn_graph():
    graph = graph_of_neural_lam(drawn(), XY)
    assert graph.level_sizes == (4, 2) and graph.interior_count == 12
    assert graph.mesh_features[0].tolist() == [[0, 0], [1, 0], [0, 0.5], [1, 0.5]]
    assert graph.grid_to_mesh.senders.tolist() == [0, 5, 11, 3]
    assert graph.grid_to_mesh.receiver_count == 4 and graph.grid_to_mesh.offsets.tolist() == [0, 1, 2, 4, 4]
    # The longest edge is the second one of the upper level: length 50.
    torch.testing.assert_close(graph.grid_to_mesh.features[:, 0], torch.tensor([4.0, 10.0, 1.0, 7.0]) / 50)
    torch.testing.assert_close(graph.same_level[1].features[1], torch.tensor([50.0, 51.0, 52.0]) / 50)


@pytest.mark.parametrize("mesh_first", [True, False])
def test_the_older_format_gives_the_same_graph(mesh_first):
    old = graph_of_neural_lam(as_legacy(drawn(), mesh_first=mesh_first), XY, version="legacy")
    assert old.key == graph_of_neural_lam(drawn(), XY).key


def test_a_flat_graph_has_one_level():
    tensors = {name: values for name, values in drawn().items() if not name.startswith(("mesh_up", "mesh_down"))}
    flat = tensors | {name: tensors[name][:1] for name in ("m2m_edge_index", "m2m_features", "mesh_features")}
    graph = graph_of_neural_lam(flat, XY)
    assert graph.levels == 1 and graph.upward == graph.downward == ()
    old = {name: values for name, values in as_legacy(drawn(), mesh_first=True).items() if name in flat}
    old |= {name: old[name][:1] for name in ("m2m_edge_index", "m2m_features", "mesh_features")}
    offset = torch.tensor([[2], [0]])  # the grid now comes after the 4 nodes of the only level
    old["g2m_edge_index"] = old["g2m_edge_index"] - offset
    old["m2g_edge_index"] = old["m2g_edge_index"] - offset.flip(0)
    assert graph_of_neural_lam(old, XY, version="legacy").key == graph.key


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.pop("m2g_features"), "lacks a tensor"),
        (lambda t: t.pop("mesh_up_edge_index"), "lacks a tensor"),
        (lambda t: t["mesh_up_edge_index"].clear(), "lacks a tensor"),
        (lambda t: t.update(g2m_edge_index=torch.zeros(3, 4)), "lacks a tensor"),
        (lambda t: t.update(g2m_edge_index=torch.full((2, 4), 20)), "senders 20 … 20; there are 12"),
    ],
)
def test_tensors_that_make_no_graph_are_refused(change, sentence):
    tensors = drawn()
    change(tensors)
    with pytest.raises(InputError, match=sentence):
        graph_of_neural_lam(tensors, XY)


def test_unknown_versions_and_shapes_of_coordinates_are_refused():
    with pytest.raises(InputError, match=r"version '0.2.0'; known are 0.1.0 and legacy"):
        graph_of_neural_lam(drawn(), XY, version="0.2.0")
    with pytest.raises(InputError, match=r"shape \(2, 12\); expected \(grid node, 2\)"):
        graph_of_neural_lam(drawn(), np.ascontiguousarray(XY.T))
