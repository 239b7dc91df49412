"""One analysis as a CF-1.11 NetCDF file, written whole or not at all."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from rtma_diffda import __version__
from rtma_diffda.errors import InputError
from rtma_diffda.io import cf
from rtma_diffda.io.atomic import explain_failures, remove_stale_temporaries, write_file
from rtma_diffda.io.cf import CfArray
from rtma_diffda.io.product import Product, product_fields, provenance_text
from rtma_diffda.times import compact_time, format_time

_COMPRESSION = 4  # zlib level; higher ones cost time and save little


def netcdf_path(product: Product, directory: Path) -> Path:
    """``rtma_diffda.<domain>.<YYYYMMDD>T<HHMM>Z.nc`` in ``directory``."""
    return directory / f"rtma_diffda.{product.domain}.{compact_time(product.valid_time)}.nc"


def write_netcdf(product: Product, directory: str | Path) -> Path:
    """Write ``product`` to its file in ``directory`` (made when absent); replaces an older file of the same time.

    Every field is (time, [realization,] y, x) with an unlimited ``time`` of one, so that files can be joined.

    Returns:
        The path of the file.

    Raises:
        InputError: the file system refused; an older file is untouched.
    """
    directory = Path(directory)
    with explain_failures(f"directory {directory}"):
        directory.mkdir(parents=True, exist_ok=True)
        remove_stale_temporaries(directory)
    return write_file(netcdf_path(product, directory), lambda path: _write(product, path))


def product_dataset(product: Product) -> xr.Dataset:
    """``product`` as an undecoded CF dataset with a ``time`` axis of one; ``cf.decode`` gives times and coordinates."""
    layout = product.analysis.layout
    members = product.analysis.members if product.analysis.members > 1 else 0
    fields = {name: values for name, values in product_fields(product, members=members).items() if values is not None}
    kinds = tuple(kind for kind in cf.field_kinds(members) if kind.array_name(layout.names[0]) in fields)
    arrays = [
        cf.time_array(np.array([product.valid_time])),
        *cf.fixed_arrays(layout, product.static, members),
        *(_with_values(array, fields[array.name][None]) for array in cf.field_arrays(layout, kinds)),
        *(_with_values(array, value) for array, value in zip(cf.slot_arrays(), _slot_values(product), strict=True)),
    ]
    return cf.raw_dataset(arrays, _attributes(product))


def _slot_values(product: Product) -> list[np.ndarray]:
    """Values (1,) of ``cf.slot_arrays``, in their order; a file is written once."""
    status = cf.STATUS_WORDS.index(product.status)
    created, cutoff = cf.to_seconds(product.created), cf.to_seconds(product.obs_cutoff)
    return [np.array([value]) for value in (status, created, cutoff, 1)]


def _with_values(array: CfArray, values: np.ndarray) -> CfArray:
    return replace(array, values=values.astype(array.dtype))


def _attributes(product: Product) -> dict[str, str]:
    made = "; ".join(f"{key}: {value}" for key, value in product.provenance.items())
    source = f"rtma_diffda {__version__}; {made}" if made else f"rtma_diffda {__version__}"
    attributes = cf.global_attributes(product.domain, "", product.analysis.layout.grid, source=source)
    reasons = f" Degraded: {'; '.join(product.degraded)}." if product.degraded else ""
    return {
        **attributes,
        "comment": attributes["comment"] + reasons,
        "history": f"{format_time(product.created)} analysis made by rtma_diffda {__version__}",
        "static_source": product.static.source,
        "provenance": provenance_text(product),
    }


def _write(product: Product, path: Path) -> None:
    dataset = product_dataset(product)
    encoding: dict[str, dict[str, Any]] = {
        name: {} if "_FillValue" in array.attrs else {"_FillValue": None} for name, array in dataset.variables.items()
    }
    for array in dataset.data_vars.values():
        if "x" in array.dims and "time" in array.dims:
            lengths = cf.chunk_lengths(array.dims, array.shape)
            encoding[array.name] |= {"zlib": True, "complevel": _COMPRESSION, "shuffle": True, "chunksizes": lengths}
    try:
        dataset.to_netcdf(path, engine="netcdf4", encoding=encoding, unlimited_dims=["time"])
    except RuntimeError as error:  # what the netCDF library raises when the disk fills while it flushes
        raise InputError(f"cannot write {path}: the netCDF library reports '{error}'; is the disk full?") from error
