"""One analysis as a CF-1.11 NetCDF file, written whole or not at all."""

from pathlib import Path

import numpy as np
import xarray as xr

from rtma_diffda import __version__
from rtma_diffda.errors import InputError
from rtma_diffda.io import cf
from rtma_diffda.io.archive_store import product_arrays, provenance_text
from rtma_diffda.io.atomic import explain_failures, remove_stale_temporaries, write_file
from rtma_diffda.io.product import Product
from rtma_diffda.times import compact_time, format_time

_COMPRESSION = 4  # zlib level; higher ones cost time and save little


def netcdf_path(product: Product, directory: Path) -> Path:
    """``rtma_diffda.<domain>.<YYYYMMDD>T<HHMM>Z.nc`` in ``directory``."""
    return directory / f"rtma_diffda.{product.domain}.{compact_time(product.valid_time)}.nc"
