"""The grid of an array in a dataset (NetCDF, Zarr): from 1-D latitudes and longitudes, or from a CF grid mapping."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from rtma_diffda.errors import InputError
from rtma_diffda.geo.cf_projection import projection_from_cf, radius_from_cf
from rtma_diffda.geo.grid import LatLonGrid, ProjectedGrid
from rtma_diffda.geo.rectilinear import rectilinear
from rtma_diffda.geo.sphere import EARTH_RADIUS

_UNEVEN = 0.01  # of the spacing: float32 coordinates of a 2.5 km grid are off by 0.1 m
_METRES = {"m": 1.0, "metre": 1.0, "meter": 1.0, "metres": 1.0, "meters": 1.0, "km": 1000.0, "kilometre": 1000.0}
_LATITUDE = ({"latitude"}, {"degrees_north", "degree_north", "degrees_n"}, {"lat", "latitude"})
_LONGITUDE = ({"longitude"}, {"degrees_east", "degree_east", "degrees_e"}, {"lon", "longitude", "long"})


@dataclass(frozen=True)
class ArrayGrid:
    """Where the points of an array are.

    Attributes:
        grid: with y northward and x eastward.
        dims: names of the array's (y, x) dimensions.
        arrange: values (y, x) in the file's order → in the grid's.
        is_projected: whether wind components could follow other axes than east and north.
    """

    grid: ProjectedGrid | LatLonGrid
    dims: tuple[str, str]
    arrange: Callable[[np.ndarray], np.ndarray]
    is_projected: bool = False


def grid_of(array: xr.DataArray, dataset: xr.Dataset) -> ArrayGrid:
    """The grid of one array.

    Raises:
        InputError: the file does not say enough, or its grid is of a kind not read here.
    """
    mapping = _mapping_of(array, dataset)
    latitude, longitude = _axis(array, *_LATITUDE), _axis(array, *_LONGITUDE)
    if latitude is not None and longitude is not None and latitude.dims != longitude.dims:
        radius = radius_from_cf(mapping) if mapping else EARTH_RADIUS
        axes = rectilinear(latitude.values, longitude.values, radius=radius)
        return ArrayGrid(axes.grid, (str(latitude.dims[0]), str(longitude.dims[0])), axes.arrange)
    x, y = (_plane_axis(array, name) for name in ("x", "y"))
    if mapping is None or x is None or y is None:
        raise InputError(
            "its grid is not stated in a way that is read here: expected 1-D latitude and longitude, or 1-D x and y "
            "with a CF grid mapping; two-dimensional positions alone are not enough"
        )
    return _projected(projection_from_cf(mapping), x, y)


def _projected(projection: str, x: xr.DataArray, y: xr.DataArray) -> ArrayGrid:
    (x0, dx, east), (y0, dy, north) = _even_axis(x), _even_axis(y)
    grid = ProjectedGrid(projection, x.size, y.size, dx, dy, x0, y0)
    rows, columns = (slice(None, None, 1 if forward else -1) for forward in (north, east))
    return ArrayGrid(grid, (str(y.dims[0]), str(x.dims[0])), lambda values: values[rows, columns], True)


def _even_axis(axis: xr.DataArray) -> tuple[float, float, bool]:
    """Lowest value (m), spacing (m), and whether the axis runs upward."""
    unit = str(axis.attrs.get("units", "m")).lower()
    if unit not in _METRES or axis.size < 2:
        raise InputError(f"plane coordinate '{axis.name}' has {axis.size} values in '{unit}'; expected several, in m")
    values = axis.values.astype(float) * _METRES[unit]
    spacing = (values[-1] - values[0]) / (values.size - 1)
    departure = np.abs(values - (values[0] + spacing * np.arange(values.size))).max()
    if spacing == 0.0 or not departure <= _UNEVEN * abs(spacing):
        raise InputError(f"plane coordinate '{axis.name}' is not evenly spaced (by up to {departure:.1f} m)")
    return float(min(values[0], values[-1])), abs(float(spacing)), bool(spacing > 0)


def _axis(array: xr.DataArray, standard: set[str], units: set[str], names: set[str]) -> xr.DataArray | None:
    """The 1-D coordinate that says so by standard name, by units or by its own name."""
    for name, coordinate in array.coords.items():
        attributes = coordinate.attrs
        stated = attributes.get("standard_name") in standard or str(attributes.get("units", "")).lower() in units
        if coordinate.ndim == 1 and (stated or str(name).lower() in names):
            return coordinate
    return None


def _plane_axis(array: xr.DataArray, name: str) -> xr.DataArray | None:
    for key, coordinate in array.coords.items():
        stated = coordinate.attrs.get("standard_name") == f"projection_{name}_coordinate"
        if coordinate.ndim == 1 and (stated or str(key).lower() == name):
            return coordinate
    return None


def _mapping_of(array: xr.DataArray, dataset: xr.Dataset) -> Mapping[str, Any] | None:
    """Attributes of the array's grid mapping; of the only one in the file where the array names none."""
    stated = array.encoding.get("grid_mapping") or array.attrs.get("grid_mapping")
    if stated:
        name = str(stated).split(":")[0].split()[0]
        return dataset[name].attrs if name in dataset.variables else None
    mappings = [v.attrs for v in dataset.variables.values() if "grid_mapping_name" in v.attrs]
    return mappings[0] if len(mappings) == 1 else None
