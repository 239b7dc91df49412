"""Transport: exact for what cubics hold, third order for waves, conserving in flux form."""

import pytest
import torch

from rtma_diffda.dynamics.slab.transport import (
    departure_weights,
    diffused,
    flux_divergence,
    gradient,
    transported,
)


def wave(points, shift=0.0):
    x = (torch.arange(points, dtype=torch.float64) - shift) / points
    return torch.sin(2 * torch.pi * x).expand(8, -1).clone()


def error_after_one_round(points, courant, scheme):
    field = wave(points)
    for _ in range(round(points / courant)):
        field = scheme(field, courant)
    return float((field - wave(points)).abs().max())


def semi_lagrangian(field, courant):
    c = torch.full_like(field, courant)[None, None]
    still = departure_weights(torch.zeros_like(c))
    return transported(field[None, None], departure_weights(c), still)[0, 0]


def flux_form(field, courant):
    c = torch.full_like(field, courant)
    return field + flux_divergence(field, c, torch.zeros_like(c))


@pytest.mark.parametrize("scheme", [semi_lagrangian, flux_form])
@pytest.mark.parametrize("courant", [0.25, -0.5])
def test_both_schemes_are_third_order(scheme, courant):
    if courant < 0:
        coarse, fine = (error_after_one_round(n, -courant, lambda f, c: scheme(f, c)) for n in (16, 32))
        mirrored = error_after_one_round(16, -courant, lambda f, c: scheme(f.flip(-1), -c).flip(-1))
        assert mirrored == pytest.approx(coarse, rel=1e-9)
    else:
        coarse, fine = (error_after_one_round(n, courant, scheme) for n in (16, 32))
    assert 6.5 < coarse / fine < 9.5
    assert fine < 2e-2


def test_semi_lagrangian_transport_is_exact_for_cubics_away_from_the_seam():
    x = torch.arange(16, dtype=torch.float64)
    cubic = (0.02 * x**3 - 0.3 * x**2 + x).expand(8, -1)
    moved = semi_lagrangian(cubic, 0.3)[:, 3:-3]
    there = x - 0.3
    assert torch.allclose(moved, (0.02 * there**3 - 0.3 * there**2 + there).expand(8, -1)[:, 3:-3])


def test_weights_sum_to_one_and_a_whole_cell_is_a_shift():
    courant = torch.linspace(-1.5, 1.5, 31, dtype=torch.float64)
    assert torch.allclose(sum(departure_weights(courant)), torch.ones(31, dtype=torch.float64))
    field = torch.randn(8, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(semi_lagrangian(field, 1.0), field.roll(1, -1))


def test_flux_form_conserves_the_sum_in_any_wind():
    generator = torch.Generator().manual_seed(2)
    mass, c_x, c_y = torch.rand(3, 20, 24, dtype=torch.float64, generator=generator)
    change = flux_divergence(mass, c_x - 0.5, c_y - 0.5)
    assert float(change.abs().max()) > 0.1
    assert abs(float(change.sum())) < 1e-12


def test_gradient_of_a_wave():
    spacing, points = 100.0, 64
    along_x, along_y = gradient(wave(points), spacing)
    k = 2 * torch.pi / (points * spacing)
    exact = k * torch.cos(2 * torch.pi * torch.arange(points, dtype=torch.float64) / points)
    assert torch.allclose(along_x[0], exact, atol=2e-3 * k)
    assert float(along_y.abs().max()) < 1e-15


def test_diffusion_keeps_the_mean_and_damps_the_shortest_wave_as_it_should():
    checks = torch.ones(8, 8, dtype=torch.float64)
    checks[::2, ::2] = checks[1::2, 1::2] = -1.0
    assert torch.allclose(diffused(checks, 0.05), 0.6 * checks)
    assert float(diffused(checks + 2.0, 0.05).mean()) == pytest.approx(2.0)
