"""A small simulated world on disk, made once: what a user would point ``analyse`` at."""

import numpy as np
import pytest

from rtma_diffda.experiments.simulated_world import SimulatedWorld, WorldSettings, simulate_world
from rtma_diffda.geo.region import load_region
from rtma_diffda.io.static_fields import load_static_fields

TIME = np.datetime64("2026-06-15T20:00", "ns")


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> SimulatedWorld:
    region = load_region("demo")
    times = np.array([TIME, TIME + np.timedelta64(15, "m")])
    settings = WorldSettings(stations=60, seed=3)
    directory = tmp_path_factory.mktemp("world")
    return simulate_world(region, load_static_fields(region), times, settings=settings, directory=directory)


@pytest.fixture
def arguments(world, tmp_path) -> list[str]:
    """A command line that works; a test replaces what it wants to be wrong."""
    return [
        "analyse",
        "region=demo",
        "time=2026-06-15T20:00",
        f"background={world.backgrounds[0]}",
        f"observations={world.bulletins[0]}",
        f"stations={world.station_table}",
        "variables=[t2m,sp]",
        "window_minutes=7.5",
        f"output={tmp_path / 'out'}",
        "verification.block_degrees=0.2",
        "log.level=error",
    ]
