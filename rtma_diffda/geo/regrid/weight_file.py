"""Weight files as ESMF and xESMF write them: NetCDF with ``row`` (target) and ``col`` (source), from 1, and ``S``."""

from pathlib import Path

import numpy as np
import xarray as xr

from rtma_diffda.errors import InputError
from rtma_diffda.geo.regrid.weights import RegridWeights

_ORDER = "source and destination flattened in C order, the last dimension fastest"


def write_weights(path: Path, weights: RegridWeights) -> None:
    """Write a weight file; under another name first, so that a killed write leaves no broken file at ``path``."""
    path = Path(path)
    dataset = xr.Dataset(
        {
            "row": ("n_s", (weights.row + 1).astype("i4"), {"long_name": "destination index, from 1"}),
            "col": ("n_s", (weights.col + 1).astype("i4"), {"long_name": "source index, from 1"}),
            "S": ("n_s", weights.weight, {"long_name": "weight"}),
            "src_grid_dims": ("src_grid_rank", np.array(weights.source_shape[::-1], "i4")),
            "dst_grid_dims": ("dst_grid_rank", np.array(weights.target_shape[::-1], "i4")),
        },
        attrs={
            "method": weights.method,
            "n_a": int(np.prod(weights.source_shape)),
            "n_b": int(np.prod(weights.target_shape)),
            "base": 1,
            "order": _ORDER,
        },
    )
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        dataset.to_netcdf(unfinished, engine="netcdf4", format="NETCDF4")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_weights(
    path: Path,
    *,
    source_shape: tuple[int, ...] | None = None,
    target_shape: tuple[int, ...] | None = None,
    method: str | None = None,
) -> RegridWeights:
    """Read a weight file, ours or one that ESMF or xESMF wrote.

    Args:
        path: the file.
        source_shape, target_shape: shapes of the grids; needed where the file does not state them, else checked.
        method: ESMF's name of the method; needed where the file does not state it.

    Raises:
        InputError: no such file, not a weight file, indices beyond the grids, or other grids than expected.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"weight file {path} does not exist")
    try:
        with xr.open_dataset(path, engine="netcdf4") as dataset:
            dataset.load()
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"weight file {path} cannot be read as NetCDF: {error}") from error
    absent = {"row", "col", "S"} - set(dataset.variables)
    if absent:
        raise InputError(f"weight file {path} lacks {', '.join(sorted(absent))}; expected row, col and S")
    source_shape = _shape(dataset, ("src_grid_dims", "n_a"), source_shape, f"source grid in weight file {path}")
    target_shape = _shape(dataset, ("dst_grid_dims", "n_b"), target_shape, f"target grid in weight file {path}")
    method = method or str(dataset.attrs.get("method", "unknown"))
    try:
        row, col = (dataset[name].to_numpy().astype(np.int64) - 1 for name in ("row", "col"))
        return RegridWeights(row, col, dataset["S"].to_numpy().astype(float), source_shape, target_shape, method)
    except InputError as error:
        raise InputError(f"weight file {path}: {error}") from error


def _shape(
    dataset: xr.Dataset, names: tuple[str, str], expected: tuple[int, ...] | None, where: str
) -> tuple[int, ...]:
    """The shape that the file states, else the expected one; both must hold the same number of points."""
    dims_name, size_name = names
    stated = tuple(int(n) for n in dataset[dims_name].to_numpy()[::-1]) if dims_name in dataset.variables else None
    size = dataset.sizes.get(size_name, dataset.attrs.get(size_name))
    if stated is None and expected is None:
        if size is None:
            raise InputError(f"{where}: the file does not state its shape; give source_shape and target_shape")
        return (int(size),)
    if expected is None:
        return stated
    points = int(np.prod(stated)) if stated is not None else size
    if points is not None and int(points) != int(np.prod(expected)):
        raise InputError(f"{where} has {int(points)} points; expected shape {expected}")
    return tuple(expected)
