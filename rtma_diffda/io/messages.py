"""WMO messages in a file (GRIB, BUFR): cut out one by one, so that a damaged one is passed over and told, not fatal.

A message starts with its four-letter name and states its length; it is whole if ``7777`` stands where it must end.
Between messages anything may stand (bulletin headers). GRIB edition 2 may repeat sections 2 … 7 to hold several fields;
``single_fields`` takes them apart.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rtma_diffda.errors import InputError

_END = b"7777"
_MULTIPLE = 120  # edition 1: bit 23 of the length set means "in units of 120 bytes" (ECMWF's convention)


@dataclass(frozen=True)
class RawMessage:
    """The bytes of one message.

    Attributes:
        number: its position in the file, from 1.
        offset: where it starts (bytes).
        content: from its name to ``7777``; empty if it is damaged.
        failure: what is wrong with it, in words; empty if it is whole.
    """

    number: int
    offset: int
    content: bytes
    failure: str = ""


def file_start(path: Path, size: int = 512) -> bytes:
    """The first bytes of a file.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise InputError(f"file {path} cannot be read: {error.strerror}") from error


def split_messages(path: Path, name: bytes) -> Iterator[RawMessage]:
    """The messages called ``name`` (``b"GRIB"``, ``b"BUFR"``) in a file, damaged ones with their failure.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    if not file_start(path, 1):
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield from _split(content, name)


def _split(content: mmap.mmap, name: bytes) -> Iterator[RawMessage]:
    number, position = 0, 0
    while True:
        start = content.find(name, position)
        lost = content.find(_END, position, start if start >= 0 else len(content))
        if lost >= 0:  # an end without a beginning: the name itself was hit
            number += 1
            yield RawMessage(number, position, b"", f"bytes {position} … {lost + 4} hold a message without its start")
        if start < 0:
            return
        number += 1
        end, failure = _end_of(content, start, name)
        yield RawMessage(number, start, b"" if failure else content[start:end], failure)
        position = end


def _end_of(content: mmap.mmap, start: int, name: bytes) -> tuple[int, str]:
    """Where the search goes on, and what is wrong."""
    length = _stated_length(content[start : start + 16], name)
    end = start + length
    if length and end <= len(content) and content[end - 4 : end] == _END:
        return end, "" if _sections_fill(content[start:end]) else "its sections do not fill it"
    following = content.find(name, start + 4)
    following = len(content) if following < 0 else following
    if length == 0:
        last = content.rfind(_END, start, following)
        whole = last >= 0 and _is_long_edition_1(content[start : start + 8])
        return (last + 4, "") if whole else (following, "its header is damaged")
    if end > len(content) and following == len(content):
        return following, f"it is cut off: {len(content) - start} of {length} bytes are there"
    return following, f"it does not end after the {length} bytes that it states"


def _stated_length(header: bytes, name: bytes) -> int:
    """Bytes of the message; 0 where the header does not say."""
    if len(header) < 8 or header[7] not in (1, 2, 3, 4):
        return 0
    if name == b"GRIB" and header[7] == 2:
        return int.from_bytes(header[8:16], "big") if len(header) == 16 else 0
    length = int.from_bytes(header[4:7], "big")
    return 0 if name == b"GRIB" and length & 0x800000 else length


def _sections_fill(message: bytes) -> bool:
    """Whether the sections of a message end where it ends; the decoder may crash on one where they do not."""
    if message[:4] == b"BUFR":
        return _bufr_end(message) == len(message) - 4
    if message[7] != 2:
        return True
    try:
        numbers = [number for number, _ in _sections(message)]
    except InputError:
        return False
    return numbers[:1] == [1] and numbers[-1:] == [7] and set(numbers) <= set(range(1, 8))


def _bufr_end(message: bytes) -> int:
    """Where section 4 ends; −1 if a section is too short to be one."""
    position = 8 if message[7] > 1 else 4
    optional = message[position + (9 if message[7] == 4 else 7)] & 0x80
    for shortest in (17, 4, 7, 4) if optional else (17, 7, 4):
        length = int.from_bytes(message[position : position + 3], "big")
        if length < shortest or position + length > len(message) - 4:
            return -1
        position += length
    return position


def _is_long_edition_1(header: bytes) -> bool:
    return len(header) == 8 and header[:4] == b"GRIB" and header[7] == 1 and bool(header[4] & 0x80)


def single_fields(message: bytes) -> list[bytes]:
    """The fields of a GRIB message, each as a message of its own.

    Raises:
        InputError: the sections of an edition 2 message do not fill it.
    """
    if message[7] != 2:
        return [message]
    sections = list(_sections(message))
    if sum(number == 7 for number, _ in sections) <= 1:
        return [message]
    fields, current = [], {}
    for number, section in sections:
        if number == 6 and section[5] == 254:  # "the bitmap defined before", which a single field must hold itself
            section = current.get(6, section)
        current[number] = section
        if number == 7:
            body = b"".join(current[key] for key in sorted(current)) + _END
            fields.append(message[:8] + (16 + len(body)).to_bytes(8, "big") + body)
    return fields


def _sections(message: bytes) -> Iterator[tuple[int, bytes]]:
    position, end = 16, len(message) - 4
    while position < end:
        length = int.from_bytes(message[position : position + 4], "big")
        if length < 5 or position + length > end:
            raise InputError(f"section at byte {position} of {len(message)} states a length of {length}")
        yield message[position + 4], message[position : position + length]
        position += length
