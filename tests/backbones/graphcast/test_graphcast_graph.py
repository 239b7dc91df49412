"""The graph as built and as stored, and what does not fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_graphcast import globe, small_settings

from rtma_diffda.backbones.graphcast.graph import GraphCastGraph
from rtma_diffda.backbones.graphcast.graph_builder import build_graph
from rtma_diffda.errors import InputError

GRAPH = build_graph(globe(), small_settings())


def test_the_graph_of_a_small_globe():
    assert GRAPH.grid_shape == (11, 20) and len(GRAPH.mesh_features) == 42
    assert len(GRAPH.mesh) == 300 and len(GRAPH.mesh_to_grid) == 660 and GRAPH.mesh_to_grid.degree == 3
    assert float(GRAPH.mesh.features[:, 0].max()) == float(GRAPH.grid_to_mesh.features[:, 0].max()) == 1.0


def test_it_is_the_same_every_time_and_from_its_tensors():
    assert build_graph(globe(), small_settings()).key == GRAPH.key
    assert GraphCastGraph.from_tensors(GRAPH.tensors()).key == GRAPH.key
    assert build_graph(globe(), small_settings(radius_fraction=0.7)).key != GRAPH.key


def test_the_given_scale_of_mesh_to_grid_edges():
    scaled = build_graph(globe(), small_settings(mesh2grid_edge_normalization_factor=2.0))
    own = scaled.mesh_to_grid.features / scaled.mesh_to_grid.features.max()
    assert (
        torch.allclose(own, GRAPH.mesh_to_grid.features, atol=1e-6) and float(scaled.mesh_to_grid.features.max()) < 0.5
    )
    assert torch.equal(scaled.mesh.features, GRAPH.mesh.features)


def test_edges_chosen_elsewhere_are_followed():
    chosen = GRAPH.mesh_to_grid.senders.view(-1, 3).numpy().copy()
    chosen[7] = chosen[7, ::-1]
    graph = build_graph(globe(), small_settings(), chosen)
    assert np.array_equal(graph.mesh_to_grid.senders.view(-1, 3).numpy(), chosen)
    assert torch.equal(graph.mesh_to_grid.features[21:24], GRAPH.mesh_to_grid.features[[23, 22, 21]])


@pytest.mark.parametrize("chosen", [np.zeros((5, 3), int), np.full((220, 3), 42)])
def test_edges_that_do_not_fit_are_refused(chosen):
    with pytest.raises(InputError, match=r"expected \(220, 3\) and 0 … 41"):
        build_graph(globe(), small_settings(), chosen)


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="a grid of"):
        replace(GRAPH, grid_shape=(3, 3))
    with pytest.raises(InputError, match="grid-to-mesh edges lead from 42 to 42"):
        replace(GRAPH, grid_to_mesh=GRAPH.mesh)
    with pytest.raises(InputError, match="lacks something"):
        GraphCastGraph.from_tensors({"grid_shape": torch.tensor([1, 2])})
