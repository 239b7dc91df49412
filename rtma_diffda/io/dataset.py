"""NetCDF and Zarr: the near-surface fields of a dataset, found by what its attributes say.

Read are: latitude–longitude data of any orientation, projected data with a CF grid mapping, forecasts with initial and
lead times, ensembles, and our own products and day stores (of which only published slots count).
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from rtma_diffda.errors import InputError
from rtma_diffda.io.dataset_grids import ArrayGrid, grid_of
from rtma_diffda.io.dataset_names import height_of, name_arrays
from rtma_diffda.io.dataset_times import times_of
from rtma_diffda.io.source_field import FieldReference, SourceField
from rtma_diffda.io.units import to_si
from rtma_diffda.variables import Variable

logger = logging.getLogger(__name__)

_MEMBER_DIMS = {"realization", "number", "member", "ensemble", "ensemble_member"}
_WIND_COMPONENTS = {"u10m", "v10m"}
_EARTH_RELATIVE = {"eastward_wind": False, "northward_wind": False, "x_wind": True, "y_wind": True}
_PUBLISHED = {"complete", "degraded"}


@dataclass(frozen=True)
class _Slice:
    """One field of an array: the array, its grid, and where it stands on the other axes."""

    array: xr.DataArray
    variable: Variable
    place: ArrayGrid
    position: Mapping[str, int]
    valid_time: np.datetime64 | None
    initial_time: np.datetime64 | None
    member: int | None
    source: str


def dataset_fields(path: Path, *, engine: str) -> Iterator[FieldReference]:
    """The near-surface fields of a NetCDF file (engine ``netcdf4``) or a Zarr store (engine ``zarr``).

    An array that cannot be read is logged with a sentence and left out.

    Raises:
        InputError: the file cannot be opened.
    """
    how = {"consolidated": (path / ".zmetadata").is_file()} if engine == "zarr" else {}
    try:
        dataset = xr.open_dataset(path, engine=engine, decode_coords="all", decode_timedelta=True, cache=False, **how)
    except Exception as error:  # the libraries below raise errors of many unrelated classes on damaged files
        raise InputError(f"{path} cannot be opened as {engine}: {error}") from error
    for name, variable in name_arrays(dataset).items():
        source = f"{path}, {name}"
        try:
            yield from (_reference(part) for part in _slices(dataset, name, variable, source))
        except InputError as error:
            logger.warning("%s is left out: %s", source, error)


def _reference(part: _Slice) -> FieldReference:
    name, load = part.variable.name, lambda: _load(part)
    return FieldReference(name, part.valid_time, part.source, load, part.initial_time, part.member)


def _slices(dataset: xr.Dataset, name: str, variable: Variable, source: str) -> Iterator[_Slice]:
    array = dataset[name]
    place, times = grid_of(array, dataset), times_of(array)
    fixed, members = _other_axes(array, variable, place, () if times.valid is None else times.valid.dims)
    for index in [()] if times.valid is None else np.ndindex(times.valid.shape):
        at = {} if times.valid is None else dict(zip(map(str, times.valid.dims), index, strict=True))
        if not _is_published(dataset, at):
            continue
        valid, initial = (_pick(coordinate, at) for coordinate in (times.valid, times.initial))
        for member, where in members:
            yield _Slice(array, variable, place, {**fixed, **at, **where}, valid, initial, member, source)


def _other_axes(
    array: xr.DataArray, variable: Variable, place: ArrayGrid, time_dims: tuple
) -> tuple[dict[str, int], list[tuple[int | None, dict[str, int]]]]:
    """Positions on the axes that are neither space nor time, and the members with theirs."""
    fixed: dict[str, int] = {}
    members: list[tuple[int | None, dict[str, int]]] = [(None, {})]
    for dim in map(str, array.dims):
        if dim in place.dims or dim in time_dims:
            continue
        if dim in _MEMBER_DIMS and array.sizes[dim] > 1:
            numbers = array.coords[dim].values if dim in array.coords else np.arange(array.sizes[dim])
            members = [(int(number), {dim: i}) for i, number in enumerate(numbers)]
        else:
            fixed[dim] = _position_on(array, dim, variable)
    return fixed, members


def _position_on(array: xr.DataArray, dim: str, variable: Variable) -> int:
    if array.sizes[dim] == 1:
        return 0
    height = height_of(array)
    if height is not None and height[0] == dim and variable.height is not None:
        nearest = int(np.argmin(np.abs(height[1] - variable.height)))
        if abs(height[1][nearest] - variable.height) <= 0.5:
            return nearest
    raise InputError(f"its axis '{dim}' of {array.sizes[dim]} values is neither space, time, height nor members")


def _is_published(dataset: xr.Dataset, at: Mapping[str, int]) -> bool:
    """False for slots of our own day stores that hold no finished analysis."""
    status = dataset.get("status")
    if status is None or "flag_meanings" not in status.attrs or not set(status.dims) <= set(at):
        return True
    meanings = dict(zip(np.atleast_1d(status.attrs["flag_values"]), status.attrs["flag_meanings"].split(), strict=True))
    published = not _PUBLISHED.isdisjoint(meanings.values())
    return not published or meanings.get(status.isel({d: at[d] for d in status.dims}).item()) in _PUBLISHED


def _pick(coordinate: xr.DataArray | None, at: Mapping[str, int]) -> np.datetime64 | None:
    if coordinate is None:
        return None
    value = coordinate.isel({dim: at[str(dim)] for dim in coordinate.dims if str(dim) in at}).values
    return value.astype("datetime64[ns]")[()] if value.ndim == 0 else None


def _load(part: _Slice) -> SourceField:
    name, array = part.variable.name, part.array
    try:
        values = array.isel(part.position).transpose(*part.place.dims).values.astype(np.float64)
    except Exception as error:  # damaged chunks: the compression and storage libraries have no error class in common
        raise InputError(f"{part.source} cannot be decoded: {error}") from error
    return SourceField(
        variable=name,
        values=np.ascontiguousarray(to_si(part.place.arrange(values), array.attrs.get("units"), part.variable)),
        grid=part.place.grid,
        valid_time=part.valid_time,
        initial_time=part.initial_time,
        winds_grid_relative=name in _WIND_COMPONENTS and _along_axes(array, part.place),
        source=part.source,
        member=part.member,
    )


def _along_axes(array: xr.DataArray, place: ArrayGrid) -> bool:
    """Whether a wind component follows the axes of its grid, as the file states it; never by the product's name."""
    if not place.is_projected:
        return False
    standard_name, flag = array.attrs.get("standard_name"), array.attrs.get("GRIB_uvRelativeToGrid")
    if standard_name in _EARTH_RELATIVE:
        return _EARTH_RELATIVE[standard_name]
    if flag is not None:
        return bool(flag)
    raise InputError(
        f"wind component '{array.name}' on a projected grid does not say whether it is relative to the grid "
        "(standard_name x_wind, y_wind) or to east and north (eastward_wind, northward_wind)"
    )
