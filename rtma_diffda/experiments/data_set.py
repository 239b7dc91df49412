"""What a simulated data set is: its region, its runs by split, and where each run's random numbers come from.

Every run is independent: it has its own terrain, model parameters and noise, all from generators seeded by (seed,
split, number). The number of other runs, the order of their generation and the number of processes change
nothing in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.settings import require_between
from rtma_diffda.geo.random_terrain import random_terrain
from rtma_diffda.geo.region import Region, load_region
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.simulation_store import SPLITS, read_description, run_path, write_description
from rtma_diffda.io.static_fields import load_static_fields

TERRAINS = ("random", "region")
BATCH = 4
"""Runs that are integrated together, and so share their date: enough to fill the vector units, few enough to resume."""
_STREAMS = ("terrain", "weather", "date", "network", "reports", "withheld", "analysis", "judge")
_FIRST_DAY, _DAYS = np.datetime64("2026-04-01", "D"), 183
"""Summer half of the year, when the sun makes weather of its own."""


@dataclass(frozen=True)
class RunCounts:
    """How many runs each split has."""

    train: int = 160
    validation: int = 12
    test: int = 20

    def __post_init__(self) -> None:
        for split in SPLITS:
            require_between(f"data.runs.{split}", getattr(self, split), 0, 999)


@dataclass(frozen=True)
class DataSetDesign:
    """What to simulate; names and meanings as in ``conf/simulate.yaml``."""

    name: str = "osse_small"
    region: str = "osse_small"
    terrain: str = "random"
    runs: RunCounts = field(default_factory=RunCounts)
    hours: int = 24
    interval_minutes: int = 60
    lags: tuple[int, ...] = (3, 6, 12)
    directory: str = "outputs"

    def __post_init__(self) -> None:
        require_between("data.hours", self.hours, 1, 240)
        require_between("data.interval_minutes", self.interval_minutes, 15, 360)
        if self.interval_minutes % 15 or 60 % min(self.interval_minutes, 60):
            raise UsageError(
                f"data.interval_minutes is {self.interval_minutes}; it must divide an hour into quarters, or be whole "
                "hours"
            )
        if self.terrain not in TERRAINS:
            raise UsageError(f"data.terrain is '{self.terrain}'; it may be {' or '.join(TERRAINS)}")
        if any(not isinstance(lead, int) or not 1 <= lead <= self.hours for lead in self.lags):
            raise UsageError(f"data.lags are {self.lags}; they must be whole hours between 1 and data.hours")

    @cached_property
    def place(self) -> Region:
        """The region."""
        return load_region(self.region)

    def path(self, seed: int) -> Path:
        """Directory of the data set drawn with ``seed``."""
        return Path(self.directory) / self.name / f"seed_{seed}"

    def run_path(self, seed: int, split: str, number: int) -> Path:
        """Store of one run."""
        return run_path(self.path(seed), split, number)

    def numbers(self, split: str) -> range:
        """Numbers of the runs of a split."""
        return range(getattr(self.runs, split))

    def description(self, seed: int) -> dict[str, object]:
        """All that determines what a run of given split and number is."""
        grid = self.place.grid
        return {
            "name": self.name,
            "seed": seed,
            "grid": [grid.projection, grid.nx, grid.ny, grid.dx, grid.dy, grid.x0, grid.y0],
            "variables": list(self.place.variables),
            "terrain": self.terrain if self.terrain == "random" else self.region,
            "hours": self.hours,
            "interval_minutes": self.interval_minutes,
            "lags": list(self.lags),
        }

    def claim(self, seed: int, extra: Mapping[str, object]) -> Path:
        """Make the directory with its description, or check that what is there was drawn alike.

        Raises:
            InputError: there is another data set in its place.
        """
        path, wanted = self.path(seed), {**self.description(seed), **extra}
        if not (path / "data_set.json").exists():
            write_description(path, wanted)
            return path
        found = read_description(path)
        differing = sorted(key for key, value in wanted.items() if found.get(key) != value)
        if differing:
            raise InputError(
                f"{path} holds another data set: {', '.join(f'{k} is {found.get(k)!r}' for k in differing)}, asked for "
                f"is {', '.join(repr(wanted[k]) for k in differing)}; remove it or choose another data.name"
            )
        return path


def run_generator(
    seed: int, split: str, number: int, stream: str, *, valid_time: np.datetime64 | None = None
) -> torch.Generator:
    """The generator of one kind of draws of one run, or of one of its valid times.

    Args:
        seed: of the data set.
        split: train, validation or test.
        number: of the run within its split.
        stream: what is drawn: terrain, weather, date, network, reports, withheld, analysis or judge.
        valid_time: of draws that are made anew for every time.
    """
    entropy = [seed, SPLITS.index(split), number, _STREAMS.index(stream)]
    if valid_time is not None:
        entropy.append(int(valid_time.astype("datetime64[m]").astype(np.int64)))
    words = np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(words >> np.uint64(1)))


def run_static(design: DataSetDesign, seed: int, split: str, number: int) -> StaticFields:
    """Terrain and land of one run: its own, or the region's."""
    if design.terrain == "region":
        return load_static_fields(design.place)
    return random_terrain(design.place.grid, generator=run_generator(seed, split, number, "terrain"))


def run_times(design: DataSetDesign, seed: int, split: str, number: int) -> np.ndarray:
    """(time,) valid times of one run: from midnight of a day drawn from the summer half of the year for its batch."""
    generator = run_generator(seed, split, number // BATCH, "date")
    day = _FIRST_DAY + int(torch.randint(_DAYS, (1,), generator=generator))
    step = np.timedelta64(design.interval_minutes, "m")
    count = design.hours * 60 // design.interval_minutes
    return day.astype("datetime64[ns]") + np.arange(count) * step
