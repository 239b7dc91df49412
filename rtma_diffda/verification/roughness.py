"""Roughness of a field: the mean square of its Laplacian, which the smallest scales dominate.

    (∇² f)_ij = f_i+1,j + f_i−1,j + f_i,j+1 + f_i,j−1 − 4 f_ij         (in units of f per squared grid spacing)

The square root of an analysis' mean over the truth's is 1 where the analysis is as rough as the weather, below 1 where
it is too smooth. The mean of an ensemble should be smoother than its members, and these as rough as the truth.
"""

import numpy as np


def laplacian_power(fields: np.ndarray) -> float:
    """Mean of (∇² f)² over the inner points of fields (…, y, x); NaN where there are none."""
    if min(fields.shape[-2:]) < 3:
        return float("nan")
    centre = fields[..., 1:-1, 1:-1]
    along_y = fields[..., 2:, 1:-1] + fields[..., :-2, 1:-1]
    along_x = fields[..., 1:-1, 2:] + fields[..., 1:-1, :-2]
    return float(np.mean((along_y + along_x - 4.0 * centre) ** 2))
