"""Where stations are: identifier → latitude, longitude, elevation, read from local tables only, never downloaded.

Four formats are read: our own CSV (``station,latitude,longitude,elevation``; degrees, metres), the GEMPAK surface
table (``sfstns.tbl``), the AWC and NCAR station lists (``master.txt``, ``stations.txt``) and the OurAirports list
(``airport-codes.csv``). Without a file the installed package ``airportsdata`` is used.
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from rtma_diffda.errors import InputError
from rtma_diffda.geo.sphere import great_circle_distance

logger = logging.getLogger(__name__)

METRES_PER_FOOT = 0.3048
FOLDER_ORDER = ("sfstns.tbl", "master.txt", "stations.txt", "airport-codes.csv")
"""Files looked for in a folder, in the order in which MetPy prefers them."""
CONFLICT_DISTANCE = 5000.0
"""Metres between two positions of one identifier above which they are reported; the tables round to 0.01 degree or
one minute of arc, which explains up to about 2 km."""
CONFLICT_HEIGHT = 50.0
"""Metres between two heights of one identifier above which they are reported: 6 hPa of station pressure."""

_COLUMNS = ["station", "latitude", "longitude", "elevation", "source"]
_CONFLICT_COLUMNS = ["station", "kept_source", "other_source", "distance", "height_difference"]
_NCAR_DEGREES = re.compile(r"(\d{1,3}) +(\d{1,2})([NSEW])", re.ASCII)
_GEMPAK_FIELDS = (slice(0, 9), slice(55, 61), slice(61, 68), slice(68, 74))
_NCAR_FIELDS = (slice(20, 25), slice(39, 46), slice(47, 55), slice(55, 60))
"""Character columns of identifier, latitude, longitude and elevation."""


@dataclass(frozen=True)
class StationTable:
    """Positions of stations.

    Attributes:
        table: indexed by identifier; columns latitude, longitude (degrees, −180 … 180), elevation (m above sea level;
            NaN where unknown) and source (the file it came from).
        conflicts: identifiers whose sources disagree by more than ``CONFLICT_DISTANCE`` or ``CONFLICT_HEIGHT``;
            columns station, kept_source, other_source, distance (m), height_difference (m, other minus kept).
    """

    table: pd.DataFrame
    conflicts: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=_CONFLICT_COLUMNS))

    def __len__(self) -> int:
        return len(self.table)

    def __contains__(self, station: str) -> bool:
        return station in self.table.index

    def locate(self, stations: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Latitude, longitude (degrees) and elevation (m) of identifiers (n,); NaN for those in no table."""
        row = self.table.index.get_indexer(pd.Index(stations))
        columns = (self.table[name].to_numpy(np.float64) for name in ("latitude", "longitude", "elevation"))
        return tuple(np.where(row >= 0, np.append(column, np.nan)[row], np.nan) for column in columns)


def load_stations(source: str | Path | None = None) -> StationTable:
    """Read station positions.

    Args:
        source: a table file, a folder with table files (our own CSV files first, then ``FOLDER_ORDER``; the first
            table that knows an identifier wins), or None for the package ``airportsdata``.

    Raises:
        InputError: no such file, a file that is no station table, or ``airportsdata`` is not installed.
    """
    if source is None:
        return _combined([_read_airportsdata()])
    path = Path(source)
    if not path.exists():
        raise InputError(f"station table {path} does not exist; give a file, a folder, or none for airportsdata")
    return _combined([_read_file(file) for file in (_files_of(path) if path.is_dir() else [path])])


def _files_of(folder: Path) -> list[Path]:
    own = sorted(file for file in folder.glob("*.csv") if file.name not in FOLDER_ORDER)
    files = own + [folder / name for name in FOLDER_ORDER if (folder / name).is_file()]
    if not files:
        raise InputError(f"folder {folder} holds no station table; expected *.csv or one of {', '.join(FOLDER_ORDER)}")
    return files


def _combined(tables: list[pd.DataFrame]) -> StationTable:
    """One table; within a file the last row of an identifier wins, as in MetPy, between files the first."""
    everything = pd.concat([table.drop_duplicates("station", keep="last") for table in tables], ignore_index=True)
    repeated = everything.duplicated("station")
    kept = everything[~repeated].set_index("station")
    conflicts = _conflicts(kept, everything[repeated])
    if len(conflicts):
        logger.info("%d stations stand at different places in different tables; the first was kept", len(conflicts))
    return StationTable(kept, conflicts)


