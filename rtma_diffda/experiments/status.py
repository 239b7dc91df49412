"""``run_status``: how a run of cycles has fared in the last hours, as text, from its archive and journal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rtma_diffda.cycling.record import REFUSED, CycleRecord
from rtma_diffda.cycling.status import LATE, RECENT, CycleStatus, Latency, Trend, status_of
from rtma_diffda.experiments.reporting import RunSummary
from rtma_diffda.experiments.settings import require_between, settings_from
from rtma_diffda.times import format_time
from rtma_diffda.verification.display import aligned_text, display_difference, format_number, title_of

_HOUR, _MINUTE = np.timedelta64(1, "h"), np.timedelta64(1, "m")
_PAST = 2 * 1440.0
"""Minutes after which an analysis is one of the past, made later."""

TREND_HEADER = ("variable", "data", "n", "O−B before", "O−B now", "O−A before", "O−A now")
LATENCY_HEADER = ("seconds", "median", "95 %")


@dataclass(frozen=True)
class StatusSettings:
    """Names and meanings as in ``conf/status.yaml``."""

    output: str
    hours: float = 24.0
    strict: bool = False

    def __post_init__(self) -> None:
        require_between("hours", self.hours, 0.25, 24.0 * 366)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "StatusSettings":
        """Settings from a composed configuration."""
        return settings_from(cls, values)


def run_status(settings: StatusSettings) -> RunSummary:
    """Look at a run.

    Returns:
        The status in words. It is degraded where the settings are strict and the newest analysis is.

    Raises:
        InputError: there is no archive, or nothing in it.
    """
    found = status_of(settings.output, settings.hours)
    last = found[0].last
    degraded = last.reasons if settings.strict and last is not None else ()
    files = {"archive": found[0].archive.root}
    files |= {LATE: found[1].archive.root} if len(found) > 1 else {}
    page = Path(settings.output) / "index.html"
    files |= {"page": page} if page.exists() else {}
    return RunSummary("\n\n".join(map(in_words, found)), files, degraded)


def in_words(status: CycleStatus) -> str:
    """The status of one stream as text."""
    reasons = aligned_text(("reason", "cycles"), reason_rows(status), text_columns=1) if status.reasons else ""
    trends = aligned_text(TREND_HEADER, trend_rows(status.trends)) if status.trends else ""
    latency = aligned_text(LATENCY_HEADER, latency_rows(status.latency), text_columns=1) if status.latency else ""
    heading = f"Departures, root mean squares; now: the last {RECENT / _HOUR:g} h, before: the hours before these"
    parts = ("\n".join(sentences(status)), reasons, f"{heading}\n{trends}" if trends else "", latency)
    return "\n\n".join(filter(None, parts))


def sentences(status: CycleStatus) -> tuple[str, ...]:
    """What comes first: the newest analysis, and how many there are of those that there should be."""
    stream = f", stream {status.stream}" if status.stream else ""
    return (
        f"{status.title}{stream}",
        _newest(status.last),
        (
            f"{format_time(status.start)} to {format_time(status.end)}, every {status.interval / _MINUTE:g} min: "
            f"{status.slots} analyses due, {status.count('complete')} complete, {status.count('degraded')} degraded "
            f"({_share(status.count('degraded'), status.slots)}), {status.missing} missing "
            f"({_share(status.missing, status.slots)}), {status.count(REFUSED)} of these refused"
        ),
    )


def reason_rows(status: CycleStatus) -> list[tuple[str, str]]:
    """Reasons with the number of their cycles."""
    return [(reason, f"{count:,}") for reason, count in status.reasons]


def trend_rows(trends: Mapping[str, Trend]) -> list[tuple[str, ...]]:
    """Columns as in ``TREND_HEADER``, in display units; variables and data without a number are left out."""
    rows = []
    for name, trend in trends.items():
        unit = display_difference(name, 0.0)[1]
        title = title_of(name) + (f" ({unit})" if unit else "")
        before, now = trend.before, trend.recent
        used = (before.ombg, now.ombg, before.oman, now.oman)
        withheld = (before.withheld_ombg, now.withheld_ombg, before.withheld_oman, now.withheld_oman)
        counted = (("used", before.used + now.used, used), ("withheld", before.withheld + now.withheld, withheld))
        rows += [(title, data, f"{n:,}", *_shown(name, values)) for data, n, values in counted if n]
    return rows


def latency_rows(latency: Mapping[str, Latency]) -> list[tuple[str, str, str]]:
    """Columns as in ``LATENCY_HEADER``."""
    return [(stage, f"{found.median:.3f}", f"{found.high:.3f}") for stage, found in latency.items()]


def _newest(record: CycleRecord | None) -> str:
    if record is None:
        return "No analysis: all cycles were refused."
    reasons = f": {'; '.join(record.reasons)}" if record.reasons else ""
    lag = record.lag / _MINUTE
    late = f"{lag:.1f} min" if lag < _PAST else f"{lag / 1440:.0f} days"
    return f"Newest analysis: {format_time(record.analysis_time)}, made {late} after its time, {record.status}{reasons}"


def _share(count: int, total: int) -> str:
    return f"{100 * count / total:.1f} %"


def _shown(name: str, values: Sequence[float]) -> list[str]:
    return [format_number(float(display_difference(name, value)[0])) for value in values]
