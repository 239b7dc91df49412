"""One UTC day of an archive: a Zarr store with 96 slots that never changes its shape.

A store is made whole, without any data chunk, under a temporary name, and renamed; so it exists with all its metadata
or not at all, and no later write touches metadata. A slot passes through status *writing* → data → read-back check →
*complete* or *degraded*; only the last two are shown to readers.

The per-slot numbers (status, creation, cut-off, revision) are uncompressed arrays of one chunk: 96 plain numbers in one
file, replaced atomically. Provenance is a JSON file a slot beside them, in a group of its own. Both keep the
publication independent of how the installed zarr happens to write a chunk.
"""

import contextlib
import itertools
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numcodecs import Blosc
from zarr.codecs import BloscCodec

from rtma_diffda import __version__
from rtma_diffda.errors import InputError
from rtma_diffda.io import cf
from rtma_diffda.io.archive_design import DESIGN_ATTRIBUTE, ArchiveDesign
from rtma_diffda.io.atomic import remove_stale_temporaries, sync_files, write_bytes
from rtma_diffda.io.cf import CfArray
from rtma_diffda.io.product import Product, product_fields, provenance_text
from rtma_diffda.times import SLOTS_PER_DAY, compact_time, slot_index, slots_of_day

_COLUMN_TYPES = {array.name: np.dtype(array.dtype) for array in cf.slot_arrays()}
_PROVENANCE = "provenance"


def build_store(path: Path, design: ArchiveDesign, day: np.datetime64) -> None:
    """Write the store of ``day`` at ``path``, all slots missing. Not atomic: the caller gives a temporary path."""
    group = zarr.create_group(path, zarr_format=design.zarr_format, attributes=_store_attributes(design))
    group.create_group(_PROVENANCE)
    sizes = {"time": SLOTS_PER_DAY, "realization": design.members}
    sizes |= dict(zip(("y", "x"), design.layout.grid.shape, strict=True))
    for array in [cf.time_array(slots_of_day(day)), *cf.fixed_arrays(design.layout, design.static, design.members)]:
        _create_array(group, array, tuple(sizes[dim] for dim in array.dims))
    for array in cf.field_arrays(design.layout, cf.field_kinds(design.members)):
        _create_array(group, array, tuple(sizes[dim] for dim in array.dims))
    for array in cf.slot_arrays():
        created = _create_array(group, array, (SLOTS_PER_DAY,))
        created[:] = 0 if array.missing is None else array.missing
    if design.zarr_format == 2:
        zarr.consolidate_metadata(path, zarr_format=2)


def open_store(path: Path, *, mode: str = "r") -> zarr.Group:
    """The store as a zarr group; ``mode`` r or r+.

    Raises:
        InputError: it cannot be read.
    """
    version = _zarr_format(path)
    try:
        return zarr.open_group(path, mode=mode, zarr_format=version, use_consolidated=version == 2)
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"archive store {path} cannot be opened: {error}") from error


def write_slot(path: Path, product: Product, design: ArchiveDesign) -> None:
    """Write one slot of the store and publish it: status *writing*, data, read-back check, provenance, final status.

    Raises:
        InputError: what is read back is not what was written; the slot stays unpublished.
        OSError: the file system refused; likewise.
    """
    slot = slot_index(product.valid_time)
    _clear_leftovers(path)
    revision = int(read_column(path, "revision")[slot]) + 1
    set_cell(path, "status", slot, cf.WRITING)
    fields = product_fields(product, members=design.members)
    _write_fields(path, slot, fields)
    set_cell(path, "created", slot, int(cf.to_seconds(product.created)))
    set_cell(path, "obs_cutoff", slot, int(cf.to_seconds(product.obs_cutoff)))
    set_cell(path, "revision", slot, revision)
    write_bytes(_provenance_file(path, product.valid_time), provenance_text(product, indent=1).encode())
    _verify(path, product, fields)
    set_cell(path, "status", slot, cf.STATUS_WORDS.index(product.status))


def read_column(path: Path, name: str) -> np.ndarray:
    """One number of every slot of the store, (96,), raw.

    Raises:
        FileNotFoundError: the store is not there.
        InputError: the file has the wrong length.
    """
    content = _column_file(path, name).read_bytes()
    dtype = _COLUMN_TYPES[name]
    if len(content) != SLOTS_PER_DAY * dtype.itemsize:
        raise InputError(
            f"archive store {path} is damaged: its {name} has {len(content)} bytes, not "
            f"{SLOTS_PER_DAY * dtype.itemsize}"
        )
    return np.frombuffer(content, dtype)


def set_cell(path: Path, name: str, slot: int, value: int) -> None:
    """Replace one number of one slot, atomically and durably."""
    column = read_column(path, name).copy()
    column[slot] = value
    write_bytes(_column_file(path, name), column.tobytes())


def load_slot(path: Path, time: np.datetime64, names: tuple[str, ...] | None = None) -> xr.Dataset:
    """One slot in memory, undecoded, with a ``time`` axis of one.

    Args:
        path: the store.
        time: valid time of the slot.
        names: fields wanted, beside everything that is no field; all by default.

    Raises:
        InputError: there is no such field.
    """
    version = _zarr_format(path)
    raw = xr.open_zarr(path, consolidated=version == 2, zarr_format=version, decode_cf=False, chunks=None)
    if names is not None:
        raw = raw.drop_vars(_unwanted_fields(raw, names, path))
    raw = raw[sorted(map(str, raw.data_vars))].isel(time=[slot_index(time)]).load()
    if "status" in raw:
        raw["status"].attrs["flag_values"] = np.asarray(raw["status"].attrs["flag_values"], raw["status"].dtype)
    raw.attrs["provenance"] = slot_provenance(path, time)
    return raw


