"""Weights made by xESMF, where it is installed (ESMF comes from conda-forge, not from PyPI).

netCDF4 is loaded before ESMF: two HDF5 libraries in one process clash when they come in the other order.
"""

import importlib.util
from functools import singledispatch

import numpy as np
import xarray as xr

from rtma_diffda.errors import UsageError
from rtma_diffda.geo.curvilinear import CurvilinearGrid
from rtma_diffda.geo.grid import Grid, LatLonGrid


def xesmf_is_available() -> bool:
    """True where xESMF and the ESMF behind it are installed; a bare ``pip install xesmf`` brings only the first."""
    return all(map(_is_installed, ("xesmf", "esmpy")))


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def xesmf_entries(source: Grid, target: Grid, *, method: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sparse entries (destination, source, weight) from xESMF.

    Raises:
        UsageError: xESMF is not installed, or the source is not a grid of rows and columns.
    """
    if not xesmf_is_available():
        raise UsageError(
            "regridding engine 'xesmf' needs xESMF and ESMF, which are not installed "
            "(conda install -c conda-forge xesmf); or use engine 'embedded'"
        )
    if len(source.shape) != 2:
        raise UsageError(f"xESMF regrids from rows and columns only; the source grid has shape {source.shape}")
    import netCDF4  # noqa: F401
    import xesmf

    regridder = xesmf.Regridder(
        _positions(source), _positions(target), method, periodic=_is_periodic(source), unmapped_to_nan=False
    )
    matrix = regridder.weights.data.tocoo() if hasattr(regridder.weights.data, "tocoo") else regridder.weights.data
    row, col = matrix.coords
    return np.asarray(row), np.asarray(col), np.asarray(matrix.data, float)


@singledispatch
def _is_periodic(source: Grid) -> bool:
    return False


@_is_periodic.register
def _(source: LatLonGrid | CurvilinearGrid) -> bool:
    return source.periodic


def _positions(grid: Grid) -> xr.Dataset:
    """Latitude and longitude as xESMF reads them: 2-D, a list of points as one row."""
    rows_and_columns = (1, -1) if len(grid.shape) == 1 else grid.shape
    return xr.Dataset(
        coords={
            "lat": (("y", "x"), grid.latitude().reshape(rows_and_columns)),
            "lon": (("y", "x"), grid.longitude().reshape(rows_and_columns)),
        }
    )
