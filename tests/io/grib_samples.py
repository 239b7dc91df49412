"""Small GRIB files made with ecCodes for the tests that must run without reference data."""

import numpy as np

import rtma_diffda  # noqa: F401  (pyproj before ecCodes)

SPHERE = {
    "shapeOfTheEarth": 1,
    "scaleFactorOfRadiusOfSphericalEarth": 0,
    "scaledValueOfRadiusOfSphericalEarth": 6371200,
}
T2M = {"parameterCategory": 0, "parameterNumber": 0, "typeOfFirstFixedSurface": 103,
       "scaleFactorOfFirstFixedSurface": 0, "scaledValueOfFirstFixedSurface": 2}  # fmt: skip
U10M = {**T2M, "parameterCategory": 2, "parameterNumber": 2, "scaledValueOfFirstFixedSurface": 10}
V10M = {**U10M, "parameterNumber": 3}
SURFACE = {"typeOfFirstFixedSurface": 1, "scaleFactorOfFirstFixedSurface": 0, "scaledValueOfFirstFixedSurface": 0}
SP = {**SURFACE, "parameterCategory": 3, "parameterNumber": 0}
OROG = {**SURFACE, "parameterCategory": 3, "parameterNumber": 5}

LAT_LON = {
    "gridType": "regular_ll", "Ni": 8, "Nj": 5, "latitudeOfFirstGridPointInDegrees": 52.0,
    "latitudeOfLastGridPointInDegrees": 48.0, "longitudeOfFirstGridPointInDegrees": 357.0,
    "longitudeOfLastGridPointInDegrees": 4.0, "iDirectionIncrementInDegrees": 1.0, "jDirectionIncrementInDegrees": 1.0,
    "jScansPositively": 0, **SPHERE,
}  # fmt: skip
"""Across Greenwich, from the north."""

LAMBERT = {
    "gridType": "lambert", "Nx": 8, "Ny": 5, "DxInMetres": 5000, "DyInMetres": 4000, "LaDInDegrees": 30.0,
    "LoVInDegrees": 265.0, "Latin1InDegrees": 30.0, "Latin2InDegrees": 50.0, "jScansPositively": 1,
    "latitudeOfFirstGridPointInDegrees": 40.0, "longitudeOfFirstGridPointInDegrees": 250.0, "uvRelativeToGrid": 1,
    **SPHERE,
}  # fmt: skip


def grib_message(values: np.ndarray, grid: dict, parameter: dict, **more: object) -> bytes:
    """A GRIB2 message; values as laid out in the message (flat or 2-D), NaN for missing."""
    import eccodes

    handle = eccodes.codes_grib_new_from_samples("GRIB2")
    try:
        for key, value in {**grid, **parameter, "dataDate": 20260101, "dataTime": 600, **more}.items():
            eccodes.codes_set(handle, key, value)
        flat = np.ascontiguousarray(values, float).ravel()
        if np.isnan(flat).any():
            eccodes.codes_set(handle, "bitmapPresent", 1)
            eccodes.codes_set(handle, "missingValue", 1e30)
            flat = np.where(np.isnan(flat), 1e30, flat)
        eccodes.codes_set(handle, "bitsPerValue", 24)
        eccodes.codes_set_values(handle, flat)
        return eccodes.codes_get_message(handle)
    finally:
        eccodes.codes_release(handle)


def flip_flag(message: bytes, key: str) -> bytes:
    """The message with one scanning flag turned, its values untouched."""
    import eccodes

    handle = eccodes.codes_new_from_message(message)
    try:
        eccodes.codes_set(handle, key, 1 - eccodes.codes_get(handle, key))
        return eccodes.codes_get_message(handle)
    finally:
        eccodes.codes_release(handle)
