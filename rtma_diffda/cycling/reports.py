"""Where reports come from: a spool, which other programs fill with files while we cycle.

A file is read once, unless it changes, and its reports serve every window that they lie in. It counts for an analysis
if it had *arrived* by the cut-off: by its modification time, on the cycle's clock, or always where arrival is not
looked at (past cases, whose files all were copied at once). A bulletin is thus one file, put into the spool by a
rename.

A source that is down or slow does not stop a cycle: the reading is given up after a time, and what had been read before
is used; the reasons go with the reports.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TimeIsUp
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from rtma_diffda.errors import InputError
from rtma_diffda.io.gridded import is_gridded
from rtma_diffda.observations.ingest.files import read_file
from rtma_diffda.observations.ingest.name_times import time_in_name
from rtma_diffda.observations.ingest.result import REJECTED_COLUMNS, IngestResult, combine
from rtma_diffda.observations.ingest.stations import StationTable
from rtma_diffda.times import Window

_log = logging.getLogger(__name__)

_REACH = np.timedelta64(6, "h")
_HUNG_SECONDS = 1.0
"""For a reading that was given up already."""


@dataclass(frozen=True)
class Reports:
    """What a source has for one window.

    Attributes:
        result: table and account of the files that were looked at.
        problems: reasons, in words, why this may be less than there should be.
    """

    result: IngestResult
    problems: tuple[str, ...] = ()


class ReportSource(Protocol):
    """Gives the reports of a window."""

    def read(self, window: Window) -> Reports:
        """All that had arrived by the window's cut-off; never fails."""

    def look_ahead(self, time: np.datetime64) -> None:
        """Use idle time to read what is there already, for analyses around ``time``."""


@dataclass(frozen=True)
class _Read:
    """A file as it was when it was read."""

    stamp: tuple[int, int]
    result: IngestResult

    @property
    def failed(self) -> bool:
        """Whether nothing of it could be read, which may have been the file system's fault: it is tried again."""
        return not self.result.reports_read and len(self.result.rejected) > 0


@dataclass(frozen=True)
class Spool:
    """A ``ReportSource``: files and directories.

    Attributes:
        paths: of files and directories.
        stations: positions for METAR text.
        arrived: the time at which a file arrived, from its modification time (UTC); None: arrival is not looked at.
        reach: files whose name states a time further than this from the analysis are not read.
        patience: seconds that reading may take.
    """

    paths: tuple[Path, ...]
    stations: StationTable | None
    arrived: Callable[[np.datetime64], np.datetime64] | None = None
    reach: np.timedelta64 = _REACH
    patience: float = 60.0
    _known: dict[Path, _Read] = field(default_factory=dict, init=False, repr=False, compare=False)
    _busy: list[Future] = field(default_factory=list, init=False, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def read(self, window: Window) -> Reports:
        """See ``ReportSource``."""
        problems: list[str] = []
        try:
            self._refresh(window.analysis_time)
        except TimeIsUp:
            problems.append(f"observation source slow: reading was given up after {self.patience:g} s")
        except (InputError, OSError) as error:
            problems.append(f"observation source down: {error}")
        return Reports(self._within(window), tuple(problems))

    def look_ahead(self, time: np.datetime64) -> None:
        """See ``ReportSource``."""
        try:
            self._refresh(time)
        except (InputError, OSError) as error:  # time that is up among them
            _log.debug("the spool is not read ahead: %s", str(error) or "time is up")

    def _refresh(self, time: np.datetime64) -> None:
        """Read what is new near ``time``; in a thread of its own, since a file system may hang."""
        self._busy[:] = [one for one in self._busy if not one.done()]
        if self._busy:  # an earlier reading hangs still
            self._busy[-1].result(timeout=min(self.patience, _HUNG_SECONDS))
        reading = _in_thread(lambda: self._read_new(time))
        self._busy.append(reading)
        reading.result(timeout=self.patience)

    def _read_new(self, time: np.datetime64) -> None:
        """Read what is new near ``time``; a path that is down is told after the others have been read."""
        listed, down = _files(self.paths)
        for path in self._near(listed, time):
            stamp = _stamp(path)
            known = self._known.get(path)
            if stamp is not None and (known is None or known.stamp != stamp or known.failed):
                again = known is not None and known.stamp == stamp
                result = _result_of(path, _stated_time(path, time), self.stations, told=again)
                with self._lock:
                    self._known[path] = _Read(stamp, result)
        self._forget(time)
        if down:
            raise InputError("; ".join(down))

    def _near(self, listed: Sequence[Path], time: np.datetime64) -> list[Path]:
        near = [path for path in listed if abs(_stated_time(path, time) - time) <= self.reach]
        return [path for path in near if path in self._known or _may_hold_reports(path)]

    def _forget(self, time: np.datetime64) -> None:
        """Drop what is far from ``time``; it is read again if it is ever wanted."""
        with self._lock:
            for path in [p for p in self._known if abs(_stated_time(p, time) - time) > 2 * self.reach]:
                del self._known[path]

    def _within(self, window: Window) -> IngestResult:
        """Reports of the window, of the files that had arrived; those that arrived last come first.

        Where two reports are equally near, quality control keeps the first: so a correction counts.
        """
        with self._lock:
            known = sorted(self._known.items(), key=lambda item: (-item[1].stamp[1], item[0]))
        near = [(p, r) for p, r in known if abs(_stated_time(p, window.analysis_time) - window.analysis_time)
                <= self.reach and self._has_arrived(r, window)]  # fmt: skip
        return combine([_cut(read.result, window) for _, read in near])

    def _has_arrived(self, read: _Read, window: Window) -> bool:
        return self.arrived is None or self.arrived(np.datetime64(read.stamp[1], "ns")) <= window.cutoff


def _in_thread(action: Callable[[], None]) -> Future:
    """The outcome of an action in a thread of its own, which does not keep the process from ending if it hangs."""
    future: Future = Future()

    def work() -> None:
        try:
            future.set_result(action())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, name="spool", daemon=True).start()
    return future


