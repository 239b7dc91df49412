"""Solutions of the shallow-water equations that are known in closed form or from a small eigenproblem.

Positions in metres, ``elapsed`` in seconds since the start, float64; each gives h, u, v stacked in axis −3, (3, y, x).

References:
    Stoker (1957): Water Waves. Ritter (1892). Gill (1976): Adjustment under gravity in a rotating channel, JFM 77.
    Williamson et al. (1992): A standard test set for the shallow water equations, J. Comput. Phys. 102.
    Galewsky, Scott and Polvani (2004): An initial-value problem for testing the shallow-water equations, Tellus 56A.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def dam_break(x: Tensor, elapsed: float, *, deep: float, shallow: float, gravity: float) -> Tensor:
    """Stoker's dam break onto still water (Ritter's onto dry ground where ``shallow`` is 0); the dam stood at x = 0.

    Between the rarefaction (left) and the shock (right) lies a state whose speed u and depth h satisfy
    u = 2(c_deep − c) and the jump conditions at the shock.
    """
    c_deep = np.sqrt(gravity * deep)
    middle, shock = _behind_shock(deep, shallow, gravity) if shallow > 0 else (0.0, 2.0 * c_deep)
    c_middle = np.sqrt(gravity * middle)
    u_middle = 2.0 * (c_deep - c_middle)
    slope = x / elapsed
    fan_c = (2.0 * c_deep - slope) / 3.0
    h = torch.where(slope < u_middle - c_middle, fan_c**2 / gravity, torch.full_like(x, middle))
    u = torch.where(slope < u_middle - c_middle, 2.0 * (c_deep - fan_c), torch.full_like(x, u_middle))
    h = torch.where(slope < -c_deep, torch.full_like(x, deep), torch.where(slope > shock, shallow, h))
    u = torch.where((slope < -c_deep) | (slope > shock), torch.zeros_like(x), u)
    return torch.stack([h, u, torch.zeros_like(x)], dim=-3)


def _behind_shock(deep: float, shallow: float, gravity: float) -> tuple[float, float]:
    """Depth behind the shock and the shock's speed, by bisection on the depth."""

    def shock_speed(depth: float) -> float:
        return float(np.sqrt(0.5 * gravity * depth * (depth + shallow) / shallow))

    low, high = shallow, deep
    for _ in range(200):
        depth = 0.5 * (low + high)
        behind_shock = shock_speed(depth) * (1.0 - shallow / depth)
        in_rarefaction = 2.0 * (np.sqrt(gravity * deep) - np.sqrt(gravity * depth))
        low, high = (depth, high) if behind_shock < in_rarefaction else (low, depth)
    return depth, shock_speed(depth)


def simple_wave(
    x: Tensor, elapsed: float, *, speed: Callable[[Tensor], Tensor], still: float, gravity: float
) -> Tensor:
    """A wave of any amplitude that runs one way until it breaks: u − 2c is constant, u + c is carried by itself.

    Args:
        x: positions, (..., x).
        elapsed: before breaking.
        speed: the wind u at the start, a function of position.
        still: depth where u is 0.
        gravity: g.
    """
    c_still = np.sqrt(gravity * still)
    start = x.clone()
    for _ in range(200):  # x = start + (u + c) elapsed, and u + c = 1.5 u + c_still
        start = x - (1.5 * speed(start) + c_still) * elapsed
    u = speed(start)
    return torch.stack([(0.5 * u + c_still) ** 2 / gravity, u, torch.zeros_like(u)], dim=-3)


