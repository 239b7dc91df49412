"""GRIB, editions 1 and 2, through ecCodes: the near-surface fields of a file on its own grid.

Read message by message: one that is damaged, or on a grid not read here, is logged with a sentence and left out.
ecCodes works in a process of its own (``io.isolated``), because it crashes on some damaged messages.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rtma_diffda.errors import InputError
from rtma_diffda.geo.grib_grids import GRID_KEYS, grid_from_grib, to_grid_order
from rtma_diffda.io.eccodes_library import load_eccodes
from rtma_diffda.io.grib_names import NAME_KEYS, member_of, variable_of
from rtma_diffda.io.isolated import Isolation
from rtma_diffda.io.isolated_grib import decode_grib, field_from, read_grib_keys
from rtma_diffda.io.messages import single_fields, split_messages
from rtma_diffda.io.source_field import FieldReference, SourceField
from rtma_diffda.io.units import to_si
from rtma_diffda.variables import Variable, variable

logger = logging.getLogger(__name__)

_TIME_KEYS = ("dataDate", "dataTime", "second", "endStep", "stepUnits")
_YEARS = (1850, 2150)
_UNITS = {0: 60, 1: 3600, 2: 86400, 10: 10800, 11: 21600, 12: 43200, 13: 1, 254: 1}
"""Seconds of the units of steps (code table 4.4; 254 is edition 1's second). Months and years have no fixed length."""
_LONGEST = 10 * 366 * 86400  # s; a longer forecast is a damaged message
_WIND_COMPONENTS = {"u10m", "v10m"}


@dataclass(frozen=True)
class _Message:
    """A field's bytes and what its reference needs."""

    content: bytes
    variable: Variable
    keys: Mapping[str, Any]
    source: str


def grib_fields(path: Path) -> Iterator[FieldReference]:
    """The near-surface fields of a GRIB file, in its order; messages that are none of ours are passed over.

    Raises:
        InputError: the file or ecCodes is not there.
    """
    load_eccodes("GRIB files")  # once here, so that its absence is told of the file and not of every message
    isolation = Isolation()
    for raw in split_messages(path, b"GRIB"):
        where = f"{path}, message {raw.number}"
        if raw.failure:
            logger.warning("%s at byte %d is left out: %s", where, raw.offset, raw.failure)
            continue
        try:
            messages = [_identify(isolation, content, where) for content in single_fields(raw.content)]
            yield from (_reference(isolation, message) for message in messages if message)
        except (InputError, KeyError, ValueError) as error:
            logger.warning("%s at byte %d is left out: %s", where, raw.offset, error)


def _identify(isolation: Isolation, content: bytes, where: str) -> _Message | None:
    keys = json.loads(isolation.decode(read_grib_keys, content, (*NAME_KEYS, *_TIME_KEYS)))
    found = variable_of(keys)
    return _Message(content, found, keys, f"{where} ({keys.get('shortName')})") if found else None


def _reference(isolation: Isolation, message: _Message) -> FieldReference:
    initial_time = _initial_time(message.keys)
    valid_time = initial_time + _lead_time(message.keys)
    return FieldReference(
        variable=message.variable.name,
        valid_time=valid_time,
        source=message.source,
        load=lambda: _decode(isolation, message, valid_time),
        initial_time=initial_time,
        member=member_of(message.keys),
    )


def _decode(isolation: Isolation, message: _Message, valid_time: np.datetime64) -> SourceField:
    try:
        keys, values = field_from(isolation.decode(decode_grib, message.content, GRID_KEYS))
    except InputError as error:
        raise InputError(f"{message.source} cannot be decoded: {error}") from error
    grid = grid_from_grib(keys)
    ordered = np.ascontiguousarray(to_grid_order(values, keys))
    name, key = message.variable.name, message.keys
    return SourceField(
        variable=name,
        values=to_si(ordered, key.get("units"), variable(name)),
        grid=grid,
        valid_time=valid_time,
        initial_time=_initial_time(key),
        winds_grid_relative=name in _WIND_COMPONENTS and _along_axes(keys),
        source=message.source,
        member=member_of(key),
    )


def _along_axes(keys: Mapping[str, Any]) -> bool:
    """Whether wind components follow the axes of a projected grid; on latitudes and longitudes both mean the same."""
    return bool(keys.get("uvRelativeToGrid", 0)) and keys["gridType"] not in ("regular_ll", "regular_gg", "reduced_gg")


def _initial_time(keys: Mapping[str, Any]) -> np.datetime64:
    """``datetime64[ns]`` of ecCodes' date (20180722) and time of day (1230)."""
    date, clock = int(keys["dataDate"]), int(keys["dataTime"])
    if not _YEARS[0] <= date // 10000 <= _YEARS[1]:
        raise InputError(f"its date {date} is impossible")
    day = np.datetime64(f"{date // 10000:04d}-{date // 100 % 100:02d}-{date % 100:02d}", "s")
    seconds = clock // 100 * 3600 + clock % 100 * 60 + int(keys.get("second", 0))
    return (day + np.timedelta64(seconds, "s")).astype("datetime64[ns]")


def _lead_time(keys: Mapping[str, Any]) -> np.timedelta64:
    """The end of the step. Not ecCodes' validity date: in damaged messages the search for that never ends."""
    unit, step = _UNITS.get(keys.get("stepUnits", 1)), int(keys["endStep"])
    if unit is None or not abs(step) * unit <= _LONGEST:
        raise InputError(f"its step of {step} in unit {keys.get('stepUnits')} (code table 4.4) is impossible")
    return np.timedelta64(step * unit, "s").astype("timedelta64[ns]")
