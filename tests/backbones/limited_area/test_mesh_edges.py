"""Edges among mesh nodes: a hand-drawn mesh, every pair by definition, coarser meshes among finest nodes."""

import numpy as np
import pytest

from rtma_diffda.backbones.limited_area.mesh_edges import (
    downward_edges,
    multiscale_edges,
    neighbour_edges,
    parents,
    upward_edges,
)


def pairs(edges):
    return list(zip(*(nodes.tolist() for nodes in edges), strict=True))


def by_definition(shape, neighbours):
    """(sender, receiver) of all pairs one step apart, by receiver and then by sender."""
    nodes = [divmod(node, shape[1]) for node in range(shape[0] * shape[1])]
    found = []
    for receiver, (j, i) in enumerate(nodes):
        for sender, (b, a) in enumerate(nodes):
            steps = (abs(j - b), abs(i - a))
            if max(steps) == 1 and (neighbours == 8 or sum(steps) == 1):
                found.append((sender, receiver))
    return found


def test_four_neighbours_of_two_by_two():
    assert pairs(neighbour_edges((2, 2), 4)) == [(1, 0), (2, 0), (0, 1), (3, 1), (0, 2), (3, 2), (1, 3), (2, 3)]


@pytest.mark.parametrize("neighbours", [4, 8])
@pytest.mark.parametrize("shape", [(2, 2), (2, 5), (4, 3), (7, 6)])
def test_neighbours_are_all_pairs_one_step_apart(shape, neighbours):
    assert pairs(neighbour_edges(shape, neighbours)) == by_definition(shape, neighbours)


def test_multiscale_edges_of_a_mesh_three_times_as_coarse():
    edges = pairs(multiscale_edges(((6, 6), (2, 2)), 4))
    coarse = {(7, 10), (10, 7), (25, 28), (28, 25), (7, 25), (25, 7), (10, 28), (28, 10)}  # rows, columns 1 and 4
    assert set(edges) == set(by_definition((6, 6), 4)) | coarse
    assert edges == sorted(edges, key=lambda edge: edge[::-1])


def test_an_edge_that_two_meshes_share_counts_once():
    assert pairs(multiscale_edges(((3, 4), (3, 4)), 8)) == by_definition((3, 4), 8)


@pytest.mark.parametrize("shapes", [((5, 5), (3, 3), (2, 2)), ((9, 7), (5, 4), (3, 2)), ((4, 11), (2, 6))])
def test_multiscale_edges_never_repeat_and_go_both_ways(shapes):
    edges = pairs(multiscale_edges(shapes, 8))
    assert len(set(edges)) == len(edges)
    assert {(b, a) for a, b in edges} == set(edges)
    assert set(by_definition(shapes[0], 8)) <= set(edges)
    size = len(by_definition(shapes[0], 8))
    assert size < len(edges) <= size + sum(len(by_definition(shape, 8)) for shape in shapes[1:])


@pytest.mark.parametrize(
    ("finer", "coarser"), [((6, 6), (2, 2)), ((5, 7), (2, 3)), ((43, 14), (14, 5)), ((3, 3), (2, 2))]
)
def test_parents_are_the_nearest_coarser_nodes(finer, coarser):
    parent = parents(finer, coarser)
    row, column = np.divmod(np.arange(finer[0] * finer[1]), finer[1])
    across = (column[:, None] + 0.5) / finer[1] - (np.tile(np.arange(coarser[1]), coarser[0]) + 0.5) / coarser[1]
    along = (row[:, None] + 0.5) / finer[0] - (np.repeat(np.arange(coarser[0]), coarser[1]) + 0.5) / coarser[0]
    distance = np.hypot(along, across)
    np.testing.assert_allclose(distance[np.arange(len(parent)), parent], distance.min(1), atol=1e-12)
    assert set(parent.tolist()) == set(range(coarser[0] * coarser[1]))  # no coarser node without a child


def test_edges_up_and_down_join_each_node_and_its_parent_once():
    parent = parents((4, 4), (2, 2))
    assert parent.reshape(4, 4).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    up = pairs(upward_edges(parent))
    assert up[:5] == [(0, 0), (1, 0), (4, 0), (5, 0), (2, 1)]
    assert sorted(up) == list(enumerate(parent.tolist()))
    assert pairs(downward_edges(parent)) == [(p, node) for node, p in enumerate(parent.tolist())]
