"""``CycleRecord``: what became of one cycle, for the log, the metrics and the page."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from rtma_diffda.cycling.cycle import Cycle
from rtma_diffda.cycling.departures import Departures, departures_of
from rtma_diffda.times import format_time

REFUSED = "refused"
"""Status of a cycle without product; others have that of the product: complete or degraded."""


@dataclass(frozen=True)
class CycleRecord:
    """One cycle.

    Attributes:
        stream: which.
        analysis_time: of the product.
        status: complete, degraded or refused.
        reasons: why it is degraded or refused.
        finished: when, on the cycle's clock.
        first_guess: its kind; empty where there was none.
        method: that was wanted.
        global_run: initial time of the run that was used, or none.
        offered: data offered to the cycle.
        rejected_reports: reports that could not be read.
        departures: by variable, of the data used and withheld.
        seconds: by stage.
    """

    stream: str
    analysis_time: np.datetime64
    status: str
    reasons: tuple[str, ...]
    finished: np.datetime64
    first_guess: str = ""
    method: str = ""
    global_run: str = "none"
    offered: int = 0
    rejected_reports: int = 0
    departures: Mapping[str, Departures] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, stream: str, cycle: Cycle, finished: np.datetime64, method: str) -> "CycleRecord":
        """Of a cycle whose product is stored."""
        return cls(
            stream,
            cycle.case.window.analysis_time,
            "degraded" if cycle.analysis.degraded else "complete",
            cycle.analysis.degraded,
            finished,
            cycle.guess.kind,
            method,
            cycle.case.provenance["global_run_initial_time"],
            len(cycle.case.table),
            cycle.rejected_reports,
            departures_of(cycle.feedback),
            dict(cycle.stages.seconds),
        )

    @property
    def lag(self) -> np.timedelta64:
        """From the analysis time to the finished product."""
        return self.finished - self.analysis_time

    @property
    def used(self) -> int:
        """Data used."""
        return sum(found.used for found in self.departures.values())

    def summary(self) -> str:
        """The cycle in one line."""
        seconds = " ".join(f"{name.replace(' ', '_')}={value:.2f}" for name, value in self.seconds.items())
        fits = " ".join(f"{n}={d.ombg:.3g}/{d.oman:.3g}" for n, d in self.departures.items() if np.isfinite(d.oman))
        reasons = f" reasons=[{'; '.join(self.reasons)}]" if self.reasons else ""
        return (
            f"cycle={format_time(self.analysis_time)} stream={self.stream} status={self.status} "
            f"first_guess={self.first_guess.replace(' ', '_') or 'none'} offered={self.offered} used={self.used} "
            f"O-B/O-A: {fits or 'none'} seconds: {seconds or 'none'} total={sum(self.seconds.values()):.2f}{reasons}"
        )

    def to_json(self) -> str:
        """One line of JSON."""
        content = asdict(self) | {
            "analysis_time": format_time(self.analysis_time),
            "finished": str(self.finished.astype("datetime64[ms]")) + "Z",
            "lag_seconds": float(self.lag / np.timedelta64(1, "s")),
            "used": self.used,
            "departures": {
                name: {what: _number(value) for what, value in vars(found).items()}
                for name, found in self.departures.items()
            },
            "seconds": {name: round(value, 4) for name, value in self.seconds.items()},
        }
        return json.dumps(content, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> "CycleRecord":
        """A record again.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: the line is torn or of another kind.
        """
        content = json.loads(line)
        for derived in ("lag_seconds", "used"):
            del content[derived]
        content["reasons"] = tuple(content["reasons"])
        for time in ("analysis_time", "finished"):
            content[time] = np.datetime64(content[time].rstrip("Z"), "ns")
        content["departures"] = {
            name: Departures(**{what: float("nan") if value is None else value for what, value in found.items()})
            for name, found in content["departures"].items()
        }
        return cls(**content)


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return value if np.isfinite(value) else None
