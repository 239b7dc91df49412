"""Random states of shallow water: their statistics, and that their winds are in geostrophic balance."""

import pytest
import torch

from rtma_diffda.dynamics.plane import Plane
from rtma_diffda.dynamics.random_shallow_water import RandomWater, random_plane_fields, random_water
from rtma_diffda.errors import UsageError

PLANE = Plane(32, 40, 25e3, 25e3)


def draw(law, count=20, seed=1):
    return random_water(
        PLANE, law, coriolis=1e-4, gravity=9.8, count=count, generator=torch.Generator().manual_seed(seed)
    )


def test_fields_have_unit_variance_zero_mean_and_the_matern_spectrum():
    fields = random_plane_fields(
        PLANE, length=60e3, smoothness=1.5, count=400, generator=torch.Generator().manual_seed(1)
    )
    assert float(fields.mean(dim=(1, 2)).abs().max()) < 1e-12
    assert float(fields.std()) == pytest.approx(1.0, abs=0.02)
    power = torch.fft.fft2(fields).abs().square().mean(dim=0)
    k = 2 * torch.pi / (25e3 * 40)
    expected = ((1 + (k * 60e3) ** 2) / (1 + (3 * k * 60e3) ** 2)) ** -2.5
    assert float(power[0, 1] / power[0, 3]) == pytest.approx(expected, rel=0.2)


def test_winds_have_their_strength_and_balance_the_surface():
    values, terrain = draw(RandomWater(depth=80.0, wind_std=5.0, unbalanced_std=0.0, terrain_std=4.0))
    h, u, v = values.unbind(1)
    assert float((0.5 * (u * u + v * v).mean()).sqrt()) == pytest.approx(5.0)
    assert float(h.mean()) == pytest.approx(80.0) and float(terrain.std()) == pytest.approx(4.0, rel=0.05)
    spectrum = torch.fft.fft2(h + terrain)
    kx = 2 * torch.pi * torch.fft.fftfreq(PLANE.nx, PLANE.dx, dtype=torch.float64)
    ky = 2 * torch.pi * torch.fft.fftfreq(PLANE.ny, PLANE.dy, dtype=torch.float64)[:, None]
    torch.testing.assert_close(9.8 * torch.fft.ifft2(1j * kx * spectrum).real, 1e-4 * v, rtol=0, atol=1e-9)
    torch.testing.assert_close(9.8 * torch.fft.ifft2(1j * ky * spectrum).real, -1e-4 * u, rtol=0, atol=1e-9)


def test_the_same_generator_gives_the_same_states():
    one, other, again = draw(RandomWater(), 2)[0], draw(RandomWater(), 2, seed=2)[0], draw(RandomWater(), 2)[0]
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_a_plane_with_walls_is_refused():
    with pytest.raises(UsageError, match="doubly periodic"):
        random_plane_fields(
            Plane(4, 4, 1.0, 1.0, "wall"), length=1.0, smoothness=1.0, count=1, generator=torch.Generator()
        )
