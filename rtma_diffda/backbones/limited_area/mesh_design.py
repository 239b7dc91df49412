"""``MeshDesign``: the numbers from which the mesh of a limited-area graph, and its edges, follow.

References: Oskarsson et al. (2023), arXiv 2309.17370 (flat and hierarchical meshes); Lam et al. (2023), arXiv
2212.12794 (multi-scale meshes).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from rtma_diffda.errors import UsageError

KINDS = ("flat", "multiscale", "hierarchical")


@dataclass(frozen=True)
class MeshDesign:
    """How a mesh is laid over a region.

    Attributes:
        kind: "flat", one level; "multiscale", one level whose edges include those of coarser meshes; "hierarchical",
            coarser meshes as levels of their own, with edges up and down.
        spacing: of the finest mesh, in cells of the grid.
        refinement: times by which spacing grows from one mesh to the next coarser one.
        levels: meshes, the finest included; None for as many as have two nodes a side (one if flat).
        neighbours: 8, or 4 without diagonals.
        grid_to_mesh_radius: a mesh node hears the grid nodes within this multiple of the finest mesh's longest edge.
            With 8 neighbours anything above 0.5 reaches every grid node.
        mesh_to_grid_neighbours: nearest mesh nodes that answer to each point of the region.
    """

    kind: str = "hierarchical"
    spacing: float = 3.0
    refinement: int = 3
    levels: int | None = None
    neighbours: int = 8
    grid_to_mesh_radius: float = 0.51
    mesh_to_grid_neighbours: int = 4

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"kind of a mesh must be one of {', '.join(KINDS)}; found '{self.kind}'")
        if not self.spacing > 0.0 or not self.grid_to_mesh_radius > 0.0:
            raise UsageError(
                f"spacing and grid_to_mesh_radius of a mesh must be above 0; found {self.spacing} and "
                f"{self.grid_to_mesh_radius}"
            )
        if self.refinement != int(self.refinement) or self.refinement < 2:
            raise UsageError(f"refinement of a mesh must be a whole number of 2 or more; found {self.refinement}")
        if self.neighbours not in (4, 8) or self.mesh_to_grid_neighbours < 1:
            raise UsageError(
                f"a mesh needs neighbours of 4 or 8 and mesh_to_grid_neighbours ≥ 1; found {self.neighbours} and "
                f"{self.mesh_to_grid_neighbours}"
            )
        flat = self.kind == "flat"
        if self.levels is not None and (self.levels != 1 if flat else self.levels < 2):
            count = "1 level" if flat else "2 levels or more"
            raise UsageError(f"a {self.kind} mesh has {count}; found levels = {self.levels}")

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "MeshDesign":
        """The design of which ``settings`` were taken; what is not named has its default.

        Raises:
            UsageError: an unknown name, or a value of another kind or outside its range.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(settings) - known):
            raise UsageError(f"unknown settings {unknown} of a mesh; expected some of {sorted(known)}")
        try:
            return cls(**settings)
        except (TypeError, ValueError) as error:
            raise UsageError(f"settings of a mesh must be numbers, but for its kind; found {dict(settings)}") from error

    def settings(self) -> dict[str, Any]:
        """Plain values, for the configuration of a checkpoint."""
        return asdict(self)
