"""Regridding weights: a sparse matrix from the points of one grid to those of another, and how to make one."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_matrix

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.grid import Grid
from rtma_diffda.geo.regrid.bilinear import bilinear_entries
from rtma_diffda.geo.regrid.nearest import nearest_entries
from rtma_diffda.geo.regrid.xesmf_engine import xesmf_entries, xesmf_is_available

ENGINES = ("auto", "embedded", "xesmf")

_METHODS: dict[str, Callable[[Grid, Grid], tuple[np.ndarray, np.ndarray, np.ndarray]]] = {
    "bilinear": bilinear_entries,
    "nearest_s2d": nearest_entries,
}
METHODS = tuple(_METHODS)


@dataclass(frozen=True)
class RegridWeights:
    """Sparse weights; grids are flattened in C order. A destination without an entry is unmapped, not zero.

    Attributes:
        row: (n,) int64, destination index from 0.
        col: (n,) int64, source index from 0.
        weight: (n,) float64.
        source_shape: shape of a field on the source grid.
        target_shape: shape of a field on the target grid.
        method: ESMF's name of the method.
    """

    row: np.ndarray = field(repr=False)
    col: np.ndarray = field(repr=False)
    weight: np.ndarray = field(repr=False)
    source_shape: tuple[int, ...]
    target_shape: tuple[int, ...]
    method: str

    def __post_init__(self) -> None:
        if not self.row.shape == self.col.shape == self.weight.shape or self.row.ndim != 1:
            raise InputError(
                f"row, col and weight must be 1-D and equally long; found {self.row.shape}, {self.col.shape} and "
                f"{self.weight.shape}"
            )
        sizes = {"row": (self.row, self.target_shape), "col": (self.col, self.source_shape)}
        for name, (index, shape) in sizes.items():
            size = int(np.prod(shape))
            if index.size and (index.min() < 0 or index.max() >= size):
                raise InputError(
                    f"regridding weights: {name} runs from {index.min()} to {index.max()} (from 0), beyond the {size} "
                    f"points of a grid of shape {shape}"
                )
        if not np.isfinite(self.weight).all():
            raise InputError(f"regridding weights: {np.sum(~np.isfinite(self.weight))} weights are not finite")

    def matrix(self) -> csr_matrix:
        """The sparse matrix, (destinations, sources); entries at the same place add up."""
        shape = (int(np.prod(self.target_shape)), int(np.prod(self.source_shape)))
        return csr_matrix((self.weight, (self.row, self.col)), shape=shape)

    def mapped(self) -> np.ndarray:
        """True, in ``target_shape``, where a destination has an entry."""
        has_entry = np.zeros(int(np.prod(self.target_shape)), bool)
        has_entry[self.row] = True
        return has_entry.reshape(self.target_shape)


def regrid_weights(source: Grid, target: Grid, *, method: str = "bilinear", engine: str = "auto") -> RegridWeights:
    """Weights from ``source`` to the points of ``target``.

    Args:
        source: any grid; bilinear needs one whose neighbours in the array are neighbours on the earth.
        target: any grid; only its positions count.
        method: one of ``METHODS``.
        engine: ``embedded`` for our own code, ``xesmf`` for xESMF, ``auto`` for xESMF where it can be imported and
            knows the kind of source grid, else our own. Both give the same weights to 1e-9.

    Raises:
        UsageError: unknown method or engine, or xESMF asked for and absent.
    """
    if method not in METHODS:
        raise UsageError(f"regridding method '{method}' is unknown or not built; there are {', '.join(METHODS)}")
    if engine not in ENGINES:
        raise UsageError(f"regridding engine '{engine}' is unknown; there are {', '.join(ENGINES)}")
    use_xesmf = engine == "xesmf" or (engine == "auto" and len(source.shape) == 2 and xesmf_is_available())
    if use_xesmf:
        row, col, weight = xesmf_entries(source, target, method=method)
    else:
        row, col, weight = _METHODS[method](source, target)
    return RegridWeights(row.astype(np.int64), col.astype(np.int64), weight, source.shape, target.shape, method)
