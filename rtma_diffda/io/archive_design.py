"""``ArchiveDesign``: what every day store of one archive looks like, and how a store tells it again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.product import Product

DESIGN_ATTRIBUTE = "rtma_diffda_design"
_GRID_KEYS = ("projection", "nx", "ny", "dx", "dy", "x0", "y0")


@dataclass(frozen=True)
class ArchiveDesign:
    """What an archive holds.

    Attributes:
        layout: grid and variables of every analysis.
        static: terrain and land, copied into every day store.
        domain: name of the region.
        title: words for the files' title; empty for a standard one.
        members: number of members stored beside the mean, with their spread; 0 for the mean alone.
        zarr_format: 2 (with consolidated metadata; read by everything) or 3 (without, as its specification has none).
        attributes: global attributes that replace or add to the standard ones (institution, license, …).
    """

    layout: Layout
    static: StaticFields
    domain: str
    title: str = ""
    members: int = 0
    zarr_format: int = 2
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.zarr_format not in (2, 3):
            raise UsageError(f"zarr_format is 2 or 3, not {self.zarr_format}")
        if self.members < 0 or self.members == 1:
            raise UsageError(f"members is 0 (the mean alone) or at least 2, not {self.members}")
        if any(channel.level is not None for channel in self.layout.channels):
            raise UsageError("an archive holds near-surface variables; this layout has pressure levels")
        if self.static.grid.key != self.layout.grid.key:
            raise InputError("static fields of an archive are on another grid than its layout")

    def to_text(self) -> str:
        """What a store must know to be read without its makers, as JSON."""
        grid = {key: getattr(self.layout.grid, key) for key in _GRID_KEYS}
        return json.dumps({"grid": grid, "variables": self.layout.names, "members": self.members})

    def require_fits(self, product: Product) -> None:
        """Raise unless ``product`` can be stored in an archive of this design.

        Raises:
            InputError: other region, grid, variables or number of members; the message names both sides.
        """
        if product.domain != self.domain:
            raise InputError(f"archive of {self.domain} does not take an analysis of {product.domain}")
        require_same_layout(product.analysis.layout, self.layout, where=f"archive of {self.domain}")
        if self.members and product.analysis.members != self.members:
            raise InputError(
                f"archive of {self.domain} stores {self.members} members; the analysis has {product.analysis.members}"
            )


def layout_from(text: str) -> tuple[Layout, int]:
    """Layout and number of members from what ``ArchiveDesign.to_text`` wrote.

    Raises:
        InputError: the text is not of that kind.
    """
    try:
        content: Mapping[str, Any] = json.loads(text)
        grid = ProjectedGrid(**{key: content["grid"][key] for key in _GRID_KEYS})
        return Layout.of(grid, content["variables"]), int(content["members"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the store's attribute {DESIGN_ATTRIBUTE} is damaged: {error}") from error


def require_same_layout(found: Layout, expected: Layout, *, where: str) -> None:
    """Raise unless both layouts have the same grid and the same variables in any order.

    Raises:
        InputError: they differ; the message says in what.
    """
    if found.grid.key != expected.grid.key:
        raise InputError(f"{where} is on another grid: it has {_describe(expected)}, offered was {_describe(found)}")
    if sorted(found.names) != sorted(expected.names):
        raise InputError(
            f"{where} holds other variables: it has {', '.join(expected.names)}, offered were {', '.join(found.names)}"
        )


def _describe(layout: Layout) -> str:
    grid = layout.grid
    return (
        f"{grid.nx} × {grid.ny} points of {grid.dx:g} × {grid.dy:g} m from x = {grid.x0:.0f} m, y = {grid.y0:.0f} m "
        f"({grid.projection})"
    )
