"""Bilinear weights from a reduced Gaussian grid, whose rows have different numbers of points.

ESMF has no bilinear method for such grids. As is usual at ECMWF, the value is linear in longitude along each of the two
rows that bracket the destination, then linear in latitude between them. Beyond the first and the last row the pole
brackets the destination, with the mean of that row for its value, as ESMF closes periodic grids.
"""

import numpy as np

from rtma_diffda.geo.grid import ReducedGaussianGrid

Entries = tuple[np.ndarray, np.ndarray, np.ndarray]


def reduced_row_entries(grid: ReducedGaussianGrid, latitude: np.ndarray, longitude: np.ndarray) -> Entries:
    """Sparse entries (destination, source, weight) for destinations in degrees, (n,) each; none is left unmapped."""
    latitudes = np.concatenate([[90.0], grid.row_latitudes, [-90.0]])
    # Rows 0 and last of the extended list are the poles; the rows go from north to south.
    upper = np.clip(np.searchsorted(-latitudes, -latitude, side="right") - 1, 0, latitudes.size - 2)
    lower_share = (latitudes[upper] - latitude) / (latitudes[upper] - latitudes[upper + 1])
    parts = []
    for row, share in ((upper - 1, 1.0 - lower_share), (upper, lower_share)):
        parts.append(_along_row(grid, np.clip(row, 0, grid.row_sizes.size - 1), longitude, share, row))
        parts.append(_row_mean(grid, row, share))
    destination, source, weight = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return destination, source, weight


def _along_row(
    grid: ReducedGaussianGrid, row: np.ndarray, longitude: np.ndarray, share: np.ndarray, wanted: np.ndarray
) -> Entries:
    """Two neighbours along the row, for destinations whose ``wanted`` row is not a pole."""
    on_row = np.flatnonzero(wanted == row)
    size, first = grid.row_sizes[row[on_row]], _first_points(grid)[row[on_row]]
    position = (longitude[on_row] % 360.0) / 360.0 * size
    west = np.floor(position)
    fraction = position - west
    west = west.astype(int) % size
    source = np.stack([first + west, first + (west + 1) % size])
    weight = share[on_row] * np.stack([1.0 - fraction, fraction])
    return np.tile(on_row, 2), source.ravel(), weight.ravel()


def _row_mean(grid: ReducedGaussianGrid, wanted: np.ndarray, share: np.ndarray) -> Entries:
    """The mean of the first row for destinations that want row −1 (the north pole), of the last beyond the end."""
    last = grid.row_sizes.size - 1
    parts = [(np.empty(0, int), np.empty(0, int), np.empty(0))]
    for pole, row in ((-1, 0), (last + 1, last)):
        at, size = np.flatnonzero(wanted == pole), int(grid.row_sizes[row])
        source = np.tile(_first_points(grid)[row] + np.arange(size), at.size)
        parts.append((np.repeat(at, size), source, np.repeat(share[at] / size, size)))
    destination, source, weight = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return destination, source, weight


def _first_points(grid: ReducedGaussianGrid) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(grid.row_sizes)[:-1]])
