"""The runner: cycle after cycle, by a schedule, with reading ahead and writing behind.

While cycle n is analysed, a reader gathers what cycle n + 1 needs and a writer stores cycle n − 1. A product that
cannot be stored ends a replay, whose next start makes it and its successors anew. One runner works on an archive at a
time.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rtma_diffda.cycling.cycle import Cycle, Gathered, System, gather, make_analysis, store
from rtma_diffda.cycling.record import REFUSED, CycleRecord
from rtma_diffda.cycling.schedule import Job, LiveSchedule
from rtma_diffda.errors import RtmaDiffdaError
from rtma_diffda.io.archive_lock import exclusive_lock
from rtma_diffda.io.atomic import explain_failures
from rtma_diffda.times import format_time

_log = logging.getLogger(__name__)

Watcher = Callable[[CycleRecord], None]
"""Told of every cycle that has ended; whatever it raises is logged and goes no further."""


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
        records: of the cycles of this run.
        kept: analyses that the archives had already.
        stopped: why the run ended early; empty where it did not.
    """

    records: tuple[CycleRecord, ...]
    kept: int = 0
    stopped: str = ""

    def with_status(self, status: str) -> list[CycleRecord]:
        """Records with a status: complete, degraded or refused."""
        return [record for record in self.records if record.status == status]


@dataclass(frozen=True)
class _Storing:
    """A product on its way to the disk; or the reason why there is none."""

    job: Job
    cycle: Cycle | str
    done: Future


