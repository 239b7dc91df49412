"""Reports in the columns of the Iowa Environmental Mesonet's ASOS archive: American units, one row a report.

``station, valid, lon, lat, tmpf, dwpf, drct, sknt, alti, mslp, vsby, gust, skyc1…4, skyl1…4``; some downloads have
``elevation`` (m) too. Missing is empty or ``M``.
"""

import numpy as np
import pandas as pd

from rtma_diffda.observations.ingest.metar_sky import Layer, describe_sky
from rtma_diffda.observations.ingest.stations import StationTable
from rtma_diffda.observations.ingest.wide_reports import (
    WideReports,
    completed_winds,
    located,
    numbers,
    says_missing,
    utc_times,
)

KNOT = 1852.0 / 3600.0
"""m/s."""
_PASCAL_PER_INCH = 3386.389
_METRES_PER_MILE = 1609.344
_METRES_PER_FOOT = 0.3048
_FARTHEST_MILES = 10.0
"""Automated stations report no more than this, so it means "or more"; people state what lies beyond."""
_LAYERS = range(1, 5)

_CONVERSIONS = {
    "tmpf": ("t2m", 5.0 / 9.0, 273.15 - 160.0 / 9.0),
    "dwpf": ("d2m", 5.0 / 9.0, 273.15 - 160.0 / 9.0),
    "sknt": ("ws10m", KNOT, 0.0),
    "drct": ("wd10m", 1.0, 0.0),
    "gust": ("gust", KNOT, 0.0),
    "mslp": ("msl", 100.0, 0.0),
    "vsby": ("vis", _METRES_PER_MILE, 0.0),
}


def is_iowa(columns: list[str]) -> bool:
    """Whether these are the columns of the archive."""
    return {"station", "valid"} <= set(columns) and bool(set(_CONVERSIONS) & set(columns))


def iowa_reports(frame: pd.DataFrame, stations: StationTable | None) -> WideReports:
    """The rows of the archive as reports in SI.

    Station pressure follows from the altimeter setting where the elevation is known, from the file or ``stations``.
    """
    heads = located(_heads(frame), stations)
    values, spoiled = {}, np.zeros(len(frame), bool)
    for column, (name, scale, offset) in _CONVERSIONS.items():
        if column in frame:
            found, odd = numbers(frame[column])
            values[name], spoiled = found * scale + offset, spoiled | odd
    values = completed_winds(values)
    if "alti" in frame:
        altimeter, odd = numbers(frame["alti"])
        values["sp"], spoiled = station_pressure(altimeter * _PASCAL_PER_INCH, heads["elevation"]), spoiled | odd
    sky, bounds = _sky(frame)
    if "vis" in values:
        bounds["vis"] = np.isclose(values["vis"], _FARTHEST_MILES * _METRES_PER_MILE).astype(np.int8)
    return WideReports(heads, values | sky, bounds, {"cells that are no number left out": int(spoiled.sum())})


def station_pressure(altimeter: np.ndarray, elevation: pd.Series) -> np.ndarray:
    """Station pressure (Pa) from altimeter setting (Pa) and elevation (m), as for METAR; NaN where one is unknown."""
    from metpy.calc import altimeter_to_station_pressure  # a second to import, and only this form needs it
    from metpy.units import units

    with np.errstate(invalid="ignore"):
        pressure = altimeter_to_station_pressure(
            units.Quantity(altimeter, "Pa"), units.Quantity(elevation.to_numpy(float), "m")
        )
    return np.asarray(pressure.m_as("Pa"))


def _heads(frame: pd.DataFrame) -> pd.DataFrame:
    nothing = pd.Series(np.nan, index=frame.index)
    return pd.DataFrame(
        {
            "station": frame["station"].astype(str).str.strip(),
            "network": "metar",
            "report_type": "METAR",
            "valid_time": utc_times(frame["valid"]),
            "latitude": numbers(frame.get("lat", nothing))[0],
            "longitude": numbers(frame.get("lon", nothing))[0],
            "elevation": numbers(frame.get("elevation", nothing))[0],
        }
    )


def _sky(frame: pd.DataFrame) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Cloud cover and ceiling from the layers, and the bound of the cover."""
    columns = [i for i in _LAYERS if f"skyc{i}" in frame]
    if not columns:
        return {}, {}
    words = [frame[f"skyc{i}"].astype(str).str.strip().str.upper() for i in columns]
    covers = [word.mask(says_missing(word), "") for word in words]
    nothing = pd.Series(np.nan, index=frame.index)
    bases = [numbers(frame.get(f"skyl{i}", nothing))[0] * _METRES_PER_FOOT for i in columns]
    skies = [
        describe_sky(
            [Layer(c, b) for c, b in zip(row[: len(covers)], row[len(covers) :], strict=True) if c], cavok=False
        )
        for row in zip(*covers, *bases, strict=True)
    ]
    return (
        {"tcc": np.array([sky.cover for sky in skies], float), "ceil": np.array([sky.ceiling for sky in skies], float)},
        {"tcc": np.array([sky.bound for sky in skies], np.int8)},
    )
