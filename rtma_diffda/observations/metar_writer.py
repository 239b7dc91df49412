"""METAR text of simulated reports, in the American form (FMH-1) and in bulletins as they are exchanged.

    METAR XABC 201215Z AUTO 24008G16KT 10SM SCT030 BKN080 12/07 A2992 RMK AO2 SLP132 T01230072=

Every group loses what the code loses: wind to 10° and whole knots, visibility to reportable fractions of a mile, cloud
to eighths and steps of 100 to 1000 ft, altimeter setting cut down to 0.01 inch. What a report lacks (NaN) is left out.

References:
    OFCM (2019): Federal Meteorological Handbook No. 1, Surface Weather Observations and Reports, chapter 12.
"""

import math
import textwrap
from collections.abc import Callable, Iterator, Mapping

import pandas as pd

from rtma_diffda.errors import InputError
from rtma_diffda.observations import metar_sky_groups as sky

KNOT = 0.514444
HECTOPASCAL_PER_INCH = 33.86389
REPORT_COLUMNS = ("station", "elevation", "valid_time")
"""Columns that every report needs; the others are left out of its text where absent or NaN."""

_HEADING = "SAXX70 XSIM"
_LINE_WIDTH = 69
_BULLETIN_INTERVAL = "5min"
_GUST_SPREAD = 10.0  # knots between peak and lull
_EXPONENT = 0.190284
_REDUCTION = 1013.25**_EXPONENT * 0.0065 / 288.0


def write_metar(reports: pd.DataFrame) -> str:
    """Bulletins of METAR reports, in the order in which they became available.

    Args:
        reports: one row a report: ``REPORT_COLUMNS`` (elevation in m), and of these what there is: received_time,
            wind_direction (degrees), wind_speed and gust (m/s), vis (m), tcc (0 … 1), cloud_base and ceil (m above
            ground; ceil NaN where unlimited), t2m and d2m (K), sp (Pa).

    Returns:
        Text with one bulletin for each 5 minutes in which reports were received (observed, where that is unknown).

    Raises:
        InputError: a required column is absent.
    """
    missing = [name for name in REPORT_COLUMNS if name not in reports]
    if missing:
        raise InputError(f"METAR reports lack the columns {missing}; found {list(map(str, reports.columns))}")
    sent = pd.to_datetime(reports["received_time" if "received_time" in reports else "valid_time"])
    ordered = reports.assign(sent=sent.dt.ceil(_BULLETIN_INTERVAL)).sort_values(["sent", "station"], kind="stable")
    bulletins = ordered.groupby("sent", sort=True)
    return "".join(_bulletin(number, time, rows) for number, (time, rows) in enumerate(bulletins, start=1))


def metar_report(report: Mapping[str, object]) -> str:
    """One report with its terminator, on one line; keys as the columns of ``write_metar``."""
    value = _numbers(report)
    body = [
        *wind_group(value("wind_speed"), value("wind_direction"), value("gust")),
        *sky.visibility_groups(value("vis"), value("t2m"), value("d2m")),
        *sky.sky_groups(value("tcc"), value("cloud_base"), value("ceil"), value("vis")),
        *temperature_group(value("t2m"), value("d2m")),
        *altimeter_group(value("sp"), value("elevation")),
    ]
    remarks = [
        "RMK AO2",
        *sea_level_pressure_group(value("sp"), value("elevation"), value("t2m")),
        *tenths_group(value("t2m"), value("d2m")),
    ]
    time = pd.Timestamp(report["valid_time"]).strftime("%d%H%MZ")
    return " ".join(["METAR", str(report["station"]), time, "AUTO", *body, *remarks]) + "="


def wind_group(speed: float, direction: float, gust: float) -> list[str]:
    """``dddffGffKT`` from m/s and degrees: calm below half a knot, VRB below three knots or without a direction.

    A gust is told when peak and lull lie 10 knots apart, the lull being as far below the mean as the peak above it.
    """
    if math.isnan(speed):
        return []
    knots = _nearest(speed / KNOT)
    if knots == 0:
        return ["00000KT"]
    if knots < 3 or math.isnan(direction):
        return [f"VRB{knots:02d}KT"]
    tens = _nearest(direction / 10.0) % 36 or 36
    peak = -1 if math.isnan(gust) else _nearest(gust / KNOT)
    spread = peak - max(0, 2 * knots - peak)
    told = f"G{peak:02d}" if spread >= _GUST_SPREAD else ""
    return [f"{tens:02d}0{knots:02d}{told}KT"]


