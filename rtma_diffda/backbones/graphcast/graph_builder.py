"""The graph of a grid: ``GraphCastSettings`` and a grid → ``GraphCastGraph``. Equal arguments give equal graphs.

Reference: Lam et al. (2023), arXiv 2212.12794, section 3.4.
"""

from functools import lru_cache

import numpy as np
import torch

from rtma_diffda.backbones.graphcast.graph import CORNERS, GraphCastGraph
from rtma_diffda.backbones.graphcast.grid_edges import containing_faces, edges_within, face_edges
from rtma_diffda.backbones.graphcast.mesh import IcosahedralMesh
from rtma_diffda.backbones.graphcast.settings import GraphCastSettings
from rtma_diffda.backbones.graphcast.structural_features import Places, edge_features
from rtma_diffda.backbones.limited_area.graph import EdgeSet
from rtma_diffda.errors import InputError
from rtma_diffda.geo.grid import LatLonGrid


def build_graph(grid: LatLonGrid, settings: GraphCastSettings, mesh2grid: np.ndarray | None = None) -> GraphCastGraph:
    """The graph on a grid.

    Args:
        grid: of the fields.
        settings: mesh size, radius and normalisation of edges.
        mesh2grid: (grid point, 3) mesh nodes that send to each point, where a choice is to be followed that was made
            elsewhere; None: the corners of the face that a point lies in.

    Raises:
        InputError: ``mesh2grid`` does not fit the grid and the mesh.
    """
    mesh = _refined(settings.mesh_size)
    at_grid, at_mesh = Places.of_axes(grid.latitudes, grid.longitudes), Places.of_positions(mesh.vertices)
    to_mesh = edges_within(at_grid.positions, mesh, settings.radius_fraction)
    to_grid = (
        face_edges(containing_faces(at_grid.positions, mesh), mesh)
        if mesh2grid is None
        else _given_edges(mesh2grid, grid_count=grid.ny * grid.nx, mesh_count=len(mesh.vertices))
    )
    factor = settings.mesh2grid_edge_normalization_factor
    return GraphCastGraph(
        grid.shape,
        torch.from_numpy(at_grid.node_features()),
        torch.from_numpy(at_mesh.node_features()),
        _edge_set(at_grid, at_mesh, to_mesh),
        _edge_set(at_mesh, at_mesh, mesh.multi_mesh_edges),
        _edge_set(at_mesh, at_grid, to_grid, scale=factor),
    )


@lru_cache(maxsize=4)
def _refined(times: int) -> IcosahedralMesh:
    return IcosahedralMesh.refined(times)


def _given_edges(senders: np.ndarray, *, grid_count: int, mesh_count: int) -> tuple[np.ndarray, np.ndarray]:
    senders = np.asarray(senders, np.int64)
    if senders.shape != (grid_count, CORNERS) or not (senders.min() >= 0 and senders.max() < mesh_count):
        raise InputError(
            f"given mesh-to-grid edges have shape {senders.shape} and name mesh nodes {senders.min(initial=0)} … "
            f"{senders.max(initial=0)}; expected ({grid_count}, {CORNERS}) and 0 … {mesh_count - 1}"
        )
    return senders.reshape(-1), np.repeat(np.arange(grid_count), CORNERS)


def _edge_set(
    senders: Places, receivers: Places, edges: tuple[np.ndarray, np.ndarray], *, scale: float | None = None
) -> EdgeSet:
    features = edge_features(senders, receivers, edges, scale=scale)
    ends = (torch.from_numpy(np.asarray(nodes, np.int64)) for nodes in edges)
    counts = {"sender_count": len(senders.latitude), "receiver_count": len(receivers.latitude)}
    return EdgeSet.sorted(*ends, torch.from_numpy(features), **counts)