def slot_provenance(path: Path, time: np.datetime64) -> str:
    """How the slot at ``time`` was made, as JSON (``product.provenance_text``).

    Raises:
        FileNotFoundError: there is none.
    """
    return _provenance_file(path, time).read_text(encoding="utf-8")


def _unwanted_fields(raw: xr.Dataset, names: tuple[str, ...], path: Path) -> list[str]:
    fields = [str(name) for name, array in raw.data_vars.items() if {"time", "y", "x"} <= set(array.dims)]
    absent = sorted(set(names) - set(fields))
    if absent:
        raise InputError(f"archive store {path} has no field {', '.join(absent)}; it has {', '.join(fields)}")
    return [name for name in fields if name not in names]


def _write_fields(path: Path, slot: int, fields: Mapping[str, np.ndarray | None]) -> None:
    """Write one slot of every field array and flush it; what was written is removed again if the disk refuses."""
    group = open_store(path, mode="r+")
    chunks = [file for name in fields for file in _chunk_files(group[name], slot)]
    _unlink(chunks)  # left from an interrupted write, or hard links into a store that must stay as it is
    try:
        for name, values in fields.items():
            group[name][slot] = np.nan if values is None else values
        written = [file for file in chunks if file.exists()]
        sync_files([*written, *{file.parent for file in written}])
    except OSError:
        with contextlib.suppress(OSError):
            _unlink(chunks)
        raise


def _clear_leftovers(path: Path) -> None:
    """Remove unfinished files of a writer that was killed inside this store."""
    for folder in (_column_file(path, "status").parent, path / _PROVENANCE):
        remove_stale_temporaries(folder)
    if (read_column(path, "status") == cf.WRITING).any():
        for name in _COLUMN_TYPES:
            remove_stale_temporaries(_column_file(path, name).parent)
        _unlink(path.rglob("*.partial"))  # zarr's own temporary files


def _verify(path: Path, product: Product, fields: Mapping[str, np.ndarray | None]) -> None:
    """Read the slot back from the files, time included, and compare it with what was to be written."""
    slot, group = slot_index(product.valid_time), open_store(path)
    if group["time"][slot] != cf.to_seconds(product.valid_time):
        raise InputError(f"archive store {path} has {group['time'][slot]} s as time of {product.valid_time}")
    for name, values in fields.items():
        found = group[name][slot]
        if not (np.isnan(found).all() if values is None else np.array_equal(found, values, equal_nan=True)):
            raise InputError(
                f"archive store {path}: {name} of {product.valid_time} read back differs from what was written; "
                "the slot is not published"
            )


def _create_array(group: zarr.Group, array: CfArray, shape: tuple[int, ...]) -> zarr.Array:
    is_field = "x" in array.dims and "y" in array.dims
    created = group.create_array(
        array.name,
        shape=shape,
        dtype=array.dtype,
        chunks=cf.chunk_lengths(array.dims, shape) if is_field else shape,
        compressors=_compressor(group.metadata.zarr_format) if is_field else None,
        filters=None,
        config={"write_empty_chunks": array.missing is None or not is_field},
        **_format_options(array, group.metadata.zarr_format),
    )
    if array.values is not None:
        created[...] = array.values
    return created


def _format_options(array: CfArray, zarr_format: int) -> dict[str, Any]:
    """Where the two Zarr formats keep dimension names and missing values, so that xarray finds both."""
    attributes = {key: np.asarray(value).tolist() for key, value in array.attributes.items()}
    missing = None if array.missing is None else np.dtype(array.dtype).type(array.missing)
    if zarr_format == 2:
        return {"fill_value": missing, "attributes": {**attributes, "_ARRAY_DIMENSIONS": list(array.dims)}}
    if missing is not None and np.issubdtype(missing.dtype, np.integer):
        attributes["_FillValue"] = int(missing)  # format 3 keeps what masks values apart from what fills chunks
    return {
        "fill_value": 0 if missing is None else missing,
        "attributes": attributes,
        "dimension_names": array.dims,
        "chunk_key_encoding": {"name": "default", "separator": "."},  # one directory an array, as in format 2
    }


def _compressor(zarr_format: int) -> Blosc | BloscCodec:
    """Blosc zstd 3 with bit shuffle: a third of plain zstd's time at 1.2 times its size (measured on RTMA fields)."""
    if zarr_format == 2:
        return Blosc(cname="zstd", clevel=3, shuffle=Blosc.BITSHUFFLE)
    return BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")


def _store_attributes(design: ArchiveDesign) -> dict[str, str]:
    source = f"rtma_diffda {__version__}; method and inputs of each analysis are in {_PROVENANCE}/<time>.json"
    return {
        **cf.global_attributes(design.domain, design.title, design.layout.grid, source=source),
        "history": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} store made by rtma_diffda {__version__}",
        "static_source": design.static.source,
        DESIGN_ATTRIBUTE: design.to_text(),
        **design.attributes,
    }


def _chunk_files(array: zarr.Array, slot: int) -> list[Path]:
    """The files that hold one slot of an array, whether they exist or not."""
    counts = [-(-size // chunk) for size, chunk in zip(array.shape[1:], array.chunks[1:], strict=True)]
    folder = Path(array.store_path.store.root) / array.store_path.path
    places = itertools.product(*map(range, counts))
    return [folder / array.metadata.encode_chunk_key((slot, *place)) for place in places]


def _unlink(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _column_file(path: Path, name: str) -> Path:
    return path / name / ("0" if _zarr_format(path) == 2 else "c.0")


def _provenance_file(path: Path, time: np.datetime64) -> Path:
    return path / _PROVENANCE / f"{compact_time(time)}.json"


def _zarr_format(path: Path) -> int:
    return 3 if (path / "zarr.json").exists() else 2
