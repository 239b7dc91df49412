"""``DiffdaSettings``: what the experiments of DiffDA are run with; names as in ``conf/experiment/diffda_all.yaml``."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from rtma_diffda.errors import UsageError
from rtma_diffda.experiments.diffda_autoregressive import FIXED, FREE
from rtma_diffda.experiments.settings import as_time, require_between, require_texts, settings_from

SINGLE_STEP, LEAD_TIME, AUTOREGRESSIVE, REAL_LOCATIONS, ABLATIONS = (
    "diffda_single_step",
    "diffda_lead_time",
    "diffda_autoregressive",
    "diffda_real_locations",
    "diffda_ablations",
)
EXPERIMENTS = (SINGLE_STEP, LEAD_TIME, AUTOREGRESSIVE, REAL_LOCATIONS, ABLATIONS)
"""One after the other."""
EVERY = "diffda_all"
EXERCISES = (*EXPERIMENTS, EVERY)
"""Their names among the exercises of ``reproduce``."""

PUBLISHED_COLUMNS = (1_000, 2_000, 4_000, 8_000, 10_000, 20_000, 40_000)
MINIATURE_COLUMNS = (10, 20, 40, 80, 160, 320, 640)
PUBLISHED_CYCLE, MINIATURE_CYCLE = 10_000, 320
"""Columns of a cycle. 320 are 1,260 km from each other: ten thousand on 64 × 32 points there cannot be."""
_PUBLISHED_POINTS = 721 * 1440
_PUBLISHED_COUNT = 10_000
"""Of the abstract's claim."""


@dataclass(frozen=True)
class GlobalFiles:
    """Where truth, model and denoisers are; None: the packaged ones, of made-up weather."""

    data: str | None = None
    forecast_checkpoint: str | None = None
    denoiser_48h: str | None = None
    denoiser_6h: str | None = None
    denoiser: str | None = None
    statistics: str | None = None
    climatology: str | None = None
    cycled_covariance: str | None = None


@dataclass(frozen=True)
class RepaintSettings:
    """DiffDA's sampler, shortened: noise levels, and passes over jumps of so many of them."""

    levels: int = 20
    jump: int = 5
    passes: int = 2

    def __post_init__(self) -> None:
        require_between("repaint.levels", self.levels, 2, 1000)
        require_between("repaint.jump", self.jump, 1, self.levels)
        require_between("repaint.passes", self.passes, 1, 100)


@dataclass(frozen=True)
class LeadTimeSettings:
    """Of the experiment on lead time."""

    cases: int = 4
    columns: tuple[int, ...] | None = None
    network: str = FIXED
    methods: tuple[str, ...] = ("kriging_tuned", "oi", "diffda", "diffda_innovations", "default")

    def __post_init__(self) -> None:
        require_between("lead_time.cases", self.cases, 1, 100_000)
        if self.network not in (FREE, FIXED):
            raise UsageError(f"lead_time.network is '{self.network}'; it may be {FREE} or {FIXED}")


@dataclass(frozen=True)
class CycleSettings:
    """Of the autoregressive experiment."""

    cycles: int = 24
    starts: int = 2
    columns: int | None = None
    networks: tuple[str, ...] = (FREE, FIXED)
    methods: tuple[str, ...] = (
        "kriging_tuned",
        "oi",
        "oi_cycled",
        "diffda",
        "default",
        "default_cycled",
    )

    def __post_init__(self) -> None:
        require_between("cycle.cycles", self.cycles, 4, 10_000)
        require_between("cycle.starts", self.starts, 1, 1000)
        unknown = set(self.networks) - {FREE, FIXED}
        if unknown or not self.networks:
            raise UsageError(f"cycle.networks are {list(self.networks)}; they may be {FREE}, {FIXED}, or both")


@dataclass(frozen=True)
class AblationSettings:
    """Of the ablations."""

    columns: int | None = None
    cases: int = 3
    blur: tuple[float, ...] = (0.5, 1.0, 1.5, 2.0, 2.5)
    passes: tuple[int, ...] = (1, 2, 5, 10)

    def __post_init__(self) -> None:
        require_between("ablation.cases", self.cases, 1, 100_000)
        for value in self.blur:
            require_between("ablation.blur", value, 0.0, 100.0)
        for value in self.passes:
            require_between("ablation.passes", value, 1, 100)