def temperature_group(temperature: float, dew_point: float) -> list[str]:
    """``TT/TdTd`` in whole degrees Celsius from K, rounded from tenths with halves upward; M for below zero."""
    if math.isnan(temperature):
        return []
    return [f"{_whole_degrees(temperature)}/{'' if math.isnan(dew_point) else _whole_degrees(dew_point)}"]


def tenths_group(temperature: float, dew_point: float) -> list[str]:
    """``TsnTTTsnTdTdTd``: temperature and dew point in tenths of a degree Celsius, from K."""
    if math.isnan(temperature):
        return []
    groups = ["" if math.isnan(value) else _signed_tenths(value) for value in (temperature, dew_point)]
    return ["T" + "".join(groups)]


def altimeter_group(pressure: float, elevation: float) -> list[str]:
    """``Annnn``: altimeter setting in hundredths of an inch of mercury, cut down, from station pressure (Pa).

    The inverse of p = (A^n − p₀^n a h / T₀)^(1/n) + 0.3 hPa with n = 0.190284, a = 6.5 K/km, T₀ = 288 K.
    """
    if math.isnan(pressure) or math.isnan(elevation):
        return []
    setting = ((0.01 * pressure - 0.3) ** _EXPONENT + _REDUCTION * elevation) ** (1.0 / _EXPONENT)
    # a value that is a whole hundredth but for its last bits must not be cut to the one below
    return [f"A{math.floor(100.0 * setting / HECTOPASCAL_PER_INCH + 1e-6):04d}"]


def sea_level_pressure_group(pressure: float, elevation: float, temperature: float) -> list[str]:
    """``SLPppp``: tens, units and tenths of hPa at sea level, reduced through a layer of standard lapse rate.

    SLPNO where it cannot be told: unknown pressure, height or temperature, or beyond the code's 950 … 1049.9 hPa.
    """
    mean_temperature = temperature + 0.5 * 0.0065 * elevation
    tenths = 0.1 * pressure * math.exp(9.80665 * elevation / (287.05 * mean_temperature))
    if math.isnan(tenths) or not 9500 <= _nearest(tenths) <= 10499:
        return ["SLPNO"]
    return [f"SLP{_nearest(tenths) % 1000:03d}"]


def _bulletin(number: int, time: pd.Timestamp, rows: pd.DataFrame) -> str:
    reports = "\n".join(_wrapped(metar_report(row)) for row in _records(rows))
    return f"\x01\n{number % 1000:03d} \n{_HEADING} {time.strftime('%d%H%M')}\n{reports}\n\x03\n"


def _records(rows: pd.DataFrame) -> Iterator[dict[str, object]]:
    names = list(rows.columns)
    for values in rows.itertuples(index=False, name=None):
        yield dict(zip(names, values, strict=True))


def _wrapped(report: str) -> str:
    """Lines of at most 69 characters, continued with five blanks, as teleprinters left it to the world."""
    return textwrap.fill(report, _LINE_WIDTH, subsequent_indent=" " * 5, break_long_words=False)


def _numbers(report: Mapping[str, object]) -> Callable[[str], float]:
    return lambda name: float(report.get(name, math.nan))


def _nearest(value: float) -> int:
    """The nearest whole number, halves upward."""
    return math.floor(value + 0.5)


def _tenths(kelvin: float) -> int:
    return _nearest(10.0 * (kelvin - 273.15))


def _whole_degrees(kelvin: float) -> str:
    tenths = _tenths(kelvin)
    return f"{'M' if tenths < 0 else ''}{abs(_nearest(tenths / 10.0)):02d}"


def _signed_tenths(kelvin: float) -> str:
    tenths = _tenths(kelvin)
    return f"{int(tenths < 0)}{abs(tenths):03d}"
