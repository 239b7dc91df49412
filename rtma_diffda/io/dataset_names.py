"""Which arrays of a dataset (NetCDF, Zarr) are variables of ours: by name, by GRIB identity kept as attributes, or by
CF standard name and height, in this order."""

from collections.abc import Callable, Hashable, Mapping

import numpy as np
import xarray as xr

from rtma_diffda.io.grib_names import variable_of
from rtma_diffda.variables import VARIABLES, Variable, find_variable

_FOREIGN_NAMES = {"z": "orog", "geopotential_at_surface": "orog", "hgt_surface": "orog", "fg10": "gust"}
_PRESSURE_UNITS = {"pa", "hpa", "mb", "mbar", "millibar", "millibars", "level"}
_PRESSURE_NAMES = {"level", "plev", "pressure_level", "isobaricinhpa", "pressure", "hybrid", "lev"}
_STANDARD_NAMES = {
    **{v.standard_name: v.name for v in reversed(VARIABLES.values()) if v.standard_name},
    "x_wind": "u10m",
    "y_wind": "v10m",
    "air_pressure_at_sea_level": "msl",
    "land_binary_mask": "lsm",
}
_STATISTICS = ("standard_deviation", "maximum", "minimum", "variance", "range")
_HEIGHT_TOLERANCE = 0.5  # m; 1.5 m screens (UK) count as 2 m


def name_arrays(dataset: xr.Dataset) -> Mapping[str, Variable]:
    """{array name: our variable} for the near-surface variables of a dataset; each variable at most once."""
    found: dict[str, Variable] = {}
    for identify in (_by_name, _by_grib, _by_standard_name):
        _add(found, dataset, identify)
    return found


def height_of(array: xr.DataArray) -> tuple[Hashable, np.ndarray] | None:
    """Name and values (n,) of the height coordinate (m above ground) of an array, if it has one."""
    for name, coordinate in array.coords.items():
        attributes = coordinate.attrs
        stated = attributes.get("standard_name") == "height" or str(name).lower().startswith("height")
        if stated and coordinate.ndim <= 1 and coordinate.dtype.kind in "fiu":
            return name, np.atleast_1d(coordinate.values).astype(float)
    return None


def is_upper_air(array: xr.DataArray) -> bool:
    """Whether the array has a vertical axis that is not height above ground."""
    for dim in array.dims:
        units = str(array.coords[dim].attrs.get("units", "")).lower() if dim in array.coords else ""
        name = str(dim).lower()
        if units in _PRESSURE_UNITS or name in _PRESSURE_NAMES or name.startswith("isobaric"):
            return True
    return False


def _add(
    found: dict[str, Variable], dataset: xr.Dataset, identify: Callable[[str, xr.DataArray], Variable | None]
) -> None:
    """Add what this way of naming finds, but no variable that an earlier way found, and none that two arrays claim."""
    known = {v.name for v in found.values()}
    claims: dict[str, list[str]] = {}
    for key, array in dataset.data_vars.items():
        name = str(key)
        if name in found or array.dtype.kind not in "fiu" or is_upper_air(array) or _is_statistic(array):
            continue
        match = identify(name, array)
        if match is not None and match.name not in known:
            claims.setdefault(match.name, []).append(name)
    for variable_name, names in claims.items():
        # Several spellings of one variable: ours first; otherwise the file does not say which it means.
        chosen = [name for name in names if name == variable_name] or names
        if len(chosen) == 1:
            found[chosen[0]] = VARIABLES[variable_name]


def _by_name(name: str, array: xr.DataArray) -> Variable | None:
    return find_variable(name) or VARIABLES.get(_FOREIGN_NAMES.get(name.lower(), ""))


def _by_grib(name: str, array: xr.DataArray) -> Variable | None:
    """Attributes that cfgrib (``GRIB_…``) and NetCDF-Java (``Grib2_…``) keep of the message."""
    attributes = array.attrs
    height = height_of(array)
    level = float(height[1][0]) if height and height[1].size == 1 else 0
    if "GRIB_shortName" in attributes:
        keys = {key[5:]: value for key, value in attributes.items() if str(key).startswith("GRIB_")}
        return variable_of({"edition": 1, "level": level or None, **keys})
    if "Grib2_Parameter" in attributes:
        triple = (int(part) for part in np.atleast_1d(attributes["Grib2_Parameter"])[:3])
        discipline, category, number = triple
        surface = int(attributes.get("Grib2_Level_Type", 255))
        keys = {"discipline": discipline, "parameterCategory": category, "parameterNumber": number}
        return variable_of({"edition": 2, **keys, "typeOfFirstFixedSurface": surface, "level": level})
    return None


def _by_standard_name(name: str, array: xr.DataArray) -> Variable | None:
    match = VARIABLES.get(_STANDARD_NAMES.get(array.attrs.get("standard_name", ""), ""))
    if match is None or match.height is None:
        return match
    height = height_of(array)
    if height is None or np.abs(height[1] - match.height).min() > _HEIGHT_TOLERANCE:
        return None
    return match


def _is_statistic(array: xr.DataArray) -> bool:
    attributes = array.attrs
    methods = str(attributes.get("cell_methods", ""))
    return any(word in methods for word in _STATISTICS) or "Grib2_Statistical_Interval_Type" in attributes
