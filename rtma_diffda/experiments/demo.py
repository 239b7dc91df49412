"""``run_demo``: from simulated weather to verified analyses every 15 minutes, through the code that real data use.

Stations write METAR text, which MetPy reads; backgrounds are NetCDF files; the rest is what ``analyse`` does, for one
time after the other. Only the weather is made up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rtma_diffda.cycling.case import Case, CaseSources, limited, seeded
from rtma_diffda.cycling.publication import Publisher
from rtma_diffda.experiments.methods import BuiltMethod, MethodSettings, build_method
from rtma_diffda.experiments.progress import progress
from rtma_diffda.experiments.reporting import PageHead, RunSummary, Verification, draw_analysis, page, withheld_pairs
from rtma_diffda.experiments.settings import as_time, require_between, settings_from
from rtma_diffda.experiments.simulated_world import SimulatedWorld, WorldSettings, simulate_world, truth_rmse
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.region import load_region
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import Analysis, AssimilationProblem
from rtma_diffda.io.background import load_background
from rtma_diffda.io.static_fields import load_static_fields
from rtma_diffda.io.tables import write_table
from rtma_diffda.observations.ingest.files import read_observations
from rtma_diffda.observations.ingest.stations import load_stations
from rtma_diffda.observations.screening import QualityControl
from rtma_diffda.observations.simulated_errors import ReportErrors
from rtma_diffda.observations.withholding import withheld_stations
from rtma_diffda.times import SLOT, Window, compact_time, format_time, slot_index
from rtma_diffda.verification.bootstrap import BlockBootstrap
from rtma_diffda.verification.display import display_difference, format_table

HALF_WINDOW = np.timedelta64(450, "s")
"""Half of a 15-minute window: every report belongs to one analysis."""

DEFAULT_START = np.datetime64("2026-06-15T20:00", "ns")
"""Local noon in the demonstration region."""

METHODS = ("observation_interpolation", "optimal_interpolation", "regional")
"""What is run side by side; the last is the product: diffusion where the packaged denoiser fits the region."""


@dataclass(frozen=True)
class DemoVerification:
    """``withheld_fraction`` of the stations, in blocks of ``block_degrees``, verify and are never used."""

    withheld_fraction: float = 0.25
    block_degrees: float = 0.3


@dataclass(frozen=True)
class DemoSettings:
    """Names and meanings as in ``conf/demo.yaml``."""

    region: str = "demo"
    start: np.datetime64 = DEFAULT_START
    hours: float = 3.0
    stations: int = 120
    gross_error_rate: float = 0.005
    tuning_hours: int = 12
    verification: DemoVerification = field(default_factory=DemoVerification)
    output: str = "outputs/demo"
    seed: int = 1
    progress: bool = True

    def __post_init__(self) -> None:
        slot_index(self.start)
        require_between("hours", self.hours, 0.0, 48.0)
        require_between("stations", self.stations, 20, 2000)
        require_between("gross_error_rate", self.gross_error_rate, 0.0, 0.5)
        require_between("tuning_hours", self.tuning_hours, 1, 72)
        require_between("verification.withheld_fraction", self.verification.withheld_fraction, 0.01, 0.9)
        require_between("seed", self.seed, 0, 2**31 - 1)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "DemoSettings":
        """Settings from a composed configuration."""
        return settings_from(cls, {**values, "start": as_time(values["start"])})

    @property
    def cycle_times(self) -> np.ndarray:
        """Analysis times, every 15 minutes."""
        return self.start + np.arange(int(self.hours * 4) + 1) * SLOT

    @property
    def tuning_times(self) -> np.ndarray:
        """Hours before the start, on whose innovations the interpolations are tuned."""
        return self.start - np.arange(self.tuning_hours, 0, -1) * np.timedelta64(1, "h")


@dataclass(frozen=True)
class _Reader:
    """Turns the files of one time into a case."""

    world: SimulatedWorld
    sources: CaseSources
    layout: Layout

    def case(self, index: int) -> Case:
        time = self.world.times[index]
        background = load_background(
            self.world.backgrounds[index], layout=self.layout, static=self.sources.static, valid_time=time
        )
        ingest = read_observations(
            [str(self.world.bulletins[index])],
            reference_time=time,
            stations=load_stations(self.world.station_table),
        )
        provenance = {"background": background.provenance, "observations": self.world.bulletins[index].name}
        return self.sources.case(background.state, ingest.table, Window.around(time, HALF_WINDOW), provenance)


def run_demo(settings: DemoSettings) -> RunSummary:
    """Simulate, ingest, analyse, archive, draw and verify.

    Returns:
        The headline table and where everything is.
    """
    output = Path(settings.output)
    reader, withheld = _prepare(settings, output)
    first = len(settings.tuning_times)
    tuning = [reader.case(i).problem() for i in progress(range(first), "tuning", shown=settings.progress)]
    methods = _built(tuning, reader.sources.static)
    cycles = progress(range(first, len(reader.world.times)), "cycles", shown=settings.progress)
    done = [_cycle(reader, index, methods, settings) for index in cycles]
    pairs = pd.concat([withheld_pairs(case, found) for case, found in done], ignore_index=True)
    bootstrap = BlockBootstrap(block_degrees=settings.verification.block_degrees)
    outcome = _Outcome(done, methods, Verification.of(pairs, withheld, bootstrap))
    files = {"archive": output / "archive", "maps": output / "maps", "pairs": output / "pairs.parquet"}
    write_table(files["pairs"], pairs)
    case, found = done[-1]
    maps = draw_analysis(found[outcome.published], case, files["maps"], label=compact_time(case.window.analysis_time))
    files["report"] = _page(settings, outcome, maps)
    grid_errors = _grid_errors(reader.world.truth[first:], done)
    return RunSummary(_text(settings, outcome.verification, grid_errors, files), files, outcome.degraded)


@dataclass(frozen=True)
class _Outcome:
    """All cycles with their analyses by method, the methods, and the verification of all together."""

    cycles: Sequence[tuple[Case, Mapping[str, Analysis]]]
    methods: Sequence[BuiltMethod]
    verification: Verification

    @property
    def published(self) -> str:
        """Name of the method whose analyses are the product."""
        return self.methods[-1].name

    @property
    def degraded(self) -> tuple[str, ...]:
        """Reasons why some published analysis is less than normal, each once."""
        return tuple(dict.fromkeys(reason for _, found in self.cycles for reason in found[self.published].degraded))


def _prepare(settings: DemoSettings, output: Path) -> tuple[_Reader, tuple[str, ...]]:
    """The world on disk, and the stations that verify it: chosen once, from the table of stations."""
    region = load_region(settings.region)
    static = load_static_fields(region)
    output.mkdir(parents=True, exist_ok=True)
    world = simulate_world(
        region,
        static,
        np.concatenate([settings.tuning_times, settings.cycle_times]),
        settings=WorldSettings(settings.stations, settings.gross_error_rate, settings.seed),
        directory=output,
    )
    withheld = withheld_stations(
        pd.read_csv(world.station_table),
        fraction=settings.verification.withheld_fraction,
        block_degrees=settings.verification.block_degrees,
        seed=settings.seed,
    )
    sources = CaseSources(region, static, QualityControl(ReportErrors().error_model()), withheld)
    return _Reader(world, sources, Layout.of(region.grid, region.variables)), withheld


def _built(tuning: Sequence[AssimilationProblem], static: StaticFields) -> tuple[BuiltMethod, ...]:
    """The methods, each once: where diffusion does not fit, the product is the optimal interpolation."""
    built = [build_method(MethodSettings(name), tuning, static) for name in METHODS]
    return tuple({method.name: method for method in built}.values())


def _cycle(
    reader: _Reader, index: int, methods: Sequence[BuiltMethod], settings: DemoSettings
) -> tuple[Case, dict[str, Analysis]]:
    """One analysis time: every method on the same problem; the last one is published."""
    case = reader.case(index)
    problem, time = case.problem(), case.window.analysis_time
    analyses = {
        built.name: limited(built.method.analyse(problem, generator=seeded(settings.seed, time))) for built in methods
    }
    publisher = Publisher.at(settings.output, case.region, layout=reader.layout, static=case.static, overwrite=True)
    last = methods[-1]
    product = publisher.publish(case, analyses[last.name], {"method": last.name, "method_settings": last.description})
    if index == len(reader.world.times) - 1:
        publisher.write_netcdf(product)
    return case, analyses


def _grid_errors(truth: Sequence[State], cycles: Sequence[tuple[Case, Mapping[str, Analysis]]]) -> pd.DataFrame:
    """RMSE over the grid against the simulated truth, root mean square over the cycles."""
    squares = [
        truth_rmse(state, {"background": case.background} | {name: a.state for name, a in found.items()}) ** 2
        for state, (case, found) in zip(truth, cycles, strict=True)
    ]
    return np.sqrt(sum(squares) / len(squares))


def _page(settings: DemoSettings, outcome: _Outcome, maps: Mapping[str, Path]) -> Path:
    times, cases = settings.cycle_times, [case for case, _ in outcome.cycles]
    head = PageHead(
        title=f"{cases[0].region.title}: {len(times)} analyses",
        summary=(
            f"Simulated weather from {format_time(times[0])} to {format_time(times[-1])}, analysed every 15 minutes "
            f"from the METAR text of {settings.stations} simulated stations. This page "
            "shows that everything works; it says nothing about skill on real weather."
        ),
        provenance={
            "region": settings.region,
            "seed": settings.seed,
            "interpolations tuned on": f"{settings.tuning_hours} hourly sets of reports before the first analysis",
            **{f"settings of {built.name}": built.description for built in outcome.methods},
        },
        published=outcome.published,
        degraded=outcome.degraded,
    )
    captioned = {f"{name} at {format_time(times[-1])}": path for name, path in maps.items()}
    path = Path(settings.output) / "report.html"
    return page(path, head, verification=outcome.verification, maps=captioned, cases=cases)


def _text(
    settings: DemoSettings, verification: Verification, grid_errors: pd.DataFrame, files: Mapping[str, Path]
) -> str:
    times = settings.cycle_times
    shown = pd.DataFrame({name: [float(display_difference(str(v), e)[0]) for v, e in column.items()]
                          for name, column in grid_errors.items()}, index=grid_errors.index)  # fmt: skip
    return "\n".join(
        [
            f"{len(times)} analyses of simulated weather, {format_time(times[0])} to {format_time(times[-1])}",
            "",
            f"At {len(set(verification.withheld))} withheld stations (no method has seen them):",
            format_table(verification.scores),
            "",
            "Over the whole grid, RMSE against the simulated truth (display units as above):",
            shown.round(2).to_string(),
            "",
            *(f"{what}: {path}" for what, path in files.items()),
        ]
    )
