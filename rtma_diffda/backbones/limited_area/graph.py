"""``LimitedAreaGraph``: the nodes and edges that a limited-area graph network passes messages on.

Grid nodes (the points of the region, row by row from the south-west, and after them the boundary nodes: points of a
coarser global grid) send to the mesh, mesh levels 0 (finest) … T send among each other, and the mesh answers to the
region's points alone. Every set of edges is sorted by receiver, so that the edges of any run of receivers lie together.
References: Oskarsson et al. (2023), arXiv 2309.17370; Adamov et al. (2025), arXiv 2504.09340 (boundary nodes).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

import torch
from torch import Tensor

from rtma_diffda.errors import InputError

EDGE_FEATURES, MESH_FEATURES = 3, 2


@dataclass(frozen=True)
class EdgeSet:
    """Directed edges from one set of nodes to another, or within one.

    Attributes:
        senders, receivers: (edge,) int64, each counted within its own set of nodes; receivers do not decrease.
        features: (edge, k) float32 length and displacement, as a network takes them: along x and y in a plane (k = 3).
        sender_count, receiver_count: nodes of the sets; a receiver may have no edge.
    """

    senders: Tensor = field(repr=False)
    receivers: Tensor = field(repr=False)
    features: Tensor = field(repr=False)
    sender_count: int
    receiver_count: int

    def __post_init__(self) -> None:
        edges = len(self.senders)
        if self.receivers.shape != (edges,) or self.features.ndim != 2 or len(self.features) != edges:
            raise InputError(
                f"edges have {edges} senders, receivers of shape {tuple(self.receivers.shape)} and features of shape "
                f"{tuple(self.features.shape)}; expected ({edges},) and ({edges}, features)"
            )
        if edges and bool((self.receivers[1:] < self.receivers[:-1]).any()):
            raise InputError("edges must be sorted by receiver; EdgeSet.sorted sorts them")
        for nodes, count, what in (
            (self.senders, self.sender_count, "sender"),
            (self.receivers[[0, -1]] if edges else self.receivers, self.receiver_count, "receiver"),
        ):
            first, last = (int(end) for end in nodes.aminmax()) if edges else (0, -1)
            if not 0 <= first <= last + 1 <= count:
                raise InputError(f"edges name {what}s {first} … {last}; there are {count} such nodes")

    @classmethod
    def sorted(
        cls, senders: Tensor, receivers: Tensor, features: Tensor, *, sender_count: int, receiver_count: int
    ) -> "EdgeSet":
        """Edges in any order, sorted by receiver; edges of one receiver keep their order."""
        order = torch.argsort(receivers, stable=True)
        return cls(senders[order], receivers[order], features[order], sender_count, receiver_count)

    def __len__(self) -> int:
        return len(self.senders)

    @cached_property
    def offsets(self) -> Tensor:
        """(receiver + 1,) int64: the edges of receiver r are offsets[r] … offsets[r + 1] − 1."""
        counts = torch.bincount(self.receivers, minlength=self.receiver_count)
        return torch.cat([counts.new_zeros(1), counts.cumsum(0)])

    @cached_property
    def degree(self) -> int | None:
        """Number of edges of every receiver; None where it is not the same for all."""
        counts = self.offsets.diff()
        first = int(counts[0])
        return first if first and bool((counts == first).all()) else None


@dataclass(frozen=True)
class LimitedAreaGraph:
    """Attributes:
    interior_count: points of the region; grid nodes 0 … interior_count − 1.
    boundary_count: boundary nodes, after them; 0 without.
    mesh_features: (node, 2) float32 of each level, finest first: coordinates, of the order of 1.
    grid_to_mesh: grid nodes → mesh level 0.
    mesh_to_grid: mesh level 0 → points of the region.
    same_level: within each level.
    upward, downward: level l → l + 1 and back, l = 0 … T − 1; empty for a flat mesh.
    """

    interior_count: int
    boundary_count: int
    mesh_features: tuple[Tensor, ...] = field(repr=False)
    grid_to_mesh: EdgeSet
    mesh_to_grid: EdgeSet
    same_level: tuple[EdgeSet, ...]
    upward: tuple[EdgeSet, ...] = ()
    downward: tuple[EdgeSet, ...] = ()

    def __post_init__(self) -> None:
        levels, sizes = len(self.mesh_features), self.level_sizes
        if len(self.same_level) != levels or len(self.upward) != levels - 1 or len(self.downward) != levels - 1:
            raise InputError(
                f"a graph of {levels} mesh levels needs {levels} sets of edges within levels and {levels - 1} up and "
                f"down; found {len(self.same_level)}, {len(self.upward)} and {len(self.downward)}"
            )
        expected = [
            (self.grid_to_mesh, (self.grid_count, sizes[0]), "grid-to-mesh"),
            (self.mesh_to_grid, (sizes[0], self.interior_count), "mesh-to-grid"),
            *((edges, (sizes[i], sizes[i]), f"level {i}") for i, edges in enumerate(self.same_level)),
            *((edges, (sizes[i], sizes[i + 1]), f"up from {i}") for i, edges in enumerate(self.upward)),
            *((edges, (sizes[i + 1], sizes[i]), f"down to {i}") for i, edges in enumerate(self.downward)),
        ]
        for edges, counts, what in expected:
            if (edges.sender_count, edges.receiver_count) != counts:
                raise InputError(
                    f"{what} edges lead from {edges.sender_count} to {edges.receiver_count} nodes; expected "
                    f"{counts[0]} and {counts[1]}"
                )

    @property
    def grid_count(self) -> int:
        """Points of the region and boundary nodes together."""
        return self.interior_count + self.boundary_count

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """Mesh nodes of each level, finest first."""
        return tuple(len(features) for features in self.mesh_features)

    @property
    def levels(self) -> int:
        """Mesh levels; 1 for a flat mesh."""
        return len(self.mesh_features)

    @cached_property
    def key(self) -> str:
        """A short text, equal only for equal graphs; a checkpoint names the graph that it was trained on by it."""
        digest = sha256(f"{self.interior_count}|{self.boundary_count}".encode())
        for name, values in sorted(self.tensors().items()):
            digest.update(name.encode())
            digest.update(values.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def tensors(self) -> dict[str, Tensor]:
        """Everything by name, for a file; ``from_tensors`` makes the graph again."""
        found = {"counts": torch.tensor([self.interior_count, self.boundary_count])}
        found |= {f"mesh_features.{i}": values for i, values in enumerate(self.mesh_features)}
        named = {"grid_to_mesh": self.grid_to_mesh, "mesh_to_grid": self.mesh_to_grid}
        for kind in ("same_level", "upward", "downward"):
            named |= {f"{kind}.{i}": edges for i, edges in enumerate(getattr(self, kind))}
        for name, edges in named.items():
            found[f"{name}.edges"] = torch.stack([edges.senders, edges.receivers]).int()
            found[f"{name}.features"] = edges.features
        return found

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "LimitedAreaGraph":
        """The graph of ``tensors``.

        Raises:
            InputError: something is missing, or does not fit together.
        """
        try:
            interior, boundary = tensors["counts"].tolist()
            levels = sum(name.startswith("mesh_features.") for name in tensors)
            mesh = tuple(tensors[f"mesh_features.{i}"] for i in range(levels))
            sizes = [len(values) for values in mesh]

            def edges(name: str, sender_count: int, receiver_count: int) -> EdgeSet:
                senders, receivers = tensors[f"{name}.edges"].long()
                return EdgeSet(senders, receivers, tensors[f"{name}.features"], sender_count, receiver_count)

            return cls(
                interior,
                boundary,
                mesh,
                edges("grid_to_mesh", interior + boundary, sizes[0]),
                edges("mesh_to_grid", sizes[0], interior),
                tuple(edges(f"same_level.{i}", sizes[i], sizes[i]) for i in range(levels)),
                tuple(edges(f"upward.{i}", sizes[i], sizes[i + 1]) for i in range(levels - 1)),
                tuple(edges(f"downward.{i}", sizes[i + 1], sizes[i]) for i in range(levels - 1)),
            )
        except (KeyError, ValueError, IndexError) as error:
            raise InputError(f"a stored graph lacks something, or is damaged: {error!r}") from error
