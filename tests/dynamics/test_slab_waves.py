"""The implicit waves: known frequencies, geostrophic balance, conservation of the mean."""

import math

import pytest
import torch

from rtma_diffda.dynamics.slab.waves import WaveOperator, WaveSettings, wave_numbers

POINTS, SPACING = 32, 5000.0
EXACT = WaveSettings(reference_speed=50.0, off_centring=0.5, diffusion_time=1e12)


def operator(coriolis, time_step, settings=EXACT):
    f = torch.tensor([coriolis], dtype=torch.float64)
    return WaveOperator.of(f, (POINTS, POINTS), spacing=SPACING, time_step=time_step, settings=settings)


def ripple(waves=2):
    x = torch.arange(POINTS, dtype=torch.float64) / POINTS
    return torch.cos(2 * torch.pi * waves * x).expand(1, POINTS, -1).clone()


@pytest.mark.parametrize(("coriolis", "time_step"), [(0.0, 10.0), (1e-4, 10.0), (0.0, 20.0)])
def test_standing_waves_have_the_frequency_of_theory(coriolis, time_step):
    k = 2 * math.pi * 2 / (POINTS * SPACING)
    frequency = math.sqrt(coriolis**2 + 50.0**2 * k**2)
    phi, zero = ripple(), torch.zeros(1, POINTS, POINTS, dtype=torch.float64)
    u, v, step, steps = zero, zero, operator(coriolis, time_step), round(4000.0 / time_step)
    for _ in range(steps):
        u, v, phi = step(u, v, phi)
    oscillating = (50.0 * k / frequency) ** 2  # the rest is in geostrophic balance and stays
    expected = 1.0 - oscillating + oscillating * math.cos(frequency * steps * time_step)
    assert float(phi[0, 0, 0]) == pytest.approx(expected, abs=2e-3)


def test_the_off_centred_step_damps_short_waves_more_than_long_ones():
    damped = WaveSettings(reference_speed=50.0, off_centring=0.6, diffusion_time=1e12)
    left = []
    for waves in (1, 12):
        u = v = torch.zeros(1, POINTS, POINTS, dtype=torch.float64)
        phi, step = ripple(waves), operator(0.0, 180.0, damped)
        for _ in range(20):
            u, v, phi = step(u, v, phi)
        left.append(float((phi**2 / 50.0**2 + u**2).mean()) * 2 * 50.0**2)
    assert left[1] < 0.2 < 0.5 < left[0] < 1.0


def test_geostrophic_balance_is_steady():
    f, phi = 1e-4, 100.0 * ripple()
    k = 2 * math.pi * 2 / (POINTS * SPACING)
    x = torch.arange(POINTS, dtype=torch.float64) / POINTS
    v = (-100.0 * k / f * torch.sin(2 * torch.pi * 2 * x)).expand(1, POINTS, -1)
    u, step = torch.zeros_like(v), operator(f, 180.0)
    after = (u, v, phi)
    for _ in range(100):
        after = step(*after)
    for values, before in zip(after, (u, v, phi), strict=True):
        assert torch.allclose(values, before, atol=1e-8)


def test_mean_wind_turns_with_the_inertial_period_and_mean_mass_stays():
    f, time_step = 1e-4, 60.0
    one = torch.ones(1, POINTS, POINTS, dtype=torch.float64)
    u, v, phi, step = 3.0 * one, 0.0 * one, 7.0 * one + ripple(), operator(f, time_step)
    steps = round(math.pi / f / time_step)
    for _ in range(steps):
        u, v, phi = step(u, v, phi)
    assert float(u.mean()) == pytest.approx(3.0 * math.cos(f * steps * time_step), abs=1e-3)
    assert float(phi.mean()) == pytest.approx(7.0, abs=1e-12)


def test_wave_numbers_drop_the_sign_that_two_grid_spacings_cannot_hold():
    kx, ky = wave_numbers((8, 8), 2.0)
    assert float(kx[0, 1]) == pytest.approx(2 * math.pi / 16.0)
    assert float(kx[0, -1]) == 0.0 == float(ky[4, 0])
