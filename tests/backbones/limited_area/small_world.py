"""A small region with a mesh, boundary nodes and networks on them, all weights awake."""

import torch
from torch import Tensor, nn

from rtma_diffda.backbones.limited_area.evaluation import Evaluation
from rtma_diffda.backbones.limited_area.graph import LimitedAreaGraph
from rtma_diffda.backbones.limited_area.graph_builder import build_graph
from rtma_diffda.backbones.limited_area.mesh_design import MeshDesign
from rtma_diffda.backbones.limited_area.networks import LimitedAreaSettings, limited_area_network
from rtma_diffda.geo.boundary_points import BoundaryPoints, boundary_grid
from rtma_diffda.geo.grid import ProjectedGrid

GRID = ProjectedGrid("+proj=lcc +lat_1=45 +lat_2=45 +lat_0=45 +lon_0=0 +R=6371200", 14, 12, 5e3, 5e3, -32.5e3, -27.5e3)
KIND_OF_MESH = {"flat": "flat", "hierarchical": "hierarchical", "parallel": "hierarchical"}


def boundary_points() -> BoundaryPoints:
    return BoundaryPoints.of(boundary_grid(GRID, spacing=20e3, width=40e3), GRID, width=40e3, overlap=True)


def graph_of(settings: LimitedAreaSettings) -> LimitedAreaGraph:
    design = MeshDesign(KIND_OF_MESH[settings.mesh], spacing=2.0, refinement=2)
    boundary = boundary_points() if settings.boundary_channels else None
    return build_graph(settings.graph_grid(GRID), design, boundary)


def network_of(evaluation: Evaluation | None = None, *, seed: int = 0, **settings: object) -> nn.Module:
    """A network of 3 channels to 2, with weights of ``seed`` whatever the evaluation."""
    made = LimitedAreaSettings(
        3, 2, **{"hidden": 8, "processor_layers": 2, "evaluation": evaluation or Evaluation(), **settings}
    )
    torch.manual_seed(seed)
    network = limited_area_network(made, graph_of(made))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=generator))
    return network


def fields(members: int = 3, *, channels: int = 3, seed: int = 1) -> Tensor:
    return torch.randn(members, channels, GRID.ny, GRID.nx, generator=torch.Generator().manual_seed(seed))
