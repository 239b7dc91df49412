"""Faults of the process: ``kill -9`` at any place, SIGTERM, Ctrl-C, and a second runner."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from faults_finding import Fault, Finding, bits, same_fields, short, statuses, unharmed
from faults_place import BEGUN, CYCLED, FATAL, TIMES, UNCYCLED, Attempt, Place, Slots, in_process, region

from rtma_diffda.cycling import journal
from rtma_diffda.cycling.method_chain import MethodChain
from rtma_diffda.cycling.reports import Spool
from rtma_diffda.fields.state import State
from rtma_diffda.io import archive_days
from rtma_diffda.io.archive import Archive
from rtma_diffda.io.product import Product

OLD_DAY = np.datetime64("2026-06-13T12:00", "ns")
_LEFTOVERS = (".tmp", ".partial", ".retired")


def preceded(owner: Any, name: str, action: Callable[..., object]) -> None:
    """Have an action called before every call of a function or method, with the same arguments."""
    usual = getattr(owner, name)

    def both(*arguments: Any, **options: Any) -> object:
        action(*arguments, **options)
        return usual(*arguments, **options)

    setattr(owner, name, both)


def die() -> None:
    """``kill -9``."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_rename(end: str, count: int = 1) -> None:
    """Die before a file whose path ends so gets its name for the n-th time."""
    seen: list[str] = []

    def look(event: str, arguments: tuple) -> None:
        if event == "os.rename" and str(arguments[1]).endswith(end):
            seen.append(end)
            if len(seen) == count:
                die()

    sys.addaudithook(look)


def die_while_reading() -> None:
    preceded(Spool, "_within", lambda spool, window: window.analysis_time == FATAL and die())


def die_in_the_analysis() -> None:
    at_the_analysis(FATAL, die)


def at_the_analysis(when: np.datetime64, action: Callable[[], object]) -> None:
    """Do something at the beginning of the analysis of a time."""
    preceded(MethodChain, "analyse", lambda chain, problem, **_: problem.window.analysis_time == when and action())


def die_while_a_day_is_made() -> None:
    """When half of the arrays of the next day's store, which has a temporary name yet, are there."""

    def look(event: str, arguments: tuple) -> None:
        if event == "os.rename" and ".20260616.zarr." in str(arguments[1]) and "/t2m_background/" in str(arguments[1]):
            die()

    sys.addaudithook(look)