@dataclass(frozen=True)
class Runner:
    """Runs the cycles of one or more streams.

    Attributes:
        systems: by the place of their stream in the schedule.
        watchers: told of every cycle.
        overlap: read ahead and write behind; False does one after the other.
        alone: hold the archives' runner locks; False where whoever started us holds them.
    """

    systems: Sequence[System]
    watchers: Sequence[Watcher] = ()
    overlap: bool = True
    alone: bool = True

    def replay(self, jobs: Sequence[Job]) -> Outcome:
        """Do these jobs, those done before left out. A product that cannot be stored ends the run.

        Raises:
            InputError: another runner is at work on one of the archives, or one of them cannot be read.
        """
        with self._alone():
            wanted = [job for job in jobs if not self.settled(job)]
            records, stopped = self._run(_with_successors(wanted), stop_on_failure=True)
        return Outcome(records, len(jobs) - len(wanted), stopped)

    def live(self, schedule: LiveSchedule) -> Outcome:
        """Do jobs as they fall due, until the schedule ends; what cannot be stored is refused, and the run goes on.

        Raises:
            InputError: another runner is at work on one of the archives.
        """

        def idle() -> None:
            for system in self.systems:
                _tried(lambda system=system: system.reports.look_ahead(schedule.clock.now()), "reading ahead")

        def settled(job: Job) -> bool:
            return bool(_tried(lambda: self.settled(job), f"looking for {format_time(job.analysis_time)}"))

        with self._alone():
            jobs = ((job, None) for job in schedule.jobs(settled=settled, idle=idle))
            records, _ = self._run(jobs, stop_on_failure=False)
        return Outcome(records)

    def settled(self, job: Job) -> bool:
        """Whether the archive has a product of this job, complete or degraded."""
        return self.systems[job.place].publisher.keeps(job.analysis_time, degraded=True)

    def _alone(self) -> ExitStack:
        """Locks on all archives, held until it is closed."""
        return runner_locks([system.publisher.archive.root for system in self.systems] if self.alone else [])

    def _run(
        self, jobs: Iterable[tuple[Job, Job | None]], *, stop_on_failure: bool
    ) -> tuple[tuple[CycleRecord, ...], str]:
        """Do jobs that come with their successor where it is known; records, and why it ended early."""
        records: list[CycleRecord] = []
        with ThreadPoolExecutor(1, "reader") as reader, ThreadPoolExecutor(1, "writer") as writer:
            storing: _Storing | None = None
            ahead: Future | None = None
            try:
                for job, successor in jobs:
                    gathered = self._gathered(job) if ahead is None else ahead.result()
                    ahead = None
                    if successor is not None and self.overlap:
                        ahead = reader.submit(self._gathered, successor)
                    cycle = self._analysed(job, gathered)
                    before, storing = storing, None
                    if not self._ended(before, records) and stop_on_failure:
                        return tuple(records), records[-1].reasons[-1]
                    storing = _Storing(job, cycle, writer.submit(self._store, job, cycle))
                    if successor is None or not self.overlap:
                        before, storing = storing, None
                        if not self._ended(before, records) and stop_on_failure:
                            return tuple(records), records[-1].reasons[-1]
            finally:
                self._ended(storing, records)  # after an interrupt: what is under way is stored, and told
        return tuple(records), ""

    def _gathered(self, job: Job) -> Gathered | Exception:
        """What a job finds; a failure that has no place in ``gather`` is given to the cycle to refuse."""
        try:
            return gather(self.systems[job.place], job.analysis_time)
        except Exception as error:
            _log.exception("%s: unexpected error while reading", format_time(job.analysis_time))
            return error

    def _analysed(self, job: Job, gathered: Gathered | Exception) -> Cycle | str:
        """The analysis; or the reason why the cycle is refused."""
        system = self.systems[job.place]
        try:
            if isinstance(gathered, Exception):
                raise gathered
            cycle = make_analysis(system, gathered)
            system.history.add(cycle.analysis.state)
        except RtmaDiffdaError as error:
            return str(error)
        except Exception as error:
            _log.exception("%s: unexpected error", format_time(job.analysis_time))
            return f"unexpected error: {type(error).__name__}: {error}"
        return cycle

    def _store(self, job: Job, cycle: Cycle | str) -> None:
        """Store the product, if there is one."""
        if not isinstance(cycle, str):
            store(self.systems[job.place], cycle)

    def _ended(self, storing: _Storing | None, records: list[CycleRecord]) -> bool:
        """Wait until a cycle is over, and record it; False where its product did not reach the disk."""
        if storing is None:
            return True
        job, cycle, system = storing.job, storing.cycle, self.systems[storing.job.place]
        failed = _failure_of(storing.done)
        if failed:
            system.history.forget(job.analysis_time)
        if failed or isinstance(cycle, str):
            reason = f"not stored: {failed}" if failed else str(cycle)
            record = CycleRecord(system.stream.name, job.analysis_time, REFUSED, (reason,), system.now())
        else:
            record = CycleRecord.of(system.stream.name, cycle, system.now(), str(system.settled.get("method", "")))
        records.append(record)
        self._tell(record)
        return not failed

    def _tell(self, record: CycleRecord) -> None:
        _log.log(logging.INFO if record.status == "complete" else logging.WARNING, record.summary())
        for watcher in self.watchers:
            _tried(lambda watcher=watcher: watcher(record), f"after {format_time(record.analysis_time)}")


def _failure_of(done: Future) -> str:
    """Why something failed, in words; empty where it did not."""
    try:
        done.result()
    except (RtmaDiffdaError, OSError) as error:
        return str(error)
    except Exception as error:
        _log.exception("unexpected error while storing")
        return f"unexpected error: {type(error).__name__}: {error}"
    return ""


def _tried(action: Callable[[], object], what: str) -> object:
    """The answer of something that a run can do without; None where it fails, which is logged."""
    try:
        return action()
    except (RtmaDiffdaError, OSError) as error:
        _log.warning("%s: %s", what, error)
    except Exception:
        _log.exception("%s: unexpected error", what)
    return None


def runner_locks(roots: Sequence[Path]) -> ExitStack:
    """Locks that keep other runners from these archives, held until it is closed.

    Raises:
        InputError: another runner is at work; the message says which process, and for how long.
    """
    stack = ExitStack()
    try:
        for root in roots:
            with explain_failures(f"archive {root}"):
                root.mkdir(parents=True, exist_ok=True)
            stack.enter_context(exclusive_lock(root / ".runner.lock", timeout=0.0, what=f"cycling into {root}"))
    except BaseException:
        stack.close()
        raise
    return stack


def _with_successors(jobs: Sequence[Job]) -> list[tuple[Job, Job | None]]:
    return list(zip(jobs, [*jobs[1:], None], strict=True)) if jobs else []
