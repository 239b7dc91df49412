"""A small globe with known covariances, on which gains and analyses have closed forms."""

import numpy as np
import torch

from rtma_diffda.assimilation.sphere_covariance import SphereCovariance, spectrum_of_lags
from rtma_diffda.assimilation.sphere_structure import SphereStructure, squared_chords
from rtma_diffda.diffusion.gaussian import Gaussian
from rtma_diffda.fields.layout import Channel, Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.observations.columns import ColumnPlaces, observe_columns
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.times import Window

NOON = np.datetime64("2020-03-01T12:00", "ns")
SCALE = torch.tensor([50.0, 2.0, 3.0], dtype=torch.float64)


def globe(ny: int = 8, nx: int = 16) -> LatLonGrid:
    return LatLonGrid(-90.0 + 180.0 / ny * (np.arange(ny) + 0.5), np.arange(nx) * 360.0 / nx, periodic=True)


def layout(grid: LatLonGrid | None = None) -> Layout:
    return Layout(grid or globe(), (Channel("z", 500.0), Channel("t", 850.0), Channel("t2m")))


def rotation() -> torch.Tensor:
    """An orthogonal matrix of three channels."""
    white = torch.randn(3, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return torch.linalg.qr(white)[0]


def spectra(grid: LatLonGrid) -> torch.Tensor:
    """Of three modes: their own lengths, and variances that fall towards the north."""
    std = torch.linspace(1.3, 0.7, grid.ny, dtype=torch.float64)
    D = std[:, None, None] * std[None, :, None]
    lengths = (4e6, 2e6, 1.2e6)
    chords = squared_chords(grid)
    return torch.cat(
        [
            (3 - q) * spectrum_of_lags((D * SphereStructure("soar", L).correlation(chords))[None])
            for q, L in enumerate(lengths)
        ]
    )


def coupling(grid: LatLonGrid, waves: int = 5) -> torch.Tensor:
    """Of the first two modes: the second is partly the slope of the first along a parallel, as balanced wind is."""
    apart, slope = spectra(grid), 0.6 * torch.arange(waves, dtype=torch.float64)
    G = torch.complex(torch.zeros_like(slope), slope)[:, None, None]
    first = apart[0, :waves].to(torch.complex128)
    second = G * first * G.conj() + apart[1, :waves]
    return torch.cat([torch.cat([first, first * G.conj()], dim=2), torch.cat([G * first, second], dim=2)], dim=1)


def covariance(kind: str, grid: LatLonGrid | None = None) -> SphereCovariance:
    """``univariate``, ``modes`` or ``coupled``."""
    grid = grid or globe()
    basis = torch.eye(3, dtype=torch.float64) if kind == "univariate" else rotation()
    return SphereCovariance(spectra(grid), basis, SCALE, grid.nx, coupling(grid) if kind == "coupled" else None)


def dense(B: SphereCovariance, sigma: float = float("inf")) -> torch.Tensor:
    """The covariance over (channel, y, x), or what σ leaves of it: (N, N), column by column."""
    unit = torch.eye(int(np.prod(B.shape)), dtype=torch.float64).view(-1, *B.shape)
    return B.to_channels(B.conditional(sigma, dtype=torch.float64).apply(B.to_modes(unit))).flatten(1)


def gaussian(B: SphereCovariance) -> Gaussian:
    C = dense(B)
    return Gaussian(torch.zeros(B.shape, dtype=torch.float64), 0.5 * (C + C.T))


def places(count: int = 7, seed: int = 3) -> ColumnPlaces:
    """Anywhere on the globe; the first lies between the last column and the first."""
    rng = np.random.default_rng(seed)
    longitude = np.r_[352.0, rng.uniform(-180.0, 180.0, count - 1)]
    return ColumnPlaces(np.r_[10.0, np.rad2deg(np.arcsin(rng.uniform(-1, 1, count - 1)))], longitude)


def problem(
    truth: State, at: ColumnPlaces, *, error: float = 0.1, channels: tuple[str, ...] | None = None, members: int = 1
) -> AssimilationProblem:
    """A background of zeros; errors are ``error`` of the scale."""
    background = State(torch.zeros(members, *truth.layout.shape, dtype=torch.float64), truth.layout, NOON)
    data = observe_columns(truth, at, error * SCALE, channels=channels)
    operator = BilinearOperator(truth.layout, StaticFields(truth.layout.grid), {})
    return AssimilationProblem(background, data, operator, Window.around(NOON, np.timedelta64(1, "h")))


def truth_of(B: SphereCovariance, seed: int = 0, grid: LatLonGrid | None = None) -> State:
    """A draw of N(0, B), SI."""
    r = gaussian(B).draw(1, generator=torch.Generator().manual_seed(seed))
    return State(SCALE[:, None, None] * r, layout(grid), NOON)


def rows_of_H(case: AssimilationProblem) -> torch.Tensor:
    """H of r: (n, N)."""
    channels, ny, nx = case.background.layout.shape
    found, data = case.operator.rows(case.observations), case.observations
    H = torch.zeros(len(data), channels * ny * nx, dtype=torch.float64)
    weights = found.weights * SCALE[data.channel][:, None]
    return H.scatter_add_(1, data.channel[:, None] * ny * nx + found.points, weights)
