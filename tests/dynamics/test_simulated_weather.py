"""The simulated truth: reproducible, smooth in time, and consistent where physics says so."""

import numpy as np
import pytest
import torch

from rtma_diffda.dynamics.simulated_weather import SimulatedWeather, below_temperature, simulate_truth
from rtma_diffda.dynamics.surface_effects import Landscape, diurnal_phase
from rtma_diffda.dynamics.synoptic import Climate, coriolis_parameter, geostrophic_wind, simulate_large_scale
from rtma_diffda.errors import UsageError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.variables import variable


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def values_of(states):
    return torch.cat([state.values for state in states])


def quiet(demo_static, **changes):
    """Weather without ragged detail."""
    layout = Layout.of(demo_static.grid, ["t2m", "d2m", "u10m", "v10m", "sp"])
    return SimulatedWeather(layout, demo_static, detail_std={}, **changes)


def test_the_same_seed_gives_the_same_bits_and_another_seed_other_weather(demo_weather, afternoons, afternoon_times):
    again = simulate_truth(demo_weather, afternoon_times, generator=seeded(0))
    assert torch.equal(values_of(again), values_of(afternoons[0]))
    assert not torch.allclose(values_of(afternoons[0]), values_of(afternoons[1]))
    assert [state.valid_time for state in again] == list(afternoon_times)
    assert again[0].values.dtype == torch.float32


def test_a_longer_simulation_begins_like_a_shorter_one(demo_weather, afternoons, afternoon_times):
    short = simulate_truth(demo_weather, afternoon_times[:3], generator=seeded(0))
    assert torch.equal(values_of(short), values_of(afternoons[0])[:3])


def test_values_are_possible_and_dew_point_stays_below_temperature(afternoons):
    for truth in afternoons:
        values = values_of(truth)
        for i, name in enumerate(truth[0].layout.names):
            lowest, highest = variable(name).valid_range
            assert values[:, i].min() > lowest
            assert values[:, i].max() < highest
        assert (values[:, 1] <= values[:, 0]).all()


def test_a_quarter_of_an_hour_changes_little(afternoons):
    for truth in afternoons:
        values = values_of(truth)
        change = (values[1:] - values[:-1]).std(dim=(0, 2, 3))
        assert (change < 0.45 * values.std(dim=(2, 3)).mean(dim=0)).all()


def test_pressure_is_hydrostatic_over_terrain(demo_static, afternoon_times):
    weather = quiet(demo_static)
    state = simulate_truth(weather, afternoon_times[:1], generator=seeded(2))[0]
    large = simulate_large_scale(demo_static.grid, afternoon_times[:1], Climate(), generator=seeded(2))
    height = torch.from_numpy(demo_static.orography)
    layer_mean = large.temperature[0] - 0.5 * 0.0065 * height
    expected = large.pressure[0] * torch.exp(-9.80665 * height / (287.05 * layer_mean))
    torch.testing.assert_close(state.channel("sp")[0].double(), expected, atol=30.0, rtol=0)


def test_mountains_are_colder_and_land_warms_by_day(demo_static):
    weather = quiet(demo_static, climate=Climate(front_contrast=0.0))
    times = np.array(["2026-07-01T11:15", "2026-07-01T23:15"], "datetime64[ns]")  # 3 h and 15 h local solar time
    night, day = (state.channel("t2m")[0].numpy() for state in simulate_truth(weather, times, generator=seeded()))
    land, height = demo_static.land_fraction, demo_static.orography
    low, high, sea = (land > 0.9) & (height < 300), height > 1000, land < 0.1
    assert 4.0 < (day - night)[low].mean() < 10.0
    assert abs((day - night)[sea].mean()) < 1.5
    lapse = (day[low].mean() - day[high].mean()) / (height[high].mean() - height[low].mean())
    assert 0.0055 < lapse < 0.009


def test_wind_follows_the_isobars_with_low_pressure_on_its_left(demo_static, afternoon_times):
    large = simulate_large_scale(demo_static.grid, afternoon_times[:1], Climate(), generator=seeded(4))
    grid = demo_static.grid
    slope_y, slope_x = torch.gradient(large.pressure[0], spacing=(grid.dy, grid.dx))
    along = large.u_grid[0] * slope_x + large.v_grid[0] * slope_y
    torch.testing.assert_close(along, torch.zeros_like(along), atol=1e-12, rtol=0)
    assert ((large.u_grid[0] * slope_y - large.v_grid[0] * slope_x) <= 0).all()


def test_geostrophic_wind_of_a_plane_of_pressure(demo_static):
    grid = demo_static.grid
    pressure = torch.from_numpy(1e-3 * grid.x)[None, :].expand(grid.shape)
    u, v = geostrophic_wind(pressure, grid)
    assert torch.allclose(u, torch.zeros_like(u))
    assert torch.allclose(v, torch.full_like(v, 1e-3 / (1.2 * coriolis_parameter(grid))))


def test_the_front_passes_and_cools(demo_static):
    times = np.datetime64("2026-04-10T12:00", "ns") + np.arange(2) * np.timedelta64(12, "h")
    large = simulate_large_scale(demo_static.grid, times, Climate(front_contrast=10.0), generator=seeded(1))
    assert (large.temperature[0] - large.temperature[1]).mean() > 6.0


def test_sea_breeze_points_to_land_and_upslope_uphill(demo_static):
    landscape = Landscape.of(demo_static)
    assert (landscape.coast_x[:, 8:20].max(dim=1).values > 0.5).all()  # land lies to the east
    assert float(torch.hypot(landscape.coast_x, landscape.coast_y).max()) == pytest.approx(1.0)
    assert (landscape.valley_depth >= 0).all()
    assert landscape.exposure.abs().max() < 1.0


def test_diurnal_phase_peaks_at_15_local_solar_time():
    times = np.array(["2026-01-01T23:00", "2026-01-01T11:00", "2026-01-01T17:00"], "datetime64[ns]")
    phase = diurnal_phase(times, -120.0).flatten()
    torch.testing.assert_close(phase, torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64))


def test_bounding_the_dew_point_leaves_dry_air_alone():
    temperature = torch.tensor([280.0, 280.0, 280.0], dtype=torch.float64)
    bounded = below_temperature(torch.tensor([265.0, 280.0, 290.0], dtype=torch.float64), temperature)
    assert bounded[0] == pytest.approx(265.0, abs=1e-6)
    assert (bounded < temperature).all()
    assert (bounded.diff() > 0).all()


def test_channels_may_be_fewer_and_in_another_order(demo_static, afternoons, afternoon_times):
    layout = Layout.of(demo_static.grid, ["sp", "t2m"])
    states = simulate_truth(SimulatedWeather(layout, demo_static), afternoon_times[:2], generator=seeded(0))
    for state, full in zip(states, afternoons[0], strict=False):
        assert torch.equal(state.channel("t2m"), full.channel("t2m"))
        assert torch.equal(state.channel("sp"), full.channel("sp"))


def test_wrong_use_is_explained(demo_static, demo_weather, afternoon_times):
    with pytest.raises(UsageError, match="cannot simulate gust"):
        SimulatedWeather(Layout.of(demo_static.grid, ["t2m", "gust"]), demo_static)
    for times in (afternoon_times[:0], afternoon_times[::-1]):
        with pytest.raises(UsageError, match="increasing times"):
            simulate_truth(demo_weather, times, generator=seeded())
