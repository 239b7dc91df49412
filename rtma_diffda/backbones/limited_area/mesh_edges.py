"""Edges among mesh nodes: within a mesh, of coarser meshes laid on the finest one, and between levels.

Every function returns senders and receivers, (edge,) int64, ordered by receiver and then by sender.
"""

import numpy as np

Shape = tuple[int, int]
Edges = tuple[np.ndarray, np.ndarray]


def neighbour_edges(shape: Shape, neighbours: int) -> Edges:
    """Edges from each node of a mesh to the nodes beside it, and with 8 neighbours to the diagonal ones."""
    rows, columns = shape
    steps = [(j, i) for j in (-1, 0, 1) for i in (-1, 0, 1) if 0 < abs(j) + abs(i) <= (2 if neighbours == 8 else 1)]
    step = np.array(steps)
    row = np.arange(rows)[:, None, None] + step[:, 0]
    column = np.arange(columns)[None, :, None] + step[:, 1]
    exists = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    senders = (row * columns + column)[exists]
    receivers = np.repeat(np.arange(rows * columns), exists.reshape(-1, len(steps)).sum(1))
    return senders, receivers


def multiscale_edges(shapes: tuple[Shape, ...], neighbours: int) -> Edges:
    """Edges of all meshes among nodes of the finest; a coarser node stands for the finest one that is nearest to it."""
    finest = shapes[0]
    size = finest[0] * finest[1]
    pairs = []
    for shape in shapes:
        node = _nearest_finer(finest, shape)
        senders, receivers = neighbour_edges(shape, neighbours)
        pairs.append(node[receivers] * size + node[senders])
    receivers, senders = np.divmod(np.unique(np.concatenate(pairs)), size)  # an edge that two meshes share counts once
    return senders, receivers


def parents(finer: Shape, coarser: Shape) -> np.ndarray:
    """(finer node,) the nearest coarser node of each finer one: that in whose cell it lies."""
    row, column = (_containing(m, n) for m, n in zip(coarser, finer, strict=True))
    return (row[:, None] * coarser[1] + column).ravel()


def upward_edges(parent: np.ndarray) -> Edges:
    """Edges from each finer node to its parent."""
    senders = np.argsort(parent, kind="stable")
    return senders, parent[senders]


def downward_edges(parent: np.ndarray) -> Edges:
    """Edges from the parent of each finer node to it."""
    return parent, np.arange(len(parent))


def _nearest_finer(finer: Shape, coarser: Shape) -> np.ndarray:
    """(coarser node,) the nearest finer node of each; no two are the same, as finer cells are not larger."""
    row, column = (_containing(n, m) for n, m in zip(finer, coarser, strict=True))
    return (row[:, None] * finer[1] + column).ravel()


def _containing(cells: int, nodes: int) -> np.ndarray:
    """(node,) the one of ``cells`` equal cells in which each of ``nodes`` equally spaced nodes over them lies."""
    return (2 * np.arange(nodes) + 1) * cells // (2 * nodes)
