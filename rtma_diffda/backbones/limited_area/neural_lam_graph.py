"""Graphs that Neural-LAM stored, as ``LimitedAreaGraph``: a network runs on the graph that it was trained on.

Coordinates of mesh nodes are divided by the larger span of the grid, features of all edges by the longest edge within
a mesh level; displacements keep the sign in which they were stored, which differs between the builders of such graphs.
Format 0.1.0 counts the nodes of every set from zero and stores coordinates in metres. Files without a version are
older ("legacy"): nodes of all sets are counted through, and coordinates are already divided.
Reference: Oskarsson et al. (2023), arXiv 2309.17370.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.backbones.limited_area.graph import EdgeSet, LimitedAreaGraph
from rtma_diffda.errors import InputError

CURRENT, LEGACY = "0.1.0", "legacy"
Stored = Mapping[str, Tensor | Sequence[Tensor]]


def graph_of_neural_lam(tensors: Stored, xy: np.ndarray | Tensor, *, version: str = CURRENT) -> LimitedAreaGraph:
    """The graph of Neural-LAM's stored tensors.

    Args:
        tensors: by the names of the files, without ending: ``g2m_edge_index`` (2, edge) and ``g2m_features`` (edge, 3),
            ``m2g_…`` alike, and lists over mesh levels, finest first, of ``m2m_…``, ``mesh_features`` (node, 2) and, of
            hierarchical graphs, ``mesh_up_…`` and ``mesh_down_…``.
        xy: (grid node, 2) plane coordinates of the grid, in the stored order of its nodes.
        version: "0.1.0" or "legacy".

    Returns:
        The graph; its grid nodes keep the order of ``xy``, its edges are sorted by receiver.

    Raises:
        InputError: a tensor is missing, the version is unknown, or nodes and edges do not fit together.
    """
    if version not in (CURRENT, LEGACY):
        raise InputError(f"stored graph has version '{version}'; known are {CURRENT} and {LEGACY}")
    grid_xy = torch.as_tensor(np.asarray(xy))
    if grid_xy.ndim != 2 or grid_xy.shape[1] != 2 or len(grid_xy) < 2:
        raise InputError(f"coordinates of the grid have shape {tuple(grid_xy.shape)}; expected (grid node, 2)")
    try:
        indexed = tensors if version == CURRENT else {**tensors, **_counted_from_zero(tensors, len(grid_xy))}
        return _graph(indexed, grid_xy, coordinates_divided=version == LEGACY)
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"stored graph lacks a tensor, or one has a wrong shape: {error!r}") from error


def _graph(tensors: Stored, grid_xy: Tensor, *, coordinates_divided: bool) -> LimitedAreaGraph:
    grid_count = len(grid_xy)
    span = 1.0 if coordinates_divided else float((grid_xy.amax(0) - grid_xy.amin(0)).max())
    mesh = tuple(values / span for values in tensors["mesh_features"])
    sizes = [len(values) for values in mesh]
    levels, longest = len(mesh), max(values[:, 0].max() for values in tensors["m2m_features"])

    def edges(name: str, sender_count: int, receiver_count: int, level: int | None = None) -> EdgeSet:
        index, features = tensors[f"{name}_edge_index"], tensors[f"{name}_features"]
        if level is not None:
            index, features = index[level], features[level]
        senders, receivers = index.long()
        counts = {"sender_count": sender_count, "receiver_count": receiver_count}
        return EdgeSet.sorted(senders, receivers, features / longest, **counts)

    return LimitedAreaGraph(
        interior_count=grid_count,
        boundary_count=0,
        mesh_features=mesh,
        grid_to_mesh=edges("g2m", grid_count, sizes[0]),
        mesh_to_grid=edges("m2g", sizes[0], grid_count),
        same_level=tuple(edges("m2m", sizes[i], sizes[i], i) for i in range(levels)),
        upward=tuple(edges("mesh_up", sizes[i], sizes[i + 1], i) for i in range(levels - 1)),
        downward=tuple(edges("mesh_down", sizes[i + 1], sizes[i], i) for i in range(levels - 1)),
    )


def _counted_from_zero(tensors: Stored, grid_count: int) -> dict[str, Tensor | list[Tensor]]:
    """Edge indices of a legacy graph, each set of nodes counted from zero.

    Grid nodes come after the nodes of all mesh levels, or before them. Not every mesh node need have an edge to or from
    the grid, so there the counts tell where a set begins; within and between mesh levels its first node always has one.
    """
    mesh_count = sum(len(values) for values in tensors["mesh_features"])
    g2m, m2g = tensors["g2m_edge_index"], tensors["m2g_edge_index"]
    mesh_first = bool(m2g[0].min() < m2g[1].min())
    grid_offset, mesh_offset = (mesh_count, 0) if mesh_first else (0, grid_count)
    found: dict[str, Tensor | list[Tensor]] = {
        "g2m_edge_index": g2m - torch.tensor([[grid_offset], [mesh_offset]]),
        "m2g_edge_index": m2g - torch.tensor([[mesh_offset], [grid_offset]]),
    }
    for name in ("m2m_edge_index", "mesh_up_edge_index", "mesh_down_edge_index"):
        found[name] = [index - index.amin(1, keepdim=True) for index in tensors.get(name, ())]
    return found
