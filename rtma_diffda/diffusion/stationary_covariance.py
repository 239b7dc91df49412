"""``StationaryCovariance``: B of all channels on a lattice by lag, and what a noise level leaves of it.

B_ij(h) is the covariance of channel i at a point with channel j at h spacings from there. On a torus large enough that
no two points of the fields meet around it, B is block-diagonal in wave numbers k, one matrix of channels each,

    S(k) = Σ_h B(h) exp(i k·h) = V diag(b) V*,        b ≥ 0,

so that C(σ) = B − B (B + σ² I)⁻¹ B, the covariance of r given r + σ·noise, is V diag(b σ² / (b + σ²)) V*: a new lag
table at the price of small products and one transform. Two things are approximate. Eigenvalues b < 0, which a table
not made for this torus may have, are set to 0. And C is that of fields which go on beyond the edge, where the noisy
field is known as well; within a correlation length of the edge it is therefore too small at middling σ, by up to a
quarter of the variance in a corner (``tests/diffusion/test_stationary_covariance.py``).

References:
    Dietrich and Newsam (1997), SIAM J. Sci. Comput. 18, 1088–1107 (embedding in a torus); Gaspari and Cohn (1999),
    Q. J. R. Meteorol. Soc. 125, 723–757.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from rtma_diffda.errors import InputError, UsageError


@dataclass(frozen=True)
class TorusCovariance:
    """A covariance that is ready to be multiplied with.

    Attributes:
        spectrum: S (channel, channel, k_y, k_x), complex; k_x ≥ 0 only, as for real fields.
        torus: (t_y, t_x) points.
        shape: (y, x) of the fields.
    """

    spectrum: Tensor
    torus: tuple[int, int]
    shape: tuple[int, int]

    def lags(self) -> Tensor:
        """By lag, in the torus's own order: (channel i, channel j, t_y, t_x), the entry h mod t for lag h."""
        return torch.fft.irfft2(self.spectrum.conj(), s=self.torus)

    def apply(self, fields: Tensor) -> Tensor:
        """The product with fields (member, channel, y, x) that are 0 outside: alike."""
        spectra = torch.fft.rfft2(fields, s=self.torus)
        products = torch.zeros_like(spectra)
        for j in range(spectra.shape[1]):  # einsum("ijyx,mjyx->miyx") takes twice the time
            products.addcmul_(self.spectrum[:, j], spectra[:, j, None])
        ny, nx = self.shape
        return torch.fft.irfft2(products, s=self.torus)[..., :ny, :nx]


@dataclass(frozen=True)
class StationaryCovariance:
    """B by lag, for fields of one shape.

    Attributes:
        table: (channel i, channel j, 2 m_y + 1, 2 m_x + 1) B_ij(h) for lags h of −m … m spacings, in units of s².
            Outer lags that are 0 throughout are left out, and the torus, and with it the cost, shrinks accordingly.
        shape: (y, x) of the fields.
    """

    table: Tensor
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        shape = tuple(self.table.shape)
        if len(shape) != 4 or shape[0] != shape[1] or shape[2] % 2 == 0 or shape[3] % 2 == 0 or min(self.shape) < 1:
            raise InputError(
                f"a table of lags has the shape (channel, channel, 2 m_y + 1, 2 m_x + 1); found {shape}, for fields of "
                f"{self.shape}"
            )
        if not bool(torch.isfinite(self.table).all()):
            raise InputError("a table of lags has values that are not finite")
        if not bool((self._variances() > 0).all()):
            raise InputError(f"variances at lag 0 must be positive; found {self._variances().tolist()}")

    @property
    def channels(self) -> int:
        """How many there are."""
        return len(self.table)

    @cached_property
    def torus(self) -> tuple[int, int]:
        """(t_y, t_x) points: the fields and the longest lag side by side, or the whole table."""
        m_y, m_x = self._reach
        sizes = (max(n + m, 2 * m + 1, n + 1) for n, m in zip(self.shape, (m_y, m_x), strict=True))
        return tuple(next_fast_len(size, real=True) for size in sizes)  # type: ignore[return-value]

    def conditional(self, sigma: float, *, dtype: torch.dtype = torch.float32) -> TorusCovariance:
        """C(σ).

        Args:
            sigma: noise level ≥ 0, finite.
            dtype: of the products; the eigenvalues are worked out in float64.

        Raises:
            UsageError: another noise level.
        """
        if not 0.0 <= sigma < math.inf:
            raise UsageError(f"a noise level is a finite number ≥ 0; found {sigma}")
        b, V = self._modes
        kept = b * (sigma**2 / (b + sigma**2).clamp_min(1e-300))
        V = V.to(torch.complex128 if dtype == torch.float64 else torch.complex64)
        spectrum = (V * kept.to(dtype)[..., None, :]) @ V.mH
        return TorusCovariance(spectrum.permute(2, 3, 0, 1).contiguous(), self.torus, self.shape)

    @cached_property
    def _reach(self) -> tuple[int, int]:
        """(m_y, m_x): the longest lags that count."""
        used = (self.table != 0).any(dim=0).any(dim=0)
        return _reach_of(used.any(dim=1)), _reach_of(used.any(dim=0))

    @cached_property
    def _modes(self) -> tuple[Tensor, Tensor]:
        """b (k_y, k_x, channel) and V (k_y, k_x, channel, channel), float64."""
        m_y, m_x = self._reach
        centre_y, centre_x = self.table.shape[2] // 2, self.table.shape[3] // 2
        kept = self.table[:, :, centre_y - m_y : centre_y + m_y + 1, centre_x - m_x : centre_x + m_x + 1].double()
        lags = kept.new_zeros(self.channels, self.channels, *self.torus)
        lags[:, :, : 2 * m_y + 1, : 2 * m_x + 1] = kept
        lags = lags.roll((-m_y, -m_x), dims=(2, 3))
        spectrum = torch.fft.rfft2(lags).conj().permute(2, 3, 0, 1)
        b, V = torch.linalg.eigh(0.5 * (spectrum + spectrum.mH))
        return b.clamp_min(0.0), V

    def _variances(self) -> Tensor:
        m_y, m_x = self.table.shape[2] // 2, self.table.shape[3] // 2
        return self.table[:, :, m_y, m_x].diagonal()


def _reach_of(used: Tensor) -> int:
    """How far from its middle a row (2 m + 1,) is True."""
    return int((used.nonzero().flatten() - len(used) // 2).abs().max())
