"""Points on the very edge of a projected grid, which rounding puts a few metres outside.

GRIB rounds the first point of a grid to a thousandth or a millionth of a degree, so a region cut along the edge of its
background's grid lies up to some metres beyond it; exact regridding calls such points unmapped.
"""

import numpy as np

from rtma_diffda.geo.grid import ProjectedGrid

EDGE_SLACK = 0.02
"""Of the spacing: how far outside a point may lie to count as on the edge."""


def edge_values(source: ProjectedGrid, values: np.ndarray, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Bilinear values at positions on the grid or within ``EDGE_SLACK`` of it; those outside are moved onto its edge.

    Args:
        source: grid of ``values``.
        values: (y, x).
        latitude, longitude: (n,) degrees.

    Returns:
        (n,); NaN for positions farther outside, and where a value around is missing.
    """
    row, column = source.fractional_index(latitude, longitude)
    last_row, last_column = source.ny - 1, source.nx - 1
    near = (row >= -EDGE_SLACK) & (row <= last_row + EDGE_SLACK)
    near &= (column >= -EDGE_SLACK) & (column <= last_column + EDGE_SLACK)
    row = np.clip(np.where(near, row, 0.0), 0.0, last_row)
    column = np.clip(np.where(near, column, 0.0), 0.0, last_column)
    south, west = np.minimum(row.astype(int), last_row - 1), np.minimum(column.astype(int), last_column - 1)
    a, b = row - south, column - west
    lower = (1 - b) * values[south, west] + b * values[south, west + 1]
    upper = (1 - b) * values[south + 1, west] + b * values[south + 1, west + 1]
    return np.where(near, (1 - a) * lower + a * upper, np.nan)
