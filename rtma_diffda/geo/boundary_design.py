"""``BoundaryDesign``: how wide and how fine the boundary nodes around a region lie, as its file states it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rtma_diffda.errors import UsageError


@dataclass(frozen=True)
class BoundaryDesign:
    """Attributes:
    spacing: of the boundary grid (m).
    width: how far boundary nodes reach beyond the region (m).
    overlap: whether there are boundary nodes within the region too, so that a network sees the large scale everywhere.
    """

    spacing: float = 30_000.0
    width: float = 90_000.0
    overlap: bool = True

    def __post_init__(self) -> None:
        for name in ("spacing", "width"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise UsageError(f"boundary.{name} must be a length in metres, more than 0; found {value!r}")
        if not isinstance(self.overlap, bool):
            raise UsageError(f"boundary.overlap must be true or false; found {self.overlap!r}")
        if self.width < self.spacing:
            raise UsageError(
                f"boundary.width of {self.width:g} m holds no node of boundary.spacing {self.spacing:g} m; expected at "
                "least the spacing"
            )

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any] | None) -> "BoundaryDesign":
        """The design of a region file's ``boundary`` entry; what it leaves out has its default.

        Raises:
            UsageError: it is no mapping, a key is unknown, or a value is of the wrong kind.
        """
        if settings is None:
            return cls()
        if not isinstance(settings, Mapping):
            raise UsageError(f"boundary must be a mapping of spacing, width and overlap; found {settings!r}")
        unknown = sorted(str(key) for key in set(settings) - set(cls.__dataclass_fields__))
        if unknown:
            raise UsageError(
                f"boundary has unknown keys {', '.join(unknown)}; expected some of spacing, width, overlap"
            )
        return cls(**settings)
