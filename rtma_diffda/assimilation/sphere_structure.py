"""Isotropic correlations on the sphere by latitude and difference of longitude, from a length and a function.

    B(y, y′, Δ) = D(y) D(y′) φ(c² / L²),    c² = |p(y, Δ) − p(y′, 0)|²,

c is the chord (m) between two points of the sphere. φ is one of ``correlation.CORRELATION_FUNCTIONS``, positive
definite in space and therefore on the sphere. Reference: Gaspari and Cohn (1999), Q. J. R. Meteorol. Soc. 125, 723–757.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.assimilation.correlation import CORRELATION_FUNCTIONS
from rtma_diffda.assimilation.sphere_covariance import spectrum_of_lags
from rtma_diffda.errors import UsageError
from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.geo.sphere import EARTH_RADIUS, unit_vectors


@dataclass(frozen=True)
class SphereStructure:
    """How errors are correlated over distance.

    Attributes:
        function: φ, a name of ``CORRELATION_FUNCTIONS``.
        length: L, m.
    """

    function: str
    length: float

    def __post_init__(self) -> None:
        if self.function not in CORRELATION_FUNCTIONS or not self.length > 0.0:
            raise UsageError(
                f"a structure on the sphere has a function of {', '.join(CORRELATION_FUNCTIONS)} and a positive "
                f"length; found {self}"
            )

    @property
    def in_words(self) -> str:
        """For the log."""
        return f"{self.function} {self.length / 1e3:.0f} km"

    def correlation(self, squared_chord: Tensor) -> Tensor:
        """φ of squared chords (m²)."""
        return CORRELATION_FUNCTIONS[self.function](squared_chord / self.length**2)

    def spectrum(self, grid: LatLonGrid) -> Tensor:
        """Of correlations: (m, y, y′) float64."""
        return spectrum_of_lags(self.correlation(squared_chords(grid))[None])[0]


def squared_chords(grid: LatLonGrid) -> Tensor:
    """c² (m²) by lag of columns: (y, y′, Δ) float64; on the sphere of ``EARTH_RADIUS``.

    Raises:
        UsageError: the grid's columns do not go round the globe at equal distances.
    """
    require_zonal(grid)
    first = torch.from_numpy(unit_vectors(grid.latitudes, np.zeros(grid.ny)))
    relative = np.broadcast_to(grid.longitudes - grid.longitudes[0], grid.shape)
    around = torch.from_numpy(unit_vectors(np.broadcast_to(grid.latitudes[:, None], grid.shape), relative))
    cosine = torch.einsum("yk,zxk->yzx", first, around)
    return EARTH_RADIUS**2 * (2.0 - 2.0 * cosine).clamp_min(0.0)


def require_zonal(grid: LatLonGrid) -> None:
    """Refuse grids whose columns do not go round the globe at equal distances."""
    step = 360.0 / grid.nx
    if not grid.periodic or abs(torch.from_numpy(grid.longitudes).diff() - step).max() > 1e-6 * step:
        raise UsageError(
            f"covariances by difference of longitude need a grid around the globe with equal steps; found {grid.nx} "
            f"columns from {grid.longitudes[0]:g} to {grid.longitudes[-1]:g} degrees"
        )


def structures(functions: tuple[str, ...], lengths: tuple[float, ...]) -> Iterator[SphereStructure]:
    """Every function with every length."""
    for function in functions:
        yield from (SphereStructure(function, length) for length in lengths)
