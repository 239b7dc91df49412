"""Replays in processes of their own, to be killed.

    python cycling_victim.py ROOT PLACE…

Each PLACE is a fork that replays the eight cycles of ``small_system`` into ROOT/PLACE and dies of SIGKILL there:

    reading        while the reports of the fifth cycle are read (ahead, in a thread of their own)
    analysis       in the method, in the fifth cycle
    feedback       before the fifth feedback has its name
    slot           in the archive, when the fields of the fourth analysis are written and nothing says so yet
    recording      when the fifth cycle is told to the journal: half a line is written
    operation:N    at the N-th file operation in the archive's directory

How each ended goes to ROOT/statuses.json.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from small_system import TIMES, NoisyNudging, TableReports, jobs_of, small_system

from rtma_diffda.cycling.journal import Journal
from rtma_diffda.cycling.runner import Runner

FATAL = TIMES[4]
RENAMES = {"feedback": ("20260101T2345Z.parquet", 1), "slot": ("20260101.zarr/revision/0", 4)}
_OPERATIONS = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir"}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingReports(TableReports):
    def read(self, window):
        found = super().read(window)
        if window.analysis_time == FATAL:
            die()
        return found


class DyingMethod(NoisyNudging):
    def analyse(self, problem, *, generator):
        if problem.window.analysis_time == FATAL:
            die()
        return super().analyse(problem, generator=generator)


def die_at_operation(root: Path, number: int) -> None:
    operations = []

    def count(event: str, arguments: tuple) -> None:
        if event in _OPERATIONS and any(str(argument).startswith(str(root)) for argument in arguments[:2]):
            operations.append(event)
            if len(operations) == number:
                die()

    sys.addaudithook(count)


def die_at_rename(end: str, times: int) -> None:
    """Die before a file whose name ends so gets it for the n-th time."""
    renames = []

    def look(event: str, arguments: tuple) -> None:
        if event == "os.rename" and str(arguments[1]).endswith(end):
            renames.append(arguments)
            if len(renames) == times:
                die()

    sys.addaudithook(look)


class Recorder:
    """Appends to a journal; dies in the middle of the line of the fatal cycle."""

    def __init__(self, directory: Path, *, dies: bool):
        self.journal, self.dies = Journal(directory), dies

    def __call__(self, record) -> None:
        if self.dies and record.analysis_time == FATAL:
            with self.journal.path_of(FATAL).open("a") as file:
                file.write(record.to_json()[:200])
            die()
        self.journal.append(record)


def replay(root: Path, place: str) -> None:
    directory = root / place.replace(":", "_")
    kind, _, number = place.partition(":")
    if kind == "operation":
        die_at_operation(directory / "archive", int(number))
    if kind in RENAMES:
        die_at_rename(*RENAMES[kind])
    system = small_system(
        directory,
        reports=DyingReports() if kind == "reading" else TableReports(),
        method=DyingMethod() if kind == "analysis" else NoisyNudging(),
    )
    recorder = Recorder(directory / "journal", dies=kind == "recording")
    Runner([system], [recorder]).replay(jobs_of(system))


def main(root: Path, places: list[str]) -> None:
    torch.set_num_threads(1)
    statuses = {}
    for place in places:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                replay(root, place)
                status = 0
            finally:
                os._exit(status)
        statuses[place] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    (root / "statuses.json").write_text(json.dumps(statuses))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
