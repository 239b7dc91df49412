"""``CycleStatus``: how a stream of analyses has fared in the last hours, from its archive and its run's journal."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtma_diffda.cycling.departures import Departures
from rtma_diffda.cycling.journal import Journal
from rtma_diffda.cycling.record import REFUSED, CycleRecord
from rtma_diffda.cycling.stored_records import completed, stored_records
from rtma_diffda.errors import InputError
from rtma_diffda.io.archive import Archive
from rtma_diffda.times import DAY, SLOT

LATE = "urma"
"""Name of the stream with late reports; its archive lies in a directory of that name."""

RECENT = np.timedelta64(6, "h")
"""What trends set against the hours before."""

TOTAL = "all stages"
"""Name of the time that all stages take together."""


@dataclass(frozen=True)
class Trend:
    """Departures of one variable, together over several cycles.

    Attributes:
        recent: of the last six hours.
        before: of the hours before these.
    """

    recent: Departures
    before: Departures


@dataclass(frozen=True)
class Latency:
    """Seconds that something takes: the median over cycles, and what 95 % of them stay below."""

    median: float
    high: float


@dataclass(frozen=True)
class CycleStatus:
    """The last hours of one stream.

    Attributes:
        stream: its name; empty where the archive does not say.
        title: of the archive.
        archive: it.
        interval: between analyses.
        start, end: first and last analysis time that is looked at.
        records: one for each analysis time with an analysis or a refusal, by time.
    """

    stream: str
    title: str
    archive: Archive
    interval: np.timedelta64
    start: np.datetime64
    end: np.datetime64
    records: tuple[CycleRecord, ...]

    @property
    def made(self) -> tuple[CycleRecord, ...]:
        """Cycles with an analysis."""
        return tuple(record for record in self.records if record.status != REFUSED)

    @property
    def last(self) -> CycleRecord | None:
        """The newest cycle with an analysis; None where all were refused."""
        return self.made[-1] if self.made else None

    @property
    def slots(self) -> int:
        """Analyses that there should be."""
        return int((self.end - self.start) // self.interval) + 1

    @property
    def missing(self) -> int:
        """Analyses that are not there, refused ones among them."""
        return max(0, self.slots - len(self.made))

    def count(self, status: str) -> int:
        """Cycles with a status: complete, degraded or refused."""
        return sum(record.status == status for record in self.records)

    @property
    def reasons(self) -> tuple[tuple[str, int], ...]:
        """Why cycles were degraded or refused, with counts, the commonest first; what follows a colon is left out."""
        heads = (reason.partition(": ")[0] for record in self.records for reason in record.reasons)
        return tuple(Counter(heads).most_common())

    @property
    def trends(self) -> Mapping[str, Trend]:
        """By variable."""
        recent = [record for record in self.made if record.analysis_time > self.end - RECENT]
        before = [record for record in self.made if record.analysis_time <= self.end - RECENT]
        names = dict.fromkeys(name for record in self.made for name in record.departures)
        return {name: Trend(_together(recent, name), _together(before, name)) for name in names}

    @property
    def latency(self) -> Mapping[str, Latency]:
        """By stage, and of all stages together under ``TOTAL``."""
        timed = [record.seconds for record in self.made if record.seconds]
        stages = dict.fromkeys(name for seconds in timed for name in seconds)
        samples = {name: [seconds[name] for seconds in timed if name in seconds] for name in stages}
        samples |= {TOTAL: [sum(seconds.values()) for seconds in timed]} if timed else {}
        return {name: Latency(*map(float, np.quantile(values, [0.5, 0.95]))) for name, values in samples.items()}


def status_of(directory: str | Path, hours: float = 24.0) -> tuple[CycleStatus, ...]:
    """The streams of a run: that of ``archive/``, and where there is one that of ``urma/archive/``.

    Args:
        directory: of the run.
        hours: that are looked at, before the newest analysis.

    Raises:
        InputError: there is no archive, or nothing in it.
    """
    directory = Path(directory)
    span = np.timedelta64(round(hours * 3600), "s")
    journal = Journal(directory / "journal").records(days=int(np.ceil(span / DAY)) + 1)
    main = _status(Archive.open(directory / "archive", create=False), span, _without(journal, LATE))
    try:
        late = Archive.open(directory / LATE / "archive", create=False)
        return (main, _status(late, span, [record for record in journal if record.stream == LATE]))
    except InputError:
        return (main,)


def _without(records: Iterable[CycleRecord], stream: str) -> list[CycleRecord]:
    return [record for record in records if record.stream != stream]


def _status(archive: Archive, span: np.timedelta64, journal: Sequence[CycleRecord]) -> CycleStatus:
    times = archive.times()
    if not times.size:
        raise InputError(f"archive {archive.root} holds no published analysis")
    interval = _commonest(np.diff(times))
    refused = [record.analysis_time for record in journal if record.status == REFUSED]
    end = max([times[-1], *refused])
    start = max(end - span + interval, min([times[0], *refused]))
    records = completed(
        stored_records(archive, list(times[times >= start])),
        [record for record in journal if record.analysis_time >= start],
    )
    stream = records[-1].stream if records else ""
    return CycleStatus(stream, archive.design.title, archive, interval, start, end, records)


def _commonest(differences: np.ndarray) -> np.timedelta64:
    """The commonest interval between analyses; of equally common ones the shortest, and 15 minutes without any."""
    if not differences.size:
        return SLOT
    values, counts = np.unique(differences, return_counts=True)
    return values[np.argmax(counts)]


def _together(records: Sequence[CycleRecord], name: str) -> Departures:
    """Departures over several cycles: every datum counts the same."""
    parts = [record.departures[name] for record in records if name in record.departures]
    used, withheld = sum(part.used for part in parts), sum(part.withheld for part in parts)
    return Departures(
        used,
        withheld,
        _rms([(part.used, part.ombg) for part in parts]),
        _rms([(part.used, part.oman) for part in parts]),
        _rms([(part.withheld, part.withheld_ombg) for part in parts]),
        _rms([(part.withheld, part.withheld_oman) for part in parts]),
    )


def _rms(parts: Sequence[tuple[int, float]]) -> float:
    known = [(count, value) for count, value in parts if count and np.isfinite(value)]
    total = sum(count for count, _ in known)
    return float(np.sqrt(sum(count * value**2 for count, value in known) / total)) if total else float("nan")
