"""What decodes GRIB with ecCodes, in the process that ``io.isolated`` keeps for it: a field's keys, and its values.

Two functions run in the child (``read_grib_keys``, ``decode_grib``); ``field_from`` reads their answer in the parent.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from rtma_diffda.errors import InputError
from rtma_diffda.io.eccodes_library import load_eccodes

_AS_NUMBERS = {
    "typeOfFirstFixedSurface",
    "typeOfSecondFixedSurface",
    "endStep",
}  # else ecCodes answers with abbreviations
_MISSING_VALUE = 9.999e20  # far outside physics, so that it cannot be a value
_END_OF_KEYS = b"\n"  # JSON without indentation holds none


def read_grib_keys(content: bytes, names: Sequence[str]) -> bytes:
    """The keys of one field as JSON, ``{name: value}``; those that the field has not are left out.

    Raises:
        InputError: ecCodes cannot decode it, or is not installed.
    """
    library = load_eccodes("GRIB files")
    with _opened(library, content) as handle:
        return json.dumps(_keys(library, handle, names)).encode()


def decode_grib(content: bytes, names: Sequence[str]) -> bytes:
    """The keys of one field as JSON, with ``pl`` for a reduced grid, a line feed, and its values as float64, NaN where
    missing, in the message's order.

    Raises:
        InputError: ecCodes cannot decode it, or is not installed.
    """
    library = load_eccodes("GRIB files")
    with _opened(library, content) as handle:
        keys = _keys(library, handle, names)
        if keys.get("gridType") == "reduced_gg":
            keys["pl"] = library.codes_get_array(handle, "pl").tolist()
        library.codes_set(handle, "missingValue", _MISSING_VALUE)
        values = library.codes_get_values(handle)
    values[values == _MISSING_VALUE] = np.nan
    return json.dumps(keys).encode() + _END_OF_KEYS + values.astype(np.float64, copy=False).tobytes()


def field_from(answer: bytes) -> tuple[dict[str, Any], np.ndarray]:
    """Keys and values (float64) of ``decode_grib``'s answer.

    Raises:
        InputError: it is none.
    """
    try:
        end = answer.index(_END_OF_KEYS)
        return json.loads(answer[:end]), np.frombuffer(answer, dtype=np.float64, offset=end + 1).copy()
    except ValueError as error:
        raise InputError(f"the decoding process answered nonsense: {error}") from error


@contextmanager
def _opened(library: ModuleType, content: bytes) -> Iterator[int]:
    """A handle on the message. Damaged counts ask for any memory, hence the third kind of error."""
    try:
        handle = library.codes_new_from_message(content)
        try:
            yield handle
        finally:
            library.codes_release(handle)
    except (library.CodesInternalError, ValueError, MemoryError) as error:
        raise InputError(f"ecCodes cannot decode it: {error}") from error


def _keys(library: ModuleType, handle: int, names: Sequence[str]) -> Mapping[str, Any]:
    found = {}
    for name in names:
        try:
            found[name] = library.codes_get(handle, name, ktype=int if name in _AS_NUMBERS else None)
        except library.CodesInternalError:
            continue
    return found
