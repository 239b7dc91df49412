"""Nature runs: reproducible, independent of their batch, physically bounded, exchangeable in law, free of drift."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rtma_diffda.dynamics.nature_run import NatureSettings, simulate_runs
from rtma_diffda.dynamics.nature_settings import RunClock
from rtma_diffda.errors import UsageError
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.static_fields import ridge_and_coast

HOUR = np.timedelta64(1, "h")
NOON = np.datetime64("2026-06-01T11:00", "ns")
PROJECTION = "+proj=lcc +lat_1=45 +lat_2=45 +lat_0=45 +lon_0=10 +R=6371200"
SETTINGS = NatureSettings(margin=8, spin_up=6 * HOUR, coarsening=4)


@pytest.fixture(scope="module")
def static():
    return ridge_and_coast(ProjectedGrid(PROJECTION, 24, 24, 5000.0, 5000.0, -60e3, -60e3))


def simulate(static, seeds, hours=3, settings=SETTINGS, **options):
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    times = NOON + np.arange(hours + 1) * HOUR
    return simulate_runs([static] * len(seeds), times, settings, generators=generators, **options)


@pytest.fixture(scope="module")
def runs(static):
    return simulate(static, (1, 2, 3, 4, 5, 6), hours=6, settings=replace(SETTINGS, leads=(1, 6)))


def test_shapes_units_and_bounds(runs):
    for run in runs:
        assert run.truth.shape == run.background.shape == (7, 5, 24, 24)
        assert run.truth.dtype == torch.float32
        for fields in (run.truth, run.background, run.large_scale.values):
            assert bool(torch.isfinite(fields).all())
            assert bool((fields[:, 1] <= fields[:, 0]).all())
            assert 240.0 < float(fields[:, :2].min()) < float(fields[:, :2].max()) < 320.0
            assert float(fields[:, 2:4].abs().max()) < 30.0
        gust, cover, visibility, ceiling = run.sky.unbind(1)
        assert bool((gust >= torch.hypot(run.truth[:, 2], run.truth[:, 3])).all())
        assert 0.0 <= float(cover.min()) <= float(cover.max()) <= 1.0
        assert float(visibility.min()) >= 100.0
        assert bool((ceiling.isnan() == (cover < 4.5 / 8)).all())


def test_pressure_is_hydrostatic(runs, static):
    heights = torch.from_numpy(static.orography)
    for run in runs:
        sea_level = run.truth[:, 4] * (1.0 - 0.0065 * heights / 288.15) ** -5.2559
        assert float(run.truth[:, 4].std()) > 1500.0
        assert float((sea_level - sea_level.mean(dim=(1, 2), keepdim=True)).std()) < 400.0


def test_background_errors_are_those_of_a_short_forecast(runs):
    errors = torch.stack([run.background - run.truth for run in runs])
    rms = errors.square().mean(dim=(0, 1, 3, 4)).sqrt()
    assert bool((rms > torch.tensor([0.6, 0.6, 0.5, 0.5, 12.0])).all())
    assert bool((rms < torch.tensor([2.2, 2.6, 1.8, 1.8, 80.0])).all())


def test_a_run_depends_on_its_generator_only(static, runs):
    again = simulate(static, (3,), hours=6, settings=replace(SETTINGS, leads=(1, 6)))[0]
    for name in ("truth", "background"):
        assert torch.allclose(getattr(again, name), getattr(runs[2], name), rtol=1e-5, atol=2e-2)
    other = simulate(static, (3,), hours=6, settings=replace(SETTINGS, leads=(1, 6)))[0]
    assert torch.equal(again.truth, other.truth)
    assert torch.equal(again.lagged[6], other.lagged[6])
    assert again.parameters == other.parameters


def test_without_backgrounds_the_truth_is_the_same(static):
    alone, both = (simulate(static, (7,), hours=1, backgrounds=wanted)[0] for wanted in (False, True))
    assert alone.background is None
    assert torch.allclose(alone.truth, both.truth, rtol=1e-6, atol=1e-2)
    assert not any(name.startswith("background") for name in alone.parameters)


def test_lagged_forecasts_are_worse_than_the_background_of_the_same_time(runs):
    assert list(runs[0].lagged_times) == [1, 6]
    assert runs[0].lagged_times[6] == NOON + 6 * HOUR
    errors = torch.stack([torch.stack([run.lagged[6][0], run.background[6]]) - run.truth[6] for run in runs])
    lagged, background = errors.square().mean(dim=(0, 3, 4)).sqrt()
    assert 1.05 < float((lagged / background).mean()) < 1.8
    early = torch.stack([run.lagged[1][0] - run.background[1] for run in runs])
    late = torch.stack([run.lagged[6][0] - run.background[6] for run in runs])
    assert bool((early.square().mean(dim=(0, 2, 3)) < 0.7 * late.square().mean(dim=(0, 2, 3))).all())


def test_large_scale_states_reach_beyond_the_region_and_carry_errors(runs):
    coarse = runs[0].large_scale
    grid, region = coarse.layout.grid, runs[0].layout.grid
    assert grid.dx == 20e3
    assert grid.x[0] < region.x[0] - 20e3
    assert grid.y[-1] > region.y[-1] + 20e3
    assert coarse.values.shape == (7, 5, 10, 10)
    rows = slice(2, 8)  # the cells of the region
    blocks = torch.nn.functional.avg_pool2d(runs[0].truth[:, 0], 4)
    difference = coarse.values[:, 0, rows, rows] - blocks
    assert 0.3 < float(difference.square().mean().sqrt()) < 2.0
    static = torch.nn.functional.avg_pool2d(torch.from_numpy(runs[0].static.orography)[None], 4)[0]
    assert np.allclose(coarse.static.orography[rows, rows], static, atol=1e-2)


def test_wrong_times_and_counts_are_refused(static):
    with pytest.raises(UsageError, match="multiples of"):
        RunClock.of(NOON + np.array([0, 7]) * np.timedelta64(1, "m"), SETTINGS)
    with pytest.raises(UsageError, match="increasing"):
        RunClock.of(np.array([NOON, NOON]), SETTINGS)
    with pytest.raises(UsageError, match="as many generators"):
        simulate_runs([static], np.array([NOON]), SETTINGS, generators=[])
    wider = ridge_and_coast(ProjectedGrid(PROJECTION, 24, 24, 4000.0, 4000.0, -60e3, -60e3))
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    with pytest.raises(UsageError, match="one grid shape"):
        simulate_runs([static, wider], np.array([NOON]), SETTINGS, generators=generators)


@pytest.mark.slow
def test_no_drift_over_sixty_hours(static):
    runs = simulate(static, range(10, 18), hours=60)
    truth = torch.stack([run.truth for run in runs])
    first, last = truth[:, 12:36], truth[:, 36:60]  # the same hours of two days
    assert bool(torch.isfinite(truth).all())
    limits = torch.tensor([2.0, 2.5, 3.0, 3.0, 500.0])
    assert bool(((first - last).mean(dim=(0, 1, 3, 4)).abs() < limits).all())
    spread = [part.std(dim=(-1, -2)).mean(dim=(0, 1)) for part in (first, last)]
    assert torch.allclose(spread[0], spread[1], rtol=0.35)
