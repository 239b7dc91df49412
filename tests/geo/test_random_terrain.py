"""Random landscapes: what every one of them keeps to, and that they differ."""

import numpy as np
import pytest
import torch
from scipy.fft import dct

from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.random_terrain import (
    HIGHEST_PEAKS,
    LARGEST_SEA_SHARE,
    STEEPEST_SLOPE,
    fractal_field,
    random_terrain,
)
from rtma_diffda.geo.region import load_region

PROJECTION = "+proj=lcc +lat_1=45 +lat_2=45 +lat_0=45 +lon_0=0 +R=6371200"


@pytest.fixture(scope="module")
def landscapes():
    grid = load_region("osse_small").grid
    return [random_terrain(grid, generator=seeded(seed)) for seed in range(40)]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_the_sea_is_flat_and_the_land_is_not_negative(landscapes):
    for static in landscapes:
        assert static.orography.min() == 0.0 or static.land_mask.all()
        assert (static.orography >= 0.0).all()
        assert (static.orography[static.land_fraction < 0.5] == 0.0).all()
        assert (static.orography[static.land_fraction > 0.9] > 0.0).all()
        assert (static.land_fraction >= 0.0).all()
        assert (static.land_fraction <= 1.0).all()


def test_peaks_slopes_and_sea_stay_within_their_bounds_and_use_them(landscapes):
    peaks = np.array([static.orography.max() for static in landscapes])
    assert peaks.max() <= HIGHEST_PEAKS[1]
    assert peaks.min() > 0.5 * HIGHEST_PEAKS[0]
    assert peaks.max() > 2.5 * peaks.min()
    sea = np.array([1 - static.land_mask.mean() for static in landscapes])
    assert sea.max() < LARGEST_SEA_SHARE + 0.05
    assert sea.max() > 0.4
    assert 0.05 < (sea == 0.0).mean() < 0.4
    for static in landscapes:
        slopes = [np.abs(np.diff(static.orography, axis=axis)).max() / 5000.0 for axis in (0, 1)]
        assert max(slopes) <= STEEPEST_SLOPE * 1.000001


def test_the_spectrum_is_red_and_ends_before_two_grid_points(landscapes):
    """Along rows, by cosine transform: no jump at the edges. Number n has n half waves on 64 points of 5 km."""
    power = np.mean([(dct(s.orography, axis=1) ** 2).mean(axis=0) / s.orography.var() for s in landscapes], axis=0)
    number = np.arange(64)
    long_waves = (number >= 5) & (number <= 16)  # 128 … 40 km
    slope = np.polyfit(np.log(number[long_waves]), np.log(power[long_waves]), 1)[0]
    assert -3.5 < slope < -1.8
    assert power[52:].sum() < 3e-4 * power[1:].sum()  # waves shorter than 2.5 grid points


def test_the_same_generator_gives_the_same_landscape_and_another_one_another(landscapes):
    again = random_terrain(landscapes[7].grid, generator=seeded(7))
    assert np.array_equal(again.orography, landscapes[7].orography)
    assert np.array_equal(again.land_fraction, landscapes[7].land_fraction)
    together = np.stack([static.orography.reshape(-1) for static in landscapes])
    correlation = np.corrcoef(together)[np.triu_indices(len(together), 1)]
    assert np.abs(correlation).mean() < 0.4
    assert correlation.max() < 0.95


@pytest.mark.parametrize(
    ("nx", "ny", "spacing"), [(12, 12, 2500.0), (24, 24, 5000.0), (90, 31, 1000.0), (40, 50, 25e3)]
)
def test_any_size_and_spacing_gets_a_landscape(nx, ny, spacing):
    grid = ProjectedGrid(PROJECTION, nx, ny, spacing, spacing, 0.0, 0.0)
    for seed in range(3):
        static = random_terrain(grid, generator=seeded(seed))
        assert static.orography.shape == (ny, nx)
        assert static.orography.max() > 30.0
        assert np.isfinite(static.orography).all()


def test_a_fractal_field_has_its_slope_and_no_short_waves():
    """The one-dimensional spectrum of a plane field falls as k^−3 where the two-dimensional density does as k^−4."""
    grid = ProjectedGrid(PROJECTION, 256, 256, 1000.0, 1000.0, 0.0, 0.0)
    fields = [fractal_field(grid, longest=100e3, slope=3.0, generator=seeded(seed)) for seed in range(6)]
    window = np.hanning(256)
    power = np.mean([(np.abs(np.fft.rfft(f * window, axis=1)) ** 2).mean(axis=0) for f in fields], axis=0)
    number = np.arange(len(power))
    resolved = (number >= 6) & (number <= 32)  # 43 … 8 km
    assert np.polyfit(np.log(number[resolved]), np.log(power[resolved]), 1)[0] == pytest.approx(-3.0, abs=0.35)
    assert power[110:].max() < 1e-8 * power.max()
    for field in fields:
        assert field.mean() == pytest.approx(0.0, abs=1e-12)
        assert field.std() == pytest.approx(1.0, rel=1e-12)
