"""``run_cycles``: analyses every 15 minutes, of the past or live, with archive, journal, metrics, page and report."""

import logging
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch

from rtma_diffda.cycling.journal import Journal
from rtma_diffda.cycling.metrics import write_metrics
from rtma_diffda.cycling.record import REFUSED, CycleRecord
from rtma_diffda.cycling.retention import enforce
from rtma_diffda.cycling.runner import Outcome, Runner
from rtma_diffda.cycling.schedule import LiveSchedule, replay_jobs
from rtma_diffda.errors import InputError
from rtma_diffda.experiments.cycle_report import CycleReport, Told, write_cycle_report
from rtma_diffda.experiments.cycle_settings import CycleSettings, seconds
from rtma_diffda.experiments.cycle_systems import CycleRun, build_run
from rtma_diffda.experiments.cycle_world import with_world
from rtma_diffda.experiments.hindcast import run_hindcast, threads_of
from rtma_diffda.experiments.page_process import PageProcess
from rtma_diffda.experiments.reporting import RunSummary
from rtma_diffda.times import day_of, format_time
from rtma_diffda.verification.display import aligned_text

_log = logging.getLogger(__name__)

_PAGE_SECONDS = 60.0
"""Between pages of a replay, which is faster than anyone reads."""
_METRICS_DAYS = 2
"""Days of the journal that the metrics look back on."""