def die_in_a_line_of_the_journal() -> None:
    def half(descriptor: int, content: bytes) -> None:
        if str(FATAL)[:16].encode() in content:
            os.write(descriptor, content[: len(content) // 2])
            die()

    preceded(journal, "_write_whole", half)


def die_in_a_removal() -> None:
    def half(hidden: Path) -> None:
        for name in ("status", "t2m", "sp"):
            shutil.rmtree(hidden / name)
        die()

    preceded(archive_days, "remove", half)


def killed(place: Place, sabotage: Callable[[], None], kind: str, *, expected: range, overrides: tuple = ()) -> Finding:
    """Kill a run and start it again."""
    before, first = place.stored(), f"first_guess.kind={kind}"
    victim = place.cycle(first, *overrides, sabotage=sabotage)
    left = place.stored()
    again = place.cycle(first, *overrides)
    after, told = place.stored(), [record.analysis_time for record in place.journal()]
    here = [time for time in left if time in TIMES]
    checks = {
        f"killed by signal 9 (found {victim.status})": victim.status == -signal.SIGKILL,
        f"{expected.start} to {expected.stop - 1} analyses left (found {len(here)})": len(here) in expected,
        f"the next start takes over the lock (exit status {again.status})": again.status == 0,
        "bit-equal to an undisturbed run": same_fields(after, place.world.whole(kind)),
        "no file is left unfinished": not [path for path in place.run.rglob("*") if path.suffix in _LEFTOVERS],
        "the journal has every cycle once, but the last before the kill": len(told) == len(set(told)) >= len(TIMES) - 1,
        "every analysis has its feedback": len([*(place.run / "feedback").glob("*.parquet")]) == len(TIMES),
    }
    ours = {time: slot for time, slot in before.items() if time in TIMES}
    whole = unharmed(ours, left) and unharmed({time: left[time] for time in here}, after)
    published = f"{len(here)} of {len(TIMES)}, then {len(after)}"
    return Finding(published, f"{statuses(after)}; exit {again.status}", whole, _again(again, place, kind), checks)


def _again(again: Attempt, place: Place, kind: str) -> str:
    return f"{again.headline}; {bits(place.stored(), place.world.whole(kind))}; {again.seconds:.0f} s"


def kill_at(sabotage: Callable[[], None], kind: str, expected: range) -> Callable[[Place], Finding]:
    """A kill of a run that goes on from one begun."""

    def inject(place: Place) -> Finding:
        place.begin(kind)
        return killed(place, sabotage, kind, expected=expected)

    return inject


def kill_in_a_removal(place: Place) -> Finding:
    place.begin(CYCLED)
    in_process(_plant_old_day, place.run)
    finding = killed(place, die_in_a_removal, CYCLED, expected=range(BEGUN, BEGUN + 2), overrides=("archive.keep=1",))
    gone = not list(place.run.rglob("*20260613*"))
    return Finding(finding.published, finding.label, finding.unharmed, f"{finding.recovery}; the old day is removed",
                   {**finding.checks, "nothing of the old day remains": gone})  # fmt: skip


def _plant_old_day(run: Path) -> None:
    """An analysis of two days before, with feedback."""
    _, design = region()
    archive = Archive(run / "archive", design)
    values = archive.state(TIMES[0]).values
    state = State(values, design.layout, OLD_DAY)
    archive.write(Product(design.domain, state, design.static, OLD_DAY, OLD_DAY, provenance={"observations_used": 0.0}))
    shutil.copy(run / "feedback" / "20260615T2300Z.parquet", run / "feedback" / "20260613T1200Z.parquet")


def signalled(number: int, place: Place) -> Finding:
    """A signal in the midst of an analysis, while the product before is being stored."""
    before = place.begin(CYCLED)
    kind = f"first_guess.kind={CYCLED}"

    def sabotage() -> None:
        preceded(Archive, "write", lambda archive, product, **_: time.sleep(0.5))
        at_the_analysis(TIMES[BEGUN + 1], lambda: os.kill(os.getpid(), number))

    stopped = place.cycle(kind, sabotage=sabotage)
    left = place.stored()
    again = place.cycle(kind)
    after = place.stored()
    checks = {
        f"exit status 130 (found {stopped.status})": stopped.status == 130,
        "the product under way is stored": FATAL in left,
        "and told to the journal": FATAL in {record.analysis_time for record in place.journal()},
        "a sentence says so": "interrupted" in stopped.log,
        "the next start goes on": again.status == 0 and same_fields(after, place.world.whole(CYCLED)),
    }
    return Finding(
        f"{len(left)} of {len(TIMES)}, then {len(after)}",
        f"exit {stopped.status}: {short(stopped.sentence)}",
        unharmed(before, left) and unharmed(left, after),
        _again(again, place, CYCLED),
        checks,
    )


def second_runner(place: Place) -> Finding:
    before = place.begin(CYCLED)
    kind, go = f"first_guess.kind={CYCLED}", place.directory / "go"

    def wait() -> None:
        while not go.exists():
            time.sleep(0.05)

    first = place.start(kind, sabotage=partial(at_the_analysis, FATAL, wait))
    lock = place.run / "archive" / ".runner.lock"
    while f"process {first.number} " not in (lock.read_text() if lock.exists() else ""):
        time.sleep(0.05)
    other = Place(place.directory / "other", place.world)
    other.directory.mkdir()
    (other.directory / "inputs").symlink_to(place.inputs)
    (other.directory / "run").symlink_to(place.run)
    second = other.cycle(kind)
    go.touch()
    ended = first.end()
    after: Slots = place.stored()
    checks = {
        f"the second is refused with exit status 3 (found {second.status})": second.status == 3,
        "its sentence names the process": f"process {first.number} " in second.sentence,
        "and its age": "min ago" in second.sentence,
        f"the first is undisturbed (exit status {ended.status})": ended.status == 0
        and same_fields(after, place.world.whole(CYCLED)),
    }
    label = f"exit {second.status}: {short(second.sentence)}"
    recovery = f"the first: {ended.headline}; {bits(after, place.world.whole(CYCLED))}"
    return Finding(f"{len(after)} of {len(TIMES)}, by the first", label, unharmed(before, after), recovery, checks)


_PROMISE = "the next start takes over the lock and goes on to the same bits"
_ONE_MORE, _SOME = range(BEGUN, BEGUN + 2), range(BEGUN, BEGUN + 3)

FAULTS = (
    Fault("kill -9 while reports are read", _PROMISE, kill_at(die_while_reading, CYCLED, _ONE_MORE)),
    Fault("kill -9 during the analysis", _PROMISE, kill_at(die_in_the_analysis, CYCLED, _ONE_MORE)),
    Fault("kill -9 while feedback is written", _PROMISE,
          kill_at(partial(die_at_rename, "20260615T2345Z.parquet"), CYCLED, _ONE_MORE)),
    Fault("kill -9 inside a slot's write, half of the data written", _PROMISE,
          kill_at(partial(die_at_rename, "20260615.zarr/u10m/95.0.0"), CYCLED, _ONE_MORE)),
    Fault("kill -9 between a slot's data and its status", _PROMISE,
          kill_at(partial(die_at_rename, "20260615.zarr/status/0", 2), CYCLED, _ONE_MORE)),
    Fault("kill -9 while the store of a day is made", _PROMISE, kill_at(die_while_a_day_is_made, CYCLED, range(4, 5))),
    Fault("kill -9 inside a line of the journal", _PROMISE,
          kill_at(die_in_a_line_of_the_journal, CYCLED, range(4, 7))),
    Fault("kill -9 during a removal by archive.keep", f"{_PROMISE}; the removal is completed", kill_in_a_removal),
    Fault("kill -9 during the analysis, first guess uncycled", _PROMISE,
          kill_at(die_in_the_analysis, UNCYCLED, _ONE_MORE)),
    Fault("kill -9 inside a slot's write, first guess uncycled", _PROMISE,
          kill_at(partial(die_at_rename, "20260615.zarr/u10m/95.0.0"), UNCYCLED, _ONE_MORE)),
    Fault("SIGTERM during an analysis", "ends with 130; what is under way is stored; the next start goes on",
          partial(signalled, signal.SIGTERM)),
    Fault("Ctrl-C during an analysis", "ends with 130; what is under way is stored; the next start goes on",
          partial(signalled, signal.SIGINT)),
    Fault("a second runner on the archive",
          "refused in a sentence that names process and age; the first is undisturbed", second_runner),
)  # fmt: skip
