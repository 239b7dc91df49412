"""Fields that a file does not hold but that follow from those it does, on the file's own grid.

Winds become earth-relative here, once: components along the axes of a projected grid are turned by the meridian
convergence at every source point, before any interpolation.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from rtma_diffda.errors import InputError
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.wind import components, convergence, speed_and_direction, to_earth_relative
from rtma_diffda.io import moisture
from rtma_diffda.io.source_field import SourceField

Recipe = Callable[..., np.ndarray]

RECIPES: Mapping[str, tuple[tuple[tuple[str, ...], Recipe], ...]] = {
    "d2m": (
        (("q2m", "sp"), moisture.dew_point_from_specific_humidity),
        (("r2m", "t2m"), moisture.dew_point_from_relative_humidity),
    ),
    "q2m": ((("d2m", "sp"), moisture.specific_humidity),),
    "r2m": ((("d2m", "t2m"), moisture.relative_humidity),),
    "u10m": ((("ws10m", "wd10m"), lambda speed, direction: components(speed, direction)[0]),),
    "v10m": ((("ws10m", "wd10m"), lambda speed, direction: components(speed, direction)[1]),),
    "ws10m": ((("u10m", "v10m"), np.hypot),),
    "wd10m": ((("u10m", "v10m"), lambda u, v: speed_and_direction(u, v)[1]),),
}
"""{variable: ((what it follows from, how), …)}, the best first."""

_WIND = ("u10m", "v10m")


def ingredients(name: str) -> set[str]:
    """All variables from which ``name`` may follow, itself included."""
    wanted = {name, *_WIND} if name in _WIND else {name}
    return wanted.union(*(needed for needed, _ in RECIPES.get(name, ())))


def earth_relative(fields: Mapping[str, SourceField]) -> dict[str, SourceField]:
    """The fields with both wind components relative to east and north.

    Raises:
        InputError: a component along the grid's axes comes without the other on the same grid, so it cannot be turned.
    """
    turned = {name: fields[name] for name in _WIND if name in fields and fields[name].winds_grid_relative}
    if not turned:
        return dict(fields)
    if len(turned) < 2 or turned["u10m"].grid.key != turned["v10m"].grid.key:
        found = ", ".join(fields[name].source for name in _WIND if name in fields)
        raise InputError(
            "winds along the axes of a grid can be turned to east and north only with both components on one grid; "
            f"found {found}"
        )
    u, v = turned["u10m"], turned["v10m"]
    gamma = _convergence(u)
    east, north = to_earth_relative(u.values, v.values, gamma)
    named = zip(_WIND, (u, v), (east, north), strict=True)
    return dict(fields) | {n: replace(f, values=values, winds_grid_relative=False) for n, f, values in named}


def with_derived(fields: Mapping[str, SourceField], name: str) -> dict[str, SourceField]:
    """The fields with ``name`` among them if it is there or follows from what is; else as they are."""
    if name in fields:
        return dict(fields)
    for needed, recipe in RECIPES.get(name, ()):
        sources = [fields[part] for part in needed if part in fields]
        if len(sources) == len(needed) and len({field.grid.key for field in sources}) == 1:
            values = recipe(*(field.values for field in sources))
            text = f"{name} derived from {' and '.join(needed)} of {sources[0].source}"
            return dict(fields) | {name: replace(sources[0], variable=name, values=values, source=text)}
    return dict(fields)


def _convergence(field: SourceField) -> np.ndarray:
    grid = field.grid
    if not isinstance(grid, ProjectedGrid):
        raise InputError(f"{field.source} is relative to the axes of a grid that has no projection")
    return convergence(grid.projection, grid.latitude(), grid.longitude())
