"""Isotropic power spectra of fields on a limited area, by the discrete cosine transform.

A limited-area field is not periodic: a Fourier transform would take its edges for fronts. The cosine transform mirrors
the field at its edges instead (Denis et al. 2002). With F the orthonormal two-dimensional transform of a field f of
N_y × N_x points, the variance splits over wave numbers (m, n) ≠ (0, 0),

    σ²(m, n) = F(m, n)² / (N_y N_x),    Σ σ²(m, n) = variance of f        (Parseval),

and is gathered in bands of α = √(m²/N_y² + n²/N_x²): band k = 1, 2, … holds k ≤ α N < k + 1 with N = min(N_y, N_x).
Its wavelength is λ_k = 2 N Δ / (k + ½). Two grid spacings are the shortest that a grid can hold; what lies beyond, in
the corners of the wave number plane, is kept in bands of its own, so that nothing is lost.

Two fields' *coherence* in a band, (Σ F G)² / (Σ F² Σ G²), is the share of one's variance there that the other knows,
apart from its amplitude: 1 where they differ by a factor only, 0 where they have nothing to do with each other.

Reference: Denis, Côté and Laprise (2002), Mon. Weather Rev. 130, 1812–1829,
doi:10.1175/1520-0493(2002)130<1812:SDOTDA>2.0.CO;2, eqs. 2 and 8–13.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.fft import dctn

from rtma_diffda.errors import InputError
from rtma_diffda.geo.grid import ProjectedGrid


@dataclass(frozen=True)
class Bands:
    """The bands of wave numbers of a grid.

    Attributes:
        number: (y, x) int64 band of every coefficient, from 1; 0 for the mean, which is in none.
        wavelength: (band,) m, at the middle of each band, longest first.
    """

    number: np.ndarray
    wavelength: np.ndarray

    @classmethod
    def of(cls, grid: ProjectedGrid) -> "Bands":
        """Of a grid of equal spacing along both axes.

        Raises:
            InputError: the spacings differ.
        """
        if not np.isclose(grid.dx, grid.dy, rtol=1e-6):
            raise InputError(f"isotropic spectra need equal spacings; the grid has {grid.dx} × {grid.dy} m")
        return _bands(grid.ny, grid.nx, grid.dx)

    def gather(self, power: np.ndarray) -> np.ndarray:
        """Sums by band (…, band) of something by wave number (…, y, x)."""
        flat = power.reshape(-1, self.number.size)
        count = self.wavelength.size
        sums = [np.bincount(self.number.ravel(), row, minlength=count + 1)[1:] for row in flat]
        return np.reshape(sums, (*power.shape[:-2], count))


def coefficients(fields: np.ndarray) -> np.ndarray:
    """F / √(N_y N_x), (…, y, x), of fields (…, y, x): squares are shares of the variance, [0, 0] is the mean."""
    ny, nx = fields.shape[-2:]
    return dctn(np.asarray(fields, np.float64), axes=(-2, -1), norm="ortho") / np.sqrt(ny * nx)


def power_spectrum(fields: np.ndarray, bands: Bands) -> np.ndarray:
    """Variance in each band: fields (…, y, x) → (…, band), in squared units of the field."""
    return bands.gather(coefficients(fields) ** 2)


def cross_spectrum(first: np.ndarray, second: np.ndarray, bands: Bands) -> np.ndarray:
    """Covariance of two fields (…, y, x) in each band: (…, band)."""
    return bands.gather(coefficients(first) * coefficients(second))


def coherence(cross: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Squared coherence (…) from spectra (…) that were summed over cases first; NaN where either field has no power."""
    product = first * second
    return np.divide(cross**2, product, out=np.full(np.shape(product), np.nan), where=product > 0)


@cache
def _bands(ny: int, nx: int, spacing: float) -> Bands:
    shortest = min(ny, nx)
    m, n = np.meshgrid(np.arange(ny) / ny, np.arange(nx) / nx, indexing="ij")
    # A wave number that is a whole multiple must not fall into the band below by rounding.
    number = np.floor(np.hypot(m, n) * shortest + 1e-9).astype(np.int64)
    number[(number == 0) & ((m > 0) | (n > 0))] = 1  # on an oblong grid: waves longer than the shorter side allows
    number[0, 0] = 0
    return Bands(number, 2.0 * shortest * spacing / (np.arange(1, number.max() + 1) + 0.5))
