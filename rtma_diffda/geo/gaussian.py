"""Gaussian latitudes: the roots of the Legendre polynomial P_2N, which ECMWF's global grids use as rows."""

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=8)
def gaussian_latitudes(number: int) -> np.ndarray:
    """The 2N latitudes (degrees, north to south) of the Gaussian grid with ``number`` = N rows a hemisphere.

    Newton's iteration on P_n(x), n = 2N, from the start x_k ≈ cos(π (k + 0.75) / (n + 0.5)); the recurrence is
    (j + 1) P_{j+1} = (2 j + 1) x P_j − j P_{j−1}, and P'_n = n (x P_n − P_{n−1}) / (x² − 1).
    """
    n = 2 * number
    x = np.cos(np.pi * (np.arange(n) + 0.75) / (n + 0.5))
    for _ in range(4):  # quadratic from an error of 1e-5: three are enough at any N
        before, here = np.ones_like(x), x.copy()
        for j in range(1, n):
            before, here = here, ((2 * j + 1) * x * here - j * before) / (j + 1)
        x = x - here * (x**2 - 1.0) / (n * (x * here - before))
    latitudes = np.rad2deg(np.arcsin(x))
    latitudes.setflags(write=False)
    return latitudes
