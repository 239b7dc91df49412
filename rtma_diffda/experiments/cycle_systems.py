"""From the settings of a run of cycles to its ``System``s, built once: sources, first guess, method, archive."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rtma_diffda import __version__
from rtma_diffda.cycling.case import CaseSources
from rtma_diffda.cycling.clock import Clock, WallClock
from rtma_diffda.cycling.cycle import GlobalStates, System
from rtma_diffda.cycling.cycled_forecast import BackgroundChange, DepartureForecast, ShortForecast
from rtma_diffda.cycling.first_guess import (
    Asked,
    CycledGuess,
    DownscaledGlobal,
    FirstGuess,
    FirstOf,
    GivenBackground,
    Persisted,
)
from rtma_diffda.cycling.publication import Publisher
from rtma_diffda.cycling.remembered import RememberedBackgrounds
from rtma_diffda.cycling.reports import Spool
from rtma_diffda.cycling.schedule import Stream
from rtma_diffda.errors import InputError
from rtma_diffda.experiments.cycle_memory import CycleMemory, digest, remembered
from rtma_diffda.experiments.cycle_methods import CycleMethod, Mode, cycle_method, tuned_interpolation
from rtma_diffda.experiments.cycle_settings import ALONE, FORECAST, RAPID, CycleSettings, seconds
from rtma_diffda.experiments.forecast_models import packaged_forecast
from rtma_diffda.fields.boundary import Boundary, BoundaryNeed, surrounding
from rtma_diffda.fields.global_on_region import global_state
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.forecast.forecast_checkpoint import load_forecast
from rtma_diffda.forecast.limited_area import LimitedAreaForecast
from rtma_diffda.geo.boundary_points import boundary_grid
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.region import Region, load_region
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import AssimilationProblem, BoundarySource
from rtma_diffda.io.background_files import BackgroundFiles
from rtma_diffda.io.global_store_runs import global_runs_at
from rtma_diffda.io.static_fields import load_static_fields
from rtma_diffda.observations.ingest.stations import StationTable, load_stations
from rtma_diffda.observations.withholding import withheld_stations
from rtma_diffda.times import format_time

_log = logging.getLogger(__name__)
_LEAST_STATIONS = 10
_HOUR, _MINUTE = np.timedelta64(1, "h"), np.timedelta64(1, "m")


@dataclass(frozen=True)
class CycleRun:
    """A run, ready to cycle.

    Attributes:
        settings: of the run.
        region: where.
        clock: of live cycles, and of what products are dated by.
        systems: one a stream.
        method: the method with its stand-ins.
        withheld: stations that verify.
    """

    settings: CycleSettings
    region: Region
    clock: Clock
    systems: tuple[System, ...]
    method: CycleMethod
    withheld: tuple[str, ...]

    @property
    def directory(self) -> Path:
        """Of the run."""
        return Path(self.settings.output)


def build_run(settings: CycleSettings) -> CycleRun:
    """Everything that the cycles of a run need.

    Raises:
        UsageError, InputError: wrong settings, or files that every cycle needs are missing.
    """
    place = _Place.of(settings)
    parts = _Parts.of(settings, place)
    directory = Path(settings.output)
    identity = _identity(settings, place)
    memory = remembered(directory, identity)
    if memory is None:
        memory = _decided(settings, place, parts, identity)
        memory.write(directory)
    guess = settings.first_guess
    mode = Mode(settings.global_runs.path is not None, guess.cycled, guess.members)
    method = cycle_method(settings.method, memory.tuned, place.layout, place.static, mode)
    build = _SystemBuilder(settings, place, parts, memory.withheld, method)
    systems = tuple(build.system(stream) for stream in settings.streams())
    return CycleRun(settings, place.region, parts.clock, systems, method, memory.withheld)


@dataclass(frozen=True)
class _Place:
    """The region with its grid's fields."""

    region: Region
    static: StaticFields
    layout: Layout

    @classmethod
    def of(cls, settings: CycleSettings) -> "_Place":
        region = load_region(settings.region)
        return cls(region, load_static_fields(region), Layout.of(region.grid, settings.variables or region.variables))


@dataclass(frozen=True)
class _Parts:
    """Sources that all streams of a run share.

    Attributes:
        clock: the wall clock, or one that is set.
        stations: positions.
        spool: of the reports.
        backgrounds: regional, read ahead.
        model: of cycled first guesses; None for others.
        globals: None without global runs.
    """

    clock: Clock
    stations: StationTable
    spool: Spool
    backgrounds: RememberedBackgrounds
    model: LimitedAreaForecast | None
    globals: BoundarySource | None

    @classmethod
    def of(cls, settings: CycleSettings, place: _Place) -> "_Parts":
        clock = WallClock(settings.clock.clock_start, settings.clock.clock_factor)
        arrived = clock.shown_at if settings.observations.arrival == "modified" else None
        stations = load_stations(settings.observations.stations)
        observed = settings.observations
        spool = Spool(tuple(map(Path, observed.path)), stations, arrived, patience=observed.patience_seconds)
        model = None
        if settings.first_guess.kind in (FORECAST, ALONE):
            checkpoint = settings.first_guess.checkpoint
            where = packaged_forecast() if checkpoint is None else Path(checkpoint)
            model = load_forecast(where, place.static, variables=place.layout.names)
        return cls(clock, stations, spool, _backgrounds(settings, place), model, _global_runs(settings, place, model))


