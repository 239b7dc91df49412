"""Terrain and land: the fields of a region that never change, and generators of them for simulated regions."""

from dataclasses import dataclass

import numpy as np

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.grid import Grid, ProjectedGrid


@dataclass(frozen=True)
class StaticFields:
    """Terrain and land on one grid.

    Attributes:
        grid: where.
        orography: (y, x) terrain height (m); None where no terrain is known, and then no height correction is made.
        land_fraction: (y, x) 0 … 1; None where unknown, and then every place counts as land.
        source: where they come from, in words; stands in the metadata of every product.
    """

    grid: Grid
    orography: np.ndarray | None = None
    land_fraction: np.ndarray | None = None
    source: str = "none"

    def __post_init__(self) -> None:
        for name, values in (("orography", self.orography), ("land fraction", self.land_fraction)):
            if values is None:
                continue
            if values.shape != self.grid.shape:
                raise InputError(f"{name} has shape {values.shape}; its grid has {self.grid.shape}")
            if not np.isfinite(values).all():
                raise InputError(f"{name} has {np.sum(~np.isfinite(values))} values that are not finite")

    @property
    def land_mask(self) -> np.ndarray:
        """(y, x), True over land (at least half of the cell); all True where no land field is known."""
        if self.land_fraction is None:
            return np.ones(self.grid.shape, bool)
        return self.land_fraction >= 0.5


def ridge_and_coast(grid: ProjectedGrid) -> StaticFields:
    """A made-up landscape: sea in the west behind a winding coast, a plain, and a ridge with valleys in the east.

    Smooth and deterministic; heights reach about 1,500 m on a region of 64 × 64 points of 2.5 km. Lengths scale with
    the region, so that any grid gets a coast and a ridge.
    """
    rows, columns = np.meshgrid(np.linspace(0, 1, grid.ny), np.linspace(0, 1, grid.nx), indexing="ij")
    coast = 0.22 + 0.05 * np.sin(2 * np.pi * 1.5 * rows) + 0.02 * np.sin(2 * np.pi * 4.3 * rows + 1.0)
    inland = columns - coast
    ridge = 1350.0 * np.exp(-(((columns - 0.74 - 0.06 * np.sin(2 * np.pi * rows)) / 0.13) ** 2))
    valleys = 1.0 - 0.45 * np.sin(2 * np.pi * 3.2 * rows + 6.0 * columns) ** 2
    hills = 110.0 * (1.0 + np.sin(2 * np.pi * 5.1 * columns + 2.0) * np.cos(2 * np.pi * 4.4 * rows))
    rise = np.clip(inland / 0.15, 0.0, 1.0)
    land_fraction = 1.0 / (1.0 + np.exp(-inland * 8.0 * grid.nx / 16.0))
    orography = np.where(inland > 0, rise * (ridge * valleys + hills), 0.0)
    return StaticFields(grid, orography, land_fraction, source="generator ridge_and_coast")


GENERATORS = {"ridge_and_coast": ridge_and_coast}


def generate_static_fields(name: str, grid: ProjectedGrid) -> StaticFields:
    """Terrain and land from the named generator.

    Raises:
        UsageError: no generator of that name.
    """
    if name not in GENERATORS:
        raise UsageError(f"unknown generator of static fields '{name}'; known are {', '.join(sorted(GENERATORS))}")
    return GENERATORS[name](grid)
