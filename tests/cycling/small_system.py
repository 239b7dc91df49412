"""A ``System`` on 12 × 10 points whose every cycle depends on the one before and on numbers that are drawn."""

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from builders import random_table, small_grid, small_static

from rtma_diffda.cycling.case import CaseSources
from rtma_diffda.cycling.cycle import System
from rtma_diffda.cycling.first_guess import Asked, CycledGuess, FirstOf, Guess
from rtma_diffda.cycling.publication import Publisher
from rtma_diffda.cycling.reports import Reports
from rtma_diffda.cycling.runner import Runner
from rtma_diffda.cycling.schedule import Job, Stream, replay_jobs
from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.region import Region
from rtma_diffda.interfaces import Analysis, AssimilationProblem
from rtma_diffda.io.archive import Archive
from rtma_diffda.observations.ingest.result import IngestResult
from rtma_diffda.observations.screening import QualityControl
from rtma_diffda.times import SLOT, Window, format_time

LAYOUT = Layout.of(small_grid(), ["t2m", "d2m"])
REGION = Region("small", "Small", LAYOUT.grid, LAYOUT.names)
START = np.datetime64("2026-01-01T22:45", "ns")  # so that a run crosses midnight, and its archive has two days
COUNT = 8
TIMES = START + np.arange(COUNT) * SLOT


@cache
def stations() -> pd.DataFrame:
    return random_table(LAYOUT, 16)


@dataclass(frozen=True)
class TableReports:
    """A ``ReportSource``: sixteen stations that report at every analysis time; asked times are noted."""

    asked: list = field(default_factory=list)
    ahead: list = field(default_factory=list)

    def read(self, window: Window) -> Reports:
        self.asked.append(window.analysis_time)
        slot = int((window.analysis_time - START) // SLOT)
        values = 280.0 + np.random.default_rng(1000 + slot).normal(0.0, 1.0, len(stations()))
        values[1::2] -= 5.0  # every other row is a dew point
        return Reports(IngestResult(stations().assign(value=values, valid_time=window.analysis_time), 16, 16))

    def look_ahead(self, time: np.datetime64) -> None:
        self.ahead.append(time)


def given(asked: Asked) -> Guess:
    """A background that drifts with the time."""
    values = torch.full((1, *LAYOUT.shape), 280.0 + float((asked.time - START) / SLOT) / 8.0)
    values[:, 1] -= 5.0
    return Guess(State(values, LAYOUT, asked.time), "a made-up forecast", "background")


def forecast(asked: Asked) -> State:
    """The analysis 15 minutes before, moved by one point; an error in its last bit would stay."""
    before = asked.history.at(asked.time - SLOT)
    if before is None:
        raise InputError(f"there is no analysis of {asked.time - SLOT}")
    return State(torch.roll(before.values, 1, dims=-1), before.layout, asked.time)


FIRST_GUESS = FirstOf((("forecast", CycledGuess(forecast, given, weight=0.25, blend_every=2 * SLOT)),))


@dataclass(frozen=True)
class NoisyNudging:
    """Three members: half of the mean innovation of each variable, and noise that is drawn."""

    members: int = 3

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        background = problem.background.mean().values
        noise = 0.1 * torch.randn(self.members, *LAYOUT.shape, generator=generator)
        channel, departures = problem.observations.channel, problem.innovations().mean(dim=0)
        nudge = torch.stack([departures[channel == i].mean() for i in range(len(LAYOUT.names))])
        values = background + 0.5 * nudge.to(background).reshape(-1, 1, 1) + noise
        return Analysis(replace(problem.background, values=values), problem, values.std(dim=0))


class FailsAt:
    """A method that fails once, at the analysis of a time."""

    def __init__(self, time, error, method=None):
        self.time, self.error, self.method, self.calls = time, error, method or NoisyNudging(), []

    def analyse(self, problem, *, generator):
        self.calls.append(problem.window.analysis_time)
        if problem.window.analysis_time == self.time and self.error is not None:
            error, self.error = self.error, None
            raise error
        return self.method.analyse(problem, generator=generator)


class GuessWithout:
    """The usual first guess, but none at one time."""

    def __init__(self, time, usual=FIRST_GUESS):
        self.time, self.usual = time, usual

    def __call__(self, asked):
        if asked.time == self.time:
            raise InputError(f"no first guess for {format_time(asked.time)}: nothing has come")
        return self.usual(asked)


def write_that_fails(monkeypatch, time, failure) -> None:
    """``Archive.write`` fails once for the analysis of a time, with what ``failure`` raises."""
    write_whole, failures = Archive.write, iter([True])

    def write(archive, product, **options):
        if product.valid_time == time and next(failures, False):
            failure(product)
        return write_whole(archive, product, **options)

    monkeypatch.setattr(Archive, "write", write)


def small_system(directory: Path, *, members: int = 0, stream: Stream | None = None, **changes) -> System:
    publisher = Publisher.at(directory, REGION, layout=LAYOUT, static=small_static(), members=members)
    parts = {
        "stream": stream or Stream("ru"),
        "sources": CaseSources(REGION, small_static(), QualityControl(background_check=None), ("S003",)),
        "reports": TableReports(),
        "first_guess": FIRST_GUESS,
        "method": NoisyNudging(),
        "publisher": publisher,
        "settled": {"method": "noisy nudging", "stream": "ru"},
        "now": lambda: TIMES[-1] + SLOT,
    }
    return System(**parts | changes)


def jobs_of(*systems: System, count: int = COUNT) -> list[Job]:
    return replay_jobs([system.stream for system in systems], TIMES[0], TIMES[count - 1])


def replayed(directory: Path, *, count: int = COUNT, overlap: bool = True, watchers=(), **changes):
    """The outcome of a replay of the first ``count`` cycles, by a system built anew."""
    system = small_system(directory, **changes)
    return Runner([system], watchers, overlap=overlap).replay(jobs_of(system, count=count))


def fields_of(directory: Path) -> dict[str, bytes]:
    """Every field of every analysis as bytes; what belongs to the run (when it was made) is left out."""
    if not [*Path(directory).glob("archive/*.zarr")]:
        return {}
    archive, found = Archive.open(Path(directory) / "archive", create=False), {}
    for time in archive.times():
        dataset = archive.read(time)
        for name, values in dataset.data_vars.items():
            if {"y", "x"} <= set(values.dims) and str(name).startswith(LAYOUT.names):
                found[f"{time} {name}"] = values.values.tobytes()
    return found
