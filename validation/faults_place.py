"""Where faults are tried: a simulated world, runs begun in it, and starts of the verb ``cycle`` that may be sabotaged.

Every start is a process of its own, forked from one that has never cycled: what a fault changes in the code, or does to
the process, ends with it. A place has a directory of its own, which the verb works in, with ``inputs/`` (files of the
world) and ``run/`` (its output); so all places have the same relative paths and therefore the same settings, and a
place can go on with a copy of a run that another place began.
"""

import hashlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from rtma_diffda.cli.main import main
from rtma_diffda.cycling.journal import Journal
from rtma_diffda.cycling.record import CycleRecord
from rtma_diffda.experiments import cycle as _cycle  # noqa: F401  (imported here once, not by every start)
from rtma_diffda.experiments.cycle_settings import CycleMethodSettings, CycleSettings, SimulatedSettings
from rtma_diffda.experiments.cycle_world import with_world
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.region import Region, load_region
from rtma_diffda.io.archive import Archive
from rtma_diffda.io.archive_design import ArchiveDesign
from rtma_diffda.io.static_fields import load_static_fields
from rtma_diffda.observations.ingest.name_times import time_in_name
from rtma_diffda.times import SLOT, compact_time, format_time

REGION = "demo"
TIMES = np.datetime64("2026-06-15T23:00", "ns") + np.arange(6) * SLOT
"""The cycles of most faults; they cross midnight, so that a store is made among them."""
BEGUN = 3
"""So many of them are stored when a fault comes."""
FATAL = TIMES[BEGUN]
"""The first cycle that a fault meets."""

UNCYCLED, CYCLED = "background", "background_change"
"""Kinds of first guesses: without memory, and with it."""

MISSING = "(missing)"
_AROUND = np.timedelta64(45, "m")
_RUNS_BEFORE = np.timedelta64(6, "h")
_PATIENCE = 150.0
_Found = TypeVar("_Found")

Sabotage = Callable[[], None]
"""Changes the code in the process that is to fail."""


@dataclass(frozen=True)
class Attempt:
    """A start of the verb that has ended.

    Attributes:
        status: exit status; that of a process killed by a signal is the signal's number, negative.
        output: what it printed.
        log: what it logged, and the sentence of its error.
        seconds: that it took.
    """

    status: int
    output: str
    log: str
    seconds: float

    @property
    def headline(self) -> str:
        """How many cycles were made and kept."""
        lines = (self.output + self.log).splitlines()
        return next(
            (line.partition(": ")[2] for line in lines if " cycles (" in line or " cycle (" in line), "no cycle"
        )

    @property
    def sentence(self) -> str:
        """The end of what it said of its error."""
        told = self.log.rpartition("rtma-diffda: ")[2].strip().splitlines()
        return told[-1] if told and "rtma-diffda: " in self.log else ""


@dataclass(frozen=True)
class Slot:
    """A stored analysis.

    Attributes:
        status: complete or degraded.
        reasons: why it is degraded.
        fields: digest of all its fields.
        everything: digest of all its arrays, its provenance and its feedback.
        used: data used.
    """

    status: str
    reasons: tuple[str, ...]
    fields: str
    everything: str
    used: int


Slots = Mapping[np.datetime64, Slot]


class Start:
    """The verb in a process of its own, under way."""

    def __init__(self, directory: Path, overrides: Sequence[str], sabotage: Sabotage | None) -> None:
        self._files = [directory / f"start.{number}.txt" for number in ("output", "log")]
        self._since = time.monotonic()
        self._process = get_context("fork").Process(target=_verb, args=(directory, self._files, overrides, sabotage))
        self._process.start()

    @property
    def number(self) -> int:
        """Of the process."""
        return self._process.pid or 0

    def end(self) -> Attempt:
        """Wait for its end; one that does not end is killed."""
        self._process.join(_PATIENCE)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        output, log = (path.read_text(errors="replace") for path in self._files)
        return Attempt(self._process.exitcode or 0, output, log, time.monotonic() - self._since)


@dataclass(frozen=True)
class World:
    """What all places share.

    Attributes:
        directory: of the simulated world and of the runs that were begun in it.
        settings: of a run that has the files of the world in the place of its paths.
    """

    directory: Path
    settings: CycleSettings

    @classmethod
    def in_directory(cls, directory: Path) -> "World":
        """The world of a directory, made first where it is not there yet."""
        simulated = SimulatedSettings(make=True)
        method = CycleMethodSettings("optimal_interpolation", tuning_hours=0)
        wanted = CycleSettings(REGION, start=TIMES[0], end=TIMES[-1], world=simulated, method=method,
                               data=str(directory))  # fmt: skip
        return cls(directory, with_world(wanted))

    def supply(self, inputs: Path, first: np.datetime64 = TIMES[0], last: np.datetime64 = TIMES[-1]) -> None:
        """Copy the files that the cycles of a period may use, with the times at which they arrived."""
        shutil.rmtree(inputs, ignore_errors=True)
        sources = {"spool": self.settings.observations.path[0], "backgrounds": self.settings.background.path,
                   "global_runs": self.settings.global_runs.path}  # fmt: skip
        for name, source in sources.items():
            (inputs / name).mkdir(parents=True)
            for path in sorted(Path(source).iterdir()):
                before = _RUNS_BEFORE if name == "global_runs" else _AROUND
                if first - before <= time_in_name(path) <= last + _AROUND:
                    shutil.copy2(path, inputs / name)
        shutil.copy2(self.settings.observations.stations, inputs)

    def prepare(self) -> None:
        """Undisturbed runs, whole and begun, that faults are compared with and go on from."""
        for kind in (UNCYCLED, CYCLED):
            for name, end in (("begun", TIMES[BEGUN - 1]), ("whole", TIMES[-1])):
                place = Place(self.directory / f"{name}_{kind}", self)
                shutil.rmtree(place.directory, ignore_errors=True)
                self.supply(place.inputs)
                attempt = place.cycle(f"first_guess.kind={kind}", end=end)
                if attempt.status:
                    raise SystemExit(f"an undisturbed run ended with {attempt.status}:\n{attempt.log}")

    def whole(self, kind: str = UNCYCLED) -> Slots:
        """What an undisturbed run stores."""
        return Place(self.directory / f"whole_{kind}", self).stored()


