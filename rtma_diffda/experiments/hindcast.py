"""Hindcasts: many days of cycles in independent chunks, in parallel through ``dask.distributed``.

A chunk is a number of consecutive cycles. Where the first guess is cycled, each chunk begins some hours early, from the
given background, into an archive of its own; what it does is the same whichever process does it, and whether the chunks
before are done or not, so that many workers give the same bits as one.
"""

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from rtma_diffda.cycling.history import History
from rtma_diffda.cycling.publication import Publisher
from rtma_diffda.cycling.record import CycleRecord
from rtma_diffda.cycling.runner import Outcome, Runner, runner_locks
from rtma_diffda.cycling.schedule import replay_jobs
from rtma_diffda.experiments.cycle_settings import CycleSettings, seconds
from rtma_diffda.experiments.cycle_systems import CycleRun, build_run
from rtma_diffda.experiments.progress import arriving
from rtma_diffda.times import compact_time, format_time

_log = logging.getLogger(__name__)
_PATIENCE = 600.0
"""Seconds that a worker waits for others to write the same archive."""


@dataclass(frozen=True)
class Chunk:
    """Consecutive cycles.

    Attributes:
        start, end: of the cycles whose products count.
        begin: of the spin-up; ``start`` without one.
    """

    start: np.datetime64
    end: np.datetime64
    begin: np.datetime64


def chunks_of(settings: CycleSettings) -> list[Chunk]:
    """The chunks of a hindcast, one after the other."""
    length, stream = seconds(3600 * settings.hindcast.chunk_hours), settings.streams()[0]
    spin_up = seconds(3600 * settings.hindcast.spin_up_hours if settings.first_guess.cycled else 0.0)
    times = stream.times(settings.start, settings.end)
    starts = np.arange(times[0], times[-1] + stream.interval, length)
    parts = [times[(times >= start) & (times < start + length)] for start in starts]
    return [Chunk(part[0], part[-1], part[0] - spin_up) for part in parts if len(part)]


def run_hindcast(run: CycleRun, *, watch: Callable[[CycleRecord], None]) -> Outcome:
    """Do all chunks.

    Args:
        run: as built by the process that hands the chunks out.
        watch: told of every cycle once its chunk is done.

    Raises:
        InputError: another runner is at work on the archive.
    """
    settings, chunks = run.settings, chunks_of(run.settings)
    _log.info("%d chunks from %s to %s", len(chunks), format_time(chunks[0].start), format_time(chunks[-1].end))
    records: list[CycleRecord] = []
    kept, stopped = 0, ""
    with runner_locks([system.publisher.archive.root for system in run.systems]):
        done = arriving(_outcomes(settings, chunks), len(chunks), "chunks", shown=settings.progress)
        for outcome in done:
            for record in outcome.records:
                watch(record)
            records += outcome.records
            kept, stopped = kept + outcome.kept, stopped or outcome.stopped
    return Outcome(tuple(sorted(records, key=lambda record: record.analysis_time)), kept, stopped)


def run_chunk(settings: CycleSettings, chunk: Chunk) -> Outcome:
    """Spin up, then do the cycles of a chunk into the run's archive."""
    torch.set_num_threads(threads_of(settings))
    run = build_run(settings)
    systems = [replace(one, publisher=_waiting(one.publisher, chunk.start, None)) for one in run.systems]
    if chunk.begin < chunk.start:
        spun = _spin_up(run, chunk)
        systems[0] = replace(systems[0], publisher=_waiting(run.systems[0].publisher, chunk.start, spun))
    jobs = replay_jobs(settings.streams(), chunk.start, chunk.end)
    return Runner(systems, overlap=settings.overlap, alone=False).replay(jobs)


def threads_of(settings: CycleSettings) -> int:
    """Threads of torch: as set; else all of the machine, or one a worker where chunks share it."""
    if settings.method.threads:
        return settings.method.threads
    return 1 if settings.hindcast.chunk_hours else os.cpu_count() or 1


def _spin_up(run: CycleRun, chunk: Chunk) -> History:
    """Analyses before the chunk, in an archive of their own."""
    main = run.systems[0].publisher
    directory = Path(run.settings.output) / "chunks" / compact_time(chunk.start)
    own = Publisher.at(
        directory,
        run.region,
        layout=main.archive.design.layout,
        static=main.archive.design.static,
        members=main.archive.design.members,
    )
    stream = run.systems[0].stream
    jobs = replay_jobs([stream], chunk.begin, chunk.start - stream.interval)
    Runner([replace(run.systems[0], publisher=own)], overlap=run.settings.overlap).replay(jobs)
    return own.history


def _waiting(publisher: Publisher, since: np.datetime64, earlier: History | None) -> Publisher:
    """The publisher, patient with other writers, that knows no analyses of other chunks."""
    archive = replace(publisher.archive, lock_timeout=_PATIENCE)
    return Publisher(publisher.directory, archive, publisher.overwrite, History(archive, since, earlier))


def _outcomes(settings: CycleSettings, chunks: list[Chunk]) -> Iterator[Outcome]:
    """Of the chunks as they are done; one after the other in this process without workers."""
    wanted = settings.hindcast
    if wanted.scheduler is None and wanted.workers < 2:
        yield from (run_chunk(settings, chunk) for chunk in chunks)
        return
    from dask.distributed import as_completed

    with _client(settings) as client:
        futures = client.map(run_chunk, [settings] * len(chunks), chunks, pure=False, retries=1)
        for future in as_completed(futures):
            yield future.result()


@contextmanager
def _client(settings: CycleSettings) -> Iterator[Executor]:
    """A client of the scheduler that is named, or of a local cluster, which listens on the loopback device alone."""
    from dask.distributed import Client, LocalCluster

    with ExitStack() as stack:
        if settings.hindcast.scheduler is not None:
            yield stack.enter_context(Client(settings.hindcast.scheduler))
            return
        cluster = stack.enter_context(
            LocalCluster(
                n_workers=settings.hindcast.workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=None,
            )
        )
        yield stack.enter_context(Client(cluster))
