"""Faults of live cycling: a clock that jumps, a disk that is full for a while, a page that cannot be drawn."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from faults_finding import Fault, Finding, bits, same_fields, short, statuses, unharmed
from faults_kill import preceded
from faults_place import TIMES, Attempt, Place, in_process, in_words

from rtma_diffda.cycling.clock import WallClock
from rtma_diffda.cycling.method_chain import MethodChain
from rtma_diffda.errors import InputError
from rtma_diffda.experiments import cycle_systems
from rtma_diffda.experiments.page_process import PageProcess
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.io.archive import Archive
from rtma_diffda.io.archive_store import read_column
from rtma_diffda.times import SLOT, day_of, slot_index

START = np.datetime64("2026-06-15T21:00", "ns")
_FASTER = 240.0
"""Simulated seconds a real one: four real ones a cycle."""
_HOUR, _MINUTE = np.timedelta64(1, "h"), np.timedelta64(1, "m")


@dataclass(frozen=True)
class Jump:
    """When an analysis begins, the machine's clock shows another time all at once."""

    analysis_time: np.datetime64
    shown: np.datetime64


def machine_clock(first: np.datetime64, jump: Jump | None = None) -> Callable[[], None]:
    """Have the machine's clock begin at a time and run faster."""

    def sabotage() -> None:
        began = [(time.monotonic(), first)]

        def real() -> np.datetime64:
            since, shown = began[-1]
            return shown + np.timedelta64(int((time.monotonic() - since) * _FASTER * 1e9), "ns")

        def leap(_: MethodChain, problem: AssimilationProblem, **__: object) -> None:
            if jump is not None and problem.window.analysis_time == jump.analysis_time:
                began.append((time.monotonic(), jump.shown))

        preceded(MethodChain, "analyse", leap)
        cycle_systems.WallClock = partial(WallClock, real=real, pause=lambda seconds: time.sleep(seconds / _FASTER))

    return sabotage


def live(
    place: Place, sabotage: Callable[[], None], *overrides: str, first: np.datetime64, last: np.datetime64
) -> Attempt:
    """Cycle live from one analysis time to another."""
    place.supply(first, last)
    start = f"start={str(first)[:16]}"
    return place.cycle("live=true", start, *overrides, end=last, sabotage=sabotage)


def jumped(place: Place, jump: Jump, first: np.datetime64, last: np.datetime64, *, horizon: int = 12) -> Finding:
    """The clock jumps: analyses are made once each, all but those beyond the horizon (hours)."""
    attempt = live(place, machine_clock(first, jump), f"clock.horizon_hours={horizon}", first=first, last=last)
    stored, told = place.stored(), [record.analysis_time for record in place.journal()]
    times = np.arange(first, last + SLOT, SLOT)
    oldest = jump.shown - SLOT - horizon * _HOUR
    lost = [time for time in times if jump.analysis_time < time < oldest]
    wanted = [time for time in times if time not in lost]
    later = live(place, machine_clock(last + 2 * _HOUR), first=first, last=last)
    after = place.stored()
    back = jump.shown < jump.analysis_time
    checks = {
        f"exit status 0 (found {attempt.status}: {short(attempt.sentence, 80)})": attempt.status == 0,
        f"all are made but those beyond the horizon (made: {in_words(list(stored))})": list(stored) == wanted,
        "nothing is made twice": in_process(_revisions, place, wanted) == {1} and len(told) == len(set(told)),
        "all are complete": all(slot.status == "complete" for slot in stored.values()),
        "a jump back is logged": back == ("the clock went back" in attempt.log),
        f"a later start makes up for the others (exit status {later.status})": later.status == 0
        and list(after) == list(times),
    }
    words = f"; {in_words(lost)} are older than the horizon" if lost else ""
    label = f"{statuses(stored)}; exit {attempt.status}"
    return Finding(f"{len(stored)} of {len(times)}{words}", label, unharmed(stored, after),
                   f"a later start: {later.headline}", checks)  # fmt: skip


