"""Faults of the disk: full, read-only, and files of the run that are damaged. File systems of their own need root."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from faults_finding import Fault, Finding, bits, same_fields, short, statuses, unharmed
from faults_place import CYCLED, TIMES, UNCYCLED, Attempt, Place, Slots

from rtma_diffda.io import file_inventory

_ROOM_KILOBYTES = 450
"""For one more analysis with its feedback, but not for two."""


@contextmanager
def file_system(path: Path) -> Iterator[Callable[[str], None]]:
    """A small file system at a directory; what it gives changes its mount options."""
    path.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", path], check=True)

    def remount(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", path], check=True)

    try:
        yield remount
    finally:
        subprocess.run(["umount", path], check=True)


def refused(
    place: Place, before: Slots, attempt: Attempt, again: Attempt, *, said: str, left: Slots, kind: str = UNCYCLED
) -> Finding:
    """The finding on a start that is to be refused, and on the next, which is to complete the run."""
    after = place.stored()
    checks = {
        f"exit status 3 (found {attempt.status})": attempt.status == 3,
        f"a sentence says '{said}'": said in attempt.sentence,
        f"the next start completes (exit status {again.status})": again.status == 0,
        "bit-equal to an undisturbed run": same_fields(after, place.world.whole(kind)),
    }
    made = len(left) - len(before)
    return Finding(
        f"{made} of {len(TIMES) - len(before)}, then {len(after) - len(before)}",
        f"exit {attempt.status}: {short(attempt.sentence)}",
        unharmed(before, left) and unharmed(left, after),
        f"{again.headline}; {bits(after, place.world.whole(kind))}; {again.seconds:.0f} s",
        checks,
    )


def full_disk(kind: str, place: Place) -> Finding:
    with file_system(place.run) as remount:
        before = place.begin(kind)
        room = os.statvfs(place.run)
        taken = (room.f_blocks - room.f_bfree) * room.f_bsize // 1024
        remount(f"size={taken + _ROOM_KILOBYTES}k")
        attempt = place.cycle(f"first_guess.kind={kind}")
        left = place.stored()
        remount("size=30m")
        again = place.cycle(f"first_guess.kind={kind}")
        return refused(place, before, attempt, again, said="the disk is full", left=left, kind=kind)


def read_only(place: Place) -> Finding:
    with file_system(place.run) as remount:
        before = place.begin()
        remount("ro")
        attempt = place.cycle()
        left = place.stored()
        remount("rw")
        return refused(place, before, attempt, place.cycle(), said="the file system is read-only", left=left)


def damaged_file(damage: Callable[[Path], None], name: str, said: str, place: Place) -> Finding:
    """A file of a begun run that every start needs is damaged, and mended after the refusal."""
    before = place.begin()
    path = place.run / name
    sound = path.read_bytes()
    damage(path)
    attempt = place.cycle()
    left = place.stored()
    path.write_bytes(sound)
    return refused(place, before, attempt, place.cycle(), said=said, left=left)


def other_settings(place: Place) -> Finding:
    before = place.begin()
    attempt = place.cycle("seed=2", "observations.cutoff_minutes=20")
    left = place.stored()
    return refused(place, before, attempt, place.cycle(), said="seed was 1, now 2", left=left)


def halved(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def shortened(path: Path) -> None:
    """A byte is lost."""
    path.write_bytes(path.read_bytes()[:-1])


def damaged_day(place: Place) -> Finding:
    """The column of statuses of the first day lacks a byte; the run is whole, so that nothing is due."""
    before = place.begin(whole=True)
    path = place.run / "archive" / "20260615.zarr" / "status" / "0"
    sound = path.read_bytes()
    shortened(path)
    attempt = place.cycle()
    left = place.stored()
    path.write_bytes(sound)
    again = place.cycle()
    second_day = {time: slot for time, slot in before.items() if time >= TIMES[4]}
    finding = refused(place, second_day, attempt, again, said="is damaged: its status has 95 bytes", left=left)
    checks = {
        **finding.checks,
        "the other day is readable": left == second_day,
        "nothing is made twice": place.stored() == before,
    }
    return Finding("none was due", finding.label, finding.unharmed, f"mended: {again.headline}", checks)


def damaged_field(place: Place) -> Finding:
    """The analysis that the next first guess begins from is damaged, which its own compression notices."""
    before = place.begin(CYCLED)
    path = place.run / "archive" / "20260615.zarr" / "t2m" / "94.0.0"
    sound = path.read_bytes()
    halved(path)
    attempt = place.cycle(f"first_guess.kind={CYCLED}")
    path.write_bytes(sound)
    after = place.stored()
    kinds = {record.analysis_time: record.first_guess for record in place.journal()}
    warned = "2026-06-15T23:30Z counts as missing" in attempt.log
    checks = {
        f"exit status 0 or 4 (found {attempt.status})": attempt.status in (0, 4),
        "all the others are made": len(after) == len(TIMES),
        f"cycling begins anew and says so (first guess: {kinds.get(TIMES[3])})": "start" in kinds.get(TIMES[3], ""),
        "the log says why": warned,
        "the next ones are cycled again": {kinds.get(time) for time in TIMES[4:]} == {"cycled"},
    }
    log = f"{'a' if warned else 'NO'} warning in the log"
    label = f"first guess {kinds.get(TIMES[3])}; {statuses(after)}; {log}; exit {attempt.status}"
    recovery = f"{attempt.headline}; first guesses of the next: {', '.join(kinds.get(time, '?') for time in TIMES[4:])}"
    return Finding(f"{len(after) - len(before)} of 3", label, unharmed(before, after), recovery, checks)


def damaged_feedback(place: Place) -> Finding:
    before = place.begin(whole=True)
    path = place.run / "feedback" / "20260615T2315Z.parquet"
    sound = path.read_bytes()
    halved(path)
    attempt = place.cycle("verification.report=true")
    told = [line for line in attempt.log.splitlines() if "is left out" in line and path.name in line]
    path.write_bytes(sound)
    checks = {
        f"exit status 0 (found {attempt.status})": attempt.status == 0,
        "the log says that it is left out": len(told) == 1,
        "a report is made of the others": (place.run / "report.html").exists() and "6 analyses" in attempt.output,
    }
    label = f"log: {short(told[0].partition(': ')[2] if told else 'nothing')}; exit {attempt.status}"
    return Finding("none was due", label, unharmed(before, place.stored()), "nothing to recover", checks)


def blocked_watchers(place: Place) -> Finding:
    """Journal, metrics and page cannot be written: directories have the names of their files, and a file that of a
    directory."""
    before = place.begin()
    shutil.rmtree(place.run / "journal")
    (place.run / "journal").write_text("in the way")
    (place.run / "metrics.prom").unlink()
    for name in ("metrics.prom", "index.html"):
        (place.run / name / "in the way").mkdir(parents=True)
    attempt = place.cycle("page=true")
    after = place.stored()
    warned = [line for line in attempt.log.splitlines() if " WARNING " in line and "journal" in line]
    checks = {
        f"exit status 0 (found {attempt.status})": attempt.status == 0,
        "bit-equal to an undisturbed run": same_fields(after, place.world.whole()),
        "a warning for every cycle": len(warned) >= len(TIMES) - len(before),
        "a warning for the page": "was not drawn" in attempt.log,
    }
    label = f"log: {short(warned[0].partition(' after ')[2] if warned else 'nothing')}; exit {attempt.status}"
    return Finding(f"{len(after) - len(before)} of 3", label, unharmed(before, after),
                   f"{attempt.headline}; {bits(after, place.world.whole())}", checks)  # fmt: skip


def slow_files(place: Place) -> Finding:
    """Gridded files take long to read, so that the reader ahead and the cycle at work want to at once."""

    def sabotage() -> None:
        usual, at_work = file_inventory.find_fields, []

        def slow(path: Path) -> tuple:
            at_work.append(path)
            time.sleep(0.1)
            if len(at_work) > 1:
                print("two readers at once")
            found = usual(path)
            at_work.remove(path)
            return found

        file_inventory.find_fields = slow

    kind = f"first_guess.kind={CYCLED}"
    before = place.begin(CYCLED)
    attempt = place.cycle(kind, sabotage=sabotage)
    after = place.stored()
    checks = {
        f"exit status 0 (found {attempt.status})": attempt.status == 0,
        "never two readers at once": "two readers at once" not in attempt.output,
        "bit-equal to an undisturbed run": same_fields(after, place.world.whole(CYCLED)),
    }
    return Finding(f"{len(after) - len(before)} of 3", f"{statuses(after)}; exit {attempt.status}",
                   unharmed(before, after), f"{attempt.headline}; {bits(after, place.world.whole(CYCLED))}",
                   checks)  # fmt: skip


_REFUSED = "refused in a sentence, exit status 3; nothing lost; the next start"

FAULTS = (
    Fault("disk full", f"{_REFUSED} with space completes", partial(full_disk, UNCYCLED)),
    Fault("disk full, first guess cycled", f"{_REFUSED} with space completes, bit-equal", partial(full_disk, CYCLED)),
    Fault("archive read-only", f"{_REFUSED} completes", read_only),
    Fault("run.json damaged", f"{_REFUSED} with it mended completes",
          partial(damaged_file, halved, "run.json", "run.json is damaged")),
    Fault("restart with other settings", f"{_REFUSED} as before completes; it names what differs", other_settings),
    Fault("store of a day damaged (a byte of its statuses is lost)",
          "refused in a sentence, exit status 3; the other day is readable; mended, nothing is made twice",
          damaged_day),
    Fault("field of the analysis before damaged", "cycling begins anew from the background, and says so",
          damaged_field),
    Fault("feedback file damaged", "the report leaves it out and says so", damaged_feedback),
    Fault("journal, metrics and page cannot be written", "logged; the cycles go on", blocked_watchers),
    Fault("gridded files slow to read", "one thread at a time reads them, as HDF5 needs it; bit-equal", slow_files),
)  # fmt: skip
