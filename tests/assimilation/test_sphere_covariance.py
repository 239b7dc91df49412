"""Covariances that are alike at all longitudes, against dense linear algebra on a small globe."""

import numpy as np
import pytest
import torch
from sphere_world import SCALE, coupling, covariance, dense, globe, rotation, spectra

from rtma_diffda.assimilation.sphere_covariance import (
    SphereCovariance,
    channel_variance,
    covariance_from,
    spectrum_of_lags,
    stored_tensors,
)
from rtma_diffda.assimilation.sphere_structure import SphereStructure, require_zonal, squared_chords, structures
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.geo.sphere import great_circle_distance

KINDS = ("univariate", "modes", "coupled")


def test_a_structure_is_its_function_of_the_distance_between_any_two_points():
    grid, structure = globe(), SphereStructure("soar", 2e6)
    B = SphereCovariance(structure.spectrum(grid)[None], torch.eye(1).double(), torch.ones(1).double(), grid.nx)
    latitude, longitude = grid.latitude().ravel(), grid.longitude().ravel()
    arc = great_circle_distance(latitude[:, None], longitude[:, None], latitude, longitude)
    chord = 2 * 6371200.0 * np.sin(arc / (2 * 6371200.0)) / 2e6
    np.testing.assert_allclose(dense(B).numpy(), (1 + chord) * np.exp(-chord), atol=1e-6)


def test_structures_refuse_what_is_none_and_grids_that_do_not_go_round():
    assert len(list(structures(("soar", "gaussian"), (1e5, 1e6, 2e6)))) == 6
    with pytest.raises(UsageError, match="positive"):
        SphereStructure("soar", 0.0)
    with pytest.raises(UsageError, match="around the globe"):
        require_zonal(LatLonGrid(np.linspace(-80, 80, 8), np.linspace(0, 90, 10)))
    assert float(squared_chords(globe()).max()) == pytest.approx((2 * 6371200.0) ** 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sigma", [0.1, 1.0, 30.0])
def test_what_a_noise_level_leaves_is_exact(kind, sigma):
    B = covariance(kind)
    whole = dense(B)
    eye = torch.eye(len(whole), dtype=torch.float64)
    expected = whole - whole @ torch.linalg.solve(whole + sigma**2 * eye, whole)
    torch.testing.assert_close(dense(B, sigma), expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(whole, whole.T, rtol=0, atol=1e-9)


def test_the_basis_mixes_channels():
    """B = (E ⊗ I) B̃ (E ⊗ I)ᵀ, with modes by themselves in B̃."""
    B, alone = dense(covariance("modes")), dense(covariance("univariate"))
    E = torch.kron(rotation().contiguous(), torch.eye(len(B) // 3, dtype=torch.float64))
    torch.testing.assert_close(B, (E @ alone @ E.T).contiguous(), rtol=0, atol=1e-9)
    assert not covariance("modes").univariate and covariance("univariate").univariate


def test_coupled_modes_know_east_from_west():
    """A slope has opposite covariances with the first mode on either side, and none at the same place."""
    B = covariance("coupled").conditional(float("inf"), dtype=torch.float64).lags_coupled()
    ny = 8
    across = B[:, ny + 4, 4]  # second mode with the first, same latitude, by lag
    assert abs(float(across[0])) < 1e-9
    torch.testing.assert_close(across[1:], -across[1:].flip(0), rtol=0, atol=1e-9)
    assert float(across.abs().max()) > 0.1


def test_lags_of_coupled_modes_are_the_covariances_between_points():
    B = covariance("coupled")
    in_modes = SphereCovariance(B.spectrum, torch.eye(3).double(), SCALE, B.columns, B.coupled)
    lags = B.conditional(float("inf"), dtype=torch.float64).lags_coupled()
    whole = dense(in_modes).view(3, 8, 16, 3, 8, 16)
    for i, y, x, j, z, w in ((0, 1, 3, 1, 6, 11), (1, 4, 0, 0, 4, 15), (1, 2, 5, 1, 2, 5)):
        assert float(lags[(x - w) % 16, i * 8 + y, j * 8 + z]) == pytest.approx(float(whole[i, y, x, j, z, w]))


@pytest.mark.parametrize("kind", KINDS)
def test_variances_are_the_diagonal(kind):
    B = covariance(kind)
    expected = dense(B).diagonal().view(3, 8, 16)[:, :, 0]
    torch.testing.assert_close(channel_variance(B), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_covariance_comes_back(kind):
    B = covariance(kind)
    stored = stored_tensors(B)
    torch.testing.assert_close(dense(covariance_from(stored)), dense(B), rtol=0, atol=5e-3)
    assert stored["triangle"].shape[-1] == 36


def test_fewer_coupled_modes_leave_their_own_covariances():
    B = covariance("coupled")
    apart = B.with_coupled(0)
    in_modes = [
        SphereCovariance(part.spectrum, torch.eye(3).double(), SCALE, part.columns, part.coupled) for part in (B, apart)
    ]
    whole, blocks = (dense(part).view(3, 128, 3, 128) for part in in_modes)
    for i in range(3):
        torch.testing.assert_close(blocks[i, :, i], whole[i, :, i], rtol=0, atol=1e-9)
        assert float(blocks[i, :, (i + 1) % 3].abs().max()) < 1e-12
    assert float(whole[0, :, 1].abs().max()) > 0.1
    assert B.with_coupled(2) is B and B.with_coupled(0) is apart and apart.joined == 0


def test_remembered_levels_stay_within_bounds(monkeypatch):
    from rtma_diffda.assimilation import sphere_covariance

    monkeypatch.setattr(sphere_covariance, "_REMEMBERED_BYTES", 40_000)
    B = covariance("coupled")
    first = B.conditional(1.0)
    assert B.conditional(1.0) is first
    for sigma in np.linspace(2.0, 3.0, 10):
        B.conditional(float(sigma))
    assert len(B._remembered) < 10 and B.conditional(1.0) is not first


def test_what_is_no_covariance_is_refused():
    grid = globe()
    with pytest.raises(InputError, match="orthogonal"):
        SphereCovariance(spectra(grid), torch.ones(3, 3).double(), SCALE, grid.nx)
    with pytest.raises(InputError, match="spectrum of shape"):
        SphereCovariance(spectra(grid), rotation(), SCALE, grid.nx + 2)
    with pytest.raises(InputError, match="not finite"):
        SphereCovariance(spectra(grid) / 0.0, rotation(), SCALE, grid.nx, coupling(grid))
    with pytest.raises(UsageError, match="noise level"):
        covariance("modes").conditional(-1.0)


def test_the_coupling_of_the_tests_is_a_covariance():
    assert float(torch.linalg.eigvalsh(dense(covariance("coupled"))).min()) > -1e-9
    lags = torch.fft.irfft(spectra(globe()).permute(0, 2, 3, 1), n=16)
    torch.testing.assert_close(spectrum_of_lags(lags), spectra(globe()), rtol=0, atol=1e-9)
