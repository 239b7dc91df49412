"""Edges between grid points and mesh nodes: within a radius to the mesh, from the corners of a face to the grid.

Grid points are counted row by row from the first latitude. Positions are on the unit sphere and in float32, distances
are chords: some pairs lie within rounding of the radius, and weights were trained on edges found like this.

A point on an edge or a corner of faces lies in several of them (420 of 65,160 points at 1 degree, 1,986 of 1,038,240 at
0.25). The published code then takes what rounding and the order of its search tree give. There is no short rule for it:
the highest number, which is taken here, is its choice in 85 % of such points at 5 degrees on 162 nodes, in 66 % at 1
degree and in half of them at 0.25. Its own edges can be given to ``build_graph`` instead.
References: Lam et al. (2023), arXiv 2212.12794, section 3.4; ``grid_mesh_connectivity`` of the published code.
"""

import numpy as np
from scipy.spatial import cKDTree

from rtma_diffda.backbones.graphcast.mesh import IcosahedralMesh
from rtma_diffda.errors import InputError

FACE_TIE = 1e-7
"""Faces whose edge planes a point is beyond by no more than this are tied; the last by number is taken."""
_NEAREST = (1, 4, 16)
"""Of how many of the nearest mesh nodes the faces are tried."""


def unit_positions(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """(point, 3) positions on the unit sphere, of degrees (point,), in the precision of these."""
    phi, theta = np.deg2rad(longitude), np.deg2rad(90 - latitude)
    return np.stack([np.cos(phi) * np.sin(theta), np.sin(phi) * np.sin(theta), np.cos(theta)], axis=-1)


def edges_within(positions: np.ndarray, mesh: IcosahedralMesh, fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Senders (grid points) and receivers (mesh nodes) not farther apart than ``fraction`` of the longest mesh edge.

    Args:
        positions: (point, 3) float32 on the unit sphere.
        mesh: whose finest level receives.
        fraction: of its longest edge.

    Returns:
        (edge,) and (edge,) int64, by grid point, and for each in the order of a k-d tree.
    """
    radius = mesh.longest_edge * np.float32(fraction)
    found = cKDTree(mesh.vertices).query_ball_point(positions, float(radius))
    counts = np.fromiter(map(len, found), np.int64, len(found))
    receivers = np.fromiter((node for nodes in found for node in nodes), np.int64, int(counts.sum()))
    return np.repeat(np.arange(len(found)), counts), receivers


def containing_faces(positions: np.ndarray, mesh: IcosahedralMesh) -> np.ndarray:
    """(point,) the face of the finest level that each point's ray passes through.

    Raises:
        InputError: a position is not finite.
    """
    if not np.isfinite(positions).all():
        raise InputError("positions of grid points must be finite to find the mesh faces that they lie in")
    tree, faces_at = cKDTree(mesh.vertices), _faces_at_vertices(mesh.faces, len(mesh.vertices))
    normals = _edge_normals(mesh)
    found, open_points = np.full(len(positions), -1), np.arange(len(positions))
    for count in _NEAREST:
        if not len(open_points):
            break
        _, near = tree.query(positions[open_points].astype(np.float64), k=list(range(1, count + 1)))
        candidates = faces_at[near].reshape(len(near), -1)
        chosen, margin = _innermost(positions[open_points], candidates, normals)
        inside = (margin >= -FACE_TIE) | (count == _NEAREST[-1])
        found[open_points[inside]] = chosen[inside]
        open_points = open_points[~inside]
    return found


def containing_margin(positions: np.ndarray, faces: np.ndarray, mesh: IcosahedralMesh) -> np.ndarray:
    """(point,) how far inside its face (point,) each point lies: 0 on an edge, negative outside."""
    return _margins(positions, faces[:, None], _edge_normals(mesh))[:, 0]


def face_edges(faces: np.ndarray, mesh: IcosahedralMesh) -> tuple[np.ndarray, np.ndarray]:
    """Senders (mesh nodes) and receivers (grid points) of three consecutive edges a point, from its face's corners."""
    return mesh.faces[faces].reshape(-1).astype(np.int64), np.repeat(np.arange(len(faces)), 3)


def _faces_at_vertices(faces: np.ndarray, count: int) -> np.ndarray:
    """(vertex, 6) faces around each vertex, ascending; where there are five, the last is repeated."""
    order = np.argsort(faces.reshape(-1), kind="stable")
    degree = np.bincount(faces.reshape(-1), minlength=count)
    first = np.cumsum(degree) - degree
    place = first[:, None] + np.minimum(np.arange(degree.max()), degree[:, None] - 1)
    return (order // 3)[place]


def _edge_normals(mesh: IcosahedralMesh) -> np.ndarray:
    """(face, 3, 3) unit normals of the planes through the origin and each edge, pointing into the face; float64."""
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    normals = np.cross(corners, np.roll(corners, -1, axis=1))
    return normals / np.linalg.norm(normals, axis=-1, keepdims=True)


def _margins(positions: np.ndarray, candidates: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(point, candidate) smallest distance of each point to the edge planes of each of its candidate faces."""
    columns = [
        np.einsum("psk,pk->ps", normals[faces], positions.astype(np.float64)).min(axis=1) for faces in candidates.T
    ]
    return np.stack(columns, axis=1)


def _innermost(positions: np.ndarray, candidates: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The candidate (point,) that contains each point, and how far inside it lies; ties go to the highest number."""
    margins = _margins(positions, candidates, normals)
    contained = margins >= -FACE_TIE
    last = np.where(contained, candidates, -1).argmax(axis=1)
    best = np.where(contained.any(axis=1), last, margins.argmax(axis=1))
    points = np.arange(len(positions))
    return candidates[points, best], margins[points, best]
