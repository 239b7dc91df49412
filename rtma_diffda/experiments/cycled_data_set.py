"""Cycled training runs: a data set whose backgrounds are the first guesses of cycles over another data set's weather.

In a cycle the background has learned from earlier observations: its error is smaller, and shaped by them. Statistics
and networks made from uncycled backgrounds trust observations too much there. So the weather of simulated runs is
cycled once with the networks that there are, and what comes out, truth and first guess at each cycle, is a data set
like any other: ``train`` makes of it B, statistics and a denoiser for cycles.
"""

import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from rtma_diffda import __version__
from rtma_diffda.assimilation.denoiser_checkpoint import denoiser_from_checkpoint
from rtma_diffda.assimilation.diffusion import DiffusionAssimilation
from rtma_diffda.cycling.case import limited
from rtma_diffda.cycling.cycled_forecast import DepartureForecast
from rtma_diffda.cycling.first_guess import Asked, drawn_towards
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.data_set import DataSetDesign
from rtma_diffda.experiments.diffusion_methods import diffusion_method, packaged_denoiser
from rtma_diffda.experiments.forecast_models import packaged_forecast
from rtma_diffda.experiments.osse_cases import ObservingSettings, RunIdentity, case_at
from rtma_diffda.experiments.progress import arriving
from rtma_diffda.experiments.settings import require_between
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.fields.state import State
from rtma_diffda.forecast.forecast_checkpoint import load_forecast
from rtma_diffda.io.background import Background
from rtma_diffda.io.checkpoint import read_checkpoint
from rtma_diffda.io.simulation_store import SimulatedRun, read_run, write_run
from rtma_diffda.times import SLOT

_log = logging.getLogger(__name__)

_REACH = np.timedelta64(105, "m")
"""Before the end of a run's large scale: a forecast step from 15 minutes before, and its boundary window."""


@dataclass(frozen=True)
class CycledSettings:
    """How the runs are cycled.

    Attributes:
        name: of the new data set; empty for none.
        hours: of cycles in each run; runs of even and odd number share the day between them.
        spin_up_cycles: at the beginning, which are left out.
        members: of each analysis, whose mean is carried on.
        stations: networks of these sizes take turns.
        weight: of the given background in every first guess.
        checkpoint: of the denoiser; the packaged one when None.
    """

    name: str = ""
    hours: float = 10.75
    spin_up_cycles: int = 6
    members: int = 4
    stations: tuple[int, ...] = (50, 100, 100, 200)
    weight: float = 0.1
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        require_between("cycled.hours", self.hours, 1.0, 240.0)
        require_between("cycled.spin_up_cycles", self.spin_up_cycles, 0, 96)
        require_between("cycled.members", self.members, 1, 64)
        require_between("cycled.weight", self.weight, 0.0, 1.0)


@dataclass(frozen=True)
class _Task:
    """One run to cycle."""

    design: DataSetDesign
    settings: CycledSettings
    seed: int
    split: str
    number: int

    @property
    def target(self) -> Path:
        return replace(self.design, name=self.settings.name).run_path(self.seed, self.split, self.number)


def make_cycled_data_set(
    design: DataSetDesign,
    settings: CycledSettings,
    *,
    seed: int,
    splits: tuple[str, ...],
    workers: int,
    progress_shown: bool = False,
) -> Path:
    """Cycle the stored runs of a data set; runs that are there already stay.

    Args:
        design: of the data set that has the weather, every 15 minutes.
        settings: how.
        seed: of the data set.
        splits: to cycle.
        workers: processes.
        progress_shown: whether to show progress.

    Returns:
        Directory of the new data set.

    Raises:
        UsageError: the data set is not of every 15 minutes, or the new one has its name.
        InputError: runs are missing, or the file system refused.
    """
    if design.interval_minutes != 15 or settings.name == design.name:
        raise UsageError(
            f"cycled runs need weather every 15 minutes and a name of their own; found {design.interval_minutes} min "
            f"and '{settings.name}'"
        )
    target = replace(design, name=settings.name)
    path = target.claim(seed, {"cycled": repr(settings), "software": __version__})
    tasks = [_Task(design, settings, seed, split, number) for split in splits for number in design.numbers(split)]
    missing = [task for task in tasks if not task.target.exists()]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        running = [pool.submit(_cycle, task) for task in missing]
        for done in arriving(as_completed(running), len(running), "cycled runs", shown=progress_shown):
            done.result()
    return path