def run_cycles(settings: CycleSettings) -> RunSummary:
    """Cycle.

    Returns:
        What became of the cycles, scores at withheld stations, and where everything is.

    Raises:
        UsageError, InputError: wrong settings, nothing to begin with, another runner on the archive; or, after all
            that could be done is done and stored, that cycles were refused.
    """
    torch.set_num_threads(threads_of(settings))
    run = build_run(with_world(settings))
    with _termination_as_interrupt(), Watch.over(run) as watch:
        outcome = outcome_of(run, watch)
    summary = _summary(run, outcome)
    refused = outcome.with_status(REFUSED)
    if outcome.stopped or refused:
        raise InputError(f"{summary.text}\n\n{_refusal(outcome, refused)}")
    return summary


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does: what is under way is stored first."""
    if threading.current_thread() is not threading.main_thread():  # Python allows no handlers there
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def outcome_of(run: CycleRun, watch: "Watch") -> Outcome:
    """Cycle as the settings of the run say, watched."""
    settings = run.settings
    if settings.hindcast.chunk_hours:
        return run_hindcast(run, watch=watch)
    runner = Runner(run.systems, (watch,), settings.overlap)
    if settings.live:
        return _live(run, runner)
    return runner.replay(replay_jobs(settings.streams(), settings.start, settings.end))


def _live(run: CycleRun, runner: Runner) -> Outcome:
    settings = run.settings
    schedule = LiveSchedule(
        settings.streams(),
        run.clock,
        _first_time(run),
        settings.end,
        settings.clock.missed,
        seconds(3600 * settings.clock.horizon_hours),
        seconds(settings.clock.poll_seconds * settings.clock.clock_factor),
    )
    return runner.live(schedule)


def _first_time(run: CycleRun) -> np.datetime64:
    """Of live analyses: as set; else the first that the archive has, so that a start after a pause makes up for it."""
    if run.settings.start is not None:
        return run.settings.start
    published = run.systems[0].publisher.archive.times()
    return published[0] if len(published) else run.clock.now()


@dataclass(frozen=True)
class Watch:
    """Keeps journal, metrics, page and archive in order while cycles run.

    Attributes:
        run: that is watched.
        journal: of the run.
        drawer: of the page; None without one.
    """

    run: CycleRun
    journal: Journal
    drawer: PageProcess | None = None
    _kept: list[np.datetime64] = field(default_factory=list, init=False, repr=False)
    _drawn: list[float] = field(default_factory=lambda: [0.0], init=False, repr=False)

    @classmethod
    def over(cls, run: CycleRun) -> "Watch":
        """The watch of a run."""
        drawer = PageProcess(run.directory) if run.settings.page else None
        return cls(run, Journal(run.directory / "journal"), drawer)

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self.drawer is not None:
                self.drawer.close()
        except Exception:  # everything is stored by now
            _log.exception("the page was not drawn a last time: unexpected error")

    def __call__(self, record: CycleRecord) -> None:
        """Note one cycle; a part that fails is logged and keeps none of the others from being done."""
        for part in (self.journal.append, self._measure, self._remove_old, self._draw):
            try:
                part(record)
            except (InputError, OSError) as error:
                _log.warning("after %s: %s", format_time(record.analysis_time), error)

    def _measure(self, _: CycleRecord) -> None:
        write_metrics(self.run.directory / "metrics.prom", self.journal.records(_METRICS_DAYS), self.run.region.name)

    def _remove_old(self, record: CycleRecord) -> None:
        """Once a day of analyses."""
        keep = self.run.settings.archive.keep
        day = day_of(record.analysis_time)
        if keep is not None and day not in self._kept:
            self._kept.append(day)
            for system in self.run.systems:
                enforce(system.publisher, self.journal, keep)

    def _draw(self, _: CycleRecord) -> None:
        """Have the page drawn, after each live cycle; in a replay now and then."""
        rest = 0.0 if self.run.settings.live else _PAGE_SECONDS
        if self.drawer is not None and time.monotonic() - self._drawn[0] >= rest:
            self._drawn[0] = time.monotonic()
            self.drawer.draw()


def _summary(run: CycleRun, outcome: Outcome) -> RunSummary:
    """Text, files, and reasons that occurred, each once."""
    files = {"archive": run.systems[0].publisher.archive.root, "journal": run.directory / "journal"}
    files |= {s.stream.name: s.publisher.archive.root for s in run.systems[1:]}
    report = _report(run, outcome)
    if report is not None:
        files["report"] = report.path
    reasons = [reason for record in outcome.records for reason in record.reasons]
    lines = [_headline(run, outcome), "", latency_text(outcome.records)]
    lines += [] if report is None else ["", report.text]
    lines += ["", *(f"{what}: {path}" for what, path in files.items())]
    return RunSummary("\n".join(lines), files, _labels(outcome, reasons))


def _headline(run: CycleRun, outcome: Outcome) -> str:
    counts = Counter(record.status for record in outcome.records)
    told = ", ".join(f"{counts[status]} {status}" for status in ("complete", "degraded", REFUSED) if counts[status])
    kept = f"; {outcome.kept} that the archive had were kept" if outcome.kept else ""
    return f"{run.region.title}: {_cycles(len(outcome.records))} ({told or 'none'}){kept}"


def _labels(outcome: Outcome, reasons: Sequence[str]) -> tuple[str, ...]:
    counts = Counter(reason.partition(": ")[0] for reason in reasons)
    total = len(outcome.records)
    return tuple(f"{count} of {_cycles(total)}: {reason}" for reason, count in counts.most_common())


def latency_text(records: Sequence[CycleRecord]) -> str:
    """Median and 95th percentile of the seconds of each stage and of whole cycles."""
    made = [record for record in records if record.seconds]
    if not made:
        return "no cycle was made"
    stages = list(dict.fromkeys(name for record in made for name in record.seconds))
    columns = {name: [record.seconds.get(name, 0.0) for record in made] for name in stages}
    columns["all stages"] = [sum(record.seconds.values()) for record in made]
    rows = [
        [name, f"{np.median(values):.3f}", f"{np.percentile(values, 95):.3f}", f"{max(values):.3f}"]
        for name, values in columns.items()
    ]
    return aligned_text(["seconds", "median", "95 %", "most"], rows, text_columns=1)


def _report(run: CycleRun, outcome: Outcome) -> CycleReport | None:
    if run.settings.live or not run.settings.verification.report or not run.withheld:
        return None
    system = run.systems[0]
    wanted = system.stream.times(run.settings.start, run.settings.end)
    times = np.intersect1d(system.publisher.archive.times(), wanted)
    reasons = tuple(dict.fromkeys(reason for record in outcome.records for reason in record.reasons))
    told = Told(
        f"{run.region.title}: cycles",
        run.method.name,
        {"method settings": run.method.description, "first guess": str(run.settings.first_guess), "seed":
         run.settings.seed},
        reasons,
    )  # fmt: skip
    return write_cycle_report(
        system.publisher, times, told, block_degrees=run.settings.verification.block_degrees
    ) if len(times) else None  # fmt: skip


def _refusal(outcome: Outcome, refused: Sequence[CycleRecord]) -> str:
    if outcome.stopped:
        return f"the run was ended: {outcome.stopped}"
    first = refused[0]
    were = "was" if len(refused) == 1 else "were"
    told = f"{_cycles(len(refused))} {were} refused, the first at {format_time(first.analysis_time)}"
    return f"{told}: {first.reasons[0]}"


def _cycles(count: int) -> str:
    return "1 cycle" if count == 1 else f"{count} cycles"
