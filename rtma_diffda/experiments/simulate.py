"""``run_simulation``: a data set of simulated weather, made in parallel and resumably, with stations and a report.

Runs that are stored already are left as they are: a killed generation, or one with more runs, goes on where it stopped.
"""

import contextlib
import logging
import multiprocessing
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rtma_diffda import __version__
from rtma_diffda.dynamics.nature_run import NatureSettings, RunFields, simulate_runs
from rtma_diffda.dynamics.slab.diagnosis import SKY
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.cycled_data_set import CycledSettings, make_cycled_data_set
from rtma_diffda.experiments.data_set import BATCH, DataSetDesign, run_generator, run_static, run_times
from rtma_diffda.experiments.data_set_report import write_data_set_report
from rtma_diffda.experiments.data_set_stations import write_stations
from rtma_diffda.experiments.osse_cases import ObservingSettings, RunIdentity
from rtma_diffda.experiments.progress import arriving, progress
from rtma_diffda.experiments.reporting import RunSummary
from rtma_diffda.experiments.settings import require_between, settings_from
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.io.simulation_store import SPLITS, SimulatedRun, write_run
from rtma_diffda.variables import variable

_log = logging.getLogger(__name__)

_ATTEMPTS = 3
_LARGEST_ERROR = {"t2m": 5.0, "d2m": 6.0, "u10m": 5.0, "v10m": 5.0, "sp": 200.0}
"""SI: root mean square over a run, three to four times the usual; no forecast office would take such a background."""


@dataclass(frozen=True)
class SimulateSettings:
    """Names and meanings as in ``conf/simulate.yaml``."""

    data: DataSetDesign = field(default_factory=DataSetDesign)
    observing: ObservingSettings = field(default_factory=lambda: ObservingSettings(stations=300))
    metar: bool = True
    splits: tuple[str, ...] = SPLITS
    seed: int = 0
    workers: int = 2
    device: str = "cpu"
    cycled: CycledSettings = field(default_factory=CycledSettings)
    report: bool = True
    progress: bool = True

    def __post_init__(self) -> None:
        require_between("seed", self.seed, 0, 2**31 - 1)
        require_between("workers", self.workers, 1, 256)
        unknown = [split for split in self.splits if split not in SPLITS]
        if self.observing.source == "aerodromes" and self.data.terrain != "region":
            raise UsageError(
                "aerodromes stand at their real heights: observing.source=aerodromes needs data.terrain=region"
            )
        if unknown or not self.splits:
            raise UsageError(f"splits are {list(self.splits)}; they may be {', '.join(SPLITS)}")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "SimulateSettings":
        """Settings from a composed configuration."""
        return settings_from(cls, values)


@dataclass(frozen=True)
class _Batch:
    """Runs of one split that one process integrates together.

    All of them are integrated even where some are stored: in another company a run differs by rounding.
    """

    design: DataSetDesign
    seed: int
    split: str
    numbers: tuple[int, ...]
    missing: tuple[int, ...]
    device: str


def run_simulation(settings: SimulateSettings) -> RunSummary:
    """Make what is missing of a data set, its stations and its report.

    Returns:
        Statistics of the backgrounds, and where everything is.

    Raises:
        InputError: there is another data set in its place, or the file system refused.
    """
    if settings.cycled.name:
        return _cycled(settings)
    path = make_runs(settings)
    files = {"data set": path}
    for split in settings.splits:
        numbers = settings.data.numbers(split) if split != "train" else ()
        for number in progress(numbers, f"stations of {split} runs", shown=settings.progress):
            identity = RunIdentity(settings.seed, split, number)
            write_stations(settings.data, settings.observing, identity, metar=settings.metar and split == "test")
    if settings.report:
        text, files["report"] = write_data_set_report(settings.data, settings.seed, settings.observing)
    else:
        text = f"data set {path} is complete"
    return RunSummary(text + "\n\n" + "\n".join(f"{what}: {where}" for what, where in files.items()), files)


def _cycled(settings: SimulateSettings) -> RunSummary:
    """A data set of cycled first guesses from one that is stored."""
    path = make_cycled_data_set(
        settings.data,
        settings.cycled,
        seed=settings.seed,
        splits=settings.splits,
        workers=settings.workers,
        progress_shown=settings.progress,
    )
    return RunSummary(f"data set {path} of cycled first guesses is complete", {"data set": path})


