"""Stores in the layout of WeatherBench 2, ARCO-ERA5 and GraphCast's example files, made alike.

Variables have their published names; dimensions are ``time``, ``level`` (hPa), ``latitude`` and ``longitude``, in any
order; latitudes may descend, and longitudes may begin anywhere. GraphCast's example files (NetCDF) say ``lat`` and
``lon``, have a ``batch`` of one, and their times stand in ``datetime``. Made alike, the dimensions are (time, level,
latitude, longitude), latitudes ascend, longitudes ascend from 0. Nothing is read but coordinates. References: Rasp et
al. (2024), WeatherBench 2, arXiv 2308.15560; https://weatherbench2.readthedocs.io.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import xarray as xr

from rtma_diffda.errors import InputError, UsageError

DIMENSIONS = ("time", "level", "latitude", "longitude")
WHERE_FROM = (
    "stores in this layout are public in gs://weatherbench2/datasets/era5/ (Zarr; see "
    "https://weatherbench2.readthedocs.io), and GraphCast's example files in gs://dm_graphcast/graphcast/dataset/"
)
_SHORT = {"lat": "latitude", "lon": "longitude"}
_PACKAGES = {"gs": "gcsfs", "gcs": "gcsfs", "s3": "s3fs", "http": "aiohttp", "https": "aiohttp", "az": "adlfs"}
_PUBLIC = {"gs": {"token": "anon"}, "gcs": {"token": "anon"}, "s3": {"anon": True}}


def open_dataset(path: str | Path) -> xr.Dataset:
    """The store or file, lazily (dask), with dimensions and coordinates made alike.

    Args:
        path: a Zarr directory, a NetCDF file, or the URL of a Zarr store.

    Raises:
        InputError: it is not there, cannot be read, or has no such dimensions.
        UsageError: a URL that needs a package which is not installed.
    """
    return made_alike(_opened(str(path)), str(path))


def made_alike(dataset: xr.Dataset, what: str) -> xr.Dataset:
    """``dataset`` with the package's dimensions and ascending coordinates.

    Raises:
        InputError: a horizontal dimension is missing.
    """
    dataset = dataset.rename({old: new for old, new in _SHORT.items() if old in dataset.dims})
    if "batch" in dataset.dims:
        dataset = dataset.isel(batch=0, drop=False)
    if "datetime" in dataset.coords:
        dataset = dataset.assign_coords(time=dataset["datetime"].values).drop_vars("datetime")
    lacking = [name for name in DIMENSIONS[2:] if name not in dataset.coords]
    if lacking:
        raise InputError(f"{what} has no coordinate {' or '.join(lacking)}; it has {', '.join(map(str, dataset.dims))}")
    dataset = dataset.assign_coords(longitude=np.mod(dataset["longitude"].values, 360.0))
    for name in ("longitude", "latitude"):
        if (np.diff(dataset[name].values) < 0).any():
            dataset = dataset.sortby(name)
    return dataset.transpose(..., *(name for name in DIMENSIONS if name in dataset.dims))


def _opened(path: str) -> xr.Dataset:
    scheme = path.split("://", 1)[0] if "://" in path else None
    if scheme is None and not Path(path).exists():
        raise InputError(f"global states: {path} does not exist; {WHERE_FROM}")
    if scheme is not None:
        _require_packages(path, scheme)
    try:
        if scheme is None and Path(path).is_file():
            return xr.open_dataset(path, chunks={}, decode_timedelta=True)
        options = _PUBLIC.get(scheme) if scheme else None
        return xr.open_zarr(path, chunks={}, storage_options=options, decode_timedelta=True)
    except Exception as error:  # remote stores fail in as many ways as there are packages for them
        raise InputError(
            f"global states: {path} cannot be opened as a Zarr store or NetCDF file ({type(error).__name__}: {error}); "
            f"{WHERE_FROM}"
        ) from error


def _require_packages(path: str, scheme: str) -> None:
    needed = ["fsspec", *([_PACKAGES[scheme]] if scheme in _PACKAGES else [])]
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"reading {path} needs {' and '.join(missing)}, not installed here: pip install {' '.join(missing)}; a "
            "local copy of the store needs neither"
        )
