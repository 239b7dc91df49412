"""BUFR through ecCodes: message by message, subset by subset, as plain values by key.

A damaged message is passed over by searching the next one, and told. Decoding happens in a process of its own
(``io.isolated``), because ecCodes crashes on some damaged messages.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rtma_diffda.errors import InputError
from rtma_diffda.io.eccodes_library import load_eccodes
from rtma_diffda.io.isolated import Isolation, Limits
from rtma_diffda.io.isolated_bufr import Value, decode_bufr
from rtma_diffda.io.messages import RawMessage, split_messages

__all__ = ["BufrMessage", "Value", "read_bufr_messages"]


@dataclass(frozen=True)
class BufrMessage:
    """One message.

    Attributes:
        number: its position in the file, from 1.
        offset: where it starts (bytes).
        category: BUFR table A; 0 surface data on land, 1 on sea; −1 if unknown.
        subsets: {key: value} of every subset, as ecCodes names the keys; missing values are left out.
        failure: what is wrong with the message, in words; empty if nothing is.
    """

    number: int
    offset: int
    category: int = -1
    subsets: tuple[Mapping[str, Value], ...] = field(default=(), repr=False)
    failure: str = ""


def read_bufr_messages(path: Path, keys: Sequence[str], *, limits: Limits | None = None) -> Iterator[BufrMessage]:
    """The messages of a file.

    Args:
        path: BUFR file; bulletin headers between messages do not matter.
        keys: ecCodes' names of the elements wanted, without rank.
        limits: what decoding may cost; a message beyond them has a failure.

    Raises:
        InputError: no such file, or ecCodes is not installed.
    """
    load_eccodes("BUFR files")  # once here, so that its absence is told of the file and not of every message
    isolation = Isolation(limits)
    for raw in split_messages(path, b"BUFR"):
        yield _decoded(isolation, raw, keys)


def _decoded(isolation: Isolation, raw: RawMessage, keys: Sequence[str]) -> BufrMessage:
    if raw.failure:
        return BufrMessage(raw.number, raw.offset, failure=raw.failure)
    try:
        found = json.loads(isolation.decode(decode_bufr, raw.content, keys))
    except (InputError, ValueError) as error:  # the second: an answer that is no JSON
        return BufrMessage(raw.number, raw.offset, failure=str(error))
    return BufrMessage(raw.number, raw.offset, found["category"], tuple(found["subsets"]))
