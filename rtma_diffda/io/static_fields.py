"""Terrain and land of a region: from a generator, from files, or none."""

import numpy as np

from rtma_diffda.errors import InputError
from rtma_diffda.geo.region import Region
from rtma_diffda.geo.static_fields import StaticFields, generate_static_fields
from rtma_diffda.io.gridded import read_fields
from rtma_diffda.io.region_regrid import RegionRegrid


def load_static_fields(region: Region) -> StaticFields:
    """The static fields that the region's ``static`` entry names.

    Raises:
        InputError: a file is missing, lacks the field, or does not cover the region.
        UsageError: no generator of that name.
    """
    static = dict(region.static)
    if "generator" in static:
        return generate_static_fields(static["generator"], region.grid)
    files = {name: static[name] for name in ("orog", "lsm") if name in static}
    if not files:
        return StaticFields(region.grid)
    values = {name: _read(name, path, region) for name, path in files.items()}
    source = ", ".join(f"{name} from {path}" for name, path in files.items())
    land = values.get("lsm")
    return StaticFields(
        region.grid,
        orography=values.get("orog"),
        land_fraction=None if land is None else np.clip(land, 0.0, 1.0),
        source=source,
    )


def _read(name: str, path: str, region: Region) -> np.ndarray:
    fields = read_fields(path, variables=(name,))
    if not fields:
        raise InputError(f"static file {path} of region {region.name} holds no field '{name}'")
    values = RegionRegrid(region.grid)(fields[0])
    share = float(np.isfinite(values).mean())
    if share < 1.0:
        raise InputError(
            f"static file {path} covers only {min(100 * share, 99.99):.2f} % of region {region.name} with {name}"
        )
    return values
