"""Random landscapes: another coast, other ridges, valleys, plains and plateaus for every draw.

Every part starts from Gaussian fields with the one-dimensional spectrum k^−s, s = 3 for terrain (measured orography has
slopes of −2 to −3) and 2.4 for coastlines, cut off smoothly between 5 and 3 grid points so that a model can carry the
result. A coast is where such a field, added to a shape (a straight coast, a bay, an island, a strait), crosses the
level that leaves the share of sea asked for. Ridges are where a fractal n passes through zero (ridged noise, 1 − |n|,
in octaves), raised along belts; valleys are cut the same way; a plateau is a broad fractal pressed into two levels.
Lengths are in metres and give way only where the region is too small or too coarse for them.

References:
    Musgrave, F. K. (1993): Methods for realistic landscape imaging (ridged multifractals).
    Young, G. S. and Pielke, R. A. (1983): Application of terrain height variance spectra to mesoscale modeling.
        J. Atmos. Sci. 40, 2555–2560.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import distance_transform_edt, gaussian_filter, label

from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.static_fields import StaticFields

STEEPEST_SLOPE = 0.07
"""Metres of height per metre that no slope exceeds: 350 m between points of 5 km."""
HIGHEST_PEAKS = (500.0, 2500.0)
"""Metres; the height that a landscape is scaled to is drawn between these, low ones as often as high ones."""
LARGEST_SEA_SHARE = 0.6
"""Share of the region that the sea takes at most, about."""

_INLAND_CHANCE = 0.2  # of a landscape without sea
_SMALLEST_SEA_SHARE = 0.08
_RIDGE_SPACING = 120e3  # m; longest waves of ridges and valleys
_COASTAL_RISE = 12e3  # m from the coast over which the land gains 1 − 1/e of its height
_BELT_WIDTHS = (20e3, 60e3)  # m; half width of mountain belts
_SMALLEST_LAND = 12  # grid points; smaller islands are drowned, smaller lakes filled
_SMOOTHING = 0.8  # grid points; damps waves of 2 grid points to 4 %, of 8 to 82 %
_COAST_WIDTH = 0.8  # grid points over which the land fraction passes from 0 to 1 (one standard deviation)


@dataclass(frozen=True)
class _Scales:
    """The lengths (m) of a region: its half extents, its coarser spacing, its longest ridge waves."""

    half_y: float
    half_x: float
    spacing: float
    longest: float

    @classmethod
    def of(cls, grid: ProjectedGrid) -> "_Scales":
        half_y, half_x = 0.5 * (grid.ny - 1) * grid.dy, 0.5 * (grid.nx - 1) * grid.dx
        spacing = max(grid.dx, grid.dy)
        return cls(half_y, half_x, spacing, max(min(_RIDGE_SPACING, 0.8 * min(half_y, half_x)), 8 * spacing))

    @property
    def reach(self) -> float:
        """Half of the shorter extent (m)."""
        return min(self.half_y, self.half_x)


def random_terrain(grid: ProjectedGrid, *, generator: torch.Generator) -> StaticFields:
    """A landscape that no one has seen.

    Args:
        grid: where; any spacing, any size of at least about 12 × 12 points.
        generator: of all that is drawn; the same generator gives the same landscape.

    Returns:
        Terrain height (m): 0 over the sea, nowhere negative, highest point up to ``HIGHEST_PEAKS`` (lower where the
        steepest slope or a region of little land does not allow it); and land fraction, between 0 and 1 along coasts.
    """
    scales = _Scales.of(grid)
    land = _without_specks(_land(grid, scales, generator))
    fraction = np.clip(gaussian_filter(land.astype(float), _COAST_WIDTH, mode="nearest"), 0.0, 1.0)
    relief = _relief(grid, scales, generator) * _rise(land, grid)
    low, high = np.log(HIGHEST_PEAKS)
    peak = np.exp(low + (high - low) * _uniform(generator))
    smooth = gaussian_filter(relief, _SMOOTHING, mode="nearest") * _smooth_step(2.0 * fraction - 1.0)
    orography = _limit_slopes(smooth * (peak / max(smooth.max(), 1e-9)), grid)
    return StaticFields(grid, orography, fraction, source="generator random_terrain")


def fractal_field(grid: ProjectedGrid, *, longest: float, slope: float = 3.0, generator: torch.Generator) -> np.ndarray:
    """A Gaussian field (y, x) of zero mean and unit variance with the one-dimensional spectrum k^−slope.

    The spectrum is flat for waves longer than ``longest`` (m) and falls to nothing between 5 and 3 grid points.
    """
    sizes = [next_fast_len(n + int(np.ceil(longest / d)), real=True) for n, d in _axes(grid)]
    white = torch.randn(*sizes, generator=generator, dtype=torch.float64).numpy()
    waves = np.hypot(np.fft.fftfreq(sizes[0], grid.dy)[:, None], np.fft.rfftfreq(sizes[1], grid.dx)[None, :])
    amplitude = np.maximum(waves * longest, 1.0) ** (-0.5 * (slope + 1.0))
    amplitude *= np.exp(-((4.0 * waves * max(grid.dx, grid.dy)) ** 4))
    amplitude[0, 0] = 0.0
    field = irfft2(rfft2(white) * amplitude, s=sizes)[: grid.ny, : grid.nx]
    return (field - field.mean()) / field.std()


def _land(grid: ProjectedGrid, scales: _Scales, generator: torch.Generator) -> np.ndarray:
    """(y, x) True over land: a shape roughened by a fractal, cut at the level that leaves the drawn share of sea."""
    share = _SMALLEST_SEA_SHARE + (LARGEST_SEA_SHARE - _SMALLEST_SEA_SHARE) * _uniform(generator)
    inland = _uniform(generator) < _INLAND_CHANCE
    level = _coast_shape(grid, scales, generator)
    roughness = 0.15 + 0.35 * _uniform(generator)
    level += roughness * fractal_field(grid, longest=1.2 * scales.reach, slope=2.4, generator=generator)
    return np.full(grid.shape, True) if inland else level > np.quantile(level, share)


def _coast_shape(grid: ProjectedGrid, scales: _Scales, generator: torch.Generator) -> np.ndarray:
    """(y, x) of order 1, higher toward the land: a straight coast, a bay, an island, or a strait."""
    y, x = _plane(grid, scales)
    angle, offset = 2 * np.pi * _uniform(generator), _uniform(generator)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    shapes = (
        along,
        np.hypot(along + 1.0, (0.8 + offset) * across),
        -np.hypot((0.7 + 0.6 * offset) * (along - 0.3 * offset), across),
        np.abs(along - 0.6 * (offset - 0.5)),
    )
    return shapes[int(np.searchsorted((0.45, 0.7, 0.87), _uniform(generator)))].copy()


def _without_specks(land: np.ndarray) -> np.ndarray:
    """Land (y, x) without islands and lakes too small for a grid to carry."""
    result = land.copy()
    for kind in (True, False):
        parts, _ = label(result == kind)
        sizes = np.bincount(parts.reshape(-1))
        small = sizes[parts] < _SMALLEST_LAND
        result[(parts > 0) & small] = not kind
    return result


def _rise(land: np.ndarray, grid: ProjectedGrid) -> np.ndarray:
    """(y, x) 0 over the sea, rising to 1 inland with the distance from the coast."""
    if land.all():
        return np.ones(land.shape)
    distance = distance_transform_edt(land, sampling=(grid.dy, grid.dx))
    length = max(_COASTAL_RISE, 2.0 * max(grid.dx, grid.dy))
    return 0.02 * land + 0.98 * (1.0 - np.exp(-((distance / length) ** 1.5)))


def _relief(grid: ProjectedGrid, scales: _Scales, generator: torch.Generator) -> np.ndarray:
    """(y, x) heights of order 1, all positive: a hilly plain, a plateau, and ridged belts with valleys."""
    broad = fractal_field(grid, longest=2.0 * scales.reach, generator=generator)
    hills = fractal_field(grid, longest=0.4 * scales.longest, generator=generator)
    plain = np.exp(0.7 * broad) * (0.04 + 0.05 * np.exp(0.6 * hills))
    edge = 1.0 / (1.0 + np.exp(-(broad - 0.6 + 1.2 * _uniform(generator)) / 0.2))
    plateau = 0.45 * _uniform(generator) ** 2 * edge
    ridges = _ridged(grid, scales.longest, generator)
    crossings = fractal_field(grid, longest=0.7 * scales.longest, generator=generator)
    valleys = 1.0 - (0.3 + 0.4 * _uniform(generator)) * np.exp(-((crossings / 0.22) ** 2))
    belts = _belts(grid, scales, generator)
    return plain + plateau + belts * (0.25 + 0.75 * ridges) * valleys


def _ridged(grid: ProjectedGrid, longest: float, generator: torch.Generator) -> np.ndarray:
    """(y, x) 0 … 1, near 1 along crests: octaves of 1 − |n| with n a fractal; each octave roughens what is high."""
    total, weight, amplitude, norm = np.zeros(grid.shape), np.ones(grid.shape), 1.0, 0.0
    while longest >= 6.0 * max(grid.dx, grid.dy) or norm == 0.0:
        n = fractal_field(grid, longest=longest, generator=generator)
        crest = np.clip(1.0 - np.sqrt(n**2 + 0.02) / 1.8, 0.0, 1.0) ** 1.5
        total += amplitude * weight * crest
        norm += amplitude
        weight, amplitude, longest = np.clip(1.5 * crest, 0.0, 1.0), 0.5 * amplitude, 0.5 * longest
    return total / norm


def _belts(grid: ProjectedGrid, scales: _Scales, generator: torch.Generator) -> np.ndarray:
    """(y, x) 0 … 1: one or two mountain belts that wind, narrow and end; their two sides differ in width."""
    y, x = _plane(grid, scales)
    total = np.zeros(grid.shape)
    for height in (1.0, 0.6 * _uniform(generator)):
        angle, place, lean = np.pi * _uniform(generator), _uniform(generator) - 0.5, _uniform(generator) - 0.5
        meander = fractal_field(grid, longest=2.0 * scales.reach, generator=generator)
        vigour = fractal_field(grid, longest=1.5 * scales.reach, generator=generator)
        across = y * np.cos(angle) - x * np.sin(angle) - 1.4 * place + 0.12 * meander
        low, high = np.minimum(_BELT_WIDTHS, (0.2 * scales.reach, 0.5 * scales.reach))
        width = (low + (high - low) * _uniform(generator)) / scales.reach
        sides = np.where(across < 0.0, 1.0 + lean, 1.0 - lean) * width
        total += height * np.exp(-((across / sides) ** 2)) / (1.0 + np.exp(-(vigour + 0.8) / 0.4))
    return np.minimum(total, 1.2)


def _limit_slopes(heights: np.ndarray, grid: ProjectedGrid) -> np.ndarray:
    """Heights (y, x) smoothed where they are too steep, and lowered as a whole if that does not suffice."""
    for _ in range(40):
        excess = _slope(heights, grid) / STEEPEST_SLOPE - 1.0
        if excess.max() <= 0.0:
            return heights
        share = np.clip(gaussian_filter(np.clip(8.0 * excess, 0.0, 1.0), 1.0), 0.0, 1.0)
        heights = heights + share * (gaussian_filter(heights, 1.0, mode="nearest") - heights) * (heights > 0.0)
    return heights * min(1.0, STEEPEST_SLOPE / float(_slope(heights, grid).max()))


def _slope(heights: np.ndarray, grid: ProjectedGrid) -> np.ndarray:
    """(y, x) the steeper of the slopes to the neighbours, combined over both axes."""
    rise_y, rise_x = np.abs(np.diff(heights, axis=0)) / grid.dy, np.abs(np.diff(heights, axis=1)) / grid.dx
    steep_y = np.maximum(np.pad(rise_y, ((0, 1), (0, 0))), np.pad(rise_y, ((1, 0), (0, 0))))
    steep_x = np.maximum(np.pad(rise_x, ((0, 0), (0, 1))), np.pad(rise_x, ((0, 0), (1, 0))))
    return np.hypot(steep_y, steep_x)


def _plane(grid: ProjectedGrid, scales: _Scales) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (y, x) from the middle in units of half of the shorter extent; −1 … 1 along it."""
    y, x = grid.y - grid.y.mean(), grid.x - grid.x.mean()
    return np.broadcast_arrays(y[:, None] / scales.reach, x[None, :] / scales.reach)


def _smooth_step(values: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, a cubic between."""
    bounded = np.clip(values, 0.0, 1.0)
    return bounded**2 * (3.0 - 2.0 * bounded)


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator, dtype=torch.float64))


def _axes(grid: ProjectedGrid) -> tuple[tuple[int, float], tuple[int, float]]:
    return (grid.ny, grid.dy), (grid.nx, grid.dx)