@dataclass(frozen=True)
class Place:
    """Where one fault is tried.

    Attributes:
        directory: that the verb works in.
        world: that its inputs are from.
    """

    directory: Path
    world: World

    @property
    def inputs(self) -> Path:
        """Files that the run reads."""
        return self.directory / "inputs"

    @property
    def run(self) -> Path:
        """The run's own directory."""
        return self.directory / "run"

    def supply(self, first: np.datetime64 = TIMES[0], last: np.datetime64 = TIMES[-1]) -> None:
        """Inputs as they should be."""
        self.world.supply(self.inputs, first, last)

    def begin(self, kind: str = UNCYCLED, *, whole: bool = False) -> Slots:
        """Inputs, and a run that has stored its first cycles, or all; returns what is stored."""
        self.supply()
        name = f"{'whole' if whole else 'begun'}_{kind}"
        shutil.copytree(self.world.directory / name / "run", self.run, dirs_exist_ok=True)
        return self.stored()

    def start(
        self,
        *overrides: str,
        end: np.datetime64 | None = TIMES[-1],
        sabotage: Sabotage | None = None,
    ) -> Start:
        """Start the verb with the usual settings and these."""
        self.directory.mkdir(parents=True, exist_ok=True)
        until = () if end is None else (f"end={str(end)[:16]}",)
        return Start(self.directory, (*_USUAL, *until, *overrides), sabotage)

    def cycle(self, *overrides: str, **options: Any) -> Attempt:
        """``start``, and wait for its end."""
        return self.start(*overrides, **options).end()

    def stored(self, stream: str = "") -> Slots:
        """What is stored, by time; read without repair of anything."""
        return in_process(_slots_of, self.run / stream)

    def journal(self) -> list[CycleRecord]:
        """Records of all cycles, in the order in which they were written."""
        return Journal(self.run / "journal").records()

    def background(self, time: np.datetime64) -> Path:
        """The background file of a time."""
        return self.inputs / "backgrounds" / f"rtma_diffda.{REGION}_background.{compact_time(time)}.nc"

    def bulletins(self, time: np.datetime64) -> list[Path]:
        """The files of METAR text around a time."""
        return sorted((self.inputs / "spool").glob(f"metar_{compact_time(time).rstrip('Z')}*.txt"))

    def global_runs(self) -> list[Path]:
        """The files of global runs, oldest first."""
        return sorted((self.inputs / "global_runs").glob("*.nc"))


_USUAL = (
    f"region={REGION}",
    f"start={str(TIMES[0])[:16]}",
    "background.path=inputs/backgrounds",
    "observations.path=inputs/spool",
    "observations.stations=inputs/stations.csv",
    "global_runs.path=inputs/global_runs",
    "global_runs.model=simulated",
    "method.name=optimal_interpolation",
    "method.tuning_hours=0",
    "method.threads=1",
    "verification.report=false",
    "page=false",
    "progress=false",
    "output=run",
)


def in_process(action: Callable[..., _Found], *arguments: Any) -> _Found:
    """The answer of an action that must leave nothing behind in this process, such as threads."""
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        return pool.submit(action, *arguments).result()


def region() -> tuple[Region, ArchiveDesign]:
    """The region, and what an archive of its analyses looks like."""
    here = load_region(REGION)
    return here, ArchiveDesign(Layout.of(here.grid, here.variables), load_static_fields(here), here.name)


def _verb(directory: Path, files: Sequence[Path], overrides: Sequence[str], sabotage: Sabotage | None) -> None:
    os.chdir(directory)
    for descriptor, path in enumerate(files, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell started us in the background
    if sabotage is not None:
        sabotage()
    sys.exit(main(["cycle", *overrides]))


def _slots_of(directory: Path) -> Slots:
    root = directory / "archive"
    if not root.is_dir():
        return {}
    archive = Archive(root, region()[1])
    return {time: _slot_of(archive, time, directory) for time in archive.times()}


def _slot_of(archive: Archive, time: np.datetime64, directory: Path) -> Slot:
    dataset, made = archive.read(time), archive.made(time)
    path = directory / "feedback" / f"{compact_time(time)}.parquet"
    digests = {name: _digest(values.to_numpy().tobytes()) for name, values in sorted(dataset.variables.items())}
    fields = [digests[name] for name, values in sorted(dataset.data_vars.items()) if {"y", "x"} <= set(values.dims)]
    feedback = _digest(path.read_bytes()) if path.exists() else MISSING
    return Slot(
        str(made["status"]),
        tuple(made["degraded"]),
        _digest("".join(fields).encode()),
        _digest("".join([*digests.values(), repr(dict(made)), feedback]).encode()),
        int(made["made"]["observations_used"]),
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def in_words(times: Sequence[np.datetime64]) -> str:
    """Times of day."""
    return ", ".join(format_time(time)[11:16] for time in times)
