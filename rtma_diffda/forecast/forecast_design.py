"""``ForecastDesign``: the numbers that a limited-area forecast model is built from, and the building.

The graph follows from the design and from a place: the region's grid and the coarser one that its boundary is on. A
trained network can be put on another place of the same spacings; there its graph is built anew.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from rtma_diffda.backbones.limited_area.graph import LimitedAreaGraph
from rtma_diffda.backbones.limited_area.graph_builder import build_graph
from rtma_diffda.backbones.limited_area.mesh_design import MeshDesign
from rtma_diffda.backbones.limited_area.networks import LimitedAreaSettings, limited_area_network
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.forecast.forecast_inputs import ForecastEncoding, RegionWeights
from rtma_diffda.forecast.forecast_network import ForecastNetwork, ForecastTraining
from rtma_diffda.geo.boundary_points import BoundaryPoints
from rtma_diffda.geo.grid import ProjectedGrid

_SPACING_TOLERANCE = 0.1


@dataclass(frozen=True)
class ForecastPlace:
    """Attributes:
    grid: of the region.
    boundary_grid: of the global states, in the region's projection; it covers the region and its surroundings.
    """

    grid: ProjectedGrid
    boundary_grid: ProjectedGrid

    def settings(self) -> dict[str, Any]:
        """Plain values for the configuration of a checkpoint."""
        return {"grid": asdict(self.grid), "boundary_grid": asdict(self.boundary_grid)}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "ForecastPlace":
        """The place of stored settings."""
        return cls(ProjectedGrid(**settings["grid"]), ProjectedGrid(**settings["boundary_grid"]))

    @property
    def margins(self) -> tuple[float, ...]:
        """What a graph depends on: sizes, spacings, and how the grids lie to each other, in spacings of the region."""
        region, outer = self.grid, self.boundary_grid
        sizes = (region.nx, region.ny, outer.nx, outer.ny, region.dy / region.dx, outer.dx / region.dx)
        offsets = ((outer.x0 - region.x0) / region.dx, (outer.y0 - region.y0) / region.dy)
        return tuple(round(number, 3) for number in (*map(float, sizes), outer.dy / region.dx, *offsets))

    def require_like(self, other: "ForecastPlace") -> None:
        """Refuse spacings that the network of ``other`` has not learned.

        Raises:
            InputError: they differ by more than a tenth; the message states both.
        """
        for what, own, known in (
            ("region", self.grid, other.grid),
            ("boundary", self.boundary_grid, other.boundary_grid),
        ):
            if abs(own.dx / known.dx - 1.0) > _SPACING_TOLERANCE or abs(own.dy / known.dy - 1.0) > _SPACING_TOLERANCE:
                raise InputError(
                    f"the forecast model knows points of the {what} {known.dx / 1e3:g} km apart; those given are "
                    f"{own.dx / 1e3:g} km apart"
                )


@dataclass(frozen=True)
class ForecastDesign:
    """The shape of the model.

    Attributes:
        mesh: of the graph, in cells of the grid that it lies on (that of the coarsest convolutions, if there are any);
            kind "flat", "multiscale" or "hierarchical".
        parallel: whether a hierarchical mesh passes messages along all edges at once.
        hidden: width of nodes, edges and messages.
        layers: of the processor.
        propagation: whether mesh nodes begin with the mean of what they hear, and points with the mean of what the mesh
            answers, rather than with themselves: a boundary then reaches the points from the first update on.
        convolutions: widths of convolutions on the region's grid, finest first; empty for a pure graph network.
        patch: points a side of what the finest convolutions see as one vector.
        meshed: False leaves mesh and boundary nodes out: a U-Net.
        width: of the frame of boundary nodes around the region (m).
        overlap: whether global points inside the region are nodes too.
    """

    mesh: MeshDesign = field(default_factory=lambda: MeshDesign(kind="flat", spacing=1.0))
    parallel: bool = False
    hidden: int = 64
    layers: int = 2
    propagation: bool = True
    convolutions: tuple[int, ...] = (96, 128)
    patch: int = 4
    meshed: bool = True
    width: float = 90e3
    overlap: bool = True

    def __post_init__(self) -> None:
        if self.parallel and self.mesh.kind != "hierarchical":
            raise UsageError(f"only a hierarchical mesh can be parallel; found one that is {self.mesh.kind}")

    def settings(self) -> dict[str, Any]:
        """Plain values for the configuration of a checkpoint."""
        return asdict(self) | {"mesh": self.mesh.settings(), "convolutions": list(self.convolutions)}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "ForecastDesign":
        """The design of stored settings.

        Raises:
            KeyError, TypeError, UsageError: they are incomplete or not understood.
        """
        given = {"mesh": MeshDesign.from_settings(settings["mesh"]), "convolutions": tuple(settings["convolutions"])}
        return cls(**{**settings, **given})

    def network_settings(self, encoding: ForecastEncoding) -> LimitedAreaSettings:
        """Of the network that this encoding needs."""
        kind = "parallel" if self.parallel else "hierarchical" if self.mesh.kind == "hierarchical" else "flat"
        return LimitedAreaSettings(
            encoding.point_channels,
            len(encoding.names),
            encoding.node_channels if self.meshed else 0,
            mesh=kind,
            hidden=self.hidden,
            processor_layers=self.layers,
            grid_to_mesh="propagation" if self.propagation else "interaction",
            mesh_to_grid="propagation" if self.propagation else "interaction",
            convolutions=self.convolutions,
            patch=self.patch,
            meshed=self.meshed,
        )

    def points(self, place: ForecastPlace) -> BoundaryPoints:
        """The global points that are boundary nodes."""
        return BoundaryPoints.of(place.boundary_grid, place.grid, width=self.width, overlap=self.overlap)

    def graph(self, place: ForecastPlace, encoding: ForecastEncoding) -> LimitedAreaGraph:
        """The graph of a place.

        Raises:
            UsageError: the region is too small for the mesh, or the boundary does not surround it.
        """
        settings = self.network_settings(encoding)
        points = self.points(place) if self.meshed else None
        return build_graph(settings.graph_grid(place.grid), self.mesh, points)

    def build(
        self,
        place: ForecastPlace,
        encoding: ForecastEncoding,
        *,
        graph: LimitedAreaGraph | None = None,
        training: ForecastTraining | None = None,
    ) -> ForecastNetwork:
        """An untrained network; weights are drawn from torch's global generator.

        Args:
            place: where.
            encoding: of its inputs.
            graph: of the place, where it is there already; built where None.
            training: what its loss weighs and draws.
        """
        settings = self.network_settings(encoding)
        graph = graph or self.graph(place, encoding)
        return ForecastNetwork(
            encoding,
            limited_area_network(settings, graph),
            place.grid,
            nodes=torch.from_numpy(self.points(place).index) if self.meshed else None,
            weights=RegionWeights(place.boundary_grid, place.grid) if encoding.interpolated else None,
            training=training,
        )

    def without_mesh(self) -> "ForecastDesign":
        """The same convolutions with neither mesh nor boundary nodes."""
        return replace(self, meshed=False)
