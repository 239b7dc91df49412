"""CF grid mappings: the attributes of a grid-mapping variable → a PROJ string or the radius of the earth."""

import warnings
from collections.abc import Mapping
from typing import Any

from pyproj import CRS

from rtma_diffda.errors import InputError
from rtma_diffda.geo.sphere import EARTH_RADIUS

_PLANE = {
    "lambert_conformal_conic", "polar_stereographic", "stereographic", "mercator", "transverse_mercator",
    "lambert_azimuthal_equal_area", "albers_conical_equal_area", "oblique_mercator",
}  # fmt: skip


def is_geographic(attributes: Mapping[str, Any]) -> bool:
    """True for the grid mapping of plain latitudes and longitudes."""
    return attributes.get("grid_mapping_name") == "latitude_longitude"


def projection_from_cf(attributes: Mapping[str, Any]) -> str:
    """The PROJ string (metres) of a projected CF grid mapping, with the figure of the earth that it states.

    Raises:
        InputError: the mapping is missing, is not a plane projection known here, or does not state enough.
    """
    name = attributes.get("grid_mapping_name")
    if name not in _PLANE:
        raise InputError(f"grid mapping '{name}' is not read; known are {', '.join(sorted(_PLANE))}")
    stated = {key: value for key, value in attributes.items() if key != "GeoTransform"}
    try:
        crs = CRS.from_cf(stated)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # what PROJ strings lose (names, areas of use) has no part here
            parameters = crs.to_dict()
    except Exception as error:
        raise InputError(f"grid mapping '{name}' cannot be read: {error}") from error
    parameters.pop("type", None)
    parameters |= _figure(crs) | {"units": "m", "x_0": 0.0, "y_0": 0.0} | _false_origin(attributes)
    for replaced in ("R", "ellps", "datum"):
        parameters.pop(replaced, None)
    flags = " ".join("+no_defs" for key in ("no_defs",) if parameters.pop(key, None))
    text = " ".join(f"+{key}={value}" for key, value in parameters.items())
    return f"{text} {flags}".strip()


def radius_from_cf(attributes: Mapping[str, Any]) -> float:
    """Radius (m) of the sphere for areas on a latitude–longitude grid; RTMA's where the mapping states none."""
    if "earth_radius" in attributes:
        return float(attributes["earth_radius"])
    if "semi_major_axis" in attributes:
        figure = _figure(CRS.from_cf({"grid_mapping_name": "latitude_longitude", **attributes}))
        return (2.0 * figure["a"] + figure["b"]) / 3.0
    return EARTH_RADIUS


def _figure(crs: CRS) -> dict[str, float]:
    ellipsoid = crs.ellipsoid
    return {"a": ellipsoid.semi_major_metre, "b": ellipsoid.semi_minor_metre}


def _false_origin(attributes: Mapping[str, Any]) -> dict[str, float]:
    names = {"x_0": "false_easting", "y_0": "false_northing"}
    return {key: float(attributes[name]) for key, name in names.items() if name in attributes}
