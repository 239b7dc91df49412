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
    """A made-up landscape: sea in the west, a coast with bays, a hilly plain, and a ridge with valleys in the east.

    Deterministic and smooth: a few prescribed shapes, roughened by fixed waves whose directions, lengths and phases do
    not repeat. Heights reach about 1,600 m on a region of 64 × 64 points of 2.5 km. Lengths scale with the region, so
    that any grid gets a coast and a ridge.
    """
    rows, columns = np.meshgrid(np.linspace(0, 1, grid.ny), np.linspace(0, 1, grid.nx), indexing="ij")
    coast = 0.21 + 0.04 * np.sin(2 * np.pi * (0.9 * rows + 0.1)) + 0.022 * _waves(rows, 0.3 * columns, 2.5, 9)
    inland = columns - coast
    crest = 0.74 + 0.05 * np.sin(2 * np.pi * (0.8 * rows + 0.3)) + 0.02 * np.sin(2 * np.pi * (2.3 * rows + 0.7))
    ridge = 950.0 * np.exp(-(((columns - crest) / np.where(columns < crest, 0.16, 0.22)) ** 2))
    winding = 0.35 * np.sin(2 * np.pi * 1.1 * columns) + 0.1 * np.sin(2 * np.pi * 2.7 * columns + 1.0)
    valleys = np.sin(np.pi * (3.6 * rows + winding + 0.25)) ** 8
    rough = np.exp(0.26 * _waves(rows, columns, 3.0, 9))
    hills = 130.0 * np.exp(0.7 * _waves(columns, rows, 2.5, 10))
    rise = 1.0 - np.exp(-(np.clip(inland / 0.06, 0.0, None) ** 1.5))
    orography = rise * (ridge * rough * (1.0 - 0.55 * valleys) + hills)
    land_fraction = 1.0 / (1.0 + np.exp(-inland * 0.9 * grid.nx))
    return StaticFields(grid, orography, land_fraction, source="generator ridge_and_coast")


def _waves(rows: np.ndarray, columns: np.ndarray, lowest: float, count: int) -> np.ndarray:
    """A fixed superposition of ``count`` plane waves, of standard deviation near 1; ``lowest`` waves cross the region.

    Directions advance by the golden angle, wave numbers by 15 %, and phases quadratically, so that no pattern repeats;
    amplitudes fall as the inverse wave number.
    """
    total, power = np.zeros(rows.shape), 0.0
    for k in range(count):
        number, direction = lowest * 1.15**k, 2.399963 * k
        phase = 2 * np.pi * number * (columns * np.cos(direction) + rows * np.sin(direction)) + 2.7 * k * k
        total += np.cos(phase) / number
        power += 0.5 / number**2
    return total / np.sqrt(power)


GENERATORS = {"ridge_and_coast": ridge_and_coast}


def generate_static_fields(name: str, grid: ProjectedGrid) -> StaticFields:
    """Terrain and land from the named generator.

    Raises:
        UsageError: no generator of that name.
    """
    if name not in GENERATORS:
        raise UsageError(f"unknown generator of static fields '{name}'; known are {', '.join(sorted(GENERATORS))}")
    return GENERATORS[name](grid)
