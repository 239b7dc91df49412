"""Points of a wider grid in and around a region: where a limited-area network sees the global atmosphere.

A point counts when it lies in the region's rectangle extended by ``width`` on every side, in the plane of the region's
projection; with overlap the points inside the region count as well, without only the frame around it.
Reference: Adamov et al. (2025), arXiv 2504.09340 (boundary nodes, width and overlap).
"""

from dataclasses import dataclass, field
from math import ceil

import numpy as np

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.grid import Grid, ProjectedGrid

ROUNDING = 0.01
"""Metres by which projecting a position back and forth may displace a point on an edge."""


def boundary_grid(region_grid: ProjectedGrid, *, spacing: float, width: float) -> ProjectedGrid:
    """A coarse grid in the region's projection over the region and a margin, with the same centre.

    Args:
        region_grid: grid of the region.
        spacing: of the coarse grid (m).
        width: of the margin (m) on every side; the coarse grid reaches at least so far.

    Raises:
        UsageError: the spacing is not positive, or the width negative.
    """
    if not spacing > 0.0 or not width >= 0.0:
        raise UsageError(f"a boundary grid needs spacing > 0 and width ≥ 0 m; found {spacing} and {width}")
    extents = ((region_grid.nx - 1) * region_grid.dx, (region_grid.ny - 1) * region_grid.dy)
    nx, ny = (max(2, ceil((extent + 2.0 * width) / spacing - 1e-9) + 1) for extent in extents)
    west = region_grid.x0 + 0.5 * (extents[0] - (nx - 1) * spacing)
    south = region_grid.y0 + 0.5 * (extents[1] - (ny - 1) * spacing)
    return ProjectedGrid(region_grid.projection, nx, ny, spacing, spacing, west, south)


@dataclass(frozen=True, eq=False)
class BoundaryPoints:
    """Points of a wider grid, the boundary nodes of a limited-area graph.

    Attributes:
        index: (n,) int64 flat indices into the wider grid's fields, increasing.
        x, y: (n,) plane coordinates (m) in the region's projection.
    """

    index: np.ndarray = field(repr=False)
    x: np.ndarray = field(repr=False)
    y: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        shapes = (self.index.shape, self.x.shape, self.y.shape)
        if self.index.ndim != 1 or len(set(shapes)) > 1 or not self.index.size:
            raise InputError(f"boundary points need index, x and y of one shape (n,), n ≥ 1; found {shapes}")
        if not (np.isfinite(self.x).all() and np.isfinite(self.y).all()):
            raise InputError("boundary points need finite plane coordinates; some lie where the projection has none")

    def __len__(self) -> int:
        return self.index.size

    @classmethod
    def of(cls, source: Grid, region: ProjectedGrid, *, width: float, overlap: bool) -> "BoundaryPoints":
        """The points of ``source`` that lie in ``region`` extended by ``width``.

        Args:
            source: the wider grid, of any kind.
            region: grid of the region.
            width: of the frame around the region (m).
            overlap: keep the points inside the region too.

        Raises:
            UsageError: the width is not positive, or no point of the source lies in some part of the frame.
        """
        if not width > 0.0:
            raise UsageError(f"the boundary around a region needs a width above 0 m; found {width}")
        x, y = (values.ravel() for values in region.project(source.latitude(), source.longitude()))
        west, south = x < region.x[0] - ROUNDING, y < region.y[0] - ROUNDING
        east, north = x > region.x[-1] + ROUNDING, y > region.y[-1] + ROUNDING
        near = _within(x, region.x, width) & _within(y, region.y, width)
        frame = near & (west | east | south | north)
        upper, right = y > 0.5 * (region.y[0] + region.y[-1]), x > 0.5 * (region.x[0] + region.x[-1])
        sides = {"west": (west, upper), "east": (east, upper), "south": (south, right), "north": (north, right)}
        for name, (side, half) in sides.items():
            if not (frame & side & half).any() or not (frame & side & ~half).any():
                raise UsageError(_gap(source, width, name))
        index = np.flatnonzero(near if overlap else frame)
        return cls(index, x[index], y[index])


def _within(values: np.ndarray, axis: np.ndarray, width: float) -> np.ndarray:
    """True where coordinates lie on an axis extended by ``width``; never where the projection has none (infinite)."""
    return (values >= axis[0] - width - ROUNDING) & (values <= axis[-1] + width + ROUNDING)


def _gap(source: Grid, width: float, side: str) -> str:
    size = " × ".join(map(str, source.shape))
    return (
        f"the boundary {width:g} m wide around the region holds no point of the source grid ({size} points) along half "
        f"or more of its {side} side; expected a source that covers the region and its boundary, with a spacing of "
        f"{width:g} m or less"
    )