def _conflicts(kept: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    first = kept.loc[others["station"]]
    distance = great_circle_distance(
        *(frame[name].to_numpy(np.float64) for frame in (first, others) for name in ("latitude", "longitude"))
    )
    rise = others["elevation"].to_numpy(np.float64) - first["elevation"].to_numpy(np.float64)
    frame = pd.DataFrame(
        {
            "station": others["station"].to_numpy(),
            "kept_source": first["source"].to_numpy(),
            "other_source": others["source"].to_numpy(),
            "distance": distance,
            "height_difference": rise,
        }
    )
    return frame[(distance > CONFLICT_DISTANCE) | (np.abs(rise) > CONFLICT_HEIGHT)].reset_index(drop=True)


def _read_file(path: Path) -> pd.DataFrame:
    text = path.read_bytes().decode("utf-8", errors="replace")
    frame = _reader_for(text)(text, path).assign(source=path.name)
    valid = frame["latitude"].between(-90, 90) & frame["longitude"].between(-180, 360)
    if not valid.any():
        raise InputError(f"station table {path} holds no station with a valid position; expected CSV with the columns "
                         f"{', '.join(_COLUMNS[:4])}, or one of {', '.join(FOLDER_ORDER)}")  # fmt: skip
    if not valid.all():
        logger.info("%s: rows without a valid position left out: %d", path, (~valid).sum())
    frame = frame[valid]
    return frame.assign(longitude=(frame["longitude"] + 180.0) % 360.0 - 180.0)[_COLUMNS]


def _reader_for(text: str) -> Callable[[str, Path], pd.DataFrame]:
    first_line = text.partition("\n")[0].lower()
    if "latitude_deg" in first_line:
        return _read_ourairports
    if "latitude" in first_line and "," in first_line:
        return _read_own_csv
    looks_ncar = any(_NCAR_DEGREES.match(line[39:46].strip()) for line in text.splitlines())
    return _read_ncar if looks_ncar else _read_gempak


def _read_own_csv(text: str, path: Path) -> pd.DataFrame:
    # keep_default_na would turn an identifier "NA" into a missing one
    frame = pd.read_csv(StringIO(text), dtype=str, keep_default_na=False, skipinitialspace=True)
    missing = [name for name in _COLUMNS[:3] if name not in frame]
    if missing:
        raise InputError(f"station table {path} lacks the columns {missing}; found {list(frame.columns)}")
    elevation = frame["elevation"] if "elevation" in frame else pd.Series("", index=frame.index)
    numbers = {name: _numbers(frame[name]) for name in ("latitude", "longitude")}
    return pd.DataFrame({"station": frame["station"].str.strip(), **numbers, "elevation": _numbers(elevation)})


def _read_ourairports(text: str, path: Path) -> pd.DataFrame:
    frame = pd.read_csv(StringIO(text), dtype=str, keep_default_na=False)
    missing = [name for name in ("ident", "longitude_deg", "elevation_ft") if name not in frame]
    if missing:
        raise InputError(f"station table {path} lacks the columns {missing}; found {list(frame.columns)}")
    feet = _numbers(frame["elevation_ft"])
    latitude, longitude = _numbers(frame["latitude_deg"]), _numbers(frame["longitude_deg"])
    return _frame(frame["ident"], latitude, longitude, feet.to_numpy() * METRES_PER_FOOT)


def _read_gempak(text: str, path: Path) -> pd.DataFrame:
    station, latitude, longitude, elevation = _fields(text, _GEMPAK_FIELDS)
    height = _numbers(elevation)
    frame = _frame(station, _numbers(latitude) / 100.0, _numbers(longitude) / 100.0, height.where(height > -900.0))
    return frame[frame["station"] != ""]


def _read_ncar(text: str, path: Path) -> pd.DataFrame:
    station, latitude, longitude, elevation = _fields(text, _NCAR_FIELDS)
    frame = _frame(station, latitude.map(_degrees), longitude.map(_degrees), _numbers(elevation))
    # headings have no position; radars and upper-air stations no METAR identifier
    return frame[(frame["station"] != "") & frame["latitude"].notna()]


def _fields(text: str, columns: tuple[slice, ...]) -> list[pd.Series]:
    rows = [[line[column].strip() for column in columns] for line in text.splitlines() if line and line[0] != "!"]
    return [pd.Series([row[i] for row in rows], dtype=object) for i in range(len(columns))]


def _read_airportsdata() -> pd.DataFrame:
    try:
        import airportsdata
    except ImportError as error:
        raise InputError(
            "no station table given and the package airportsdata is not installed; give a table, or "
            "pip install airportsdata"
        ) from error
    airports = {code: entry for code, entry in airportsdata.load("ICAO").items() if len(code) == 4 and code.isalpha()}
    columns = {name: [entry[name] for entry in airports.values()] for name in ("lat", "lon", "elevation")}
    feet = np.array(columns["elevation"], np.float64)
    # An elevation of exactly 0 stands for "unknown" there far more often than for sea level (1,381 of the four-letter
    # codes, inland airfields among them); a wrong 0 would falsify the station pressure, NaN only withholds it.
    elevation = np.where(feet == 0.0, np.nan, feet * METRES_PER_FOOT)
    frame = _frame(pd.Series(list(airports)), columns["lat"], columns["lon"], elevation)
    return frame.assign(source="airportsdata")[_COLUMNS]


def _frame(station: pd.Series, latitude: object, longitude: object, elevation: object) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "station": station.to_numpy(),
            "latitude": np.asarray(latitude, np.float64),
            "longitude": np.asarray(longitude, np.float64),
            "elevation": np.asarray(elevation, np.float64),
        }
    )


def _numbers(column: pd.Series) -> pd.Series:
    return pd.to_numeric(column.astype(str).str.strip(), errors="coerce").astype(np.float64)


def _degrees(text: str) -> float:
    """Degrees from ``51 53N`` (degrees, minutes, side); NaN from anything else."""
    match = _NCAR_DEGREES.fullmatch(text)
    if match is None:
        return np.nan
    return (int(match[1]) + int(match[2]) / 60.0) * (1.0 if match[3] in "NE" else -1.0)
