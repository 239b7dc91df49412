"""Tables of observations, CSV or parquet, in three forms that the column names tell apart.

1. *Long*: our own table, one row a datum (``observations.table.COLUMNS``; SI).
2. *Wide*: one row a report: ``station, valid_time``, ``latitude, longitude, elevation`` where known, ``network`` and
   ``report_type`` if wanted, and columns named as in ``variables.py``, in SI.
3. *Iowa*: the ASOS archive (``iowa.py``).

A bad row is rejected with a reason; the others are kept.
"""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from rtma_diffda.errors import InputError
from rtma_diffda.geo.sphere import wrap_longitude
from rtma_diffda.io.messages import file_start
from rtma_diffda.observations.flags import Flag
from rtma_diffda.observations.ingest.delimited import DelimitedRows, read_rows
from rtma_diffda.observations.ingest.iowa import iowa_reports, is_iowa
from rtma_diffda.observations.ingest.result import REJECTED_COLUMNS, IngestResult
from rtma_diffda.observations.ingest.stations import StationTable
from rtma_diffda.observations.ingest.wide_reports import (
    WideReports,
    completed_winds,
    ingest_wide,
    located,
    numbers,
    position_flags,
    rejections,
    unusable,
    utc_times,
)
from rtma_diffda.observations.table import as_table, empty_table
from rtma_diffda.variables import VARIABLES

logger = logging.getLogger(__name__)

PARQUET_START = b"PAR1"


def read_table(path: str | Path, *, stations: StationTable | None = None) -> IngestResult:
    """Read a table of observations.

    Args:
        path: CSV or parquet.
        stations: positions for stations whose rows have none; rows that stay without one are flagged.

    Raises:
        InputError: no such file, it is empty or damaged, or its columns are of none of the three forms.
    """
    path = Path(path)
    rows = _read(path)
    frame = rows.frame
    columns = list(map(str, frame.columns))
    if {"station", "variable", "value", "valid_time"} <= set(columns):
        result = _ingest_long(frame, path.name, stations)
    elif is_iowa(columns):
        result = ingest_wide(iowa_reports(frame, stations), path.name, written=frame)
    elif is_wide(columns):
        result = ingest_wide(_wide_reports(frame, stations), path.name, written=frame)
    else:
        raise InputError(
            f"{path} is no table of observations: it has the columns {', '.join(columns[:12])}; expected station, "
            f"valid_time and variable with value, or station, valid_time and some of {', '.join(VARIABLES)}"
        )
    return _with_broken_lines(result, rows, path.name)


def is_wide(columns: list[str]) -> bool:
    """Whether these are the columns of the wide form."""
    return {"station", "valid_time"} <= set(columns) and bool(set(VARIABLES) & set(columns))


def is_table_header(columns: list[str]) -> bool:
    """Whether these are the columns of any of the three forms."""
    return "station" in columns and ({"variable", "value"} <= set(columns) or is_iowa(columns) or is_wide(columns))


def _read(path: Path) -> DelimitedRows:
    if file_start(path, 4) != PARQUET_START:
        return read_rows(path)
    try:
        return DelimitedRows(pd.read_parquet(path, engine="pyarrow"))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a parquet table: {error}") from error


def _wide_reports(frame: pd.DataFrame, stations: StationTable | None) -> WideReports:
    values, spoiled = {}, np.zeros(len(frame), bool)
    for name in (name for name in VARIABLES if name in frame):
        values[name], odd = numbers(frame[name])
        spoiled |= odd
    heads = located(_heads(frame), stations)
    return WideReports(
        heads, completed_winds(values), repaired={"cells that are no number left out": int(spoiled.sum())}
    )


def _heads(frame: pd.DataFrame) -> pd.DataFrame:
    nothing = pd.Series(np.nan, index=frame.index)
    words = {
        name: frame[name].fillna("").astype(str).str.strip() if name in frame else default
        for name, default in (("station", ""), ("network", "unknown"), ("report_type", ""))
    }
    positions = {name: numbers(frame.get(name, nothing))[0] for name in ("latitude", "longitude", "elevation")}
    return pd.DataFrame({**words, "valid_time": utc_times(frame["valid_time"]), **positions}, index=frame.index)


def _ingest_long(frame: pd.DataFrame, source: str, stations: StationTable | None) -> IngestResult:
    heads = located(_heads(frame), stations)
    value, _ = numbers(frame["value"])
    optional = {name: numbers(frame[name])[0] for name in ("error_std", "bound", "flags") if name in frame}
    flags = np.nan_to_num(optional.get("flags", np.zeros(len(frame)))).astype(np.int32)
    long = heads.assign(
        variable=frame["variable"].fillna("").astype(str).str.strip(),
        value=value,
        error_std=optional.get("error_std", np.nan),
        bound=np.nan_to_num(optional.get("bound", np.zeros(len(frame)))).astype(np.int8),
        flags=flags | position_flags(heads),
        source=frame["source"].fillna("").astype(str) if "source" in frame else source,
        longitude=wrap_longitude(heads["longitude"]),
    )
    reason = _unusable_long(heads, long)
    repeated = long.duplicated().to_numpy() & (reason == "")
    kept = (reason == "") & ~repeated
    return IngestResult(
        table=as_table(long[kept]) if kept.any() else empty_table(),
        reports_found=len(frame),
        reports_read=int(kept.sum()),
        duplicates=int(repeated.sum()),
        rejected=rejections(reason, heads["station"], source, written=frame),
    )


def _unusable_long(heads: pd.DataFrame, long: pd.DataFrame) -> np.ndarray:
    """As ``unusable``, and for a datum: unknown variable, no value (unless it is flagged as missing)."""
    reason = unusable(heads)
    said_missing = (long["flags"].to_numpy() & Flag.MISSING) != 0
    without = (reason == "") & long["value"].isna().to_numpy() & ~said_missing
    reason[without] = "no value"
    unknown = (reason == "") & ~long["variable"].isin(list(VARIABLES)).to_numpy()
    reason[unknown] = [f"unknown variable '{name}'" for name in long["variable"][unknown]]
    return reason


def _with_broken_lines(result: IngestResult, rows: DelimitedRows, source: str) -> IngestResult:
    if not rows.rejected:
        return _logged(result, source)
    broken = pd.DataFrame([(source, "", *line) for line in rows.rejected], columns=list(REJECTED_COLUMNS))
    rejected = pd.concat([result.rejected, broken], ignore_index=True) if len(result.rejected) else broken
    found = result.reports_found + len(broken)
    return _logged(replace(result, reports_found=found, rejected=rejected), source)


def _logged(result: IngestResult, source: str) -> IngestResult:
    if len(result.rejected):
        logger.warning(
            "%s: %d of %d rows rejected, the first: %s",
            source,
            len(result.rejected),
            result.reports_found,
            result.rejected["reason"].iloc[0],
        )
    return result
