"""Any files of reports, told apart by their content: BUFR, parquet, CSV, else METAR text.

One file that cannot be read does not stop the others: it is logged and stands among the rejected.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from rtma_diffda.errors import InputError
from rtma_diffda.io.gridded import is_gridded
from rtma_diffda.io.messages import file_start
from rtma_diffda.observations.ingest.delimited import header_of
from rtma_diffda.observations.ingest.metar_table import read_metar
from rtma_diffda.observations.ingest.result import REJECTED_COLUMNS, IngestResult, combine
from rtma_diffda.observations.ingest.stations import StationTable
from rtma_diffda.observations.ingest.synop import read_synop
from rtma_diffda.observations.ingest.tabular import PARQUET_START, is_table_header, read_table

logger = logging.getLogger(__name__)

_HEADER_BYTES = 4096  # a bulletin heading may precede the first BUFR message


def read_observations(
    paths: str | Path | Sequence[str | Path], *, reference_time: np.datetime64 | None, stations: StationTable | None
) -> IngestResult:
    """Read files of reports; a directory is read file by file, leaving out hidden and gridded files.

    Args:
        paths: files and directories.
        reference_time: near which the reports were made; METAR text, which states no month, cannot do without.
        stations: positions for METAR text and for tables without.

    Returns:
        One result of all files; a file that could not be read is one rejected report without station.

    Raises:
        InputError: a path does not exist, a directory holds no file, or nothing could be read at all.
    """
    files = list(_files(paths))
    results = [_read_or_reject(file, reference_time, stations) for file in files]
    combined = combine(results)
    if combined.reports_read == 0:
        reasons = "; ".join(dict.fromkeys(combined.rejected["reason"].astype(str))) or "they hold no report"
        raise InputError(f"no report could be read from {', '.join(map(str, files))}: {reasons}")
    return combined


def read_file(path: Path, *, reference_time: np.datetime64 | None, stations: StationTable | None) -> IngestResult:
    """Read one file of reports by its content.

    Raises:
        InputError: no such file, it is empty, or it is not of a kind read here.
    """
    start = file_start(path, _HEADER_BYTES)
    if not start.strip():
        raise InputError(f"{path} is empty")
    if b"BUFR" in start:
        return read_synop(path)
    if start.startswith(PARQUET_START):
        return read_table(path, stations=stations)
    if is_gridded(path) or _is_binary(start):
        raise InputError(f"{path} is no file of reports; expected BUFR, parquet, CSV or METAR text")
    if is_table_header(header_of(path)):
        return read_table(path, stations=stations)
    if stations is None:
        raise InputError(f"{path} looks like METAR text, which needs a station table for its positions")
    if reference_time is None:
        raise InputError(f"{path} looks like METAR text, which states no month: say about when it was made (time=…)")
    return read_metar(path, stations=stations, reference_time=reference_time)


def _files(paths: str | Path | Sequence[str | Path]) -> Iterable[Path]:
    for path in [Path(paths)] if isinstance(paths, str | Path) else map(Path, paths):
        if not path.exists():
            raise InputError(f"observation file {path} does not exist")
        if not path.is_dir():
            yield path
            continue
        inside = [file for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith(".")]
        reports = [file for file in inside if not is_gridded(file)]
        if not reports:
            raise InputError(f"directory {path} holds no file of reports ({len(inside)} files in all)")
        yield from reports


def _read_or_reject(path: Path, reference_time: np.datetime64 | None, stations: StationTable | None) -> IngestResult:
    try:
        return read_file(path, reference_time=reference_time, stations=stations)
    except InputError as error:
        logger.warning("%s is left out: %s", path, error)
        rejected = pd.DataFrame([(path.name, "", str(error), "")], columns=list(REJECTED_COLUMNS))
        return IngestResult(reports_found=1, rejected=rejected)


def _is_binary(start: bytes) -> bool:
    """Whether more than a few bytes are no text; damaged METAR files hold single control or 8-bit characters."""
    controls = sum(byte < 9 or (13 < byte < 32 and byte not in (27, 30, 31)) for byte in start)
    beyond_ascii = sum(byte > 126 for byte in start)
    return controls > 0.1 * len(start) or beyond_ascii > 0.3 * len(start)