def _backgrounds(settings: CycleSettings, place: _Place) -> RememberedBackgrounds:
    wanted = settings.background
    return RememberedBackgrounds(
        BackgroundFiles(
            path=wanted.path,
            layout=place.layout,
            static=place.static,
            region=place.region.name,
            latency=seconds(3600 * wanted.latency_hours),
            longest_gap=seconds(60 * wanted.interpolated_minutes),
            shift=seconds(60 * wanted.shift_minutes),
        )
    )


def _global_runs(settings: CycleSettings, place: _Place, model: LimitedAreaForecast | None) -> BoundarySource | None:
    wanted = settings.global_runs
    if wanted.path is None:
        return None
    grid = _wider_grid(place.region) if model is None else model.place.boundary_grid
    return global_runs_at(
        wanted.path,
        layout=Layout.of(grid, place.layout.names),
        latency=seconds(3600 * wanted.latency_hours),
        source=wanted.model,
    )


def _wider_grid(region: Region) -> ProjectedGrid:
    return boundary_grid(region.grid, spacing=region.boundary.spacing, width=region.boundary.width)


def _identity(settings: CycleSettings, place: _Place) -> dict[str, object]:
    """What determines the analyses of a run, in plain values."""
    grid = place.layout.grid
    return {
        "software": __version__.split("+")[0],
        "region": settings.region,
        "grid": digest(f"{grid.projection} {grid.nx} {grid.ny} {grid.dx} {grid.dy} {grid.x0} {grid.y0}"),
        "variables": list(place.layout.names),
        "streams": [str(stream) for stream in settings.streams()],
        "first_guess": str(settings.first_guess),
        "background": str(settings.background),
        "global_runs": str(settings.global_runs),
        "observations": str(replace(settings.observations, patience_seconds=60.0)),
        "method": f"{settings.method.name} {settings.method.checkpoint} {settings.method.device}",
        "threads": torch.get_num_threads(),
        "quality_control": str(settings.quality_control),
        "verification": str(replace(settings.verification, report=True)),
        "members": settings.archive.members,
        "seed": settings.seed,
    }


def _decided(settings: CycleSettings, place: _Place, parts: _Parts, identity: dict[str, object]) -> CycleMemory:
    """Withheld stations and tuning, from what there is before the first cycle."""
    start = settings.start if settings.start is not None else parts.clock.now()
    withheld = settings.verification.stations or _drawn(settings, place, parts, start)
    times = _whole_hours(start - _MINUTE) - np.arange(settings.method.tuning_hours)[::-1] * _HOUR
    builder = _SystemBuilder(settings, place, parts, withheld, None)
    problems = list(filter(None, map(builder.problem, times)))
    if settings.method.tuning_hours:
        _log.info("interpolation is tuned on %d of %d hours before the first cycle", len(problems), len(times))
    return CycleMemory(identity, withheld, tuned_interpolation(problems, place.layout, place.static))


def _whole_hours(time: np.datetime64) -> np.datetime64:
    return time.astype("datetime64[h]").astype("datetime64[ns]")


def _drawn(settings: CycleSettings, place: _Place, parts: _Parts, start: np.datetime64) -> tuple[str, ...]:
    """Stations that verify, drawn once from those of the region that report around the start.

    Raises:
        InputError: none does: the choice would stand for the whole run.
    """
    wanted = settings.verification
    if wanted.withheld_fraction == 0.0:
        return ()
    wide = Stream("", half_window=6 * _HOUR, cutoff=6 * _HOUR).window(_whole_hours(start))
    table = parts.spool.read(wide).result.table
    placed = table[np.isfinite(table["latitude"]) & np.isfinite(table["longitude"])]
    inside: pd.DataFrame = placed[place.region.grid.contains(placed["latitude"], placed["longitude"])]
    if not len(inside):
        raise InputError(
            f"no station reports in region {place.region.name} around {format_time(start)}, so none can be chosen to "
            "verify all cycles to come: name them (verification.stations=[…]), or verification.withheld_fraction=0"
        )
    if inside["station"].nunique() < _LEAST_STATIONS:
        _log.warning("only %d stations report in the region around %s: none is withheld", inside["station"].nunique(),
                     format_time(start))  # fmt: skip
        return ()
    return withheld_stations(
        inside, fraction=wanted.withheld_fraction, block_degrees=wanted.block_degrees, seed=settings.seed
    )


