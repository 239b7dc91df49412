"""Random states of shallow water on a doubly periodic plane: winds in near geostrophic balance, waves, and terrain.

Every field is white noise filtered to the power spectrum S(k) ∝ (1 + k²L²)^−(1 + ν) (Whittle and Matérn), normalised to
unit variance. A stream function ψ gives the wind (−∂ψ/∂y, ∂ψ/∂x) and the surface η = f ψ/g that balances it but for the
centrifugal force; what is not balanced radiates as gravity waves.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rtma_diffda.dynamics.plane import Plane
from rtma_diffda.errors import UsageError


@dataclass(frozen=True)
class RandomWater:
    """Statistics of the states.

    Attributes:
        depth: of the water on average (m).
        wind_std: standard deviation of each wind component (m/s).
        length: L of the stream function (m).
        unbalanced_std: of a part of the surface that no wind balances (m).
        terrain_std: of the terrain (m).
        terrain_length: L of terrain and of the unbalanced surface (m).
    """

    depth: float = 100.0
    wind_std: float = 7.0
    length: float = 110e3
    unbalanced_std: float = 2.0
    terrain_std: float = 6.0
    terrain_length: float = 50e3


def random_plane_fields(
    plane: Plane, *, length: float, smoothness: float, count: int, generator: torch.Generator
) -> Tensor:
    """``count`` independent periodic fields of zero mean and unit variance, (count, y, x), float64.

    Raises:
        UsageError: the plane is not periodic along both axes.
    """
    if (plane.edge_y, plane.edge_x) != ("periodic", "periodic"):
        raise UsageError(f"random fields need a doubly periodic plane; its edges are {plane.edge_y}, {plane.edge_x}")
    ky, kx = _wave_numbers(plane)
    power = (1.0 + (kx * kx + ky * ky) * length**2) ** -(1.0 + smoothness)
    power[0, 0] = 0.0  # the mean is exactly 0
    amplitude = torch.sqrt(power / power.mean())
    white = torch.randn((count, plane.ny, plane.nx), generator=generator, dtype=torch.float64)
    return torch.fft.ifft2(torch.fft.fft2(white) * amplitude).real


def random_water(
    plane: Plane, law: RandomWater, *, coriolis: float, gravity: float, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """States and the terrain under them.

    Args:
        plane: doubly periodic.
        law: statistics.
        coriolis: f (1/s).
        gravity: g (m/s²).
        count: of independent runs.
        generator: of all draws.

    Returns:
        h, u, v (run, 3, y, x) and terrain (run, y, x), float64.
    """
    ky, kx = _wave_numbers(plane)
    psi = random_plane_fields(plane, length=law.length, smoothness=3.0, count=count, generator=generator)
    spectrum = torch.fft.fft2(psi)
    u, v = torch.fft.ifft2(-1j * ky * spectrum).real, torch.fft.ifft2(1j * kx * spectrum).real
    scale = law.wind_std / torch.sqrt(0.5 * (u * u + v * v).mean())
    rough = random_plane_fields(plane, length=law.terrain_length, smoothness=2.0, count=2 * count, generator=generator)
    terrain = law.terrain_std * rough[:count]
    surface = law.depth + coriolis / gravity * scale * psi + law.unbalanced_std * rough[count:]
    return torch.stack([surface - terrain, scale * u, scale * v], dim=1), terrain


def _wave_numbers(plane: Plane) -> tuple[Tensor, Tensor]:
    """k_y (y, 1) and k_x (1, x), 1/m."""
    ky = 2.0 * torch.pi * torch.fft.fftfreq(plane.ny, plane.dy, dtype=torch.float64)
    kx = 2.0 * torch.pi * torch.fft.fftfreq(plane.nx, plane.dx, dtype=torch.float64)
    return ky[:, None], kx[None, :]
