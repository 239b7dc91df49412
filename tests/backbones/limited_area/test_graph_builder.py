"""Graphs against brute force over all pairs of nodes, features by hand, boundary nodes, keys."""

from itertools import product

import numpy as np
import pytest
import torch

from rtma_diffda.backbones.limited_area import grid_edges
from rtma_diffda.backbones.limited_area.graph_builder import build_graph
from rtma_diffda.backbones.limited_area.mesh_design import MeshDesign
from rtma_diffda.geo.boundary_points import BoundaryPoints, boundary_grid
from rtma_diffda.geo.grid import ProjectedGrid

PROJECTION = "+proj=lcc +lat_1=25 +lat_2=25 +lat_0=25 +lon_0=265 +a=6371200 +b=6371200 +units=m"
DX, DY = 2500.0, 2000.0


def region(nx, ny, dx=DX, dy=DY):
    return ProjectedGrid(PROJECTION, nx, ny, dx, dy, -1e5, 3e4)


def boundary_of(grid, *, overlap, spacing=9e3, width=14e3):
    coarse = boundary_grid(grid, spacing=spacing, width=width)
    return BoundaryPoints.of(coarse, grid, width=width, overlap=overlap)


class Places:
    """Plane coordinates of all nodes of a graph, taken from the grid and the graph's own mesh features."""

    def __init__(self, graph, grid, boundary=None):
        x, y = np.meshgrid(grid.x, grid.y)
        self.interior = np.stack([x.ravel(), y.ravel()], 1)
        outside = np.empty((0, 2)) if boundary is None else np.stack([boundary.x, boundary.y], 1)
        self.grid = np.concatenate([self.interior, outside])
        span = max(np.ptp(grid.x), np.ptp(grid.y))
        middle = np.array([grid.x.mean(), grid.y.mean()])
        self.levels = [values.double().numpy() * span + middle for values in graph.mesh_features]
        self.longest = max(
            distances(nodes, nodes)[edges.senders, edges.receivers].max()
            for nodes, edges in zip(self.levels, graph.same_level, strict=True)
        )


def distances(a, b):
    return np.linalg.norm(a[:, None] - b[None], axis=2)


def check_features(edges, of_senders, of_receivers, longest):
    displacement = of_senders[edges.senders] - of_receivers[edges.receivers]
    expected = np.concatenate([np.linalg.norm(displacement, axis=1)[:, None], displacement], 1) / longest
    np.testing.assert_allclose(edges.features.numpy(), expected, atol=2e-5)


def bottom_radius(places, share=0.51, diagonal=True):
    steps = [np.diff(np.unique(np.round(places.levels[0][:, axis], 1)))[0] for axis in (0, 1)]
    return share * (np.hypot(*steps) if diagonal else max(steps))


CASES = list(product((7, 16, 23), (6, 13, 24), (1.0, 1.7, 3.0), (None, True, False)))


@pytest.mark.parametrize(("nx", "ny", "spacing", "overlap"), CASES)
def test_grid_and_mesh_are_joined_as_brute_force_says(nx, ny, spacing, overlap):
    grid = region(nx, ny)
    boundary = None if overlap is None else boundary_of(grid, overlap=overlap)
    graph = build_graph(grid, MeshDesign(kind="flat", spacing=spacing), boundary)
    places = Places(graph, grid, boundary)
    distance = distances(places.grid, places.levels[0])

    expected = distance <= bottom_radius(places)
    alone = ~expected.any(1)
    assert not alone.any()
    found = np.zeros_like(expected)
    found[graph.grid_to_mesh.senders, graph.grid_to_mesh.receivers] = True
    np.testing.assert_array_equal(found, expected)
    assert len(graph.grid_to_mesh) == expected.sum()

    assert graph.mesh_to_grid.degree == 4
    nearest = graph.mesh_to_grid.senders.reshape(-1, 4).numpy()
    assert all(len(set(four)) == 4 for four in nearest.tolist())
    inside = distance[: nx * ny]
    np.testing.assert_allclose(np.take_along_axis(inside, nearest, 1), np.sort(inside, 1)[:, :4], atol=0.5)

    check_features(graph.grid_to_mesh, places.grid, places.levels[0], places.longest)
    check_features(graph.mesh_to_grid, places.levels[0], places.interior, places.longest)
    check_features(graph.same_level[0], places.levels[0], places.levels[0], places.longest)


@pytest.mark.parametrize("neighbours", [1, 2, 3, 4, 5, 9])
def test_any_number_of_nearest_mesh_nodes(neighbours):
    grid = region(17, 22, dx=1000.0, dy=1700.0)
    graph = build_graph(grid, MeshDesign(kind="flat", spacing=4, mesh_to_grid_neighbours=neighbours))
    places = Places(graph, grid)
    distance = distances(places.interior, places.levels[0])
    nearest = graph.mesh_to_grid.senders.reshape(-1, neighbours).numpy()
    assert all(len(set(row)) == neighbours for row in nearest.tolist())
    np.testing.assert_allclose(np.take_along_axis(distance, nearest, 1), np.sort(distance, 1)[:, :neighbours], atol=0.5)