@dataclass(frozen=True)
class _SystemBuilder:
    """Makes the systems of a run's streams."""

    settings: CycleSettings
    place: _Place
    parts: _Parts
    withheld: tuple[str, ...]
    method: CycleMethod | None

    def system(self, stream: Stream) -> System:
        """Of one stream, with an archive of its own."""
        settings, method, first = self.settings, self.method, stream.name == RAPID
        return System(
            stream=stream,
            sources=self._sources(),
            reports=self.parts.spool,
            first_guess=self._first_guess(stream),
            method=method.chain if first else method.starting or method.chain,
            publisher=self._publisher(stream),
            global_states=self._global_states(),
            settled=self._settled(stream),
            few=settings.observations.few,
            seed=settings.seed,
            look_ahead=self.parts.backgrounds.look_ahead,
            now=self.parts.clock.now,
            starting_method=method.starting if first else None,
        )

    def _publisher(self, stream: Stream) -> Publisher:
        """Of the run's directory, or of one within it for every stream but the first."""
        settings = self.settings
        directory = Path(settings.output) if stream.name == RAPID else Path(settings.output) / stream.name
        stored = self.method.members if (settings.archive.members or settings.first_guess.members) else 0
        return Publisher.at(
            directory, self.place.region, layout=self.place.layout, static=self.place.static, members=stored
        )

    def _settled(self, stream: Stream) -> dict[str, str | float]:
        """Provenance that all products of a stream share."""
        return {
            "stream": stream.name,
            "method": self.method.name,
            "method_settings": self.method.description,
            "global_run_used": "yes" if self.method.forced else "no",
            "seed": float(self.settings.seed),
        }

    def problem(self, time: np.datetime64) -> AssimilationProblem | None:
        """The problem of an earlier time, for tuning; None where something is missing."""
        stream = self.settings.streams()[0]
        window = stream.window(time)
        try:
            found = self.parts.backgrounds.at(time, available_at=window.cutoff)
        except InputError as error:
            _log.debug("no tuning at %s: %s", format_time(time), error)
            return None
        reports = self.parts.spool.read(window)
        case = self._sources().case(found.state, reports.result.table, window)
        return case.problem() if len(case.observations.used()) else None

    def _sources(self) -> CaseSources:
        control = self.settings.quality_control.build()
        return CaseSources(self.place.region, self.place.static, control, self.withheld)

    def _global_states(self) -> GlobalStates | None:
        if self.parts.globals is None:
            return None
        usual = self.settings.global_runs.usual_age_hours
        return GlobalStates(self.parts.globals, self._need(), None if usual is None else seconds(3600 * usual))

    def _need(self) -> Callable[[np.datetime64], BoundaryNeed]:
        """States around the analysis time, and those that a forecast to it needs."""
        interval, model = seconds(60 * self.settings.interval_minutes), self.parts.model

        def need(time: np.datetime64) -> BoundaryNeed:
            around = surrounding(np.atleast_1d(time))
            if model is None:
                return around
            forecast = model.need(time - interval, 1)
            return lambda available: np.union1d(around(available), forecast(available))

        return need

    def _first_guess(self, stream: Stream) -> FirstGuess:
        settings, usual = self.settings, self._usual()
        given = FirstOf(
            (
                ("background", usual),
                ("global state", DownscaledGlobal(self._downscaled)),
                ("persistence", Persisted(seconds(3600 * settings.first_guess.persistence_hours))),
            )
        )
        if not settings.first_guess.cycled or stream.name != RAPID:
            return given
        chosen = settings.first_guess
        return CycledGuess(self._forecast(), given, chosen.weight, seconds(60 * chosen.blend_minutes))

    def _forecast(self) -> Callable[[Asked], State]:
        """From our own latest analyses to the time asked for."""
        interval, model = seconds(60 * self.settings.interval_minutes), self.parts.model
        if model is None:
            return BackgroundChange(self.parts.backgrounds, interval)
        if self.settings.first_guess.kind == ALONE:
            return ShortForecast(model, interval)
        return DepartureForecast(self.parts.backgrounds, model, interval)

    def _usual(self) -> GivenBackground:
        chosen = self.settings.background
        leads = (chosen.usual_lead_hours, chosen.longest_lead_hours)
        usual, longest = (None if hours is None else seconds(3600 * hours) for hours in leads)
        return GivenBackground(self.parts.backgrounds, usual, longest)

    def _downscaled(self, boundary: Boundary, time: np.datetime64) -> State:
        return global_state(boundary, self.place.static, self.place.layout, time)
