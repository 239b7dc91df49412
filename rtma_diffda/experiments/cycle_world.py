"""A simulated world for a run of cycles: made once, and put in the place of the paths that the run would be given."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from rtma_diffda.experiments.cycle_settings import CycleSettings
from rtma_diffda.experiments.simulated_world import SimulatedWorld, WorldSettings
from rtma_diffda.experiments.stored_world import ensure_world
from rtma_diffda.geo.region import load_region
from rtma_diffda.io.static_fields import load_static_fields
from rtma_diffda.times import DAY, SLOT, day_of

_WORLD, _BEFORE = "world", 12


def with_world(settings: CycleSettings) -> CycleSettings:
    """The settings with the files of their simulated world, where they ask for one."""
    if not settings.world.make:
        return settings
    world = world_of(settings)
    observed = replace(settings.observations, path=(str(world.bulletins[0].parent),), stations=str(world.station_table))
    return replace(
        settings,
        background=replace(settings.background, path=str(world.backgrounds[0].parent)),
        observations=observed,
        global_runs=replace(settings.global_runs, path=str(world.global_runs), model="the simulated global model"),
    )


def world_of(settings: CycleSettings) -> SimulatedWorld:
    """The world of a run: whole days of cycles, and the hours before them that methods are tuned on.

    So a run that ends earlier on its last day, or is tuned on fewer hours, finds the same world.
    """
    region, asked = load_region(settings.region), settings.world
    first = settings.start - np.timedelta64(max(_BEFORE, settings.method.tuning_hours), "h")
    times = np.arange(first, day_of(settings.end) + DAY, SLOT).astype("datetime64[ns]")
    wanted = WorldSettings(asked.stations, asked.gross_error_rate, asked.seed, True, asked.late_reports)
    directory = Path(settings.data or settings.output) / _WORLD
    return ensure_world(region, load_static_fields(region), times, settings=wanted, directory=directory)
