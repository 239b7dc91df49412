"""``GraphCastSettings``: the shape of a GraphCast network. Reference: Lam et al. (2023), arXiv 2212.12794."""

from dataclasses import dataclass, field

from rtma_diffda.backbones.limited_area.evaluation import Evaluation
from rtma_diffda.errors import UsageError

RADIUS_FRACTION = 0.6


@dataclass(frozen=True)
class GraphCastSettings:
    """Attributes:
    mesh_size: refinements of the icosahedron; the mesh has 10 · 4^mesh_size + 2 nodes.
    latent_size: width of nodes, edges and messages.
    message_steps: of the processor, with weights of their own.
    hidden_layers: of every perceptron.
    radius_fraction: grid points send to mesh nodes within this fraction of the finest mesh's longest edge.
    mesh2grid_edge_normalization_factor: length that features of mesh-to-grid edges are divided by; None: the longest.
    evaluation: how it is computed; a ``chunk`` counts grid points × members.
    """

    mesh_size: int
    latent_size: int
    message_steps: int
    hidden_layers: int = 1
    radius_fraction: float = RADIUS_FRACTION
    mesh2grid_edge_normalization_factor: float | None = None
    evaluation: Evaluation = field(default_factory=Evaluation, compare=False)

    def __post_init__(self) -> None:
        counts = (self.latent_size, self.message_steps, self.hidden_layers)
        if not 0 <= self.mesh_size <= 8 or min(counts) < 1:
            raise UsageError(
                "a GraphCast network needs a mesh_size of 0 … 8, and latent_size, message_steps and hidden_layers of 1 "
                f"or more; found {self.mesh_size} and {counts}"
            )
        factor = self.mesh2grid_edge_normalization_factor
        if not self.radius_fraction > 0 or not (factor is None or factor > 0):
            raise UsageError(
                "the radius fraction and the mesh-to-grid normalisation factor must be positive; found "
                f"{self.radius_fraction} and {factor}"
            )
