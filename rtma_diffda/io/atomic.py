"""Files and directories that appear whole or not at all, whatever kills the process that writes them.

Everything is made under a temporary name in the same directory, flushed to the disk, and renamed: a rename within one
file system is atomic (POSIX ``rename``), and the directory is flushed after it so that the new name survives a power
cut. A directory cannot be renamed over another one that has content, so replacing one takes two renames; a process
killed between them leaves the old directory under its *retired* name, where readers look and the next writer restores
it.

Temporary names state their owner (host, process, and when that process began), so that left-overs of dead processes
can be removed without touching those of a live one.
"""

import contextlib
import errno
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rtma_diffda.errors import InputError

_TEMPORARY = re.compile(r"^\..+\.(?P<host>[^.]*)-(?P<pid>\d+)-(?P<start>\d+)\.[0-9a-f]{8}\.tmp$")
_SYNC_THREADS = 8  # ext4 merges the journal commits of concurrent fsyncs: 24 files in 8 ms instead of 50 (measured)
_PAUSES = (0.0, 0.05)  # seconds before each try to remove a directory
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file would exceed the size allowed",
    errno.EACCES: "no permission to write there",
    errno.EPERM: "no permission to write there",
    errno.EROFS: "the file system is read-only",
    errno.ENOTDIR: "part of the path is a file, not a directory",
}


@contextlib.contextmanager
def explain_failures(what: str) -> Iterator[None]:
    """Turn an ``OSError`` of the body into an ``InputError`` that says what could not be written, and why."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        place = f" ({error.filename})" if error.filename else ""
        raise InputError(f"cannot write {what}: {reason}{place}; what was stored before is unharmed") from error


def write_file(path: Path, writer: Callable[[Path], None]) -> Path:
    """Make ``path`` by calling ``writer`` with a temporary name beside it; replaces an older file.

    Args:
        path: the file to publish; its directory must exist.
        writer: writes the content to the path it is given.

    Returns:
        ``path``.

    Raises:
        InputError: the file system refused (full, read-only, …). Nothing remains, an older file is untouched.
    """
    temporary = temporary_beside(path)
    try:
        with explain_failures(f"file {path}"):
            writer(temporary)
            sync_files([temporary])
            temporary.replace(path)
            sync_directory(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path


def write_bytes(path: Path, content: bytes) -> Path:
    """``write_file`` for content that is at hand."""
    return write_file(path, lambda temporary: _fill(temporary, content))


def publish_directory(temporary: Path, final: Path) -> None:
    """Flush the directory ``temporary`` and give it its final name, which must be free.

    Raises:
        InputError: there is already a directory of that name, or the file system refused.
    """
    with explain_failures(f"directory {final}"):
        if final.exists():
            raise InputError(f"cannot publish directory {final}: it exists already")
        sync_tree(temporary)
        temporary.rename(final)
        sync_directory(final.parent)


def replace_directory(temporary: Path, final: Path) -> None:
    """Flush the directory ``temporary`` and put it in the place of ``final``, which is removed.

    At every moment either ``final`` or its retired name holds a whole directory; ``current_directory`` finds it.

    Raises:
        InputError: the file system refused; the old directory is still current.
    """
    retired = _retired(final)
    with explain_failures(f"directory {final}"):
        sync_tree(temporary)
        final.rename(retired)
        try:
            temporary.rename(final)
        except OSError:
            retired.rename(final)
            raise
        sync_directory(final.parent)
    shutil.rmtree(retired, ignore_errors=True)


def current_directory(final: Path) -> Path:
    """Where the content of ``final`` is now: there, or under its retired name while it is being replaced."""
    return _retired(final) if not final.exists() and _retired(final).exists() else final


def recover_directories(parent: Path) -> list[Path]:
    """Finish what a process killed inside ``replace_directory`` left; returns the directories put back.

    Only for a caller who has excluded other writers.
    """
    restored = []
    for retired in parent.glob(".*.retired"):
        final = parent / retired.name[1 : -len(".retired")]
        if final.exists():
            shutil.rmtree(retired, ignore_errors=True)
        else:
            retired.rename(final)
            restored.append(final)
    return restored


def has_leftovers(directory: Path) -> bool:
    """Whether anything temporary or retired lies in ``directory``, of a dead process or a live one."""
    return any(path.suffix in (".tmp", ".retired") for path in directory.glob(".*"))


def temporary_beside(final: Path) -> Path:
    """A fresh hidden name in the directory of ``final`` that tells which process owns it."""
    pid = os.getpid()
    owner = f"{_host()}-{pid}-{_process_start(pid)}"
    return final.parent / f".{final.name}.{owner}.{secrets.token_hex(4)}.tmp"


def remove_stale_temporaries(directory: Path) -> list[Path]:
    """Remove temporaries in ``directory`` whose owner on this host has died; returns what was removed."""
    stale = [path for path in directory.glob(".*.tmp") if _is_stale(path.name)]
    for path in stale:
        remove(path)
    return stale


def remove(path: Path) -> None:
    """Remove a file or a directory with its content; what cannot be removed stays.

    Threads of a write that failed may still be writing into a directory; it is removed once more, then.
    """
    if path.is_dir() and not path.is_symlink():
        for pause in _PAUSES:
            time.sleep(pause)
            shutil.rmtree(path, ignore_errors=True)
            if not path.exists():
                return
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def sync_files(paths: Iterable[Path]) -> None:
    """Flush the content of these files (or directories) to the disk."""
    paths = list(paths)
    if len(paths) < 2:
        for path in paths:
            _sync(path)
        return
    with ThreadPoolExecutor(_SYNC_THREADS) as threads:
        list(threads.map(_sync, paths))


def sync_directory(directory: Path) -> None:
    """Flush the names in this directory to the disk."""
    _sync(directory)


def sync_tree(directory: Path) -> None:
    """Flush a directory with everything in it.

    Files of several hard links are passed over: they are shared with a directory that was flushed before.
    """
    folders, files = [directory], []
    for parent, subdirectories, names in os.walk(directory):
        folders += [Path(parent, name) for name in subdirectories]
        files += [path for path in (Path(parent, name) for name in names) if path.stat().st_nlink == 1]
    sync_files(files)
    sync_files(folders)


def _fill(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _retired(final: Path) -> Path:
    return final.parent / f".{final.name}.retired"


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", socket.gethostname())


def _is_stale(name: str) -> bool:
    """Whether a temporary's owner is known to be gone; another host's owner is never known."""
    match = _TEMPORARY.match(name)
    if match is None or match["host"] != _host():
        return False
    return not _is_alive(int(match["pid"]), int(match["start"]))


def _is_alive(pid: int, start: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it exists, under another user
    return start == _process_start(pid)


def _process_start(pid: int) -> int:
    """When a process began (clock ticks since boot), which tells it from an earlier one of the same number.

    0 for a process that has ended but is not yet reaped, and for every process where there is no ``/proc``.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0
    state, start = fields[0], fields[19]
    return 0 if state in "ZX" else int(start)
