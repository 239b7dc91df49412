"""The graph of a region: ``MeshDesign`` and a grid → ``LimitedAreaGraph``.

Features of an edge are its length and displacement, sender − receiver, divided by the longest edge within a mesh level;
those of a mesh node its position from the region's middle, divided by the larger span of the grid. A point of the
region has index y · nx + x; boundary points follow in their own order. Equal arguments give equal graphs.
References: Oskarsson et al. (2023), arXiv 2309.17370; Adamov et al. (2025), arXiv 2504.09340 (boundary nodes).
"""

from math import hypot

import numpy as np
import torch

from rtma_diffda.backbones.limited_area.graph import EDGE_FEATURES, EdgeSet, LimitedAreaGraph
from rtma_diffda.backbones.limited_area.grid_edges import (
    PlaneEdges,
    grid_edges_within,
    nearest_mesh_edges,
    point_edges_within,
)
from rtma_diffda.backbones.limited_area.mesh import Mesh
from rtma_diffda.backbones.limited_area.mesh_design import MeshDesign
from rtma_diffda.backbones.limited_area.mesh_edges import (
    downward_edges,
    multiscale_edges,
    neighbour_edges,
    parents,
    upward_edges,
)
from rtma_diffda.geo.boundary_points import BoundaryPoints
from rtma_diffda.geo.grid import ProjectedGrid


def build_graph(grid: ProjectedGrid, design: MeshDesign, boundary: BoundaryPoints | None = None) -> LimitedAreaGraph:
    """The graph over a region and, where there are any, its boundary nodes.

    Args:
        grid: of the region.
        design: of the mesh.
        boundary: points of a wider grid, in the plane of the region's projection; the mesh reaches over them.

    Raises:
        UsageError: the region is too small for the mesh.
    """
    mesh = Mesh.of(grid, design, boundary)
    levels = range(1 if design.kind == "multiscale" else len(mesh.shapes))
    same = [_same_level(mesh, level, design) for level in levels]
    longest = max(float(edges.length.max()) for edges in same)
    sizes = [rows * columns for rows, columns in mesh.shapes]
    interior, outside = grid.nx * grid.ny, 0 if boundary is None else len(boundary)

    def edge_set(edges: PlaneEdges, sender_count: int, receiver_count: int) -> EdgeSet:
        features = torch.from_numpy(_features(edges, longest))
        senders, receivers = torch.from_numpy(edges.senders), torch.from_numpy(edges.receivers)
        return EdgeSet(senders, receivers, features, sender_count, receiver_count)

    between = [_between(mesh, level) for level in levels[:-1]]
    return LimitedAreaGraph(
        interior_count=interior,
        boundary_count=outside,
        mesh_features=tuple(_mesh_features(mesh, level, grid) for level in levels),
        grid_to_mesh=edge_set(_grid_to_mesh(mesh, grid, design, boundary), interior + outside, sizes[0]),
        mesh_to_grid=edge_set(nearest_mesh_edges(mesh, design.mesh_to_grid_neighbours), sizes[0], interior),
        same_level=tuple(edge_set(edges, sizes[i], sizes[i]) for i, edges in enumerate(same)),
        upward=tuple(edge_set(edges, sizes[i], sizes[i + 1]) for i, (edges, _) in enumerate(between)),
        downward=tuple(edge_set(edges, sizes[i + 1], sizes[i]) for i, (_, edges) in enumerate(between)),
    )


def _same_level(mesh: Mesh, level: int, design: MeshDesign) -> PlaneEdges:
    if design.kind == "multiscale":
        edges = multiscale_edges(mesh.shapes, design.neighbours)
    else:
        edges = neighbour_edges(mesh.shapes[level], design.neighbours)
    return _placed(edges, _positions(mesh, level), _positions(mesh, level))


def _between(mesh: Mesh, level: int) -> tuple[PlaneEdges, PlaneEdges]:
    """Edges up from a level to the next coarser one, and down to it."""
    parent = parents(mesh.shapes[level], mesh.shapes[level + 1])
    finer, coarser = _positions(mesh, level), _positions(mesh, level + 1)
    return _placed(upward_edges(parent), finer, coarser), _placed(downward_edges(parent), coarser, finer)


def _grid_to_mesh(mesh: Mesh, grid: ProjectedGrid, design: MeshDesign, boundary: BoundaryPoints | None) -> PlaneEdges:
    """Edges from every grid node: those within the radius, and one to the nearest mesh node for nodes without any."""
    dx, dy = mesh.x.spacing, mesh.y.spacing
    radius = design.grid_to_mesh_radius * (hypot(dx, dy) if design.neighbours == 8 else max(dx, dy))
    parts = [grid_edges_within(mesh, radius)]
    reached = np.zeros(grid.nx * grid.ny, bool)
    reached[parts[0].senders] = True
    if not reached.all():
        missed = np.flatnonzero(~reached)
        edges = point_edges_within(mesh, grid.x[missed % grid.nx], grid.y[missed // grid.nx], radius)
        parts.append(PlaneEdges(missed[edges.senders], edges.receivers, edges.displacement))
    if boundary is not None:
        edges = point_edges_within(mesh, boundary.x, boundary.y, radius)
        parts.append(PlaneEdges(edges.senders + reached.size, edges.receivers, edges.displacement))
    return parts[0] if len(parts) == 1 else PlaneEdges.joined(parts).by_receiver()


def _placed(edges: tuple[np.ndarray, np.ndarray], of_senders: np.ndarray, of_receivers: np.ndarray) -> PlaneEdges:
    """Edges between nodes at positions (node, 2) in metres."""
    senders, receivers = edges
    return PlaneEdges(senders, receivers, (of_senders[senders] - of_receivers[receivers]).astype(np.float32))


def _positions(mesh: Mesh, level: int) -> np.ndarray:
    """(node, 2) x and y (m) of a mesh's nodes, from the region's middle."""
    x, y = mesh.positions(level)
    return np.stack([np.tile(x, len(y)), np.repeat(y, len(x))], -1)


def _mesh_features(mesh: Mesh, level: int, grid: ProjectedGrid) -> torch.Tensor:
    span = max((grid.nx - 1) * grid.dx, (grid.ny - 1) * grid.dy)
    return torch.from_numpy((_positions(mesh, level) / span).astype(np.float32))


def _features(edges: PlaneEdges, longest: float) -> np.ndarray:
    features = np.empty((len(edges.senders), EDGE_FEATURES), np.float32)
    features[:, 0], features[:, 1:] = edges.length, edges.displacement
    features /= np.float32(longest)
    return features
