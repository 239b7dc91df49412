"""``GraphCastGraph``: the grid, the mesh, and the three sets of edges between and on them, with structural features.

Reference: Lam et al. (2023), arXiv 2212.12794, section 3.4.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

import torch
from torch import Tensor

from rtma_diffda.backbones.graphcast.structural_features import EDGE_FEATURES, NODE_FEATURES
from rtma_diffda.backbones.limited_area.graph import EdgeSet
from rtma_diffda.errors import InputError

CORNERS = 3
"""Mesh nodes that send to each grid point."""


@dataclass(frozen=True)
class GraphCastGraph:
    """Attributes:
    grid_shape: rows and columns of the grid; grid nodes are counted row by row.
    grid_features: (grid node, 3) float32.
    mesh_features: (mesh node, 3) float32.
    grid_to_mesh, mesh, mesh_to_grid: edges, sorted by receiver. A grid point receives from three mesh nodes.
    """

    grid_shape: tuple[int, int]
    grid_features: Tensor = field(repr=False)
    mesh_features: Tensor = field(repr=False)
    grid_to_mesh: EdgeSet
    mesh: EdgeSet
    mesh_to_grid: EdgeSet

    def __post_init__(self) -> None:
        grid, mesh = len(self.grid_features), len(self.mesh_features)
        if self.grid_shape[0] * self.grid_shape[1] != grid:
            raise InputError(f"a grid of {self.grid_shape} points has features of {grid} grid nodes")
        nodes = (self.grid_features, self.mesh_features)
        edges = (self.grid_to_mesh, self.mesh, self.mesh_to_grid)
        if {part.shape[1] for part in nodes} != {NODE_FEATURES} or {e.features.shape[1] for e in edges} != {
            EDGE_FEATURES
        }:
            raise InputError(f"a GraphCast graph has {NODE_FEATURES} features a node and {EDGE_FEATURES} an edge")
        for what, found, expected in zip(
            ("grid-to-mesh", "mesh", "mesh-to-grid"), edges, ((grid, mesh), (mesh, mesh), (mesh, grid)), strict=True
        ):
            if (found.sender_count, found.receiver_count) != expected:
                raise InputError(
                    f"{what} edges lead from {found.sender_count} to {found.receiver_count} nodes; expected {expected}"
                )
        if self.mesh_to_grid.degree != CORNERS:
            raise InputError(f"every grid point must receive from {CORNERS} mesh nodes; not all of this graph do")

    @cached_property
    def key(self) -> str:
        """A short text, equal only for equal graphs."""
        digest = sha256()
        for name, values in sorted(self.tensors().items()):
            digest.update(name.encode())
            digest.update(values.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def tensors(self) -> dict[str, Tensor]:
        """Everything by name, for a file; ``from_tensors`` makes the graph again."""
        found = {
            "grid_shape": torch.tensor(self.grid_shape),
            "grid_features": self.grid_features,
            "mesh_features": self.mesh_features,
        }
        for name in ("grid_to_mesh", "mesh", "mesh_to_grid"):
            edges: EdgeSet = getattr(self, name)
            found[f"{name}.edges"] = torch.stack([edges.senders, edges.receivers]).int()
            found[f"{name}.features"] = edges.features
        return found

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "GraphCastGraph":
        """The graph of ``tensors``.

        Raises:
            InputError: something is missing, or does not fit together.
        """
        try:
            ny, nx = tensors["grid_shape"].tolist()
            grid, mesh = tensors["grid_features"], tensors["mesh_features"]

            def edges(name: str, senders: Tensor, receivers: Tensor) -> EdgeSet:
                ends = tensors[f"{name}.edges"].long()
                return EdgeSet(ends[0], ends[1], tensors[f"{name}.features"], len(senders), len(receivers))

            parts = (edges("grid_to_mesh", grid, mesh), edges("mesh", mesh, mesh), edges("mesh_to_grid", mesh, grid))
            return cls((ny, nx), grid, mesh, *parts)
        except (KeyError, ValueError, IndexError) as error:
            raise InputError(f"a stored GraphCast graph lacks something, or is damaged: {error!r}") from error