def make_runs(settings: SimulateSettings) -> Path:
    """Integrate the runs that are not stored yet; returns the data set's directory."""
    path = settings.data.claim(settings.seed, {"nature": repr(NatureSettings()), "software": __version__})
    batches = list(_missing(settings))
    if settings.workers == 1 or len(batches) <= 1:
        with single_thread():
            for batch in progress(batches, "runs", shown=settings.progress):
                _make_batch(batch)
        return path
    context = multiprocessing.get_context("spawn")  # forked threads of torch would deadlock
    one_thread = {"initializer": torch.set_num_threads, "initargs": (1,)}
    with ProcessPoolExecutor(settings.workers, mp_context=context, **one_thread) as pool:
        running = [pool.submit(_make_batch, batch) for batch in batches]
        try:
            for done in arriving(as_completed(running), len(running), "runs", shown=settings.progress):
                done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return path


@contextlib.contextmanager
def single_thread() -> Iterator[None]:
    """One thread for torch: fields of this size gain nothing from two, and bits depend on their number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _missing(settings: SimulateSettings) -> Iterator[_Batch]:
    design, seed = settings.data, settings.seed
    for split in settings.splits:
        numbers = design.numbers(split)
        for first in range(0, len(numbers), BATCH):
            wanted = numbers[first : first + BATCH]
            absent = tuple(n for n in wanted if not design.run_path(seed, split, n).exists())
            if absent:
                yield _Batch(design, seed, split, tuple(wanted), absent, settings.device)


def _make_batch(batch: _Batch) -> None:
    """Integrate and store the runs of a batch; one that blew up is drawn again, and says so in its parameters."""
    missing = list(batch.missing)
    for attempt in range(_ATTEMPTS):
        found = _integrated(batch, attempt)
        for number in tuple(missing):
            name, fields = f"{batch.split}/{number:03d}", found[number]
            if problem := _implausible(fields):
                _log.warning("run %s, draw %d: %s", name, attempt + 1, problem)
                continue
            write_run(batch.design.run_path(batch.seed, batch.split, number), _stored(name, fields, attempt))
            missing.remove(number)
        if not missing:
            return
    raise InputError(
        f"{batch.split} runs {sorted(missing)} of seed {batch.seed} are implausible after {_ATTEMPTS} draws; see the "
        "log"
    )


def _integrated(batch: _Batch, attempt: int) -> dict[int, RunFields]:
    design, seed, split, numbers = batch.design, batch.seed, batch.split, batch.numbers
    generators = [run_generator(seed, split, number, "weather") for number in numbers]
    for generator in generators if attempt else ():
        generator.manual_seed(int(torch.randint(2**62, (attempt,), generator=generator)[-1]))
    found = simulate_runs(
        [run_static(design, seed, split, number) for number in numbers],
        run_times(design, seed, split, numbers[0]),
        NatureSettings(leads=() if split == "train" else design.lags, device=batch.device),
        generators=generators,
    )
    return dict(zip(numbers, found, strict=True))


def _implausible(fields: RunFields) -> str:
    """What is wrong with a run, in words; empty where nothing is."""
    for i, name in enumerate(fields.layout.names):
        lowest, highest = variable(name).valid_range
        for what, values in (("truth", fields.truth), ("background", fields.background)):
            inside = (values[:, i] >= lowest) & (values[:, i] <= highest)
            if not bool(inside.all()):
                return (
                    f"{int((~inside).sum())} values of {name} in the {what} are not between {lowest:g} and {highest:g}"
                )
    error = (fields.background - fields.truth).square().mean(dim=(0, 2, 3)).sqrt()
    for name, rmse in zip(fields.layout.names, error.tolist(), strict=True):
        if rmse > _LARGEST_ERROR[name]:
            return f"the background's error of {name}, {rmse:.3g}, is beyond {_LARGEST_ERROR[name]:g}"
    return ""


def _stored(name: str, fields: RunFields, attempt: int) -> SimulatedRun:
    layout, coarse = fields.layout, fields.large_scale
    sky = Layout.of(layout.grid, SKY)
    return SimulatedRun(
        name,
        fields.static,
        truth=StateSeries(fields.truth, layout, fields.times),
        background=StateSeries(fields.background, layout, fields.times),
        sky=StateSeries(fields.sky, sky, fields.times),
        lagged={
            lead: StateSeries(values, layout, fields.lagged_times[lead])
            for lead, values in fields.lagged.items()
            if len(fields.lagged_times[lead])
        },
        large_scale=StateSeries(coarse.values, coarse.layout, coarse.times),
        large_scale_static=coarse.static,
        parameters={**fields.parameters, "draws": attempt + 1.0},
    )
