"""The settings of ``rtma-diffda cycle``; names and meanings as in ``conf/cycle.yaml``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rtma_diffda.cycling.schedule import POLICIES, Stream
from rtma_diffda.errors import UsageError
from rtma_diffda.experiments.analyse import ControlSettings
from rtma_diffda.experiments.settings import as_texts, as_time, require_between, require_texts, settings_from

UNCYCLED, FORECAST, ALONE, CHANGE = "background", "forecast", "forecast_alone", "background_change"
FIRST_GUESSES = (UNCYCLED, FORECAST, ALONE, CHANGE)
RAPID, LATE = "ru", "urma"
"""Names of the streams: the rapid update, and the re-analysis with late reports."""

METHODS = ("regional", "diffusion", "optimal_interpolation")


@dataclass(frozen=True)
class BackgroundSettings:
    """Where regional backgrounds come from."""

    path: str | None = None
    latency_hours: float = 0.0
    usual_lead_hours: float | None = None
    longest_lead_hours: float | None = None
    interpolated_minutes: float = 0.0
    shift_minutes: float = 0.0

    def __post_init__(self) -> None:
        require_between("background.latency_hours", self.latency_hours, 0.0, 240.0)
        require_between("background.interpolated_minutes", self.interpolated_minutes, 0.0, 720.0)
        require_between("background.shift_minutes", self.shift_minutes, 0.0, 1440.0)
        for name in ("usual_lead_hours", "longest_lead_hours"):
            if getattr(self, name) is not None:
                require_between(f"background.{name}", getattr(self, name), 0.0, 240.0)


@dataclass(frozen=True)
class GlobalSettings:
    """Where the states of global runs come from; ``path`` None: there are none."""

    path: str | None = None
    model: str = ""
    latency_hours: float = 0.0
    usual_age_hours: float | None = None

    def __post_init__(self) -> None:
        require_between("global_runs.latency_hours", self.latency_hours, 0.0, 240.0)
        if self.usual_age_hours is not None:
            require_between("global_runs.usual_age_hours", self.usual_age_hours, 0.0, 240.0)


@dataclass(frozen=True)
class ReportSettings:
    """Where reports come from, which count, and how few are too few."""

    path: tuple[str, ...] = ()
    stations: str | None = None
    arrival: str = "modified"
    window_minutes: float = 7.5
    cutoff_minutes: float = 15.0
    few: int = 5
    patience_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.arrival not in ("modified", "ignored"):
            raise UsageError(f"observations.arrival is '{self.arrival}'; it may be modified or ignored")
        require_between("observations.window_minutes", self.window_minutes, 0.0, 720.0)
        require_between("observations.cutoff_minutes", self.cutoff_minutes, 0.0, 1440.0)
        require_between("observations.few", self.few, 0, 100_000)
        require_between("observations.patience_seconds", self.patience_seconds, 0.01, 3600.0)


@dataclass(frozen=True)
class LateSettings:
    """The ``urma`` stream: every ``interval_minutes`` once more, with the reports of ``cutoff_hours``."""

    run: bool = False
    interval_minutes: float = 60.0
    cutoff_hours: float = 6.0

    def __post_init__(self) -> None:
        require_between("urma.interval_minutes", self.interval_minutes, 15.0, 1440.0)
        require_between("urma.cutoff_hours", self.cutoff_hours, 0.0, 240.0)


@dataclass(frozen=True)
class GuessSettings:
    """The first guess: the given background, or a forecast from our own analyses that is drawn towards it."""

    kind: str = UNCYCLED
    members: bool = False
    weight: float = 0.1
    blend_minutes: float = 15.0
    persistence_hours: float = 3.0
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in FIRST_GUESSES:
            raise UsageError(f"first_guess.kind is '{self.kind}'; it may be {', '.join(FIRST_GUESSES)}")
        if self.members and self.kind == UNCYCLED:
            raise UsageError("first_guess.members=true carries members from cycle to cycle; it needs a cycled first "
                             f"guess: first_guess.kind={FORECAST}, {ALONE} or {CHANGE}")  # fmt: skip
        require_between("first_guess.weight", self.weight, 0.0, 1.0)
        require_between("first_guess.blend_minutes", self.blend_minutes, 15.0, 1440.0)
        require_between("first_guess.persistence_hours", self.persistence_hours, 0.0, 240.0)

    @property
    def cycled(self) -> bool:
        """Whether it begins from our own analyses."""
        return self.kind != UNCYCLED


@dataclass(frozen=True)
class CycleMethodSettings:
    """Which method, where it works, and on how many hours before the start interpolation is tuned."""

    name: str = "regional"
    checkpoint: str | None = None
    tuning_hours: int = 12
    device: str = "cpu"
    threads: int = 0

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            raise UsageError(f"method.name is '{self.name}'; cycles know {', '.join(METHODS)}")
        require_between("method.tuning_hours", self.tuning_hours, 0, 240)
        require_between("method.threads", self.threads, 0, 1024)
        if self.device != "cpu" and not self.device.startswith("cuda"):
            raise UsageError(f"method.device is '{self.device}'; it may be cpu or cuda, or cuda:N")


@dataclass(frozen=True)
class WithholdingSettings:
    """Which stations verify: a fixed list for all cycles and streams, named or drawn once."""

    withheld_fraction: float = 0.1
    block_degrees: float = 0.5
    stations: tuple[str, ...] = ()
    report: bool = True

    def __post_init__(self) -> None:
        require_between("verification.withheld_fraction", self.withheld_fraction, 0.0, 0.9)
        require_between("verification.block_degrees", self.block_degrees, 0.01, 30.0)
        require_texts("verification.stations", self.stations)


@dataclass(frozen=True)
class LiveSettings:
    """How live cycling keeps time."""

    missed: str = "backfill"
    horizon_hours: float = 12.0
    poll_seconds: float = 20.0
    clock_start: np.datetime64 | None = None
    clock_factor: float = 1.0

    def __post_init__(self) -> None:
        if self.missed not in POLICIES:
            raise UsageError(f"clock.missed is '{self.missed}'; it may be {' or '.join(POLICIES)}")
        require_between("clock.horizon_hours", self.horizon_hours, 0.0, 24.0 * 30)
        require_between("clock.poll_seconds", self.poll_seconds, 0.01, 3600.0)
        require_between("clock.clock_factor", self.clock_factor, 1e-3, 1e5)


@dataclass(frozen=True)
class HindcastSettings:
    """Chunks of cycles in several processes; ``chunk_hours`` 0: all in one."""

    chunk_hours: float = 0.0
    spin_up_hours: float = 6.0
    workers: int = 2
    scheduler: str | None = None

    def __post_init__(self) -> None:
        require_between("hindcast.chunk_hours", self.chunk_hours, 0.0, 24.0 * 366)
        require_between("hindcast.spin_up_hours", self.spin_up_hours, 0.0, 240.0)
        require_between("hindcast.workers", self.workers, 0, 4096)


@dataclass(frozen=True)
class ArchiveSettings:
    """What the archive holds: members beside the mean, and how many days."""

    members: bool = False
    keep: int | None = None

    def __post_init__(self) -> None:
        if self.keep is not None:
            require_between("archive.keep", self.keep, 1, 100_000)


@dataclass(frozen=True)
class SimulatedSettings:
    """A simulated world that the run makes for itself first, if ``make``; its files take the place of paths."""

    make: bool = False
    stations: int = 120
    gross_error_rate: float = 0.005
    late_reports: bool = True
    seed: int = 1

    def __post_init__(self) -> None:
        require_between("world.stations", self.stations, 10, 2000)
        require_between("world.gross_error_rate", self.gross_error_rate, 0.0, 0.5)


@dataclass(frozen=True)
class CycleSettings:
    """Cycles of one region."""

    region: str
    background: BackgroundSettings = field(default_factory=BackgroundSettings)
    start: np.datetime64 | None = None
    end: np.datetime64 | None = None
    live: bool = False
    data: str | None = None
    variables: tuple[str, ...] | None = None
    interval_minutes: float = 15.0
    world: SimulatedSettings = field(default_factory=SimulatedSettings)
    observations: ReportSettings = field(default_factory=ReportSettings)
    global_runs: GlobalSettings = field(default_factory=GlobalSettings)
    first_guess: GuessSettings = field(default_factory=GuessSettings)
    method: CycleMethodSettings = field(default_factory=CycleMethodSettings)
    urma: LateSettings = field(default_factory=LateSettings)
    quality_control: ControlSettings = field(default_factory=ControlSettings)
    verification: WithholdingSettings = field(default_factory=WithholdingSettings)
    clock: LiveSettings = field(default_factory=LiveSettings)
    hindcast: HindcastSettings = field(default_factory=HindcastSettings)
    archive: ArchiveSettings = field(default_factory=ArchiveSettings)
    page: bool = True
    overlap: bool = True
    output: str = "outputs/cycle"
    seed: int = 1
    progress: bool = True

    def __post_init__(self) -> None:
        require_between("seed", self.seed, 0, 2**63 - 1)
        require_between("interval_minutes", self.interval_minutes, 15.0, 1440.0)
        missing = [n for n, v in {"background.path": self.background.path, "observations.path": self.observations.path}
                   .items() if not v]  # fmt: skip
        if missing and not self.world.make:
            raise UsageError(f"not given: {', '.join(missing)}; say for example {missing[0]}=…")
        if not self.live and (self.start is None or self.end is None):
            raise UsageError("cycles of the past need start=… and end=…; live=true (or --live) goes on by the clock")
        if self.start is not None and self.end is not None and self.end < self.start:
            raise UsageError(f"end {self.end} is before start {self.start}")
        window = 2 * self.observations.window_minutes
        if self.first_guess.cycled and window > self.interval_minutes:
            raise UsageError(
                f"in cycled mode a datum may enter once: windows of {window:g} min overlap at intervals of "
                f"{self.interval_minutes:g} min; choose observations.window_minutes ≤ {self.interval_minutes / 2:g}"
            )
        if self.live and self.hindcast.chunk_hours:
            raise UsageError("hindcast.chunk_hours divides a replay; live cycles follow the clock")
        if self.world.make and self.live:
            raise UsageError("a simulated world has a beginning and an end: world.make=true is for replays")
        if self.first_guess.kind in (FORECAST, ALONE) and self.global_runs.path is None and not self.world.make:
            raise UsageError(
                f"first_guess.kind={self.first_guess.kind} needs the states of global runs at its rim: "
                "global_runs.path=…"
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "CycleSettings":
        """Settings from a composed configuration."""
        given = {key: value for key, value in values.items() if key != "experiment"}
        for name in ("start", "end"):
            given[name] = None if given.get(name) is None else as_time(given[name])
        clock = dict(given.get("clock") or {})
        if clock.get("clock_start") is not None:
            clock["clock_start"] = as_time(clock["clock_start"])
        given["clock"] = clock
        observations = dict(given["observations"])
        if observations.get("path") is not None:
            observations["path"] = as_texts(observations["path"], "observations.path")
        else:
            del observations["path"]
        given["observations"] = observations
        if given.get("variables") is not None:
            given["variables"] = as_texts(given["variables"], "variables")
        return settings_from(cls, given)

    def streams(self) -> tuple[Stream, ...]:
        """The rapid update, and the re-analysis where it is wanted."""
        half = seconds(60 * self.observations.window_minutes)
        rapid = Stream(RAPID, seconds(60 * self.interval_minutes), half, seconds(60 * self.observations.cutoff_minutes))
        if not self.urma.run:
            return (rapid,)
        late = Stream(LATE, seconds(60 * self.urma.interval_minutes), half, seconds(3600 * self.urma.cutoff_hours))
        return (rapid, late)


def seconds(count: float) -> np.timedelta64:
    """So many seconds, to the millisecond, as ``timedelta64[ns]``."""
    return np.timedelta64(round(1000 * count), "ms").astype("timedelta64[ns]")
