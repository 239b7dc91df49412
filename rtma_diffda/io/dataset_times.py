"""When the fields of an array are valid: from ``valid_time``, from ``time``, or from an initial time and a lead time.

Names differ by neighbour: ``time`` is the valid time in analyses and in CF, the initial time in WeatherBench and in
cfgrib's files, where a lead time (``step``, ``prediction_timedelta``, ``lead_time``) is an axis beside it.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from rtma_diffda.errors import InputError

_INITIAL = {"init_time", "forecast_reference_time", "initial_time", "reftime", "reference_time"}
_LEAD = {"lead_time", "step", "prediction_timedelta", "forecast_period"}
_VALID = ("valid_time", "datetime", "time", "analysis_time")


@dataclass(frozen=True)
class ArrayTimes:
    """Times of an array's fields.

    Attributes:
        valid: over the array's time dimensions; None for a field without time.
        initial: likewise, dims among those of ``valid``; None where the file does not say.
    """

    valid: xr.DataArray | None
    initial: xr.DataArray | None = None


def times_of(array: xr.DataArray) -> ArrayTimes:
    """Valid and initial times of an array.

    Raises:
        InputError: the file's times cannot be read as UTC dates.
    """
    lead = _find(array, "m", _LEAD, "forecast_period")
    initial = _find(array, "M", _INITIAL, "forecast_reference_time")
    time = _valid_coordinate(array)
    if time is not None and lead is not None and time.name == "time" and _is_initial(time, lead):
        return ArrayTimes(time + lead, time)
    if time is not None:
        return ArrayTimes(time, initial)
    if initial is not None and lead is not None:
        return ArrayTimes(initial + lead, initial)
    for name in (*_VALID, *_INITIAL):
        if name in array.dims:
            raise InputError(f"its axis '{name}' is not a time of the Gregorian calendar with units that can be read")
    return ArrayTimes(None)


def _is_initial(time: xr.DataArray, lead: xr.DataArray) -> bool:
    """Whether ``time`` is the start of the forecast: it says so, or the lead time is an axis of its own."""
    return time.attrs.get("standard_name") == "forecast_reference_time" or bool(set(lead.dims) - set(time.dims))


def _valid_coordinate(array: xr.DataArray) -> xr.DataArray | None:
    for name in _VALID:
        if name in array.coords and np.issubdtype(array.coords[name].dtype, np.datetime64):
            return array.coords[name]
    for coordinate in array.coords.values():
        if coordinate.attrs.get("standard_name") == "time" and np.issubdtype(coordinate.dtype, np.datetime64):
            return coordinate
    return None


def _find(array: xr.DataArray, kind: str, names: set[str], standard_name: str) -> xr.DataArray | None:
    for name, coordinate in array.coords.items():
        stated = name in names or (coordinate.attrs.get("standard_name") == standard_name and name != "time")
        if stated and coordinate.dtype.kind == kind:
            return coordinate
    return None
