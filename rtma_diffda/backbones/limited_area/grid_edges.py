"""Edges between grid and mesh: grid nodes within a radius send to a mesh node, the nearest mesh nodes answer.

Both are lattices, so what is near follows in each direction by itself. A pair (a-th nearest column, b-th nearest row)
has at least (a + 1)(b + 1) − 1 nodes no farther away, counting from 0: only pairs with (a + 1)(b + 1) ≤ k can be among
the k nearest, 8 of them for k = 4. Edges are made for some rows of receivers at a time, which bounds memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from rtma_diffda.backbones.limited_area.mesh import Mesh, MeshAxis

BLOCK = 1_000_000
"""Candidate edges looked at together."""


@dataclass(frozen=True)
class PlaneEdges:
    """Edges with the displacement of each.

    Attributes:
        senders, receivers: (edge,) int64.
        displacement: (edge, 2) float32 sender − receiver along x and y (m).
    """

    senders: np.ndarray
    receivers: np.ndarray
    displacement: np.ndarray

    @classmethod
    def joined(cls, parts: list["PlaneEdges"]) -> "PlaneEdges":
        """All edges of ``parts``, in their order."""
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    @property
    def length(self) -> np.ndarray:
        """(edge,) float32, in metres."""
        return np.sqrt(np.einsum("ij,ij->i", self.displacement, self.displacement))

    def by_receiver(self) -> "PlaneEdges":
        """Sorted by receiver; edges of one receiver keep their order."""
        order = np.argsort(self.receivers, kind="stable")
        return PlaneEdges(self.senders[order], self.receivers[order], self.displacement[order])


def nearest_mesh_edges(mesh: Mesh, neighbours: int) -> PlaneEdges:
    """Edges from the ``neighbours`` nearest mesh nodes to each point of the region, nearest first."""
    column, across = _nearest(mesh.x, neighbours)
    row, along = _nearest(mesh.y, neighbours)
    ranks = [(a, b) for a in range(neighbours) for b in range(neighbours) if (a + 1) * (b + 1) <= neighbours]
    a, b = np.array(ranks).T
    column, across, row, along = column[:, a], across[:, a], row[:, b], along[:, b]
    rows, columns = mesh.y.grid_count, mesh.x.grid_count
    senders = np.empty((rows, columns, neighbours), np.int64)
    displacement = np.empty((rows, columns, neighbours, 2), np.float32)
    of_point, of_line = (np.arange(count)[:, None] * len(ranks) for count in (columns, rows))
    for block in _blocks(rows, columns * len(ranks)):
        distance = across**2 + along[block, None] ** 2
        chosen = np.argsort(distance, axis=-1, kind="stable")[..., :neighbours]
        in_row, in_column = of_line[block, None] + chosen, of_point + chosen
        senders[block] = row.take(in_row) * mesh.x.count + column.take(in_column)
        displacement[block, ..., 0], displacement[block, ..., 1] = across.take(in_column), along.take(in_row)
    receivers = np.repeat(np.arange(rows * columns), neighbours)
    return PlaneEdges(senders.ravel(), receivers, displacement.reshape(-1, 2))


def grid_edges_within(mesh: Mesh, radius: float) -> PlaneEdges:
    """Edges to each mesh node from the points of the region within ``radius`` (m) of it."""
    column, across = _grid_around(mesh.x, radius)
    row, along = _grid_around(mesh.y, radius)
    parts = []
    for block in _blocks(mesh.y.count, column.size * row.shape[1]):
        distance = along[block, None, :, None] ** 2 + across[None, :, None, :] ** 2
        line, node, b, a = np.nonzero(distance <= _limit(radius))
        line += block.start
        displacement = np.stack([across[node, a], along[line, b]], -1).astype(np.float32)
        senders = row[line, b] * mesh.x.grid_count + column[node, a]
        parts.append(PlaneEdges(senders, line * mesh.x.count + node, displacement))
    return PlaneEdges.joined(parts)


def point_edges_within(mesh: Mesh, x: np.ndarray, y: np.ndarray, radius: float) -> PlaneEdges:
    """Edges from points to the mesh nodes within ``radius``, or to the nearest one where there is none.

    Args:
        mesh: covers the points.
        x, y: (n,) plane coordinates (m).
        radius: in metres.

    Returns:
        Edges ordered by sender, the index into ``x``.
    """
    column, across = _nodes_around(mesh.x, x, radius)
    row, along = _nodes_around(mesh.y, y, radius)
    distance = along[:, :, None] ** 2 + across[:, None, :] ** 2
    found = distance <= _limit(radius)
    alone = np.flatnonzero(~found.any((1, 2)))
    found.reshape(len(x), -1)[alone, distance.reshape(len(x), -1)[alone].argmin(1)] = True
    point, b, a = np.nonzero(found)
    displacement = np.stack([across[point, a], along[point, b]], -1).astype(np.float32)
    return PlaneEdges(point, row[point, b] * mesh.x.count + column[point, a], displacement)


def _nearest(axis: MeshAxis, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(grid point, count) the nearest nodes in one direction, and how far (m) from the point; infinite for no node."""
    point = axis.grid_units(np.arange(axis.grid_count))[:, None]
    node = point // (2 * axis.width) + axis.before + np.arange(1 - count, count)
    away = _where(axis.node_units(node) - point, axis.unit, (node >= 0) & (node < axis.count))
    order = np.argsort(np.abs(away), axis=1, kind="stable")[:, :count]
    return np.take_along_axis(node, order, 1), np.take_along_axis(away, order, 1)


def _grid_around(axis: MeshAxis, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """(node, window) the points in one direction that may lie within ``radius``, and how far (m) from the node."""
    node = axis.node_units(np.arange(axis.count))[:, None]
    point = node // (2 * axis.region_cells) - axis.lead + _window(radius / axis.grid_spacing)
    away = _where(axis.grid_units(point) - node, axis.unit, (point >= 0) & (point < axis.grid_count))
    return point, away


def _nodes_around(axis: MeshAxis, positions: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """(n, window) nodes in one direction that may lie within ``radius``, and how far (m) positions are from them."""
    cells = (positions - axis.start) / axis.spacing + axis.before
    nearest = np.clip(np.floor(cells).astype(np.int64), 0, axis.count - 1)
    node = nearest[:, None] + _window(radius / axis.spacing)
    return node, _where(cells[:, None] - (node + 0.5), axis.spacing, (node >= 0) & (node < axis.count))


def _window(reach: float) -> np.ndarray:
    """Steps from a cell to all whose middles may lie within ``reach`` cells of somewhere in it."""
    farthest = int(reach + 0.5 + 1e-6)
    return np.arange(-farthest, farthest + 1)


def _where(away: np.ndarray, unit: float, exists: np.ndarray) -> np.ndarray:
    return np.where(exists, away * unit, np.inf)


def _limit(radius: float) -> float:
    """Square of ``radius``, with room for rounding."""
    return radius**2 * (1.0 + 1e-9)


def _blocks(count: int, candidates: int) -> Iterator[slice]:
    """Slices of ``count`` rows with ``candidates`` each."""
    rows = max(1, BLOCK // candidates)
    for start in range(0, count, rows):
        yield slice(start, min(start + rows, count))
