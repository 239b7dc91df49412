"""Gridded files of any kind we read (GRIB, NetCDF, Zarr), told apart by their content: fields by name and time."""

import logging
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from rtma_diffda.errors import InputError
from rtma_diffda.io.dataset import dataset_fields
from rtma_diffda.io.grib import grib_fields
from rtma_diffda.io.messages import file_start
from rtma_diffda.io.source_field import FieldReference, SourceField

logger = logging.getLogger(__name__)

_HEADER_BYTES = 4096  # a bulletin header may precede the first GRIB message
_NETCDF = (b"CDF\x01", b"CDF\x02", b"CDF\x05", b"\x89HDF\r\n\x1a\n")
_ZARR_FILES = ("zarr.json", ".zgroup", ".zmetadata", ".zattrs")


def is_gridded(path: Path) -> bool:
    """Whether the content of ``path`` is GRIB, NetCDF or Zarr; False where there is nothing to read."""
    try:
        return _format_of(path) is not None
    except InputError:
        return False


def find_fields(path: str | Path) -> tuple[FieldReference, ...]:
    """What near-surface fields a file holds, without decoding them.

    Raises:
        InputError: no such file, a format not read here, or no field of ours in it.
    """
    path = Path(path)
    references = tuple(_references(path))
    if not references:
        raise InputError(f"{path} has no near-surface field that can be read (what was found is in the log)")
    return references


def read_fields(
    path: str | Path, *, variables: Collection[str] | None = None, valid_time: np.datetime64 | None = None
) -> tuple[SourceField, ...]:
    """The near-surface fields of a file.

    Fields that cannot be decoded are logged with a sentence and left out.

    Args:
        path: GRIB or NetCDF file, or Zarr store.
        variables: short names of ``variables.py``; None for all.
        valid_time: only fields of this time; fields without time, such as terrain, always match. None for all.

    Returns:
        The fields in the file's order; empty where the file holds none of those asked for.

    Raises:
        InputError: no such file, a format not read here, or nothing in it that can be read.
    """
    references = find_fields(path)
    wanted = [r for r in references if _is_wanted(r, variables, valid_time)]
    fields = tuple(field for field in map(load_field, wanted) if field is not None)
    if wanted and not fields:
        raise InputError(f"{path}: none of its {len(wanted)} fields asked for can be decoded (reasons are in the log)")
    return fields


def load_field(reference: FieldReference) -> SourceField | None:
    """Decode a field; None, and a logged sentence, if that fails."""
    try:
        return reference.load()
    except InputError as error:
        logger.warning("%s is left out: %s", reference.source, error)
        return None


def _is_wanted(reference: FieldReference, variables: Collection[str] | None, valid_time: np.datetime64 | None) -> bool:
    if variables is not None and reference.variable not in variables:
        return False
    return valid_time is None or reference.valid_time is None or reference.valid_time == valid_time


def _references(path: Path) -> Iterator[FieldReference]:
    kind = _format_of(path)
    if kind == "grib":
        return grib_fields(path)
    if kind is not None:
        return dataset_fields(path, engine=kind)
    raise InputError(f"{path} is neither GRIB, NetCDF nor a Zarr store; it begins with {_beginning(path)}")


def _format_of(path: Path) -> str | None:
    """``grib``, or the name of an xarray engine; None for anything else."""
    if path.is_dir():
        return "zarr" if any((path / name).is_file() for name in _ZARR_FILES) else None
    if not path.exists():
        raise InputError(f"gridded file {path} does not exist")
    start = file_start(path, _HEADER_BYTES)
    if start.startswith(_NETCDF):
        return "netcdf4"
    return "grib" if b"GRIB" in start else None


def _beginning(path: Path) -> str:
    return "no Zarr metadata (it is a directory)" if path.is_dir() else repr(file_start(path, 8)) or "nothing"