def _cut(result: IngestResult, window: Window) -> IngestResult:
    """The result with the rows of the window only; an account of a file that has none is left out."""
    inside = window.contains(result.table["valid_time"].to_numpy("datetime64[ns]"))
    table: pd.DataFrame = result.table[inside]
    if not len(table) and not len(result.rejected):
        return IngestResult()
    return replace(result, table=table)


def _files(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The files, those within directories included; and why some of the paths have none to give, in words."""
    found: list[Path] = []
    down: list[str] = []
    for path in paths:
        try:
            found += sorted(path.iterdir()) if path.is_dir() else [path]
            if not path.exists():
                down.append(f"{path} does not exist")
        except OSError as error:
            down.append(f"{path} cannot be listed: {error.strerror}")
    return found, down


def _may_hold_reports(file: Path) -> bool:
    unfinished = file.name.startswith(".") or file.suffix in (".tmp", ".part")
    return not unfinished and file.is_file() and not is_gridded(file)


def _result_of(path: Path, reference_time: np.datetime64, stations: StationTable | None, *, told: bool) -> IngestResult:
    """What a file holds; one that cannot be read is one rejected report, and is logged unless that was ``told``."""
    try:
        return read_file(path, reference_time=reference_time, stations=stations)
    except (InputError, OSError) as error:
        _log.log(logging.DEBUG if told else logging.WARNING, "%s is left out: %s", path, error)
        reason = str(error)
    except Exception as error:  # a reader that breaks on one file must not cost the others
        _log.log(logging.DEBUG if told else logging.ERROR, "%s is left out: unexpected error", path, exc_info=True)
        reason = f"unexpected error: {type(error).__name__}: {error}"
    rejected = pd.DataFrame([(path.name, "", reason, "")], columns=list(REJECTED_COLUMNS))
    return IngestResult(reports_found=1, rejected=rejected)


def _stamp(path: Path) -> tuple[int, int] | None:
    """Size and modification time; None for a file that has gone since it was listed."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _stated_time(path: Path, otherwise: np.datetime64) -> np.datetime64:
    """The time that a file's name states, or ``otherwise``."""
    stated = time_in_name(path)
    return otherwise if stated is None else stated
