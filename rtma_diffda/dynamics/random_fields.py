"""Gaussian random fields on a grid that decay and renew themselves in time.

In space a Whittle–Matérn field: white noise filtered in Fourier space to the power spectrum

    S(k) ∝ (1 + k² L²)^−(1 + ν),

with length L and smoothness ν; unit variance at every point. In time an Ornstein–Uhlenbeck process, exact for any
interval: z(s + δ) = ρ z(s) + √(1 − ρ²) ε with ρ = exp(−δ / τ).

References:
    Lindgren, Rue and Lindström (2011): An explicit link between Gaussian fields and Gaussian Markov random fields.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import UsageError
from rtma_diffda.geo.grid import ProjectedGrid


@dataclass(frozen=True)
class RandomFieldModel:
    """Statistics of a random field.

    Attributes:
        length: L (m).
        decay_time: τ, after which correlation with the past has fallen to 1/e.
        smoothness: ν; 1 gives ragged fields such as turbulence leaves, 4 ones that can be differentiated.
    """

    length: float
    decay_time: np.timedelta64
    smoothness: float = 1.0

    def __post_init__(self) -> None:
        if self.length <= 0 or self.decay_time <= np.timedelta64(0, "ns") or self.smoothness <= 0:
            raise UsageError(
                f"a random field needs a positive length, decay time and smoothness; found {self.length} m, "
                f"{self.decay_time}, {self.smoothness}"
            )


def split_generator(generator: torch.Generator) -> torch.Generator:
    """A generator of its own stream, seeded by one draw, so that one part's draws do not shift another's."""
    seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
    return torch.Generator(generator.device).manual_seed(seed)


def random_series(
    grid: ProjectedGrid, times: np.ndarray, model: RandomFieldModel, *, count: int, generator: torch.Generator
) -> Tensor:
    """Independent fields of zero mean and unit variance, each a process in time.

    Args:
        grid: where.
        times: (time,) datetime64, increasing.
        model: statistics in space and time.
        count: number of independent fields.
        generator: advanced by one draw only, so more times leave the first ones as they were.

    Returns:
        (time, count, y, x), float64.
    """
    own = split_generator(generator)
    spectrum = _amplitudes(grid, model)
    seconds = np.diff(times) / np.timedelta64(1, "s")
    persistence = np.exp(-seconds / (model.decay_time / np.timedelta64(1, "s")))
    fields = [_draw(spectrum, grid.shape, count, own)]
    for rho in persistence:
        fields.append(rho * fields[-1] + np.sqrt(1.0 - rho**2) * _draw(spectrum, grid.shape, count, own))
    return torch.stack(fields).cpu()


def _draw(amplitudes: Tensor, shape: tuple[int, int], count: int, generator: torch.Generator) -> Tensor:
    white = torch.randn(
        (count, *amplitudes.shape), generator=generator, device=generator.device, dtype=amplitudes.dtype
    )
    filtered = torch.fft.ifft2(torch.fft.fft2(white) * amplitudes.to(white.device)).real
    return filtered[:, : shape[0], : shape[1]]


def _amplitudes(grid: ProjectedGrid, model: RandomFieldModel) -> Tensor:
    """√S on a doubly periodic plane, padded so that opposite edges of the grid are independent."""
    sizes = [n + int(np.ceil(4 * model.length * np.sqrt(model.smoothness) / d)) for n, d in _axes(grid)]
    waves = [
        2 * np.pi * torch.fft.fftfreq(n, d, dtype=torch.float64) for n, (_, d) in zip(sizes, _axes(grid), strict=True)
    ]
    k_squared = waves[0][:, None] ** 2 + waves[1][None, :] ** 2
    power = (1.0 + k_squared * model.length**2) ** -(1.0 + model.smoothness)
    return torch.sqrt(power / power.mean())


def _axes(grid: ProjectedGrid) -> tuple[tuple[int, float], tuple[int, float]]:
    return (grid.ny, grid.dy), (grid.nx, grid.dx)
