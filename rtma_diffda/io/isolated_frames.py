"""What the package and its decoding process say to each other: byte strings, each after its length in eight bytes.

Bytes and JSON only, never pickle: a process that damaged data have upset must not be able to send code.
"""

from typing import BinaryIO

_PREFIX = 8  # bytes of the length, the most significant first
DONE, FAILED = b"+", b"-"
"""The first byte of an answer: a result follows, or a sentence."""
READY = b"ready"
"""What the process says of itself before it takes requests."""
LONGEST = 1 << 34
"""Bytes; a longer frame is no frame but nonsense from a process whose memory is damaged."""


def write_frame(stream: BinaryIO, content: bytes) -> None:
    """Send one byte string; it has left our buffers on return.

    Raises:
        OSError: the other side is gone.
    """
    stream.write(len(content).to_bytes(_PREFIX, "big"))
    stream.write(content)
    stream.flush()


def read_frame(stream: BinaryIO) -> bytes | None:
    """Receive one byte string; None where the stream ends or makes no sense."""
    prefix = stream.read(_PREFIX)
    length = int.from_bytes(prefix, "big")
    if len(prefix) < _PREFIX or length > LONGEST:
        return None
    content = stream.read(length)
    return content if len(content) == length else None
