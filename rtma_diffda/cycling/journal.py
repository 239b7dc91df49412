"""The journal of cycles: JSON lines, a file for each UTC day of analysis times, never rewritten.

A line is appended in one write and flushed to the disk. A process that is killed while it writes leaves a torn last
line at most, which readers pass over and the next writer ends.
"""

import errno
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtma_diffda.cycling.record import CycleRecord
from rtma_diffda.io.atomic import explain_failures
from rtma_diffda.times import day_of

_log = logging.getLogger(__name__)
_NAME = "cycles_" + "[0-9]" * 8 + ".jsonl"


@dataclass(frozen=True)
class Journal:
    """The records of a run's streams, in ``directory``."""

    directory: Path

    def append(self, record: CycleRecord) -> None:
        """Add a record.

        Raises:
            InputError: the file system refused.
        """
        path = self.path_of(record.analysis_time)
        with explain_failures(f"journal {path}"):
            self.directory.mkdir(parents=True, exist_ok=True)
            torn = path.exists() and path.stat().st_size > 0 and not _ends_in_newline(path)
            line = ("\n" if torn else "") + record.to_json() + "\n"
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                _write_whole(descriptor, line.encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def path_of(self, time: np.datetime64) -> Path:
        """The file of the day of a time."""
        return self.directory / f"cycles_{str(day_of(time))[:10].replace('-', '')}.jsonl"

    def files(self) -> list[Path]:
        """All files, oldest day first."""
        return sorted(self.directory.glob(_NAME))

    def records(self, days: int | None = None) -> list[CycleRecord]:
        """The records of the last so many days that have any, in the order in which they were written."""
        files = self.files()
        return [record for path in (files if days is None else files[-days:]) for record in _read(path)]


def _read(path: Path) -> Iterator[CycleRecord]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")  # splitlines ends lines at U+2028 too
    except OSError as error:
        _log.warning("journal %s cannot be read: %s", path, error.strerror)
        return
    for number, line in enumerate(filter(str.strip, lines), start=1):
        try:
            yield CycleRecord.from_json(line)
        except (ValueError, KeyError, TypeError, AttributeError):
            _log.warning("journal %s, line %d is torn and passed over", path, number)


def _write_whole(descriptor: int, content: bytes) -> None:
    """A disk that fills within a line takes its beginning without a word."""
    if os.write(descriptor, content) < len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _ends_in_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
