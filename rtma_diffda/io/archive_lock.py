"""One writer at a time: an exclusive lock on an archive that dies with its holder.

``flock`` belongs to the open file, so the kernel releases it however the process ends; a lock that is merely a file
would outlive a ``kill -9`` and need guessing about its age.
"""

import contextlib
import fcntl
import os
import re
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rtma_diffda.errors import InputError
from rtma_diffda.io.atomic import explain_failures

_POLL_SECONDS = 0.02
_SINCE = re.compile(r"since (\S+Z)$")


@contextlib.contextmanager
def exclusive_lock(path: Path, *, timeout: float, what: str = "") -> Iterator[None]:
    """Hold the lock file ``path`` (made when absent, never removed) for the body.

    Args:
        path: the lock file.
        timeout: seconds to wait for another holder.
        what: is done under the lock, for the message; writing the archive that it lies in where empty.

    Raises:
        InputError: another writer kept it longer than that (the message names it), or the file cannot be made.
    """
    with explain_failures(f"lock file {path}"):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(descriptor, timeout, what or f"writing archive {path.parent}")
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # not left to close(): a forked child may hold a copy
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, timeout: float, what: str) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
        except OSError as error:
            raise InputError(f"{what}: its file system cannot lock files: {error.strerror}") from error
        if time.monotonic() >= deadline:
            raise InputError(
                f"{what} is at present the work of {_holder(descriptor)}; waited {timeout:g} s; "
                "try again when that one has finished"
            )
        time.sleep(_POLL_SECONDS)
    _state_holder(descriptor)


def _holder(descriptor: int) -> str:
    """Who holds the lock, and for how long."""
    text = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
    match = _SINCE.search(text)
    if match is None:
        return text or "an unknown process"
    age = datetime.now(UTC) - datetime.strptime(match.group(1), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return f"{text} ({age.total_seconds() / 60:.1f} min ago)"


def _state_holder(descriptor: int) -> None:
    """Write who holds the lock, for the one who is refused. A disk too full for it does not matter here."""
    holder = f"process {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n"
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder.encode(), 0)
