"""Reports in wide form, one row a report and one column a variable, made into the observation table and its account."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from rtma_diffda.geo.sphere import great_circle_distance, wrap_longitude
from rtma_diffda.geo.wind import components, speed_and_direction
from rtma_diffda.observations.flags import Flag
from rtma_diffda.observations.ingest.result import REJECTED_COLUMNS, IngestResult
from rtma_diffda.observations.ingest.stations import StationTable
from rtma_diffda.observations.table import as_table, empty_table

_SAME_PLACE = 10_000.0  # m; a table's elevation is taken only for a station that it puts there too
_MISSING_WORDS = ["", "m", "na", "nan", "null", "none", "-", "--", "missing", "nat", "<na>"]


@dataclass(frozen=True)
class WideReports:
    """Reports of one file.

    Attributes:
        heads: one row a report: station, network, report_type, valid_time, latitude, longitude, elevation.
        values: {variable: (n,) SI values}; NaN where a report has none.
        bounds: {variable: (n,) −1, 0, +1}; absent means 0.
        repaired: as in ``IngestResult``.
    """

    heads: pd.DataFrame
    values: Mapping[str, np.ndarray]
    bounds: Mapping[str, np.ndarray] = field(default_factory=dict)
    repaired: Mapping[str, int] = field(default_factory=dict)


def numbers(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (n,) of a column of text or numbers, NaN where there is none; and True where a cell is neither a number
    nor a usual word for "missing"."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    values = np.where(np.isfinite(values), values, np.nan)
    return values, np.isnan(values) & ~says_missing(column)


def says_missing(column: pd.Series) -> np.ndarray:
    """True (n,) where a cell is empty or a usual word for "missing"."""
    return (column.isna() | column.astype(str).str.strip().str.lower().isin(_MISSING_WORDS)).to_numpy(bool)


def utc_times(column: pd.Series) -> np.ndarray:
    """``datetime64[ns]`` (n,) of ISO 8601 texts or of dates, offsets honoured; NaT where a cell is none."""
    times = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601" if column.dtype == object else None)
    return times.dt.tz_localize(None).to_numpy("datetime64[ns]")


def located(heads: pd.DataFrame, stations: StationTable | None) -> pd.DataFrame:
    """The heads with positions and elevations that the file lacks, from the station table."""
    if stations is None:
        return heads
    latitude, longitude, elevation = _locate(stations, heads["station"].to_numpy())
    absent = heads[["latitude", "longitude"]].isna().any(axis=1).to_numpy()
    heads = heads.assign(
        latitude=np.where(absent, latitude, heads["latitude"]),
        longitude=np.where(absent, longitude, heads["longitude"]),
    )
    distance = great_circle_distance(heads["latitude"], heads["longitude"], latitude, longitude)
    with np.errstate(invalid="ignore"):
        fill = heads["elevation"].isna().to_numpy() & (distance <= _SAME_PLACE)
    return heads.assign(elevation=np.where(fill, elevation, heads["elevation"]))


def completed_winds(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Speed and direction from components and the reverse, whichever the reports lack.

    Calm has components and no direction; a direction of 0 with a speed is none (north is 360).
    """
    found = dict(values)
    if {"u10m", "v10m"} <= set(found) and not {"ws10m", "wd10m"} & set(found):
        speed, direction = speed_and_direction(found["u10m"], found["v10m"])
        found |= {"ws10m": speed, "wd10m": np.where(speed > 0, direction, np.nan)}
    elif {"ws10m", "wd10m"} <= set(found) and not {"u10m", "v10m"} & set(found):
        speed, direction = found["ws10m"], found["wd10m"]
        known = np.where(speed == 0.0, 360.0, np.where(direction == 0.0, np.nan, direction))
        u, v = components(speed, known)
        found |= {"u10m": u + 0.0, "v10m": v + 0.0, "wd10m": np.where(speed == 0.0, np.nan, known)}
    return found


def unusable(heads: pd.DataFrame) -> np.ndarray:
    """Why each report (n,) has no place in the table, in words; empty where it has one."""
    latitude, longitude = heads["latitude"].to_numpy(float), heads["longitude"].to_numpy(float)
    with np.errstate(invalid="ignore"):
        nowhere = (np.abs(latitude) > 90.0) | (longitude < -180.0) | (longitude > 360.0)
    reason = np.where(nowhere, "position outside the globe", "").astype(object)
    reason[np.isnat(heads["valid_time"].to_numpy())] = "no valid date and time"
    reason[(heads["station"].fillna("") == "").to_numpy()] = "no station identifier"
    return reason


def rejections(reason: np.ndarray, stations: pd.Series, source: str, *, written: pd.DataFrame) -> pd.DataFrame:
    """``IngestResult.rejected`` of the rows (n,) that have a reason, with each row as it was written."""
    rows = [
        (source, str(stations.iloc[i]), reason[i], ",".join(map(str, written.iloc[i])))
        for i in np.flatnonzero(reason != "")
    ]
    return pd.DataFrame(rows, columns=list(REJECTED_COLUMNS))


def ingest_wide(reports: WideReports, source: str, *, written: pd.DataFrame) -> IngestResult:
    """The observation table of the reports and their account.

    Args:
        reports: all that were found.
        source: the file.
        written: the rows as written, for the account.
    """
    reason = unusable(reports.heads)
    empty = ~np.any([np.isfinite(v) for v in reports.values.values()], axis=0)
    reason = np.where((reason == "") & empty, "no value that is read here", reason)
    repeated = _repeats(reports) & (reason == "")
    keep = (reason == "") & ~repeated
    return IngestResult(
        table=_table(reports, keep, source),
        reports_found=len(reports.heads),
        reports_read=int(keep.sum()),
        duplicates=int(repeated.sum()),
        repaired={kind: count for kind, count in reports.repaired.items() if count},
        rejected=rejections(reason, reports.heads["station"], source, written=written),
    )


def position_flags(heads: pd.DataFrame) -> np.ndarray:
    """Flags (n,): ``NO_POSITION`` where latitude or longitude is unknown."""
    unknown = heads[["latitude", "longitude"]].isna().any(axis=1).to_numpy()
    return np.where(unknown, np.int32(Flag.NO_POSITION), np.int32(0))


def _table(reports: WideReports, keep: np.ndarray, source: str) -> pd.DataFrame:
    heads = reports.heads.assign(
        source=source, flags=position_flags(reports.heads), longitude=wrap_longitude(reports.heads["longitude"])
    )
    parts = []
    for name, values in reports.values.items():
        rows = keep & np.isfinite(values)
        bound = reports.bounds.get(name, np.zeros(len(values), np.int8))
        parts.append(heads[rows].assign(variable=name, value=values[rows], bound=bound[rows]))
    if not keep.any():
        return empty_table()
    return as_table(pd.concat(parts).sort_index(kind="stable"))


def _repeats(reports: WideReports) -> np.ndarray:
    """True where a report equals an earlier one in everything."""
    return pd.concat([reports.heads, pd.DataFrame(dict(reports.values))], axis=1).duplicated().to_numpy()


def _locate(stations: StationTable, names: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions by identifier; three letters are also tried as the ICAO code of the contiguous United States."""
    as_written = stations.locate(names)
    american = stations.locate(np.array([f"K{name}" if len(str(name)) == 3 else name for name in names], object))
    unknown = np.isnan(as_written[0])
    return tuple(np.where(unknown, other, own) for own, other in zip(as_written, american, strict=True))
