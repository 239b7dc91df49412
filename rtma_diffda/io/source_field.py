"""``SourceField``: one near-surface field as a file gives it, in SI and on its own grid; and references to such fields.

A reader lists what a file holds as ``FieldReference``s, cheaply; values are decoded by ``load`` only for those wanted.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from rtma_diffda.errors import InputError
from rtma_diffda.geo.grid import Grid


@dataclass(frozen=True)
class SourceField:
    """A field of a file.

    Attributes:
        variable: short name of ``variables.py``.
        values: in ``grid.shape``, float64, SI; NaN where missing.
        grid: the file's own.
        valid_time: UTC; None for a field without time, such as terrain.
        initial_time: start of the forecast; None where the file does not say.
        winds_grid_relative: True if this is a wind component along the axes of a projected grid.
        source: the file and the place in it, in words.
        member: of an ensemble; None for a single forecast.
    """

    variable: str
    values: np.ndarray = field(repr=False)
    grid: Grid
    valid_time: np.datetime64 | None
    initial_time: np.datetime64 | None = None
    winds_grid_relative: bool = False
    source: str = ""
    member: int | None = None

    def __post_init__(self) -> None:
        if self.values.shape != self.grid.shape:
            raise InputError(f"{self.variable} has shape {self.values.shape}; its grid has {self.grid.shape}")


@dataclass(frozen=True)
class FieldReference:
    """A field that a file holds, not yet decoded.

    Attributes:
        variable, valid_time, initial_time, member, source: as in ``SourceField``.
        load: decodes it; raises ``InputError`` with a sentence if it cannot be.
    """

    variable: str
    valid_time: np.datetime64 | None
    source: str
    load: Callable[[], SourceField] = field(repr=False)
    initial_time: np.datetime64 | None = None
    member: int | None = None
