"""Graphs as Neural-LAM stores them: two of its own, and one drawn by hand in both formats."""

from pathlib import Path

import numpy as np
import torch

XY = np.stack(np.meshgrid(np.arange(4) * 10.0, np.arange(3) * 10.0, indexing="ij"), -1).reshape(-1, 2)
"""(12, 2): a grid of 4 × 3 points, span 30."""


def stored(path: Path) -> tuple[dict, np.ndarray]:
    """The tensors ``graph/…`` of a parity fixture, lists where levels are numbered, and the grid's coordinates."""
    found = {}
    with np.load(path) as arrays:
        for name in (name for name in arrays.files if name.startswith("graph/")):
            _, key, *level = name.split("/")
            values = torch.from_numpy(arrays[name])
            if level:
                found.setdefault(key, []).append(values)
            else:
                found[key] = values
        return found, arrays["grid/xy"]


def features(count: int, start: float) -> torch.Tensor:
    return start + torch.arange(3.0 * count).reshape(count, 3)


def drawn() -> dict:
    """Format 0.1.0: levels of 4 and 2 nodes, the last mesh node without a grid node; edges in no order of receivers."""
    return {
        "g2m_edge_index": torch.tensor([[11, 0, 3, 5], [2, 0, 2, 1]]),
        "g2m_features": features(4, 1.0),
        "m2g_edge_index": torch.tensor([[1] * 12, list(range(12))]),
        "m2g_features": features(12, 2.0),
        "m2m_edge_index": [torch.tensor([[1, 0, 3, 2], [0, 1, 2, 3]]), torch.tensor([[1, 0], [0, 1]])],
        "m2m_features": [features(4, 3.0), features(2, 47.0)],
        "mesh_features": [torch.tensor([[0.0, 0], [30, 0], [0, 15], [30, 15]]), torch.tensor([[15.0, 0], [15, 15]])],
        "mesh_up_edge_index": [torch.tensor([[0, 1, 2, 3], [0, 0, 1, 1]])],
        "mesh_up_features": [features(4, 5.0)],
        "mesh_down_edge_index": [torch.tensor([[0, 0, 1, 1], [0, 1, 2, 3]])],
        "mesh_down_features": [features(4, 6.0)],
    }


def as_legacy(tensors: dict, *, mesh_first: bool) -> dict:
    """The same graph with nodes counted through and coordinates divided by the span of 30."""
    finest, top = (len(values) for values in tensors["mesh_features"])
    mesh, grid = (0, finest + top) if mesh_first else (12, 0)
    offsets = {
        "g2m_edge_index": (grid, mesh),
        "m2g_edge_index": (mesh, grid),
        "m2m_edge_index": [(mesh, mesh), (mesh + finest, mesh + finest)],
        "mesh_up_edge_index": [(mesh, mesh + finest)],
        "mesh_down_edge_index": [(mesh + finest, mesh)],
    }
    found = dict(tensors)
    for name, offset in offsets.items():
        if isinstance(offset, list):
            pairs = zip(tensors[name], offset, strict=True)
            found[name] = [index + torch.tensor(by)[:, None] for index, by in pairs]
        else:
            found[name] = tensors[name] + torch.tensor(offset)[:, None]
    found["mesh_features"] = [values / 30.0 for values in tensors["mesh_features"]]
    return found
