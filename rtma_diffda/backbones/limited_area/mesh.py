"""Regular meshes over a region, each direction an axis of equal cells with a node in the middle of each.

The region is as wide as its points' cells together, n_grid Δ_grid. Where the spacing is a whole number of grid cells,
the finest mesh has exactly that spacing, its last cells reaching beyond the region by less than one of them: then few
displacements between points and nodes differ, and what networks make of them is worked out once for each. Otherwise it
divides the region into n = round(n_grid Δ_grid / spacing) cells a direction, so that its cells are nearly square. It
goes on beyond the region by whole cells until it covers the boundary points. A coarser mesh divides the same area into
round(n / refinement) cells. Positions of grid points and finest nodes are whole multiples of Δ_grid / 2n, so their
nearest ones follow exactly.
"""

from dataclasses import dataclass, replace
from math import ceil, floor

import numpy as np

from rtma_diffda.backbones.limited_area.mesh_design import MeshDesign
from rtma_diffda.errors import UsageError
from rtma_diffda.geo.boundary_points import BoundaryPoints
from rtma_diffda.geo.grid import ProjectedGrid

SMALLEST_SIDE = 2
_WHOLE = 1e-6  # of a grid cell, by which a spacing may miss a whole number of them


@dataclass(frozen=True)
class MeshAxis:
    """One direction of the grid and of the finest mesh over it.

    Attributes:
        start: plane coordinate (m) of the outer edge of the first mesh cell over the region.
        grid_count, grid_spacing: points of the grid and their spacing (m).
        region_cells: mesh cells over the region.
        before, after: mesh cells beyond its beginning and end.
        lead: grid cells between ``start`` and the first point's cell.
        span: grid cells that the mesh cells over the region are wide together; None: as many as the grid has.
    """

    start: float
    grid_count: int
    grid_spacing: float
    region_cells: int
    before: int = 0
    after: int = 0
    lead: int = 0
    span: int | None = None

    @property
    def width(self) -> int:
        """Grid cells that the mesh cells over the region are wide together."""
        return self.grid_count if self.span is None else self.span

    @property
    def count(self) -> int:
        """Mesh nodes in this direction."""
        return self.before + self.region_cells + self.after

    @property
    def spacing(self) -> float:
        """Distance (m) of mesh nodes."""
        return self.width * self.grid_spacing / self.region_cells

    @property
    def unit(self) -> float:
        """Metres of one unit of ``grid_units`` and ``node_units``."""
        return self.grid_spacing / (2 * self.region_cells)

    @property
    def middle(self) -> float:
        """Plane coordinate (m) of the middle of the mesh cells over the region."""
        return self.start + 0.5 * self.width * self.grid_spacing

    def grid_units(self, index: np.ndarray) -> np.ndarray:
        """Positions of grid points from ``start``, in units."""
        return (2 * (index + self.lead) + 1) * self.region_cells

    def node_units(self, index: np.ndarray) -> np.ndarray:
        """Positions of mesh nodes from ``start``, in units."""
        return (2 * (index - self.before) + 1) * self.width

    def nodes(self, count: int) -> np.ndarray:
        """(count,) positions (m) of the nodes of a mesh with ``count`` cells over the same area, from ``middle``."""
        outer = -(0.5 * self.region_cells + self.before) * self.spacing
        return outer + (np.arange(count) + 0.5) * (self.count * self.spacing / count)

    def grown_over(self, positions: np.ndarray) -> "MeshAxis":
        """The axis with enough cells before and after the region to cover plane coordinates (m)."""
        first, last = ((float(edge) - self.start) / self.spacing for edge in (positions.min(), positions.max()))
        before, after = max(0, ceil(-first - 1e-9)), max(0, ceil(last - self.region_cells - 1e-9))
        return replace(self, before=before, after=after)


@dataclass(frozen=True)
class Mesh:
    """Meshes of one region, finest first.

    Attributes:
        x, y: axes of the finest mesh.
        shapes: (rows, columns) of each mesh; node index = row · columns + column.
    """

    x: MeshAxis
    y: MeshAxis
    shapes: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, grid: ProjectedGrid, design: MeshDesign, boundary: BoundaryPoints | None) -> "Mesh":
        """The meshes of ``design`` over ``grid`` and its boundary points.

        Raises:
            UsageError: the region is too small for the spacing, or for the levels asked for.
        """
        spacing = design.spacing * 0.5 * (grid.dx + grid.dy)
        x = _axis(grid.x0, grid.nx, grid.dx, spacing)
        y = _axis(grid.y0, grid.ny, grid.dy, spacing)
        if min(x.count, y.count) < SMALLEST_SIDE or x.count * y.count < design.mesh_to_grid_neighbours:
            raise UsageError(
                f"a region of {grid.nx} × {grid.ny} points is too small for a mesh with spacing {design.spacing:g}: "
                f"{x.count} × {y.count} nodes; expected at least {SMALLEST_SIDE} a side and "
                f"{design.mesh_to_grid_neighbours} in all"
            )
        if boundary is not None:
            x, y = x.grown_over(boundary.x), y.grown_over(boundary.y)
        return cls(x, y, _shapes((y.count, x.count), design))

    def positions(self, level: int) -> tuple[np.ndarray, np.ndarray]:
        """x (column,) and y (row,) of a mesh's nodes (m), from the middle over the region."""
        rows, columns = self.shapes[level]
        return self.x.nodes(columns), self.y.nodes(rows)


def _axis(first_point: float, grid_count: int, grid_spacing: float, spacing: float) -> MeshAxis:
    edge, whole = first_point - 0.5 * grid_spacing, _rounded(spacing / grid_spacing)
    if abs(spacing - whole * grid_spacing) > _WHOLE * grid_spacing:
        return MeshAxis(edge, grid_count, grid_spacing, _rounded(grid_count * grid_spacing / spacing))
    cells = ceil(grid_count / whole)
    lead = (cells * whole - grid_count) // 2
    return MeshAxis(edge - lead * grid_spacing, grid_count, grid_spacing, cells, lead=lead, span=cells * whole)


def _shapes(finest: tuple[int, int], design: MeshDesign) -> tuple[tuple[int, int], ...]:
    """(rows, columns) of as many meshes as are asked for, or as have two nodes a side."""
    shapes = [finest]
    wanted = 1 if design.kind == "flat" else design.levels
    while len(shapes) != wanted:
        coarser = tuple(_rounded(count / design.refinement) for count in shapes[-1])
        if min(coarser) < SMALLEST_SIDE:
            break
        shapes.append(coarser)
    if design.kind != "flat" and len(shapes) < (wanted or 2):
        raise UsageError(
            f"a finest mesh of {finest[1]} × {finest[0]} nodes leaves room for {len(shapes)} level(s) of refinement "
            f"{design.refinement} with {SMALLEST_SIDE} nodes a side; a {design.kind} mesh of {wanted or 2} or more was "
            f"asked for: take a larger region, a smaller spacing or a flat mesh"
        )
    return tuple(shapes)


def _rounded(value: float) -> int:
    """The nearest whole number, halves upwards."""
    return floor(value + 0.5 + 1e-9)
