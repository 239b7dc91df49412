"""How long analyses are kept.

Days are counted back from that of the newest published analysis, never from the clock: an archive that stands still, or
a replay of last year, loses nothing. A day goes with all that belongs to it: its store first, and once that is gone its
feedback, NetCDF files and journal; so a process killed in between leaves what the next call removes.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtma_diffda.cycling.journal import Journal
from rtma_diffda.cycling.publication import Publisher
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.io.archive import Archive
from rtma_diffda.times import DAY, day_of, parse_time

_log = logging.getLogger(__name__)

_END_OF_TIME = np.datetime64(np.iinfo(np.int64).max, "ns")
_FEEDBACK = re.compile(r"^(\d{8})T\d{4}Z\.parquet$")
_NETCDF = re.compile(r"^rtma_diffda\..+\.(\d{8})T\d{4}Z\.nc$")
_JOURNAL = re.compile(r"^cycles_(\d{8})\.jsonl$")


@dataclass(frozen=True)
class Retention:
    """How many days are kept beside that of the newest analysis.

    Attributes:
        days: before it; at least one.
    """

    days: int

    def __post_init__(self) -> None:
        if self.days < 1:
            raise UsageError(f"analyses are to be kept {self.days} days; it must be at least one")

    def first_kept(self, newest: np.datetime64) -> np.datetime64:
        """The first day that stays where ``newest`` is the time of the newest analysis."""
        return day_of(newest) - self.days * DAY


def enforce(publisher: Publisher, journal: Journal, keep_days: int) -> tuple[np.datetime64, ...]:
    """Remove what is older than ``keep_days`` before the day of the newest analysis.

    What cannot be removed is logged and stays until the next call; so do the files of a day whose store stays.

    Args:
        publisher: of the archive.
        journal: of the run.
        keep_days: as in ``Retention``.

    Returns:
        The days whose stores were removed.

    Raises:
        UsageError: ``keep_days`` is less than one.
    """
    retention, archive = Retention(keep_days), publisher.archive
    newest = archive.latest(before=_END_OF_TIME)
    if newest is None:
        return ()
    first = retention.first_kept(newest)
    removed = tuple(day for day in archive.days() if day < first and _remove_store(archive, day))
    left = set(archive.days())
    counts: Counter[tuple[Path, str]] = Counter()
    for day, path in _dated_files(publisher, journal):
        if day < first and day not in left and _remove_file(path):
            counts[path.parent, str(day)[:10]] += 1
    for (directory, day), count in counts.items():
        _log.info("removed %d files of %s from %s", count, day, directory)
    return removed


def _remove_store(archive: Archive, day: np.datetime64) -> bool:
    try:
        gone = archive.remove_day(day)
    except InputError as error:
        _log.warning("the analyses of %s stay: %s", str(day)[:10], error)
        return False
    if gone:
        _log.info("removed the analyses of %s from %s", str(day)[:10], archive.root)
    return gone


def _remove_file(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        _log.warning("%s stays: %s", path, error.strerror)
        return False
    return True


def _dated_files(publisher: Publisher, journal: Journal) -> Iterator[tuple[np.datetime64, Path]]:
    """Files that belong to one day, with that day."""
    places = (
        (publisher.directory / "feedback", _FEEDBACK),
        (publisher.directory / "netcdf", _NETCDF),
        (journal.directory, _JOURNAL),
    )
    for directory, pattern in places:
        for path in sorted(directory.glob("*")):
            match = pattern.match(path.name)
            day = None if match is None else _day(match[1])
            if day is not None:
                yield day, path


def _day(digits: str) -> np.datetime64 | None:
    try:
        return parse_time(f"{digits[:4]}-{digits[4:6]}-{digits[6:]}")
    except UsageError:
        return None
