"""Covariances between variables, estimated from samples of the background's error and localised.

From fields of errors e (truth minus background) of many independent runs, over all pairs of points of a lag h,

    C_ij(h) = mean of e_i(x) e_j(x + h),    ρ_ij(h) = C_ij(h) / √(C_ii(0) C_jj(0)).

No terrain enters, so that the estimate holds for regions never seen; it keeps what distance alone cannot tell, such as
the odd relation of pressure and wind. Localisation multiplies with a function G of distance that falls to 0 (Gaspari
and Cohn 1999, equation 4.10). Noise, and the fewer pairs at long lags, can leave ρ G with negative spectral density:
then the matrix (i, j) of each wave number is put back to the nearest one without negative eigenvalues, which makes the
covariance positive definite for all fields that fit the region of the samples.

References:
    Gaspari and Cohn (1999), Q. J. R. Meteorol. Soc. 125, 723–757; Buehner (2005), ibid. 131, 1013–1043.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.observations.table import Observations


@dataclass(frozen=True)
class LagCorrelations:
    """ρ by lag, on the lattice of the grid that the samples lay on.

    Attributes:
        names: of the channels.
        dx, dy: spacing of the lattice (m).
        table: (channel i, channel j, 2 m_y + 1, 2 m_x + 1) ρ_ij(h) for lags h of −m … m spacings in y and x.
        std: (channel,) √C_ii(0), SI.
        fields: how many were looked at.
    """

    names: tuple[str, ...]
    dx: float
    dy: float
    table: Tensor
    std: Tensor
    fields: int

    @property
    def reach(self) -> tuple[int, int]:
        """(m_y, m_x): longest lags, in spacings."""
        return self.table.shape[2] // 2, self.table.shape[3] // 2

    def at_zero(self) -> Tensor:
        """(channel, channel): correlations of the variables at the same place."""
        m_y, m_x = self.reach
        return self.table[:, :, m_y, m_x]

    def require_grid(self, layout: Layout) -> None:
        """Nothing, where the lattice is that of the layout's grid and the channels are the same.

        Raises:
            InputError: other spacing or channels.
        """
        grid = layout.grid
        if (grid.dx, grid.dy) != (self.dx, self.dy) or layout.names != self.names:
            raise InputError(
                f"covariances of {self.names} on points {self.dx:.0f} × {self.dy:.0f} m apart do not serve a grid of "
                f"{layout.names} with {grid.dx:.0f} × {grid.dy:.0f} m"
            )


def sample_correlations(batches: Iterable[Tensor], layout: Layout) -> LagCorrelations:
    """Estimate ρ from errors of the background.

    Args:
        batches: (member, channel, y, x) SI; their mean is not removed, since it is an error too.
        layout: of the errors.

    Raises:
        InputError: no fields, or some that are not finite.
    """
    _, ny, nx = layout.shape
    size = (2 * ny, 2 * nx)
    products, fields = torch.zeros((), dtype=torch.complex128), 0
    for errors in batches:
        if not bool(torch.isfinite(errors).all()):
            raise InputError(f"errors of the background are not finite in fields {fields} … {fields + len(errors) - 1}")
        spectra = torch.fft.rfft2(errors.double(), s=size)
        products = products + torch.einsum("miyx,mjyx->ijyx", spectra.conj(), spectra)
        fields += len(errors)
    if not fields:
        raise InputError("a sample covariance needs fields of errors; there are none")
    pairs = torch.fft.rfft2(torch.ones(ny, nx, dtype=torch.float64), s=size).abs().square()
    count = _centred(torch.fft.irfft2(pairs, s=size)).round().clamp_min(1.0) * fields
    covariance = _centred(torch.fft.irfft2(products, s=size)) / count
    std = covariance.diagonal()[ny - 1, nx - 1].sqrt()
    grid = layout.grid
    return LagCorrelations(
        layout.names, grid.dx, grid.dy, covariance / (std[:, None] * std)[:, :, None, None], std, fields
    )


def localised(correlations: LagCorrelations, length: float) -> LagCorrelations:
    """ρ G made positive definite; G falls to 0 at ``length`` (m)."""
    m_y, m_x = correlations.reach
    y, x = (torch.arange(-m, m + 1, dtype=torch.float64) for m in (m_y, m_x))
    distance = torch.hypot(correlations.dy * y[:, None], correlations.dx * x[None, :])
    table = correlations.table * gaspari_cohn(distance, length)
    table = _positive_definite(table)
    std = table.diagonal()[m_y, m_x].sqrt()
    table = table / (std[:, None] * std)[:, :, None, None]
    return LagCorrelations(
        correlations.names, correlations.dx, correlations.dy, table, correlations.std, correlations.fields
    )


def gaspari_cohn(distance: Tensor, length: float) -> Tensor:
    """G of distances (m): a piecewise polynomial of the fifth order, 1 at 0 and 0 from ``length`` on."""
    r = (2.0 * distance / length).clamp_max(2.0)
    near = 1.0 - 5.0 / 3.0 * r**2 + 5.0 / 8.0 * r**3 + 0.5 * r**4 - 0.25 * r**5
    q = r.clamp_min(1.0)
    far = 4.0 - 5.0 * q + 5.0 / 3.0 * q**2 + 5.0 / 8.0 * q**3 - 0.5 * q**4 + q**5 / 12.0 - 2.0 / (3.0 * q)
    return torch.where(r < 1.0, near, far.clamp_min(0.0))


def columns(
    correlations: LagCorrelations, layout: Layout, channel: int, data: Observations, data_channel: int
) -> Tensor:
    """ρ Hᵀ: correlations of the errors of one channel on the grid with those of data of another: (n, y, x).

    A datum's error is that of the bilinear interpolation at its place, as H has it, so that H ρ Hᵀ keeps the positive
    definiteness of ρ.

    Raises:
        InputError: the correlations are of another lattice or of other channels.
    """
    correlations.require_grid(layout)
    grid = layout.grid
    row, column = grid.fractional_index(data.latitude.cpu().numpy(), data.longitude.cpu().numpy())
    (south, a), (west, b) = (_corner(torch.from_numpy(index), n) for index, n in ((row, grid.ny), (column, grid.nx)))
    table = _reaching(correlations.table[data_channel, channel], grid)
    m_y, m_x = table.shape[0] // 2, table.shape[1] // 2
    windows = table.unfold(0, grid.ny + 1, 1).unfold(1, grid.nx + 1, 1)[m_y - south - 1, m_x - west - 1]
    a, b = (weight.to(table.dtype)[:, None, None] for weight in (a, b))
    in_y = torch.lerp(windows[:, 1:], windows[:, :-1], a)  # the corner itself, and its northern neighbour's lag
    return torch.lerp(in_y[:, :, 1:], in_y[:, :, :-1], b)


def _corner(index: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The grid point at or before a fractional index, and the remaining fraction."""
    corner = index.long().clamp(0, count - 2)
    return corner, index - corner


