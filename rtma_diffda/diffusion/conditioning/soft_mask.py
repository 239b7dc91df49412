"""DiffDA's soft mask m: how much of a grid point is taken from the observations, and how much from the denoiser.

    m(i, j) = max_k exp(−((i − i_k)² + (ζ_i (j − j_k))²) / (2 κ²)),        |i − i_k|, |j − j_k| ≤ R = ⌊ρ κ⌋ + 1

(i_k, j_k) are the observed grid points and κ is ``kernel_std``, in cells; m = 1 exactly at observed points. The release
has two generations: the newer with ρ = 4 and, where rows are latitudes φ_i, ζ_i = cos φ_i + 0.05; the older with ρ = 2
and ζ = 1. Both cut bumps at the poles and at the seam of longitudes; here a periodic grid has no seam. κ = 0 makes the
mask hard. A soft mask takes far more from the denoiser than its points: with 10,000 columns, 1 % of the grid of 0.25°,
its mean over the globe is 0.15.

References: Huang et al. (2024), arXiv 2401.05932, algorithm 1; ``diffda.md`` §4.2-4.3a.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from rtma_diffda.errors import InputError, UsageError

_LEAST_ZONAL_SCALE = 0.05
"""Added to cos φ, so that bumps stay finite at the poles; the release's number."""
_WINDOWS_AT_ONCE = 8192
"""Bounds memory: windows of 15 × 15 cells take 45 MB."""


@dataclass(frozen=True)
class Generation:
    """What differs between the two published forms of the bumps.

    Attributes:
        reach: ρ.
        zonal_scaling: whether ζ follows the latitude, on grids whose rows have one.
    """

    reach: float
    zonal_scaling: bool


NEWER = Generation(reach=4.0, zonal_scaling=True)
"""The release since October 2024."""
OLDER = Generation(reach=2.0, zonal_scaling=False)
"""The release of February 2024, whose figures are of March 2024."""


@dataclass(frozen=True)
class Bumps:
    """Form of the bump around an observed point.

    Attributes:
        kernel_std: κ, cells; 0: the point alone.
        generation: ``NEWER`` or ``OLDER``.
    """

    kernel_std: float = 1.5
    generation: Generation = field(default=NEWER)

    def __post_init__(self) -> None:
        if not 0.0 <= self.kernel_std < float("inf"):
            raise UsageError(f"kernel_std is 0 cells or more; found {self.kernel_std}")

    @property
    def half_width(self) -> int:
        """R, cells."""
        return int(self.generation.reach * self.kernel_std) + 1 if self.kernel_std > 0.0 else 0

    def heights(self, zonal_scale: Tensor) -> Tensor:
        """Heights (..., window, window) of bumps whose window's rows have ζ ``zonal_scale`` (..., window)."""
        cells = self.offsets(zonal_scale)
        squared = cells.square()[:, None] + (zonal_scale[..., None] * cells).square()
        return torch.exp(-squared / max(2.0 * self.kernel_std**2, torch.finfo(cells.dtype).tiny))

    def offsets(self, like: Tensor) -> Tensor:
        """−R … R (window,), of the type and device of ``like``."""
        return torch.arange(-self.half_width, self.half_width + 1, dtype=like.dtype, device=like.device)


@dataclass(frozen=True)
class ObservedCells:
    """Grid points that were observed; the same one may occur many times.

    Attributes:
        channel, row, column: (n,) int64 each.
    """

    channel: Tensor
    row: Tensor
    column: Tensor

    def flat(self, shape: tuple[int, int, int]) -> Tensor:
        """Sorted distinct flat indices into (channel, y, x).

        Raises:
            InputError: a cell lies outside ``shape``.
        """
        axes = torch.stack([self.channel, self.row, self.column])
        if bool(((axes < 0) | (axes >= torch.tensor(shape, device=axes.device)[:, None])).any()):
            raise InputError(f"observed cells lie outside (channel, y, x) = {shape}")
        return torch.unique((self.channel * shape[1] + self.row) * shape[2] + self.column)


def soft_mask(
    observed: ObservedCells,
    shape: tuple[int, int, int],
    bumps: Bumps,
    *,
    latitude: Tensor | None = None,
    periodic: bool = False,
) -> Tensor:
    """m (channel, y, x), float32, 0 … 1: every channel has the bumps of its own observed points, merged by maximum.

    Args:
        observed: by channel.
        shape: (channel, y, x).
        bumps: their form.
        latitude: (y,) degrees of the rows of a latitude–longitude grid; None where a cell is as wide in all rows.
        periodic: whether the last column is followed by the first. False on a global grid is what the release does.

    Raises:
        InputError: an observed cell lies outside the grid, or the latitudes are not one a row.
    """
    scale = _zonal_scale(bumps, latitude, shape[1]).to(observed.row.device)
    merged = torch.zeros(shape, device=observed.row.device).flatten()
    for centres in observed.flat(shape).split(_WINDOWS_AT_ONCE):
        cells, inside, heights = _windows(centres, shape, bumps, scale, periodic=periodic)
        merged.scatter_reduce_(0, cells[inside], heights[inside], "amax")
    return merged.reshape(shape)


def _windows(
    centres: Tensor, shape: tuple[int, int, int], bumps: Bumps, scale: Tensor, *, periodic: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Flat cells, whether they are on the grid, and heights: (n, window, window) each."""
    _, ny, nx = shape
    offsets = bumps.offsets(centres)
    first = centres // (ny * nx) * (ny * nx)
    rows = (centres // nx % ny)[:, None] + offsets
    columns = (centres % nx)[:, None] + offsets
    columns = columns % nx if periodic else columns
    inside = ((rows >= 0) & (rows < ny))[:, :, None] & ((columns >= 0) & (columns < nx))[:, None, :]
    cells = first[:, None, None] + rows[:, :, None] * nx + columns[:, None, :]
    return cells, inside, bumps.heights(scale[rows.clamp(0, ny - 1)])


def _zonal_scale(bumps: Bumps, latitude: Tensor | None, rows: int) -> Tensor:
    """ζ (y,), float32."""
    if latitude is not None and latitude.shape != (rows,):
        raise InputError(f"a grid of {rows} rows needs as many latitudes; found shape {tuple(latitude.shape)}")
    if latitude is None or not bumps.generation.zonal_scaling:
        return torch.ones(rows)
    return (torch.cos(torch.deg2rad(latitude.double())) + _LEAST_ZONAL_SCALE).float()
