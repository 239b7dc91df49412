"""Which analysis is due when: streams of analyses, in replay and live.

A *stream* is a sequence of analyses with one cut-off: the rapid update every 15 minutes soon after the valid time, and
the re-analysis of every hour some hours later, with the reports that came late. An analysis is *due* at its cut-off.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rtma_diffda.cycling.clock import Clock
from rtma_diffda.errors import UsageError
from rtma_diffda.times import SLOT, Window, format_time

_log = logging.getLogger(__name__)

_HORIZON, _POLL = np.timedelta64(12, "h"), np.timedelta64(20, "s")
_HALF_SLOT = np.timedelta64(450, "s")  # SLOT // 2 would be 7 whole minutes and leave gaps between windows

POLICIES = ("backfill", "skip")
"""What becomes of analyses that were missed: made up for, oldest first; or left out, for the newest."""


@dataclass(frozen=True)
class Stream:
    """Analyses with one cut-off.

    Attributes:
        name: of the stream, and of its archive.
        interval: between analyses; a multiple of 15 minutes that divides a day.
        half_window: reports from so long before to so long after an analysis time count.
        cutoff: how long after an analysis time its reports may arrive.
    """

    name: str
    interval: np.timedelta64 = SLOT
    half_window: np.timedelta64 = _HALF_SLOT
    cutoff: np.timedelta64 = SLOT

    def __post_init__(self) -> None:
        if self.interval <= np.timedelta64(0) or self.interval % SLOT or np.timedelta64(1, "D") % self.interval:
            raise UsageError(f"stream {self.name} has an interval of {self.interval}; it must be quarters of an hour "
                             "that divide a day")  # fmt: skip
        if self.half_window < np.timedelta64(0) or self.cutoff < np.timedelta64(0):
            raise UsageError(f"stream {self.name}: window and cut-off must not be negative")

    def window(self, analysis_time: np.datetime64) -> Window:
        """The times whose reports an analysis may use, and until when they may arrive."""
        return Window.around(analysis_time, self.half_window, self.cutoff)

    def times(self, start: np.datetime64, end: np.datetime64) -> np.ndarray:
        """Analysis times from ``start`` to ``end``, both included, on whole intervals of the day."""
        step = self.interval.astype("timedelta64[ns]").astype(np.int64)
        first, last = (t.astype("datetime64[ns]").astype(np.int64) for t in (start, end))
        return (np.arange(-(-first // step), last // step + 1) * step).astype("datetime64[ns]")


@dataclass(frozen=True, order=True)
class Job:
    """One analysis to be made; jobs are ordered by when they are due, then by their place among the streams."""

    due: np.datetime64
    place: int
    analysis_time: np.datetime64


def replay_jobs(streams: Sequence[Stream], start: np.datetime64, end: np.datetime64) -> list[Job]:
    """All analyses of a period, in the order in which they are due."""
    return sorted(
        Job(time + stream.cutoff, place, time)
        for place, stream in enumerate(streams)
        for time in stream.times(start, end)
    )


@dataclass(frozen=True)
class LiveSchedule:
    """Analyses as they become due.

    Attributes:
        streams: in order of precedence.
        clock: what time it is.
        start: of the first analyses.
        end: of the last; None: for ever.
        policy: one of ``POLICIES``.
        horizon: missed analyses older than this are never made up for.
        poll: how often reports and the clock are looked at.
    """

    streams: tuple[Stream, ...]
    clock: Clock
    start: np.datetime64
    end: np.datetime64 | None = None
    policy: str = "backfill"
    horizon: np.timedelta64 = _HORIZON
    poll: np.timedelta64 = _POLL

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise UsageError(f"the policy of missed analyses is '{self.policy}'; it may be {' or '.join(POLICIES)}")

    def jobs(self, *, settled: Callable[[Job], bool], idle: Callable[[], None] = lambda: None) -> Iterator[Job]:
        """Jobs as they fall due, each once.

        Args:
            settled: whether a job needs no work: its analysis is in the archive.
            idle: called about every ``poll`` while nothing is due.
        """
        tried: set[Job] = set()
        before = self.clock.now()
        while True:
            now = self.clock.now()
            if now < before:
                _log.warning("the clock went back from %s to %s; analyses made stay", format_time(before),
                             format_time(now))  # fmt: skip
            before = now
            pending = [job for job in self._due(now) if job not in tried and not settled(job)]
            chosen = self._chosen(pending, tried)
            if chosen is not None:
                tried.add(chosen)
                yield chosen
            elif self._is_over(now):
                return
            else:
                idle()
                self.clock.sleep(min(self.poll, max(self._next(now) - now, np.timedelta64(0))))

    def _due(self, now: np.datetime64) -> list[Job]:
        """Jobs due by ``now`` and not older than the horizon, oldest first."""
        found = []
        for place, stream in enumerate(self.streams):
            last = now - stream.cutoff if self.end is None else min(now - stream.cutoff, self.end)
            first = max(self.start, now - stream.cutoff - max(self.horizon, stream.interval))
            found += [Job(time + stream.cutoff, place, time) for time in stream.times(first, last)]
        return sorted(found)

    def _chosen(self, pending: Sequence[Job], tried: set[Job]) -> Job | None:
        """The job to do now; jobs that are skipped count as tried."""
        if not pending:
            return None
        if self.policy == "backfill":
            return pending[0]
        newest = {job.place: job for job in pending}
        skipped = [job for job in pending if job is not newest[job.place]]
        tried.update(skipped)
        if skipped:
            _log.warning("%d analyses from %s to %s were missed and are skipped", len(skipped),
                         format_time(skipped[0].analysis_time), format_time(skipped[-1].analysis_time))  # fmt: skip
        return min(newest.values())

    def _is_over(self, now: np.datetime64) -> bool:
        return self.end is not None and all(now >= self.end + stream.cutoff for stream in self.streams)

    def _next(self, now: np.datetime64) -> np.datetime64:
        """When the next job falls due."""
        return min(
            max(stream.times(now - stream.cutoff, now - stream.cutoff + stream.interval)[-1], self.start)
            + stream.cutoff
            for stream in self.streams
        )  # fmt: skip
