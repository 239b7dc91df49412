"""Applying regridding weights to fields: one sparse product for any number of fields."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.grid import Grid
from rtma_diffda.geo.regrid.weights import RegridWeights, regrid_weights

_SMALLEST_SHARE = 1e-6


@dataclass(frozen=True)
class Regridder:
    """Takes fields from one grid to another.

    >>> import numpy as np
    >>> from rtma_diffda.geo.grid import LatLonGrid
    >>> coarse = LatLonGrid(np.array([40.0, 41.0]), np.array([0.0, 1.0]))
    >>> fine = LatLonGrid(np.array([40.0, 40.5]), np.array([0.0, 0.5]))
    >>> Regridder.between(coarse, fine, engine="embedded")(np.array([[0.0, 1.0], [0.0, 1.0]])).round(6)
    array([[0. , 0.5],
           [0. , 0.5]])

    Attributes:
        weights: the sparse weights.
    """

    weights: RegridWeights = field(repr=False)

    @classmethod
    def between(cls, source: Grid, target: Grid, *, method: str = "bilinear", engine: str = "auto") -> "Regridder":
        """The regridder from ``source`` to ``target``; arguments and errors as for ``regrid_weights``."""
        return cls(regrid_weights(source, target, method=method, engine=engine))

    @cached_property
    def _matrix(self) -> csr_matrix:
        return self.weights.matrix()

    @cached_property
    def _unmapped(self) -> np.ndarray:
        return ~self.weights.mapped().ravel()

    def __call__(self, values: np.ndarray, *, skip_missing: bool = False, missing_threshold: float = 0.5) -> np.ndarray:
        """Fields on the target grid.

        Args:
            values: (..., *source shape); NaN where missing.
            skip_missing: False lets a missing source point spread to every destination that touches it. True leaves
                missing points out and rescales the rest (xESMF's ``skipna``).
            missing_threshold: with ``skip_missing``, the largest share of a destination's weight, 0 … 1, that may be
                missing (xESMF's ``na_thres``, whose default is 1); a destination that misses more becomes NaN.

        Returns:
            (..., *target shape) in the floating type of ``values`` (float64 for integers); NaN where unmapped. Sums are
            made in float64.

        Raises:
            InputError: ``values`` is not on the source grid.
            UsageError: ``missing_threshold`` outside 0 … 1.
        """
        source_shape, target_shape = self.weights.source_shape, self.weights.target_shape
        leading = values.ndim - len(source_shape)
        if leading < 0 or values.shape[leading:] != source_shape:
            raise InputError(f"values to regrid have shape {values.shape}; expected the last axes to be {source_shape}")
        if not 0.0 <= missing_threshold <= 1.0:
            raise UsageError(f"missing_threshold must lie within 0 … 1; found {missing_threshold}")
        fields = values.reshape(-1, self._matrix.shape[1]).T
        regridded = self._skipping(fields, missing_threshold) if skip_missing else self._matrix @ fields
        regridded[self._unmapped] = np.nan
        dtype = values.dtype if np.issubdtype(values.dtype, np.floating) else np.float64
        return np.ascontiguousarray(regridded.T.astype(dtype)).reshape(*values.shape[:leading], *target_shape)

    def _skipping(self, fields: np.ndarray, missing_threshold: float) -> np.ndarray:
        """Weighted means over the points that are there; (destinations, fields), like ``fields`` (sources, fields)."""
        missing = np.isnan(fields)
        present_share = self._matrix @ (~missing).astype(float)
        too_little = present_share < np.clip(1.0 - missing_threshold, _SMALLEST_SHARE, 1.0 - _SMALLEST_SHARE)
        sums = self._matrix @ np.where(missing, 0.0, fields)
        return np.where(too_little, np.nan, sums / np.where(too_little, 1.0, present_share))
