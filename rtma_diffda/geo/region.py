"""Regions: a named limited area with its grid, variables and static fields, read from one YAML file each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.boundary_design import BoundaryDesign
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.resources import resource_directory
from rtma_diffda.variables import variable

_KEYS = {"name", "title", "projection", "grid", "boundary", "static", "stations", "variables"}


@dataclass(frozen=True)
class Region:
    """A limited area on which analyses are made.

    Attributes:
        name: short name; also names the archive.
        title: words for titles.
        grid: its projected grid.
        variables: short names of the analysed variables, in channel order.
        static: where terrain and land come from: ``{"generator": name}``, ``{"orog": file, "lsm": file}`` or empty.
        boundary: where boundary nodes lie, for limited-area networks; unused by methods without one.
        stations: networks, accept and reject lists.
    """

    name: str
    title: str
    grid: ProjectedGrid
    variables: tuple[str, ...]
    static: Mapping[str, str] = field(default_factory=dict)
    boundary: BoundaryDesign = field(default_factory=BoundaryDesign)
    stations: Mapping[str, Any] = field(default_factory=dict)


def region_names() -> list[str]:
    """Names of the packaged regions."""
    return sorted(path.stem for path in resource_directory("regions").glob("*.yaml"))


def load_region(name_or_path: str) -> Region:
    """Read a region by the name of a packaged one, or from a path to a YAML file.

    Raises:
        UsageError: no such region, or a key that is unknown, missing or of the wrong kind.
    """
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        if name_or_path not in region_names():
            raise UsageError(f"unknown region '{name_or_path}'; packaged are {', '.join(region_names())}")
        path = resource_directory("regions") / f"{name_or_path}.yaml"
    if not path.is_file():
        raise InputError(f"region file {path} does not exist")
    try:
        return _region_from(yaml.safe_load(path.read_text(encoding="utf-8")), path.parent)
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        what = " ".join(str(error).split())
        raise UsageError(f"region file {path}: {type(error).__name__} {what}; see README, 'Region files'") from error


def _region_from(content: Mapping[str, Any], directory: Path) -> Region:
    unknown = set(content) - _KEYS
    if unknown:
        raise UsageError(f"unknown keys {sorted(unknown)}; expected some of {sorted(_KEYS)}")
    for name in content["variables"]:
        variable(name)
    static = dict(content.get("static") or {})
    for key in ("orog", "lsm"):
        if key in static:
            static[key] = str((directory / static[key]).resolve())
    return Region(
        name=str(content["name"]),
        title=str(content["title"]),
        grid=_grid_from(content["projection"], content["grid"]),
        variables=tuple(content["variables"]),
        static=static,
        boundary=BoundaryDesign.from_settings(content.get("boundary")),
        stations=dict(content.get("stations") or {}),
    )


def _grid_from(projection: Mapping[str, Any], grid: Mapping[str, Any]) -> ProjectedGrid:
    parameters = {**projection, "units": "m"}
    text = " ".join(f"+{key}={value}" for key, value in parameters.items())
    sizes = {"nx": int(grid["nx"]), "ny": int(grid["ny"]), "dx": float(grid["dx"]), "dy": float(grid["dy"])}
    if "centre" in grid:
        return _centred_grid(text, sizes, grid["centre"])
    first = grid["first_point"]
    return ProjectedGrid.from_first_point(
        text, **sizes, latitude=float(first["latitude"]), longitude=float(first["longitude"])
    )


def _centred_grid(projection: str, sizes: Mapping[str, Any], centre: Mapping[str, float]) -> ProjectedGrid:
    middle = ProjectedGrid.from_first_point(
        projection, **sizes, latitude=float(centre["latitude"]), longitude=float(centre["longitude"])
    )
    west = middle.x0 - 0.5 * (middle.nx - 1) * middle.dx
    south = middle.y0 - 0.5 * (middle.ny - 1) * middle.dy
    return ProjectedGrid(projection, **sizes, x0=west, y0=south)
