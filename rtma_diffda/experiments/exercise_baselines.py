"""What the networks of the exercises are compared with: interpolation of the observations, and optimal interpolation.

Kriging of departures d from what is known beforehand (the climatological mean, or the background),

    x̂ = C_xo (C_oo + R)⁻¹ d,

with the covariance C of training fields as a function of the lag alone, estimated without any model: summed products
at every lag, divided by the number of all cells. That makes C positive semidefinite; on a periodic plane it is unbiased
too, elsewhere it falls off too fast at lags near the size of the plane. With covariances between quantities this is
cokriging; with departures from a background it is optimal interpolation, with the training fields' own errors for B.

References:
    Wackernagel (2003): Multivariate Geostatistics, chapters 3, 19 and 24.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import griddata
from scipy.linalg import cho_factor, cho_solve

from rtma_diffda.errors import InputError


@dataclass(frozen=True)
class LagCovariance:
    """Covariances of gridded quantities as a function of the lag.

    Attributes:
        values: (channel, channel, lag y, lag x): cov(a at p, b at p − lag); negative lags count from the end, and the
            plane of lags is periodic.
    """

    values: np.ndarray

    @classmethod
    def estimated(cls, departures: np.ndarray, *, periodic: bool) -> "LagCovariance":
        """From departures (member, channel, y, x), whose mean is taken as 0, perhaps on a doubly periodic plane."""
        members, _, ny, nx = departures.shape
        shape = (ny, nx) if periodic else (2 * ny, 2 * nx)
        spectra = np.fft.rfft2(departures, s=shape)
        products = np.einsum("mayx,mbyx->abyx", spectra, spectra.conj()) / (members * ny * nx)
        return cls(np.fft.irfft2(products, s=shape))

    def of(self, channels: Sequence[int]) -> "LagCovariance":
        """Of some of the channels."""
        return LagCovariance(self.values[np.ix_(channels, channels)])

    def univariate(self) -> "LagCovariance":
        """The same without covariances between quantities."""
        return LagCovariance(self.values * np.eye(len(self.values))[:, :, None, None])

    def among(self, places: np.ndarray) -> np.ndarray:
        """(n, n) between places (n, 3): channel, row and column."""
        channel, row, column = places.T
        rows = (row[:, None] - row[None, :]) % self.values.shape[2]
        columns = (column[:, None] - column[None, :]) % self.values.shape[3]
        return self.values[channel[:, None], channel[None, :], rows, columns]

    def spread(self, weights: np.ndarray) -> np.ndarray:
        """C w for weights (channel, y, x) on the grid, by Fourier transform: (channel, y, x)."""
        shape = self.values.shape[-2:]
        product = np.einsum("abyx,byx->ayx", np.fft.rfft2(self.values), np.fft.rfft2(weights, s=shape))
        return np.fft.irfft2(product, s=shape)[:, : weights.shape[1], : weights.shape[2]]


def kriging(
    departures: np.ndarray, observed_mask: np.ndarray, covariance: LagCovariance, *, error_std: np.ndarray
) -> np.ndarray:
    """Departures everywhere from departures at sites.

    Args:
        departures: (channel, y, x), read where observed.
        observed_mask: like departures.
        covariance: of the same channels.
        error_std: (channel,) of the observations.

    Returns:
        (channel, y, x).
    """
    sites = np.argwhere(observed_mask)
    among = covariance.among(sites) + np.diag(error_std[sites[:, 0]] ** 2)
    weights = np.zeros(departures.shape)
    weights[observed_mask] = cho_solve(cho_factor(among), departures[observed_mask])
    return covariance.spread(weights)


def linear_interpolation(values: np.ndarray, observed_mask: np.ndarray) -> np.ndarray:
    """A field (y, x) from values at sites: linear in the triangles between them, the nearest site's outside.

    Raises:
        InputError: fewer than four sites.
    """
    sites = np.argwhere(observed_mask)
    if len(sites) < 4:
        raise InputError(f"linear interpolation from {len(sites)} sites; it needs at least four")
    everywhere = np.argwhere(np.ones(values.shape, bool))
    linear, nearest = (griddata(sites, values[observed_mask], everywhere, method=how) for how in ("linear", "nearest"))
    return np.where(np.isfinite(linear), linear, nearest).reshape(values.shape)
