"""One writer at a time: an exclusive lock on an archive that dies with its holder.

``flock`` belongs to the open file, so the kernel releases it however the process ends; a lock that is merely a file
would outlive a ``kill -9`` and need guessing about its age.
"""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rtma_diffda.errors import InputError
from rtma_diffda.io.atomic import explain_failures

_POLL_SECONDS = 0.02


@contextlib.contextmanager
def exclusive_lock(path: Path, *, timeout: float) -> Iterator[None]:
    """Hold the lock file ``path`` (made when absent, never removed) for the body.

    Args:
        path: the lock file.
        timeout: seconds to wait for another holder.

    Raises:
        InputError: another writer kept it longer than that (the message names it), or the file cannot be made.
    """
    with explain_failures(f"lock file {path}"):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(descriptor, path, timeout)
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # not left to close(): a forked child may hold a copy
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
        except OSError as error:
            raise InputError(f"file system of {path} cannot lock files: {error.strerror}") from error
        if time.monotonic() >= deadline:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "an unknown process"
            raise InputError(
                f"archive {path.parent} is being written by {holder}; waited {timeout:g} s; "
                "try again when that one has finished"
            )
        time.sleep(_POLL_SECONDS)
    _state_holder(descriptor)


def _state_holder(descriptor: int) -> None:
    """Write who holds the lock, for the one who is refused. A disk too full for it does not matter here."""
    holder = f"process {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n"
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder.encode(), 0)