@dataclass(frozen=True)
class _RunBackgrounds:
    """The given background of a run, as a ``BackgroundSource``."""

    run: SimulatedRun

    def at(self, valid_time: np.datetime64, *, available_at: np.datetime64) -> Background:
        """The twin's state."""
        return Background(self.run.background.at(valid_time), f"twin of {self.run.name}")


@dataclass(frozen=True)
class _Analyses:
    """Analyses made so far; like ``cycling.history.History``, without an archive."""

    states: dict[np.datetime64, State] = field(default_factory=dict)

    def at(self, time: np.datetime64) -> State | None:
        """The analysis of a time."""
        return self.states.get(time)

    def latest(self, before: np.datetime64) -> np.datetime64 | None:
        """The newest before a time."""
        return max((time for time in self.states if time < before), default=None)


def _cycle(task: _Task) -> None:
    """Cycle one run and store its truth and first guesses."""
    run = read_run(task.design.run_path(task.seed, task.split, task.number))
    guesses = cycled_first_guesses(run, RunIdentity(task.seed, task.split, task.number), task.settings)
    write_run(task.target, guesses)


def cycled_first_guesses(run: SimulatedRun, identity: RunIdentity, settings: CycledSettings) -> SimulatedRun:
    """The run at the times of its cycles, with their first guesses as backgrounds.

    Raises:
        InputError: the run has no large scale, or is too short.
    """
    times = _times(run, identity.number, settings)
    stations = settings.stations[identity.number % len(settings.stations)]
    observing = ObservingSettings(stations=stations)
    network, method = identity.network(run.static, observing), _method(run, settings)
    given, analyses = _RunBackgrounds(run), _Analyses()
    model = load_forecast(packaged_forecast(), run.static, variables=run.layout.names)
    forecast, boundary, guesses = DepartureForecast(given, model, SLOT), run.boundary(), []
    for time in times:
        case = case_at(run, network, observing, identity, index=int(np.searchsorted(run.times, time)))
        state = case.problem.background
        if analyses.states:
            cycled = forecast(Asked(case.problem.window, analyses, boundary))
            state = drawn_towards(cycled, state, settings.weight)
        problem = replace(case.problem, background=state)
        analysis = limited(method.analyse(problem, generator=case.generator("analysis")))
        analyses.states[time] = analysis.state.mean()
        guesses.append(state.values)
    kept = slice(settings.spin_up_cycles, None)
    rows = torch.from_numpy(np.searchsorted(run.times, times[kept]))
    return replace(
        run,
        truth=StateSeries(run.truth.values[rows], run.layout, times[kept]),
        background=StateSeries(torch.cat(guesses[kept]), run.layout, times[kept]),
        sky=None,
        lagged={},
    )


def _times(run: SimulatedRun, number: int, settings: CycledSettings) -> np.ndarray:
    """Times of the cycles of a run: from its beginning, or the last ones that its large scale reaches."""
    if run.large_scale is None:
        raise InputError(f"run {run.name} has no large scale; make the data set again")
    reached = run.times[run.times <= run.large_scale.valid_times[-1] - _REACH]
    count = round(settings.hours * 4)
    if len(reached) < max(count, settings.spin_up_cycles + 1):
        raise InputError(f"run {run.name} has {len(reached)} times to cycle; expected {count} or more")
    return reached[:count] if number % 2 == 0 else reached[-count:]


def _method(run: SimulatedRun, settings: CycledSettings) -> DiffusionAssimilation:
    chosen = settings.checkpoint
    trained = packaged_denoiser() if chosen is None else denoiser_from_checkpoint(read_checkpoint(Path(chosen)))
    return replace(diffusion_method("diffusion", trained, run.static), members=settings.members)
