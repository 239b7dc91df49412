"""Source fields brought onto a region's grid: bilinear, with care for the edge of the source's and for equal grids."""

from dataclasses import dataclass, field

import numpy as np

from rtma_diffda.geo.edge_points import EDGE_SLACK, edge_values
from rtma_diffda.geo.grid import Grid, ProjectedGrid
from rtma_diffda.geo.regrid.regridder import Regridder
from rtma_diffda.geo.sphere import great_circle_distance
from rtma_diffda.io.source_field import SourceField


@dataclass(frozen=True)
class RegionRegrid:
    """Takes fields of any source grid to one region's grid; weights are made once for each source grid.

    Attributes:
        target: the region's grid.
    """

    target: ProjectedGrid
    _regridders: dict[str, Regridder] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, source: SourceField) -> np.ndarray:
        """Values (y, x) on the region's grid; NaN where the source does not reach or has none."""
        if self._is_same(source.grid):
            return source.values
        values = self._regridder(source.grid)(source.values)
        if isinstance(source.grid, ProjectedGrid) and np.isnan(values).any():
            gaps = np.isnan(values)
            latitude, longitude = self.target.latitude()[gaps], self.target.longitude()[gaps]
            values[gaps] = edge_values(source.grid, source.values, latitude, longitude)
        return values

    def _regridder(self, source: Grid) -> Regridder:
        if source.key not in self._regridders:
            self._regridders[source.key] = Regridder.between(source, self.target, method="bilinear")
        return self._regridders[source.key]

    def _is_same(self, source: Grid) -> bool:
        """Whether the points coincide, to a small part of the spacing: the same grid stated with other digits."""
        if source.shape != self.target.shape:
            return False
        distance = great_circle_distance(
            source.latitude(), source.longitude(), self.target.latitude(), self.target.longitude()
        )
        return float(distance.max()) <= EDGE_SLACK * min(self.target.dx, self.target.dy)
