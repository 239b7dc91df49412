"""The large scale: unit variance, the coherence asked for, fronts and sun where they should be; periodic terrain."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rtma_diffda.dynamics.model_terrain import model_terrain
from rtma_diffda.dynamics.slab.convection import ConvectionLaw, ConvectiveEvents
from rtma_diffda.dynamics.slab.forcing import declination_of
from rtma_diffda.dynamics.slab.landscape import periodic_extension, periodic_low_pass
from rtma_diffda.dynamics.slab.large_scale import LargeScaleLaw, ModeLaw

EXTENT, INTERVAL = 520e3, 900.0


@pytest.fixture(scope="module")
def mode_law():
    return ModeLaw.of(EXTENT, INTERVAL, LargeScaleLaw(decay_time=INTERVAL))


def modes(law, seed, times=400):
    return law.draw_modes(times, generator=torch.Generator().manual_seed(seed))


def test_patterns_have_unit_variance(mode_law):
    fields = torch.fft.irfft2(modes(mode_law, 1), s=(mode_law.size, mode_law.size), norm="forward")
    assert torch.allclose(fields.var(dim=(0, 2, 3)), torch.ones(4), rtol=0.06)


def test_truth_and_twin_have_equal_spectra_and_the_coherence_of_the_law(mode_law):
    common = modes(mode_law, 2)
    truth, twin = (mode_law.blended(common, modes(mode_law, seed)) for seed in (3, 4))
    for kx, ky in ((1, 0), (2, 1), (4, 2)):
        a, b = truth[:, 1, ky, kx], twin[:, 1, ky, kx]
        power = (a.abs() ** 2).mean(), (b.abs() ** 2).mean()
        coherence = float((a * b.conj()).real.mean() / torch.sqrt(power[0] * power[1]))
        assert coherence == pytest.approx(float(mode_law.coherence[1, ky, kx]), abs=0.12)
        assert float(power[0] / power[1]) == pytest.approx(1.0, abs=0.2)


def test_modes_live_as_long_as_the_law_says():
    law = ModeLaw.of(EXTENT, INTERVAL, LargeScaleLaw())
    series = modes(law, 5, times=3000)[:, 0, 0, 1]
    lag = 20
    correlation = (series[lag:] * series[:-lag].conj()).real.mean() / (series.abs() ** 2).mean()
    assert float(correlation) == pytest.approx(float(law.persistence[0, 1]) ** lag, abs=0.12)


def test_declination_at_the_solstices():
    days = np.array(["2026-06-21", "2026-12-21"], "datetime64[ns]")
    assert np.rad2deg(declination_of(days)) == pytest.approx([23.44, -23.44], abs=0.05)


def test_events_act_at_their_place_and_time_across_the_seam():
    x = torch.tensor([[2e3]])
    event = ConvectiveEvents(
        x, x + 50e3, torch.tensor([[600.0]]), torch.tensor([[10e3]]), torch.tensor([[1.2]]), 3000.0
    )
    like = torch.zeros(1, 40, 40)
    now = event.strength(600.0, like, spacing=5e3)
    assert float(now.max()) == pytest.approx(1.2, rel=0.15)
    assert float(now[0, 10, 39]) > 0.5  # the western neighbour of column 0
    assert float(event.strength(20000.0, like, spacing=5e3).abs().max()) == 0.0
    later = event.delayed(100.0).strength(700.0, like, spacing=5e3)
    assert torch.equal(later, now)


def test_models_move_events_but_keep_their_number():
    law = ConvectionLaw()
    common = ConvectiveEvents.draw(law, extent=EXTENT, seconds=86400.0, generator=torch.Generator().manual_seed(1))
    own = common.own(law, generator=torch.Generator().manual_seed(2))
    assert own.x.shape == common.x.shape == (1, round(law.rate * EXTENT**2 * 86400.0))
    assert float((own.x - common.x).std()) == pytest.approx(law.own_shift, rel=0.2)
    still = replace(law, own_shift=0.0, own_delay=0.0, own_strength=0.0)
    assert torch.equal(common.own(still, generator=torch.Generator()).time, common.time)


def test_periodic_extension_keeps_the_region_and_has_no_seam():
    rows, columns = np.meshgrid(np.linspace(0, 1, 30), np.linspace(0, 2, 40), indexing="ij")
    field = 100.0 * rows + 50.0 * columns**2
    extended = periodic_extension(field, 10)
    assert extended.shape == (50, 60)
    assert np.array_equal(extended[10:-10, 10:-10].numpy(), field)
    for axis in (0, 1):
        steps = (extended.roll(-1, axis) - extended).abs()
        assert float(steps.max()) < 25.0  # the region's own edges differ by 100 and 200
    assert np.array_equal(periodic_extension(field, 0).numpy(), field)


def test_low_pass_has_the_response_of_a_gaussian():
    x = torch.arange(40, dtype=torch.float64)
    wave = torch.cos(2 * torch.pi * 4 * x / 40).expand(40, -1)
    smooth = periodic_low_pass(wave, 2.0)
    expected = np.exp(-0.5 * (2.0 * 2 * np.pi * 4 / 40) ** 2)
    assert torch.allclose(smooth, wave * expected, atol=1e-12)


def test_a_models_terrain_keeps_the_spectrum_but_not_the_place_of_detail():
    white = torch.randn(96, 96, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    terrain = 500.0 + 200.0 * (lambda f: f / f.std())(periodic_low_pass(white, 1.5))
    coarse = model_terrain(terrain, 1.0, generator=torch.Generator().manual_seed(7))
    assert torch.equal(model_terrain(terrain, 0.0, generator=torch.Generator()), terrain)
    assert float(coarse.min()) >= 0.0
    large = [periodic_low_pass(z, 4.0).ravel() for z in (terrain, coarse)]
    fine = [(z - periodic_low_pass(z, 1.0)).ravel() for z in (terrain, coarse)]
    assert float(torch.corrcoef(torch.stack(large))[0, 1]) > 0.95
    assert abs(float(torch.corrcoef(torch.stack(fine))[0, 1])) < 0.7
    assert float(fine[1].std() / fine[0].std()) == pytest.approx(1.0, abs=0.15)