def cell_averages(x: Tensor, dx: float, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Averages of ``function`` of x over cells of width ``dx``, by Gauss's rule of five points."""
    nodes, weights = np.polynomial.legendre.leggauss(5)
    return sum(0.5 * w * function(x + 0.5 * dx * z) for z, w in zip(nodes, weights, strict=True))


def travelling_vortex(x: Tensor, y: Tensor, *, depth: float, rotation: float, radius: float, gravity: float) -> Tensor:
    """A vortex about the origin in cyclostrophic balance (f = 0), which any uniform wind carries unchanged.

    Wind A r exp(−r²/2R²) around the centre and depth H − A²R²/(2g) exp(−r²/R²), with A ``rotation`` (1/s).
    """
    r2 = (x * x + y * y) / radius**2
    turning = rotation * torch.exp(-0.5 * r2)
    h = depth - 0.5 * rotation**2 * radius**2 / gravity * torch.exp(-r2)
    return torch.stack([h, -y * turning, x * turning], dim=-3)


def oblique_jets(
    x: Tensor, y: Tensor, *, wind: float, depth: float, waves: tuple[float, float], coriolis: float, gravity: float
) -> Tensor:
    """Steady parallel jets across the axes of a periodic plane, in geostrophic balance (Williamson's case 2).

    With phase φ = k x + l y the wind is along the lines of equal φ, so that u·∇u = 0, and g h = g H + f ψ with the
    stream function ψ = U/|k| sin φ.
    """
    k, l = waves  # noqa: E741 - the wave number's usual name
    size = float(np.hypot(k, l))
    phase = k * x + l * y
    along = wind / size * torch.cos(phase)
    return torch.stack([depth + coriolis * wind / (size * gravity) * torch.sin(phase), -l * along, k * along], dim=-3)


def adjusted_step(x: Tensor, *, height: float, depth: float, coriolis: float, gravity: float) -> Tensor:
    """What remains of a surface step of ± ``height`` at x = 0 when all gravity waves have left (Rossby; Gill 1976).

    Linear: η = η₀ sgn(x) (1 − exp(−|x|/a)), v = g η₀/(f a) exp(−|x|/a), with a = √(gH)/f.
    """
    radius = np.sqrt(gravity * depth) / coriolis
    decay = torch.exp(-x.abs() / radius)
    h = depth + height * torch.sign(x) * (1.0 - decay)
    return torch.stack([h, torch.zeros_like(x), gravity * height / (coriolis * radius) * decay], dim=-3)


def cosine_bell(x: Tensor, y: Tensor, *, radius: float) -> Tensor:
    """½ (1 + cos πr/R) inside the radius, 0 outside (Williamson's case 1), (y, x)."""
    r = torch.sqrt(x * x + y * y) / radius
    return torch.where(r < 1.0, 0.5 * (1.0 + torch.cos(torch.pi * r)), torch.zeros_like(r))


def balanced_depth(wind: Tensor, dy: float, *, mean: float, coriolis: float, gravity: float) -> Tensor:
    """Depth (y,) that balances a periodic zonal wind (y,) of zero mean: g dh/dy = −f U, integrated spectrally."""
    waves = 2.0 * torch.pi * torch.fft.fftfreq(wind.numel(), dy, dtype=torch.float64)
    spectrum = torch.fft.fft(-coriolis / gravity * wind)
    spectrum[0] = 0.0
    spectrum[1:] = spectrum[1:] / (1j * waves[1:])
    return mean + torch.fft.ifft(spectrum).real


def unstable_mode(
    wind: Tensor, depth: Tensor, *, dy: float, wave: float, coriolis: float, gravity: float
) -> tuple[float, Tensor]:
    """The fastest growing perturbation of a zonal jet, q(y) exp(ikx + sn), from the linear equations in y.

    Args:
        wind, depth: U(y) and H(y), (y,), periodic and in geostrophic balance; derivatives are spectral.
        dy: spacing (m).
        wave: k (1/m).
        coriolis: f.
        gravity: g.

    Returns:
        Growth rate Re s (1/s), and the mode (3, y), complex, of h, u, v, its largest |v| being 1.
    """
    n = wind.numel()
    D = _spectral_derivative(n, n * dy)
    U, H, zero = np.diag(wind.numpy()), np.diag(depth.numpy()), np.zeros((n, n))
    shear, slope = np.diag(D @ wind.numpy()), np.diag(D @ depth.numpy())
    f, identity = coriolis * np.eye(n), np.eye(n)
    advection = -1j * wave * U
    matrix = np.block(
        [
            [advection, -1j * wave * H, -(H @ D + slope)],
            [-1j * wave * gravity * identity, advection, f - shear],
            [-gravity * D, -f + zero, advection],
        ]
    )
    rates, modes = np.linalg.eig(matrix)
    fastest = int(np.argmax(rates.real))
    mode = modes[:, fastest].reshape(3, n)
    peak = mode[2, np.argmax(np.abs(mode[2]))]
    return float(rates[fastest].real), torch.from_numpy(mode / peak)


def _spectral_derivative(n: int, length: float) -> np.ndarray:
    """d/dy of periodic fields as a matrix."""
    waves = 2.0 * np.pi * np.fft.fftfreq(n, length / n)
    if n % 2 == 0:
        waves[n // 2] = 0.0
    return np.real(np.fft.ifft(1j * waves[:, None] * np.fft.fft(np.eye(n), axis=0), axis=0))
