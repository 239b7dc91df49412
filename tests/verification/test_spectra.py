"""Spectra: Parseval, known waves, coherence of known mixtures, and amplitudes of known multiples."""

import numpy as np
import pytest
import torch
from builders import NOON, PROJECTION, small_grid

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.verification.case_scores import CaseLabel
from rtma_diffda.verification.case_spectra import (
    amplitude_table,
    case_spectra,
    furthest_octaves,
    mean_spectra,
    octave_table,
)
from rtma_diffda.verification.roughness import laplacian_power
from rtma_diffda.verification.spectra import Bands, coherence, cross_spectrum, power_spectrum

SPACING = 5000.0
LABEL = CaseLabel("default", "method", "r0", NOON)


def cosine(nx: int, ny: int, waves_x: int, waves_y: int = 0) -> np.ndarray:
    """A wave of the transform itself: so many half waves over each side."""
    x, y = (np.arange(nx) + 0.5) / nx, (np.arange(ny) + 0.5) / ny
    return np.cos(np.pi * waves_y * y)[:, None] * np.cos(np.pi * waves_x * x)


@pytest.mark.parametrize(("nx", "ny"), [(32, 32), (48, 20), (21, 33)])
def test_bands_hold_all_of_the_variance(nx, ny):
    fields = np.random.default_rng(0).normal(3.0, 2.0, (2, ny, nx))
    spectrum = power_spectrum(fields, Bands.of(small_grid(nx, ny, SPACING)))
    assert spectrum.sum(axis=-1) == pytest.approx(fields.var(axis=(-2, -1)))


@pytest.mark.parametrize(("waves_x", "waves_y", "band"), [(8, 0, 8), (0, 5, 5), (3, 4, 5), (6, 6, 8)])
def test_a_wave_is_in_its_band(waves_x, waves_y, band):
    bands = Bands.of(small_grid(32, 32, SPACING))
    wave = 2.0 * cosine(32, 32, waves_x, waves_y)
    spectrum = power_spectrum(wave, bands)
    assert spectrum.argmax() + 1 == band
    assert spectrum[band - 1] == pytest.approx(wave.var())
    exact = 2 * 32 * SPACING / np.hypot(waves_x, waves_y)
    assert 2 * 32 * SPACING / (band + 1) < exact <= 2 * 32 * SPACING / band + 1e-6
    assert bands.wavelength[band - 1] == pytest.approx(2 * 32 * SPACING / (band + 0.5))


def test_a_trend_is_no_front():
    """A linear trend's spectrum falls steeply; a transform of a field taken for periodic would find a jump in it."""
    bands = Bands.of(small_grid(64, 64, SPACING))
    trend = np.tile(np.linspace(0.0, 10.0, 64), (64, 1))
    mirrored = power_spectrum(trend, bands)
    periodic = np.abs(np.fft.fft(trend[0])) ** 2 / 64**2
    short_share = 2.0 * periodic[8:32].sum() / trend.var()
    assert mirrored[16:].sum() / trend.var() < 1e-3 < 0.02 < short_share


