"""Surface reports in BUFR: SYNOP from land stations and SHIP from the sea → the observation table.

Element names differ by template (ECMWF's 307005, WMO's 307080): each quantity is looked up under all its names.
``pressure`` is not station pressure: in high stations' reports it is the standard level whose height is reported.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rtma_diffda.errors import InputError
from rtma_diffda.geo.wind import components
from rtma_diffda.io.bufr import BufrMessage, Value, read_bufr_messages
from rtma_diffda.observations.ingest.result import REJECTED_COLUMNS, IngestResult
from rtma_diffda.observations.table import as_table, empty_table

logger = logging.getLogger(__name__)

QUANTITIES: Mapping[str, tuple[tuple[str, ...], float]] = {
    "t2m": (("airTemperatureAt2M", "airTemperature"), 1.0),
    "d2m": (("dewpointTemperatureAt2M", "dewpointTemperature"), 1.0),
    "ws10m": (("windSpeedAt10M", "windSpeed"), 1.0),
    "wd10m": (("windDirectionAt10M", "windDirection"), 1.0),
    "gust": (("maximumWindGustSpeed",), 1.0),
    "sp": (("nonCoordinatePressure",), 1.0),
    "msl": (("pressureReducedToMeanSeaLevel",), 1.0),
    "vis": (("horizontalVisibility",), 1.0),
    "tcc": (("cloudCoverTotal",), 0.01),
}
"""{variable: (element names, the best first, factor to SI)}."""

_POSITIONS = {
    "latitude": ("latitude",),
    "longitude": ("longitude",),
    "elevation": (
        "heightOfStationGroundAboveMeanSeaLevel",
        "heightOfStation",
        "heightOfBarometerAboveMeanSeaLevel",
    ),
}
_CLOCK = ("year", "month", "day", "hour", "minute")
_WIGOS = (
    "wigosIdentifierSeries",
    "wigosIssuerOfIdentifier",
    "wigosIssueNumber",
    "wigosLocalIdentifierCharacter",
)
_NAMES = ("shipOrMobileLandStationIdentifier", "stationOrSiteName", "longStationName")
_KINDS = {0: ("synop", "SYNOP"), 1: ("ship", "SHIP")}
_AUTOMATIC = 0.0  # BUFR code table 0 02 001

KEYS = tuple(
    dict.fromkeys(
        [name for names, _ in QUANTITIES.values() for name in names]
        + [name for names in _POSITIONS.values() for name in names]
        + [*_CLOCK, *_WIGOS, *_NAMES, "blockNumber", "stationNumber", "stationType"]
    )
)
"""Elements that are looked up."""


@dataclass(frozen=True)
class _Report:
    """One subset: rows for the table, or the reason why it has none."""

    rows: tuple[Mapping[str, object], ...] = ()
    station: str = ""
    reason: str = ""
    text: str = ""


def read_synop(path: str | Path) -> IngestResult:
    """Read a BUFR file of surface reports.

    Rows are ``t2m, d2m, ws10m, wd10m, u10m, v10m, gust, sp, msl, vis, tcc`` as far as a report has them. A report
    that an earlier one of the same station and time repeats value for value counts as duplicate.

    Raises:
        InputError: no such file, ecCodes is not installed, or the file holds no BUFR message at all.
    """
    path = Path(path)
    reports = [report for message in read_bufr_messages(path, KEYS) for report in _reports(message, path.name)]
    if not reports:
        raise InputError(f"{path} holds no BUFR message")
    kept, seen, duplicates = [], set(), 0
    for report in reports:
        content = tuple(tuple(row.values()) for row in report.rows)
        duplicates += bool(content) and content in seen
        kept += [] if content in seen else report.rows
        seen.add(content)
    rejected = [(path.name, r.station, r.reason, r.text) for r in reports if r.reason]
    if rejected:
        logger.warning(
            "%s: %d of %d reports rejected, the first: %s", path, len(rejected), len(reports), rejected[0][2]
        )
    return IngestResult(
        table=as_table(pd.DataFrame(kept)) if kept else empty_table(),
        reports_found=len(reports),
        reports_read=len(reports) - duplicates - len(rejected),
        duplicates=duplicates,
        rejected=pd.DataFrame(rejected, columns=list(REJECTED_COLUMNS)),
    )


def _reports(message: BufrMessage, source: str) -> Iterator[_Report]:
    place = f"message {message.number} at byte {message.offset}"
    if message.failure:
        yield _Report(reason="damaged BUFR message", text=f"{place}: {message.failure}")
    elif message.category not in _KINDS:
        for _ in message.subsets or [None]:
            yield _Report(reason="not a surface report", text=f"{place}: BUFR data category {message.category}")
    for values in message.subsets if message.category in _KINDS else ():
        yield _report(values, message.category, source, place)


def _report(values: Mapping[str, Value], category: int, source: str, place: str) -> _Report:
    station = _station(values)
    position = {name: _first(values, names) for name, names in _POSITIONS.items()}
    valid_time = _valid_time(values)
    reason = _unusable(station, position, valid_time)
    network, kind = _KINDS[category]
    quantities = _quantities(values)
    if reason or not quantities:
        return _Report(station=station, reason=reason or "no value that is read here", text=place)
    report = {
        "station": station,
        "network": network,
        "report_type": f"{kind} AUTO" if values.get("stationType") == _AUTOMATIC else kind,
        "latitude": position["latitude"],
        "longitude": position["longitude"],
        "elevation": np.nan if position["elevation"] is None else position["elevation"],
        "valid_time": valid_time,
        "source": source,
    }
    return _Report(tuple({**report, "variable": name, "value": value} for name, value in quantities.items()), station)


def _quantities(values: Mapping[str, Value]) -> dict[str, float]:
    """{variable: SI value} of what is there; wind also as components."""
    found = {name: _first(values, names) for name, (names, _) in QUANTITIES.items()}
    found = {name: value * QUANTITIES[name][1] for name, value in found.items() if value is not None}
    if found.get("tcc", 0.0) > 1.0:  # 113 %: the sky cannot be seen (code table 0 20 010)
        del found["tcc"]
    speed, direction = found.get("ws10m"), found.get("wd10m")
    if speed == 0.0 or direction == 0.0:  # calm has no direction; 0 with a speed is no direction either (north is 360)
        found.pop("wd10m", None)
        direction = 0.0 if speed == 0.0 else None
    if speed is not None and direction is not None:
        u, v = components(speed, direction)
        found |= {"u10m": float(u) + 0.0, "v10m": float(v) + 0.0}  # + 0.0: no negative zero
    return found


def _station(values: Mapping[str, Value]) -> str:
    """WMO block and station number, else WIGOS identifier, call sign or name."""
    if "blockNumber" in values and "stationNumber" in values:
        return f"{int(values['blockNumber']):02d}{int(values['stationNumber']):03d}"
    if all(key in values for key in _WIGOS):
        return "-".join(part if isinstance(part, str) else str(int(part)) for part in (values[k] for k in _WIGOS))
    return next((str(values[name]) for name in _NAMES if name in values), "")


def _first(values: Mapping[str, Value], names: tuple[str, ...]) -> float | None:
    return next((float(values[name]) for name in names if name in values), None)


def _valid_time(values: Mapping[str, Value]) -> np.datetime64 | None:
    try:
        year, month, day, hour = (int(values[name]) for name in _CLOCK[:4])
        text = f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{int(values.get('minute', 0)):02d}"
        return np.datetime64(text, "ns")
    except (KeyError, ValueError):
        return None


def _unusable(station: str, position: Mapping[str, float | None], valid_time: np.datetime64 | None) -> str:
    """Why a report has no place in the table; empty if it has one."""
    if not station:
        return "no station identifier"
    if valid_time is None:
        return "no valid date and time"
    latitude, longitude = position["latitude"], position["longitude"]
    if latitude is None or longitude is None or abs(latitude) > 90.0 or abs(longitude) > 180.0:
        return "no valid position"
    return ""
