"""What a fault promises, and what was found: the rows of the table."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from faults_place import TIMES, Attempt, Place, Slots

AGREE = "the journal says what the products say"
HEADER = ("fault", "promised", "product published?", "label", "nothing lost?", "recovery", "ok")


@dataclass(frozen=True)
class Finding:
    """What became of a fault.

    Attributes:
        published: how many products of the cycles that the fault met.
        label: what product, journal and exit status say.
        unharmed: whether all analyses stored before are what they were, bit for bit.
        recovery: what the next cycle or the next start did.
        checks: what was promised, in words, and whether it is so.
    """

    published: str
    label: str
    unharmed: bool
    recovery: str
    checks: Mapping[str, bool] = field(default_factory=dict)

    @property
    def broken(self) -> list[str]:
        """Promises that were not kept."""
        found = [what for what, kept in self.checks.items() if not kept]
        return found if self.unharmed else ["nothing stored before is lost", *found]


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        name: of the fault.
        promise: in words.
        inject: brings it about in a place, and looks at what becomes of it.
    """

    name: str
    promise: str
    inject: Callable[[Place], Finding]

    def row(self, finding: Finding) -> tuple[str, ...]:
        """Of the table."""
        broken = finding.broken
        verdict = f"NO: {'; '.join(broken)}" if broken else "yes"
        lost = "yes" if finding.unharmed else "NO"
        return (self.name, self.promise, finding.published, finding.label, lost, finding.recovery, verdict)


def unharmed(before: Slots, after: Slots) -> bool:
    """Whether every analysis of before is there afterwards with the same bits, provenance and feedback."""
    return all(after.get(time) == slot for time, slot in before.items())


def same_fields(after: Slots, undisturbed: Slots, times: Sequence[np.datetime64] = tuple(TIMES)) -> bool:
    """Whether the analyses of these times have the same fields, bit for bit, and the same status."""
    return all(
        time in after
        and (after[time].fields, after[time].status) == (undisturbed[time].fields, undisturbed[time].status)
        for time in times
    )


def bits(after: Slots, undisturbed: Slots, times: Sequence[np.datetime64] = tuple(TIMES)) -> str:
    """``same_fields`` in words."""
    return "bit-equal" if same_fields(after, undisturbed, times) else "NOT bit-equal"


def statuses(slots: Slots) -> str:
    """How many analyses are what."""
    counts = Counter(slot.status for slot in slots.values())
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none"


def labels_kept(
    place: Place, attempt: Attempt, times: Sequence[np.datetime64], said: str, *, status: int = 4
) -> dict[str, bool]:
    """Whether the products of these times say something, the journal the same, and the exit status too."""
    stored = place.stored()
    told = {record.analysis_time: record.reasons for record in place.journal() if record.stream == "ru"}
    labelled = [time in stored and any(said in reason for reason in stored[time].reasons) for time in times]
    return {
        f"the products say '{said}'": all(labelled),
        AGREE: all(told.get(time) == slot.reasons for time, slot in stored.items()),
        "other products are complete": all(s.status == "complete" for t, s in stored.items() if t not in times),
        f"exit status {status} (found {attempt.status})": attempt.status == status,
    }


def reasons_at(place: Place, time: np.datetime64) -> str:
    """What a product says of itself, the beginning of each reason."""
    slot = place.stored().get(time)
    if slot is None:
        return "no product"
    return "; ".join(short(reason, 80) for reason in slot.reasons) or slot.status


def short(text: str, length: int = 150) -> str:
    """The text, cut if it is long."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