def test_a_point_on_a_mesh_node_takes_it_and_three_of_its_four_equal_neighbours():
    graph = build_graph(region(9, 9, 1e3, 1e3), MeshDesign(kind="flat"))  # 3 × 3 nodes on the middles of 3 × 3 points
    nearest = graph.mesh_to_grid.senders[4 * (9 * 4 + 4) :][:4].tolist()
    assert nearest[0] == 4 and len(set(nearest)) == 4 and set(nearest[1:]) < {1, 3, 5, 7}


@pytest.mark.parametrize(("radius", "neighbours"), [(0.51, 4), (0.2, 8), (0.01, 8), (1.3, 8)])
def test_grid_nodes_that_no_mesh_node_reaches_go_to_the_nearest_one(radius, neighbours):
    grid = region(14, 19)
    boundary = boundary_of(grid, overlap=False, spacing=7e3)
    design = MeshDesign(kind="flat", spacing=4, neighbours=neighbours, grid_to_mesh_radius=radius)
    graph = build_graph(grid, design, boundary)
    places = Places(graph, grid, boundary)
    distance = distances(places.grid, places.levels[0])
    within = distance <= bottom_radius(places, radius, neighbours == 8)
    counts = np.bincount(graph.grid_to_mesh.senders, minlength=graph.grid_count)
    np.testing.assert_array_equal(counts, np.maximum(within.sum(1), 1))
    found = distance[graph.grid_to_mesh.senders, graph.grid_to_mesh.receivers]
    alone = ~within.any(1)[graph.grid_to_mesh.senders]
    np.testing.assert_allclose(found[alone], distance.min(1)[graph.grid_to_mesh.senders[alone]], atol=0.5)
    assert alone.any() == (radius < 1.0) and (found[~alone] <= bottom_radius(places, radius, neighbours == 8)).all()
    check_features(graph.grid_to_mesh, places.grid, places.levels[0], places.longest)


def test_boundary_points_sparser_than_the_mesh_reach_it_and_leave_mesh_nodes_unreached():
    grid = region(30, 24)
    boundary = boundary_of(grid, overlap=False, spacing=30e3, width=60e3)
    graph = build_graph(grid, MeshDesign(spacing=3), boundary)
    assert graph.interior_count == 720 and graph.boundary_count == len(boundary)
    outside = graph.grid_to_mesh.senders >= 720
    assert set(graph.grid_to_mesh.senders[outside].tolist()) == set(range(720, graph.grid_count))
    unreached = (graph.grid_to_mesh.offsets.diff() == 0).numpy()
    places = Places(graph, grid, boundary)
    margin = [axis.max() + 1.5 * d for axis, d in ((grid.x, DX), (grid.y, DY))]
    assert unreached.any() and (places.levels[0][unreached] > margin).any()
    assert graph.mesh_to_grid.receivers.max() == 719 and graph.grid_to_mesh.receiver_count == len(places.levels[0])
    low, high = places.levels[0].min(0), places.levels[0].max(0)
    cell = np.array([3 * DX, 3 * DY])
    assert (np.stack([boundary.x, boundary.y], 1) >= low - cell).all()
    assert (np.stack([boundary.x, boundary.y], 1) <= high + cell).all()


def test_a_boundary_point_on_the_outer_edge_of_the_mesh_reaches_the_last_row():
    grid = ProjectedGrid(PROJECTION, 12, 9, 1e3, 1e3, 500.0, -4000.0)  # cells of 3 km from (0, −4.5 km)
    boundary = BoundaryPoints(np.array([7]), np.array([6000.0]), np.array([7500.0]))
    graph = build_graph(grid, MeshDesign(kind="flat", grid_to_mesh_radius=0.01), boundary)
    assert graph.level_sizes == (4 * 4,)
    edge = graph.grid_to_mesh.senders.tolist().index(108)
    assert graph.grid_to_mesh.receivers[edge] == 3 * 4 + 2
    np.testing.assert_allclose(graph.grid_to_mesh.features[edge], [0.5, -np.sqrt(1 / 8), np.sqrt(1 / 8)], atol=1e-6)