def test_coherence_of_known_mixtures():
    bands = Bands.of(small_grid(64, 64, SPACING))
    rng = np.random.default_rng(1)
    first, noise = rng.normal(size=(2, 64, 64))
    second = 0.6 * first + 0.8 * noise

    def known(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return coherence(cross_spectrum(a, b, bands), power_spectrum(a, bands), power_spectrum(b, bands))

    assert known(first, -3.0 * first) == pytest.approx(1.0)
    assert known(first, second)[20:60].mean() == pytest.approx(0.36, abs=0.03)
    assert np.isnan(known(first, np.zeros((64, 64)))).all()


def test_unequal_spacings_are_refused():
    with pytest.raises(InputError, match="equal spacings"):
        Bands.of(ProjectedGrid(PROJECTION, 8, 8, 1000.0, 2000.0, 0.0, 0.0))


def test_laplacian_by_hand():
    field = np.zeros((3, 4))
    field[1, 1] = 1.0
    assert laplacian_power(field) == pytest.approx((16.0 + 1.0) / 2.0)
    assert laplacian_power(np.add.outer(np.arange(5.0), 3.0 * np.arange(6.0))) == pytest.approx(0.0)
    assert np.isnan(laplacian_power(np.zeros((2, 9))))


@pytest.fixture(scope="module")
def spectra():
    """An analysis that halves the truth, and an ensemble whose members are the truth and its opposite."""
    layout = Layout.of(small_grid(32, 32, SPACING), ("t2m", "sp"))
    records = []
    for seed in range(3):
        values = torch.randn(1, *layout.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        truth = State(values, layout, NOON)
        records += case_spectra(truth.with_values(0.5 * values), truth, label=LABEL)
        opposite = truth.with_values(torch.cat([values, -values]))
        records += case_spectra(opposite, truth, label=CaseLabel("default", "opposite", "r0", NOON))
    return mean_spectra(records)


def test_amplitudes_of_a_known_multiple(spectra):
    table = amplitude_table(spectra).set_index(["method", "variable", "range"])
    assert len(table) == 2 * 2 * 4
    half = table.loc["method"]
    for name in ("mean", "members", "error"):
        assert half[name].to_numpy() == pytest.approx(0.5)
    assert half["coherence"].to_numpy() == pytest.approx(1.0)
    opposite = table.loc["opposite"]
    assert opposite["mean"].to_numpy() == pytest.approx(0.0, abs=1e-12)
    assert opposite["members"].to_numpy() == pytest.approx(1.0)


def test_mean_spectra_are_means_over_cases(spectra):
    one = spectra[(spectra["method"] == "method") & (spectra["variable"] == "sp")]
    assert one["band"].tolist() == list(range(1, len(one) + 1))
    assert one["truth"].sum() == pytest.approx(1.0, rel=0.1)  # unit variance
    assert one["wavelength"].is_monotonic_decreasing


def test_octaves_of_a_known_multiple(spectra):
    table = octave_table(spectra)
    assert len(table) == 2 * 2 * 5
    half = table[(table["method"] == "method") & (table["variable"] == "sp")]
    assert half["octave"].tolist() == [4, 3, 2, 1, 0]
    assert half["shortest"].tolist() == [160e3, 80e3, 40e3, 20e3, 10e3]  # from two spacings of 5 km
    assert half["members"].to_numpy() == pytest.approx(0.25)
    opposite = table[table["method"] == "opposite"]
    assert opposite["members"].to_numpy() == pytest.approx(1.0)
    assert opposite["mean"].to_numpy() == pytest.approx(0.0, abs=1e-12)


def test_octaves_hold_the_waves_that_they_name():
    """A member that doubles waves of 5 to 7 half waves over 160 km is wrong between 45 and 64 km alone."""
    layout = Layout.of(small_grid(32, 32, SPACING), ("t2m",))
    noise = np.random.default_rng(0).normal(size=(32, 32))
    wave = cosine(32, 32, 6)
    truth, member = (State(torch.from_numpy(f[None, None]), layout, NOON) for f in (noise + wave, noise + 2.0 * wave))
    table = octave_table(mean_spectra(case_spectra(member, truth, label=LABEL))).set_index("octave")
    assert table.drop(index=2)["members"].to_numpy() == pytest.approx(1.0)
    assert table.loc[2, "members"] > 2.0
    assert (table.loc[2, "shortest"], table.loc[2, "longest"]) == (40e3, 80e3)


def test_the_last_octave_does_not_count(spectra):
    table = octave_table(spectra)
    wrong = table.assign(members=table["octave"].map({4: 1.1, 3: 0.5, 2: 1.4, 1: 1.0, 0: 9.0}))
    found = furthest_octaves(wrong)
    assert len(found) == 2 * 2
    assert (found["octave"] == 3).all()
