"""Locations of real stations as places of columns: a comma-separated file of X (longitude) and Y (latitude), degrees.

The form of ``obs_coords.csv``, which DiffDA's release brings along (1,944 rows); other columns are of no concern.
Reference: ``diffda.md`` §6.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from rtma_diffda.errors import InputError
from rtma_diffda.observations.columns import ColumnPlaces
from rtma_diffda.observations.ingest.delimited import read_rows


def read_column_places(path: str | Path) -> ColumnPlaces:
    """The places of a file, in its order; places that repeat are kept.

    Raises:
        InputError: no such file, no column X or Y, a line that is no row, a cell that is no number, or a place that is
            not on the globe.
    """
    path = Path(path)
    rows = read_rows(path)
    missing = [name for name in ("X", "Y") if name not in rows.frame]
    if missing:
        raise InputError(
            f"{path} lacks the columns {missing}; expected X (longitude) and Y (latitude), found "
            f"{list(rows.frame.columns)}"
        )
    if rows.rejected:
        reason, line = rows.rejected[0]
        raise InputError(f"{path}: {len(rows.rejected)} lines are no rows; the first, '{line}', has {reason}")
    longitude, latitude = (_numbers(path, rows.frame, name) for name in ("X", "Y"))
    try:
        return ColumnPlaces(latitude, longitude)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _numbers(path: Path, frame: pd.DataFrame, name: str) -> np.ndarray:
    numbers = pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64)
    if not np.isfinite(numbers).all():
        i = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise InputError(f"{path}: column {name} of row {i + 1} is '{frame[name].iloc[i]}', which is no number")
    return numbers