@pytest.mark.parametrize(("nx", "ny", "refinement"), [(16, 24, 2), (23, 40, 3), (50, 37, 2)])
def test_levels_of_a_hierarchy_are_joined_to_their_nearest_parents(nx, ny, refinement):
    grid = region(nx, ny)
    graph = build_graph(grid, MeshDesign(spacing=2, refinement=refinement))
    places = Places(graph, grid)
    assert graph.levels == len(graph.level_sizes) >= 2
    for level, (up, down) in enumerate(zip(graph.upward, graph.downward, strict=True)):
        finer, coarser = places.levels[level : level + 2]
        distance = distances(finer, coarser)
        assert sorted(up.senders.tolist()) == down.receivers.tolist() == list(range(len(finer)))
        np.testing.assert_allclose(distance[up.senders, up.receivers], distance.min(1)[up.senders], atol=0.5)
        assert {*zip(up.senders.tolist(), up.receivers.tolist(), strict=True)} == {
            *zip(down.receivers.tolist(), down.senders.tolist(), strict=True)
        }
        check_features(up, finer, coarser, places.longest)
        check_features(down, coarser, finer, places.longest)
    for nodes, edges in zip(places.levels, graph.same_level, strict=True):
        check_features(edges, nodes, nodes, places.longest)
    assert max(float(edges.features[:, 0].max()) for edges in graph.same_level) == pytest.approx(1.0, abs=1e-6)


def test_a_multiscale_mesh_is_one_level_with_longer_edges():
    grid = region(36, 27, 1e3, 1e3)
    flat, multiscale = (build_graph(grid, MeshDesign(kind=kind)) for kind in ("flat", "multiscale"))
    assert multiscale.levels == 1 and multiscale.level_sizes == flat.level_sizes == (108,)
    assert torch.equal(multiscale.mesh_features[0], flat.mesh_features[0])
    places = Places(multiscale, grid)
    steps = places.levels[0][multiscale.same_level[0].senders] - places.levels[0][multiscale.same_level[0].receivers]
    cells = {tuple(step) for step in np.round(np.abs(steps) / 3e3).astype(int).tolist()}
    assert cells == {(1, 0), (0, 1), (1, 1), (3, 0), (0, 3), (3, 3)}
    assert places.longest == pytest.approx(np.hypot(9e3, 9e3), abs=0.1)
    check_features(multiscale.same_level[0], places.levels[0], places.levels[0], places.longest)


def test_features_by_hand():
    """6 × 6 points, 1 km apart; 2 × 2 mesh nodes on the points (1, 1), (4, 1), (1, 4), (4, 4); longest edge 3√2 km."""
    graph = build_graph(region(6, 6, 1e3, 1e3), MeshDesign(kind="flat"))
    np.testing.assert_allclose(
        graph.mesh_features[0], np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]]) * 1.5 / 5, atol=1e-7
    )
    longest = 3 * np.sqrt(2)
    first = graph.mesh_to_grid.senders[:4].tolist()  # of the south-western point
    assert first[0] == 0 and first[3] == 3
    np.testing.assert_allclose(graph.mesh_to_grid.features[0], np.array([np.sqrt(2), 1, 1]) / longest, atol=1e-7)
    np.testing.assert_allclose(graph.mesh_to_grid.features[3], np.array([np.sqrt(32), 4, 4]) / longest, atol=1e-7)
    heard = graph.grid_to_mesh.senders[:11].tolist()
    assert heard == [0, 1, 2, 6, 7, 8, 9, 12, 13, 14, 19]  # within 2.16 km of (1, 1): those beside it, (3, 1), (1, 3)
    assert graph.grid_to_mesh.offsets.tolist() == [0, 11, 22, 33, 44]
    np.testing.assert_allclose(graph.grid_to_mesh.features[1], np.array([1, 0, -1]) / longest, atol=1e-7)
    np.testing.assert_allclose(graph.same_level[0].features[2], [1.0, 3 / longest, 3 / longest], atol=1e-7)  # 3 → 0


def test_blocks_do_not_show(monkeypatch):
    grid = region(20, 31)
    whole = build_graph(grid, MeshDesign(spacing=2), boundary_of(grid, overlap=True))
    monkeypatch.setattr(grid_edges, "BLOCK", 300)
    assert build_graph(grid, MeshDesign(spacing=2), boundary_of(grid, overlap=True)).key == whole.key


def test_keys_tell_graphs_apart():
    grid = region(20, 31)
    designs = [MeshDesign(), MeshDesign(spacing=2), MeshDesign(refinement=2), MeshDesign(neighbours=4)]
    keys = [build_graph(grid, design).key for design in designs]
    keys.append(build_graph(grid, MeshDesign(), boundary_of(grid, overlap=True)).key)
    assert len(set(keys)) == 5 and build_graph(grid, MeshDesign()).key == keys[0]


def test_a_graph_does_not_depend_on_where_its_region_lies():
    a, b = (ProjectedGrid(PROJECTION, 40, 30, DX, DY, x0, y0) for x0, y0 in ((0.0, 0.0), (-2.1e6, 1.7e6)))
    assert build_graph(a, MeshDesign()).key == build_graph(b, MeshDesign()).key
