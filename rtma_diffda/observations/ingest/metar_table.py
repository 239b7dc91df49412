"""From decoded METARs to the observation table: one row a datum, in SI units, with flags and bounds.

Temperature and dew point in kelvin; wind speed, direction, components and gust; surface pressure from the altimeter
setting; mean sea level pressure from the SLP group only (never recomputed, for that would repeat the altimeter and add
an assumed temperature); visibility; ceiling; cloud cover. What a report does not say has no row, and neither has an
unlimited ceiling: no height stands for it (``DecodedMetars.reports.ceiling_unlimited`` keeps it).
"""

from pathlib import Path

import numpy as np
import pandas as pd

from rtma_diffda.errors import InputError
from rtma_diffda.geo.wind import components
from rtma_diffda.observations.flags import Flag
from rtma_diffda.observations.ingest.metar import DecodedMetars, decode_metar
from rtma_diffda.observations.ingest.result import IngestResult
from rtma_diffda.observations.ingest.stations import StationTable
from rtma_diffda.observations.table import as_table

ZERO_CELSIUS = 273.15


def read_metar(path: str | Path, *, stations: StationTable, reference_time: np.datetime64) -> IngestResult:
    """Read a file of METAR bulletins, or of one report a line.

    Args:
        stations: where stations are; data of others are kept, with NaN for their position and ``Flag.NO_POSITION``.
        reference_time: each report gets the time nearest to this, as reports carry no month.

    Raises:
        InputError: the file does not exist or cannot be read. Its content never raises.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"METAR file {path} cannot be read: {error.strerror or error}") from error
    decoded = decode_metar(content, stations=stations, reference_time=reference_time, source=path.name)
    return IngestResult(
        table=to_table(decoded),
        reports_found=decoded.reports_found,
        reports_read=len(decoded.reports) + decoded.nil,
        duplicates=decoded.duplicates,
        repaired=decoded.repaired,
        rejected=decoded.rejected,
    )


def to_table(decoded: DecodedMetars) -> pd.DataFrame:
    """The observation table of decoded reports; rows of one variable stand together, in the order of the reports."""
    reports = decoded.reports
    values, bounds = _values(reports), _bounds(reports)
    rows = {name: np.flatnonzero(np.isfinite(value)) for name, value in values.items()}
    index = np.concatenate(list(rows.values()))
    position = reports[["latitude", "longitude"]].isna().any(axis=1).to_numpy()
    columns = {name: reports[name].to_numpy()[index] for name in ("latitude", "longitude", "elevation", "valid_time")}
    return as_table(
        pd.DataFrame(
            {
                "station": reports["station"].to_numpy(object)[index],
                "network": "metar",
                "report_type": _report_types(reports)[index],
                "variable": np.repeat(np.array(list(rows), object), [len(row) for row in rows.values()]),
                "value": np.concatenate([values[name][row] for name, row in rows.items()]),
                "bound": np.concatenate([bounds.get(name, np.zeros(len(reports)))[row] for name, row in rows.items()]),
                "flags": np.where(position, int(Flag.NO_POSITION), 0)[index],
                "source": decoded.source,
                **columns,
            }
        ),
        what=f"METAR table of {decoded.source or 'text'}",
    )


def _values(reports: pd.DataFrame) -> dict[str, np.ndarray]:
    """Values (n,) by variable, SI, NaN where a report has none."""
    wind = {name: reports[name].to_numpy(np.float64) for name in ("wind_speed", "wind_direction", "gust")}
    speed, direction = wind["wind_speed"], wind["wind_direction"]
    # a bound of the speed (P99KT) is none of the components, and a direction above 360 is garbled
    exact = (reports["wind_bound"].to_numpy() == 0) & (direction <= 360.0)
    u, v = components(np.where(exact, speed, np.nan), np.where(speed == 0.0, 0.0, direction))
    return {
        "t2m": reports["temperature_c"].to_numpy(np.float64) + ZERO_CELSIUS,
        "d2m": reports["dew_point_c"].to_numpy(np.float64) + ZERO_CELSIUS,
        "ws10m": speed,
        "wd10m": np.where(speed > 0.0, direction, np.nan),  # calm air has no direction
        "u10m": u + 0.0,
        "v10m": v + 0.0,
        "gust": wind["gust"],
        "sp": reports["station_pressure"].to_numpy(np.float64),
        "msl": reports["slp"].to_numpy(np.float64) * 100.0,
        "vis": reports["visibility"].to_numpy(np.float64),
        "ceil": reports["ceiling"].to_numpy(np.float64),
        "tcc": reports["total_cloud"].to_numpy(np.float64),
    }


def _bounds(reports: pd.DataFrame) -> dict[str, np.ndarray]:
    columns = {"ws10m": "wind_bound", "vis": "visibility_bound", "tcc": "cloud_bound"}
    return {name: reports[column].to_numpy() for name, column in columns.items()}


def _report_types(reports: pd.DataFrame) -> np.ndarray:
    """METAR or SPECI, then AUTO, then COR where that was said."""
    kind = reports["report_type"].to_numpy(object)
    auto = np.where(reports["auto"], " AUTO", "").astype(object)
    return kind + auto + np.where(reports["corrected"], " COR", "").astype(object)
