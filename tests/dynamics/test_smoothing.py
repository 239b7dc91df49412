"""Smoothing, slopes and displacement against analytic answers."""

import numpy as np
import pytest
import torch

from rtma_diffda.dynamics.smoothing import displaced, low_pass, slopes
from rtma_diffda.geo.grid import ProjectedGrid

GRID = ProjectedGrid("+proj=lcc +lat_1=45 +lat_0=45 +lon_0=0 +R=6371200", 60, 50, 2000.0, 3000.0, 0.0, 0.0)
X = torch.from_numpy(GRID.x)[None, :].expand(50, 60)
Y = torch.from_numpy(GRID.y)[:, None].expand(50, 60)


@pytest.mark.parametrize("length", [4e3, 9e3])
def test_low_pass_damps_a_wave_by_the_gaussian_response(length):
    wave_length = 40e3
    wave = torch.cos(2 * np.pi * Y / wave_length)
    smooth = low_pass(wave, GRID, length)[15:35]
    expected = np.exp(-0.5 * (2 * np.pi * length / wave_length) ** 2)
    torch.testing.assert_close(smooth, wave[15:35] * expected, atol=0.01, rtol=0)


def test_low_pass_keeps_constants_to_the_edge_and_leading_axes():
    fields = torch.full((2, 3, 50, 60), 7.0, dtype=torch.float64)
    torch.testing.assert_close(low_pass(fields, GRID, 12e3), fields)


def test_slopes_of_a_plane():
    along_x, along_y = slopes(3e-3 * X - 2e-3 * Y, GRID)
    torch.testing.assert_close(along_x, torch.full_like(X, 3e-3))
    torch.testing.assert_close(along_y, torch.full_like(Y, -2e-3))


def test_displacement_moves_a_field_toward_positive_shifts():
    field = (X + 10.0 * Y)[None]
    east, north = torch.full_like(X, 2.0), torch.full_like(Y, 1.5)
    moved = displaced(field, east, north)[0]
    torch.testing.assert_close(moved[5:-5, 5:-5], (field[0] - 2.0 * 2000.0 - 10.0 * 1.5 * 3000.0)[5:-5, 5:-5])
