"""Gravity and inertial waves of the slab, solved in Fourier space.

With φ the departure of the interface's geopotential (m²/s²), C a reference value of c² (m²/s²), f the Coriolis
parameter and ν the hyperdiffusion, the linear part of the equations is

    ∂u/∂t = f v − ∂φ/∂x,    ∂v/∂t = −f u − ∂φ/∂y,    ∂φ/∂t = −C (∂u/∂x + ∂v/∂y),    each − ν k⁴,

one 3 × 3 system a wave number. A step is implicit, off-centred by α ≥ ½: (1 − α δ L) x⁺ = (1 + (1 − α) δ L) x. With
C at least the largest c² of the flow the scheme stays stable when the explicit part supplies the difference (Simmons
and Temperton 1997), at any time step; waves shorter than c δ are slowed and damped. The mean of φ never changes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class WaveOperator:
    """The matrices (1 − α δ L)⁻¹ (1 + (1 − α) δ L) of every run and wave number.

    Attributes:
        matrices: (run, 3, 3, ky, kx) complex, acting on (u, v, φ / √C).
        reference_speed: √C (m/s).
    """

    matrices: Tensor
    reference_speed: float

    @classmethod
    def of(
        cls, coriolis: Tensor, shape: tuple[int, int], *, spacing: float, time_step: float, settings: "WaveSettings"
    ) -> "WaveOperator":
        """For runs of Coriolis parameter (run,) on a periodic grid of ``shape`` (y, x); SI units."""
        kx, ky = wave_numbers(shape, spacing)
        kx, ky = torch.broadcast_tensors(kx, ky)
        damping = -((kx**2 + ky**2) ** 2) * spacing**4 / (torch.pi**4 * settings.diffusion_time)
        c = settings.reference_speed
        f = coriolis.double().cpu().reshape(-1, 1, 1).expand(-1, *kx.shape)
        linear = torch.zeros((f.shape[0], *kx.shape, 3, 3), dtype=torch.complex128)
        linear[..., 0, 1], linear[..., 1, 0] = f + 0j, -f + 0j
        linear[..., 0, 2] = linear[..., 2, 0] = -1j * c * kx
        linear[..., 1, 2] = linear[..., 2, 1] = -1j * c * ky
        linear = linear + damping[..., None, None] * torch.eye(3)
        unit, alpha = torch.eye(3, dtype=torch.complex128), settings.off_centring
        backward, forward = unit - alpha * time_step * linear, unit + (1.0 - alpha) * time_step * linear
        matrices = torch.linalg.solve(backward, forward).permute(0, 3, 4, 1, 2).contiguous()
        return cls(_in_precision_of(matrices, coriolis), c)

    def __call__(self, u: Tensor, v: Tensor, phi: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """u, v (m/s) and φ (m²/s²), each (run, y, x), one time step later."""
        fields = torch.stack([u, v, phi / self.reference_speed], dim=1)
        spectra = torch.fft.rfft2(fields)
        m = self.matrices
        after = m[:, :, 0] * spectra[:, None, 0] + m[:, :, 1] * spectra[:, None, 1] + m[:, :, 2] * spectra[:, None, 2]
        u, v, phi = torch.fft.irfft2(after, s=fields.shape[-2:]).unbind(1)
        return u, v, phi * self.reference_speed


@dataclass(frozen=True)
class WaveSettings:
    """Attributes:
    reference_speed: √C (m/s), above every gravity-wave speed of the flow.
    off_centring: α; 0.5 keeps the energy of waves, more damps the shortest.
    diffusion_time: time (s) in which hyperdiffusion damps waves of two grid spacings by 1/e.
    """

    reference_speed: float = 62.0
    off_centring: float = 0.56
    diffusion_time: float = 600.0


def wave_numbers(shape: tuple[int, int], spacing: float) -> tuple[Tensor, Tensor]:
    """kx (1, kx) and ky (ky, 1) in rad/m of ``torch.fft.rfft2``, float64.

    Those of two grid spacings are 0 in a first derivative, whose sign they cannot hold, and the same is done here.
    """
    ky = 2.0 * torch.pi * torch.fft.fftfreq(shape[0], spacing, dtype=torch.float64)
    kx = 2.0 * torch.pi * torch.fft.rfftfreq(shape[1], spacing, dtype=torch.float64)
    if shape[0] % 2 == 0:
        ky[shape[0] // 2] = 0.0
    if shape[1] % 2 == 0:
        kx[-1] = 0.0
    return kx[None, :], ky[:, None]


def _in_precision_of(matrices: Tensor, like: Tensor) -> Tensor:
    narrow = torch.complex64 if like.dtype == torch.float32 else torch.complex128
    return matrices.to(like.device, narrow)