def _revisions(place: Place, times: Iterable[np.datetime64]) -> set[int]:
    """How often the slots of these times were written."""
    root = place.run / "archive"
    return {
        int(read_column(root / f"{str(day_of(time))[:10].replace('-', '')}.zarr", "revision")[slot_index(time)])
        for time in times
    }


def disk_full_for_a_while(place: Place) -> Finding:
    """Live, two analyses cannot be written; the run goes on."""
    refused = TIMES[2:4]

    def sabotage() -> None:
        machine_clock(TIMES[0])()

        def refuse(_: Archive, product: Any, **__: object) -> None:
            if product.valid_time in refused:
                raise InputError("cannot write analysis: the disk is full; what was stored before is unharmed")

        preceded(Archive, "write", refuse)

    attempt = live(place, sabotage, first=TIMES[0], last=TIMES[-1])
    left = place.stored()
    told = {record.analysis_time: record.status for record in place.journal()}
    again = live(place, machine_clock(TIMES[-1] + _HOUR), first=TIMES[0], last=TIMES[-1])
    after = place.stored()
    checks = {
        f"exit status 3 (found {attempt.status})": attempt.status == 3,
        "a sentence says so": "2 cycles were refused" in attempt.sentence and "disk is full" in attempt.sentence,
        "the run goes on": list(left) == [*TIMES[:2], *TIMES[4:]],
        "the journal says refused": [told[time] for time in refused] == ["refused", "refused"],
        "the next start completes, bit-equal to an undisturbed run": same_fields(after, place.world.whole()),
    }
    label = f"refused; exit {attempt.status}: {short(attempt.sentence)}"
    return Finding(f"{len(left)} of {len(TIMES)}, then {len(after)}", label, unharmed(left, after),
                   f"{again.headline}; {bits(after, place.world.whole())}", checks)  # fmt: skip


def page_fails(place: Place) -> Finding:
    """The process of the page cannot be started, in a way that nobody has thought of."""

    def sabotage() -> None:
        def fail(*_: object) -> None:
            raise ValueError("no page today")

        preceded(PageProcess, "draw", fail)

    before = place.begin()
    attempt = place.cycle("page=true", sabotage=sabotage)
    after = place.stored()
    checks = {
        f"exit status 0 (found {attempt.status})": attempt.status == 0,
        "it is logged": "no page today" in attempt.log,
        "bit-equal to an undisturbed run": same_fields(after, place.world.whole()),
        "the journal has every cycle": len(place.journal()) == len(TIMES),
    }
    return Finding(f"{len(after) - len(before)} of 3", f"{statuses(after)}; exit {attempt.status}",
                   unharmed(before, after), f"{attempt.headline}; {bits(after, place.world.whole())}",
                   checks)  # fmt: skip


_ONCE = "nothing twice, nothing lost"
_FORWARD = Jump(START + 2 * SLOT, START + 2 * _HOUR + 46 * _MINUTE)
_BACK = Jump(TIMES[1], TIMES[1] - 45 * _MINUTE)

FAULTS = (
    Fault("live: the clock jumps 2 h forward", f"{_ONCE}: what was missed is made up for",
          lambda place: jumped(place, _FORWARD, START, START + 3 * _HOUR)),
    Fault("live: the clock jumps 2 h forward, horizon 1 h", f"{_ONCE} but what is older than the horizon",
          lambda place: jumped(place, _FORWARD, START, START + 3 * _HOUR, horizon=1)),
    Fault("live: the clock jumps 1 h back", f"{_ONCE}; logged", lambda place: jumped(place, _BACK, TIMES[0], TIMES[3])),
    Fault("live: disk full for two cycles (simulated)",
          "they are refused, exit status 3; the run goes on; the next start completes", disk_full_for_a_while),
    Fault("the page fails unexpectedly", "logged; the cycles go on", page_fails),
)  # fmt: skip
