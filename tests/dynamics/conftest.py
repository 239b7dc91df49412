"""The demonstration region and an afternoon on it."""

import numpy as np
import pytest
import torch

from rtma_diffda.dynamics.simulated_weather import SimulatedWeather, simulate_truth
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.region import load_region
from rtma_diffda.geo.static_fields import generate_static_fields

QUARTER = np.timedelta64(15, "m")


@pytest.fixture(scope="session")
def demo_static():
    region = load_region("demo")
    return generate_static_fields(region.static["generator"], region.grid)


@pytest.fixture(scope="session")
def demo_weather(demo_static):
    return SimulatedWeather(Layout.of(demo_static.grid, load_region("demo").variables), demo_static)


@pytest.fixture(scope="session")
def afternoon_times():
    return np.datetime64("2026-04-10T19:00", "ns") + np.arange(13) * QUARTER


@pytest.fixture(scope="session")
def afternoons(demo_weather, afternoon_times):
    """Truth of six seeds."""
    return [
        simulate_truth(demo_weather, afternoon_times, generator=torch.Generator().manual_seed(seed))
        for seed in range(6)
    ]
