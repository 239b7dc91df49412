"""What decodes BUFR with ecCodes, in the process that ``io.isolated`` keeps for it: one message → JSON.

Of repeated elements (``#1#``, ``#2#``, …) the first is taken.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType

import numpy as np

from rtma_diffda.errors import InputError
from rtma_diffda.io.eccodes_library import load_eccodes

Value = float | str

_NO_INTEGER = 2147483647
_NO_NUMBER = -1e100


def decode_bufr(content: bytes, keys: Sequence[str]) -> bytes:
    """One message as JSON: ``{"category": …, "subsets": [{key: value}, …]}``; missing values are left out.

    Args:
        content: the message, from ``BUFR`` to ``7777``.
        keys: ecCodes' names of the elements wanted, without rank.

    Raises:
        InputError: ecCodes cannot decode it, or is not installed.
    """
    library = load_eccodes("BUFR files")
    try:
        handle = library.codes_new_from_message(content)
        try:
            return json.dumps(_message(library, handle, keys)).encode()
        finally:
            library.codes_release(handle)
    except (library.CodesInternalError, ValueError, OverflowError, MemoryError) as error:
        raise InputError(f"ecCodes cannot decode it: {error}") from error


def _message(library: ModuleType, handle: int, keys: Sequence[str]) -> dict:
    category = library.codes_get(handle, "dataCategory")
    count = library.codes_get(handle, "numberOfSubsets")
    compressed = library.codes_get(handle, "compressedData")
    if count < 1:  # compressed, that crashes ecCodes; and a message without a report must not go unnoticed
        raise ValueError("it states that it has no subsets")
    _require_decodable(library.codes_get_array(handle, "unexpandedDescriptors"))
    library.codes_set(handle, "unpack", 1)
    if count > 1 and not compressed:
        subsets = [_extracted(library, handle, number, keys) for number in range(1, count + 1)]
    else:
        subsets = list(_subsets(library, handle, count, keys))
    return {"category": category, "subsets": subsets}


def _require_decodable(descriptors: np.ndarray) -> None:
    """Refuse what crashes ecCodes: replications (1 XX YYY) of more descriptors than follow, and the use of a bitmap
    (2 37 000) that none has defined (2 36 000)."""
    odd = [d for d in descriptors if 237000 < d < 238000 and d != 237255]
    if odd or (237000 in descriptors and 236000 not in descriptors):
        raise ValueError("an operator uses a bitmap that none has defined")
    for place, descriptor in enumerate(map(int, descriptors)):
        kind, count, repeats = descriptor // 100000, descriptor // 1000 % 100, descriptor % 1000
        needed = count + (repeats == 0)
        if kind == 1 and (count == 0 or place + needed >= len(descriptors)):
            raise ValueError(
                f"descriptor {descriptor:06d} repeats {count} of the {len(descriptors) - place - 1} after it"
            )


def _extracted(library: ModuleType, handle: int, number: int, keys: Sequence[str]) -> Mapping[str, Value]:
    """One subset of an uncompressed message, cut out as a message of its own: ranks run on through the subsets."""
    library.codes_set(handle, "extractSubset", number)
    library.codes_set(handle, "doExtractSubsets", 1)
    clone = library.codes_clone(handle)
    try:
        library.codes_set(clone, "unpack", 1)
        return next(_subsets(library, clone, 1, keys))
    finally:
        library.codes_release(clone)


def _subsets(library: ModuleType, handle: int, count: int, keys: Sequence[str]) -> Iterator[Mapping[str, Value]]:
    columns: dict[str, list[Value | None]] = {}
    for key in keys:
        values = _values(library, handle, f"#1#{key}")
        if values:
            columns[key] = values if len(values) == count else values[:1] * count  # one value that all share
    for i in range(count):
        yield {key: value for key, column in columns.items() if (value := column[i]) is not None}


def _values(library: ModuleType, handle: int, key: str) -> list[Value | None]:
    """One value a subset, or one for all; None where missing."""
    try:
        if library.codes_get_native_type(handle, key) is str:
            size = library.codes_get_size(handle, key)
            texts = [library.codes_get(handle, key)] if size == 1 else library.codes_get_array(handle, key)
            return [_text(text) for text in texts]
        return [_number(value) for value in np.atleast_1d(library.codes_get_array(handle, key))]
    except library.KeyValueNotFoundError:
        return []


def _text(text: str) -> str | None:
    stripped = str(text).strip().strip("\x00\xff")
    return stripped or None


def _number(value: float) -> float | None:
    return None if value in (_NO_INTEGER, _NO_NUMBER) else float(value)