def _reaching(table: Tensor, grid: ProjectedGrid) -> Tensor:
    """The table (y, x) with zeros around it, so that every lag on the grid is in it."""
    m_y, m_x = table.shape[0] // 2, table.shape[1] // 2
    more_y, more_x = max(grid.ny - m_y, 0), max(grid.nx - m_x, 0)
    return torch.nn.functional.pad(table, (more_x, more_x, more_y, more_y))


def _centred(lags: Tensor) -> Tensor:
    """Lags (…, 2 n_y, 2 n_x) from the order of the transform to −(n − 1) … n − 1."""
    return torch.fft.fftshift(lags, dim=(-2, -1))[..., 1:, 1:]


def _positive_definite(table: Tensor) -> Tensor:
    """The table (i, j, y, x) with the negative eigenvalues of its spectral matrices set to 0."""
    size = (table.shape[2] + 1, table.shape[3] + 1)
    padded = torch.nn.functional.pad(table, (1, 0, 1, 0))
    spectrum = torch.fft.rfft2(torch.fft.ifftshift(padded, dim=(-2, -1))).permute(2, 3, 0, 1)
    hermitian = 0.5 * (spectrum + spectrum.mH)
    eigenvalues, vectors = torch.linalg.eigh(hermitian)
    clipped = (vectors * eigenvalues.clamp_min(0.0)[..., None, :]) @ vectors.mH
    return _centred(torch.fft.irfft2(clipped.permute(2, 3, 0, 1), s=size))
