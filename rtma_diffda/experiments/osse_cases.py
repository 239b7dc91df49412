"""Cases of the observing-system simulation experiment: what a method is given of a simulated run, and what it is not.

Networks and the errors of reports depend on the data set's seed, the run and the valid time alone: a network of more
stations contains the smaller one, and another error factor scales the same draws, so that settings are compared on the
same luck. Every datum passes the background check that real reports pass, before any method sees it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rtma_diffda.assimilation.truth_cases import TruthCase
from rtma_diffda.errors import UsageError
from rtma_diffda.experiments.data_set import DataSetDesign, run_generator
from rtma_diffda.experiments.settings import require_between
from rtma_diffda.fields.state import State
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.io.simulation_store import SimulatedRun, read_run
from rtma_diffda.observations.ingest.aerodromes import aerodromes
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.observations.quality_control import BackgroundCheck
from rtma_diffda.observations.screening import QualityControl
from rtma_diffda.observations.simulated_errors import ReportErrors
from rtma_diffda.observations.simulated_reports import observations_of
from rtma_diffda.observations.simulated_sites import RankedNetwork, aerodrome_network, ranked_network
from rtma_diffda.observations.table import Observations
from rtma_diffda.times import Window

SOURCES = ("random", "aerodromes")
"""Where stations stand: at random places tied to the terrain, or at aerodromes of the real Earth."""

_BACKGROUND_STD = (("t2m", 1.5), ("d2m", 1.8), ("u10m", 1.2), ("v10m", 1.2), ("sp", 50.0))
"""SI; about the background errors of the simulated runs, which the background check allows for."""

_HALF_WINDOW = np.timedelta64(450, "s")


@dataclass(frozen=True)
class ObservingSettings:
    """What is observed, and how well; names and meanings as in ``conf/compare.yaml``."""

    stations: int = 100
    withheld: int = 100
    error_factor: float = 1.0
    gross_error_rate: float = 0.0
    background_limit: float | None = 5.0
    source: str = "random"

    def __post_init__(self) -> None:
        require_between("observing.stations", self.stations, 1, 2000)
        require_between("observing.withheld", self.withheld, 1, 2000)
        require_between("observing.error_factor", self.error_factor, 0.001, 100.0)
        require_between("observing.gross_error_rate", self.gross_error_rate, 0.0, 0.5)
        if self.source not in SOURCES:
            raise UsageError(f"observing.source is '{self.source}'; it may be {' or '.join(SOURCES)}")
        if self.background_limit is not None:
            require_between("observing.background_limit", self.background_limit, 0.1, 1e6)


@dataclass(frozen=True)
class RunIdentity:
    """Which run of which data set; seeds everything that is drawn for it."""

    seed: int
    split: str
    number: int

    @property
    def name(self) -> str:
        """Such as ``test/003``."""
        return f"{self.split}/{self.number:03d}"

    def generator(self, stream: str, valid_time: np.datetime64 | None = None) -> torch.Generator:
        """For one kind of draws (``data_set.run_generator``)."""
        return run_generator(self.seed, self.split, self.number, stream, valid_time=valid_time)

    def network(self, static: StaticFields, observing: ObservingSettings) -> RankedNetwork:
        """The run's stations by rank.

        Raises:
            UsageError: they do not fit on the grid, or there are not so many aerodromes.
        """
        numbers = {"count": observing.stations, "withheld": observing.withheld}
        generator = self.generator("network")
        if observing.source == "aerodromes":
            return aerodrome_network(static.grid, aerodromes(static.grid), **numbers, generator=generator)
        return ranked_network(static.grid, static, **numbers, generator=generator)


@dataclass(frozen=True)
class OsseCase:
    """One analysis time of one run.

    Attributes:
        run: which run.
        known: the problem, with its truth, for the judge and for the choice of settings on validation runs.
        withheld: reports of stations that the problem does not have.
    """

    run: RunIdentity
    known: TruthCase
    withheld: Observations

    @property
    def problem(self) -> AssimilationProblem:
        """What a method is given."""
        return self.known.problem

    @property
    def truth(self) -> State:
        """What it is judged by."""
        return self.known.truth

    def generator(self, stream: str) -> torch.Generator:
        """For what is drawn in analysing or judging this case."""
        return self.run.generator(stream, self.truth.valid_time)


def osse_cases(
    design: DataSetDesign,
    observing: ObservingSettings,
    *,
    seed: int,
    split: str,
    hours: Sequence[int],
    runs: int | None = None,
) -> Iterator[OsseCase]:
    """The cases of a split, run by run.

    Args:
        design: of the data set, whose runs are stored.
        observing: what is observed.
        seed: of the data set.
        split: train, validation or test.
        hours: of the day that are analysed.
        runs: only the first so many.

    Raises:
        InputError: a run is absent or damaged.
    """
    for number in design.numbers(split)[:runs]:
        yield from run_cases(
            read_run(design.run_path(seed, split, number)), observing, RunIdentity(seed, split, number), hours=hours
        )


def run_cases(
    run: SimulatedRun, observing: ObservingSettings, identity: RunIdentity, *, hours: Sequence[int]
) -> Iterator[OsseCase]:
    """The cases of one run at those of its times that are full hours of the day in ``hours``."""
    network = identity.network(run.static, observing)
    minutes = (run.times - run.times.astype("datetime64[D]")) // np.timedelta64(1, "m")
    for index in np.flatnonzero(np.isin(minutes, 60 * np.asarray(hours))):
        yield case_at(run, network, observing, identity, index=int(index))


def case_at(
    run: SimulatedRun, network: RankedNetwork, observing: ObservingSettings, identity: RunIdentity, *, index: int
) -> OsseCase:
    """The case of one of the run's times."""
    truth, background, time = run.truth.state(index), run.background.state(index), run.times[index]
    errors = ReportErrors(factor=observing.error_factor, gross_error_rate=observing.gross_error_rate)
    sound = ReportErrors(factor=observing.error_factor)
    observed, withheld = (
        observations_of(truth, stations, static=run.static, errors=made, generator=identity.generator(stream, time))
        for stations, made, stream in ((network.stations, errors, "reports"), (network.withheld, sound, "withheld"))
    )
    operator = BilinearOperator(run.layout, run.static)
    limit = observing.background_limit
    control = QualityControl(background_check=None if limit is None else BackgroundCheck(limit, _BACKGROUND_STD))
    used = control.check_background(observed, background, operator).used()
    window, boundary = Window.around(time, _HALF_WINDOW), run.boundary()
    if boundary is not None:
        boundary = boundary.between(np.atleast_1d(time))
    problem = AssimilationProblem(background, used, operator, window, boundary=boundary)
    return OsseCase(identity, TruthCase(problem, truth, run.static), withheld)