@dataclass(frozen=True)
class DiffdaSettings:
    """See ``conf/experiment/diffda_all.yaml``."""

    exercise: str
    files: GlobalFiles = field(default_factory=GlobalFiles)
    period: tuple[str | None, str | None] = (None, None)
    cases: int = 4
    columns: tuple[int, ...] | None = None
    draw: str = "index"
    locations: str | None = None
    members: int = 5
    methods: tuple[str, ...] = (
        *("linear", "kriging_tuned", "oi", "diffda", "diffda_innovations"),
        *("default", "sda", "mmps", "prior"),
    )
    full: bool = True
    repaint: RepaintSettings = field(default_factory=RepaintSettings)
    lead_time: LeadTimeSettings = field(default_factory=LeadTimeSettings)
    cycle: CycleSettings = field(default_factory=CycleSettings)
    ablation: AblationSettings = field(default_factory=AblationSettings)
    device: str = "cpu"
    output: str = "outputs/diffda"
    seed: int = 1
    progress: bool = True

    def __post_init__(self) -> None:
        if self.exercise not in EXERCISES:
            raise UsageError(f"exercise is '{self.exercise}'; it may be {', '.join(EXERCISES)}")
        if self.draw not in ("index", "area"):
            raise UsageError(f"draw is '{self.draw}'; columns are drawn by index, as published, or by area")
        require_between("cases", self.cases, 1, 100_000)
        require_between("members", self.members, 2, 1000)
        require_between("seed", self.seed, 0, 2**31 - 1)
        require_texts("methods", self.methods)
        if self.columns is not None and (not self.columns or len(set(self.columns)) < len(self.columns)):
            raise UsageError(f"columns are {list(self.columns)}; give one number or several, all different")
        for count in self.columns or ():
            require_between("columns", count, 1, 10_000_000)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "DiffdaSettings":
        """Settings from a composed configuration of ``reproduce``, whose other keys are the other exercises'."""
        own = {part.name for part in fields(cls)} - {"files"}
        places = {part.name for part in fields(GlobalFiles)}
        chosen = {name: value for name, value in values.items() if name in own}
        return settings_from(cls, chosen | {"files": {name: values.get(name) for name in places}})

    @property
    def miniature(self) -> bool:
        """Whether the packaged sample of made-up weather is used."""
        return self.files.data is None

    @property
    def directory(self) -> Path:
        """Of results and pictures of the experiment."""
        return Path(self.output) / self.exercise.removeprefix("diffda_")

    def limits(self) -> tuple[np.datetime64 | None, np.datetime64 | None]:
        """First and last valid time of the period; None: the archive's own."""
        first, last = (None if value is None else as_time(str(value)) for value in self.period)
        return first, last

    def chosen_columns(self, points: int) -> tuple[int, ...]:
        """Numbers of columns, for a grid of so many points: as published, or the like shares of a small grid."""
        if self.columns is not None:
            return self.columns
        return PUBLISHED_COLUMNS if points >= 0.5 * _PUBLISHED_POINTS else _shares(points)

    def forecast_columns(self, points: int) -> tuple[int, ...]:
        """Numbers of columns of the experiment on lead time: given, or every other one of all."""
        return self.lead_time.columns or self.chosen_columns(points)[::2]

    def cycle_count(self, points: int) -> int:
        """The number of columns of a cycle: given, as published, or what suits a small grid."""
        if self.cycle.columns is not None:
            return self.cycle.columns
        large = points >= 0.5 * _PUBLISHED_POINTS
        return PUBLISHED_CYCLE if large else max(2, round(MINIATURE_CYCLE * points / 2048))

    def single_count(self, given: int | None, points: int) -> int:
        """The number of columns where an experiment has one: given, the published one, or the middle one of all."""
        if given is not None:
            return given
        counts = self.chosen_columns(points)
        return _PUBLISHED_COUNT if counts == PUBLISHED_COLUMNS else counts[len(counts) // 2]


def _shares(points: int) -> tuple[int, ...]:
    """``MINIATURE_COLUMNS`` of 2,048 points; on other grids as many in proportion."""
    return tuple(sorted({max(2, round(count * points / 2048)) for count in MINIATURE_COLUMNS}))
