"""CF-1.11 metadata: every attribute of every variable in our Zarr stores and NetCDF files, in this one place.

Arrays are described here (name, dimensions, type, attributes) and written elsewhere: ``archive_store`` renders them
through zarr, ``netcdf`` through netCDF. Both give files that ``compliance-checker --test=cf:1.11 --criteria=strict``
passes. Values are *raw*: as on disk, times as whole seconds; ``decode`` turns them into what users expect.

Reference: NetCDF Climate and Forecast (CF) Metadata Conventions, version 1.11; standard-name table 93.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from rtma_diffda import __version__
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.variables import Variable, variable

MISSING_TIME = np.iinfo(np.int64).min  # xarray's NaT
STATUS_WORDS = ("missing", "writing", "complete", "degraded")
MISSING, WRITING, COMPLETE, DEGRADED = range(4)
PUBLISHED = (COMPLETE, DEGRADED)

_TIME_ENCODING = {
    "units": "seconds since 1970-01-01T00:00:00Z",
    "calendar": "proleptic_gregorian",
    "units_metadata": "leap_seconds: utc",
}
_CHUNK_POINTS = 400  # a chunk is about 400 × 400 points: one map tile, 640 kB before compression


@dataclass(frozen=True)
class CfArray:
    """One array of a file.

    Attributes:
        name: in the file.
        dims: names of its dimensions.
        dtype: NumPy type, little-endian.
        attributes: CF attributes, without ``_FillValue``.
        values: raw values; None where they are written slot by slot.
        missing: raw value that means "none"; None for coordinates, which have no gaps.
    """

    name: str
    dims: tuple[str, ...]
    dtype: str
    attributes: Mapping[str, Any]
    values: np.ndarray | None = field(default=None, repr=False)
    missing: float | int | None = None


@dataclass(frozen=True)
class FieldKind:
    """What an array of an analysed variable holds.

    Attributes:
        suffix: of the array's name: ``t2m`` + ``_error``.
        words: put after the variable's long name.
        modifier: CF modifier of the standard name.
        is_difference: True where a temperature is an interval, not a point of the scale.
        cell_methods: CF text.
        by_member: True where the array has a member axis.
    """

    suffix: str = ""
    words: str = ""
    modifier: str = ""
    is_difference: bool = False
    cell_methods: str = "time: point"
    by_member: bool = False

    def array_name(self, name: str) -> str:
        """Name of the array that holds this kind of the variable ``name``."""
        return name + self.suffix


ANALYSIS = FieldKind(words=", analysis")
ERROR = FieldKind("_error", ", standard error of the analysis", "standard_error", is_difference=True)
BACKGROUND = FieldKind("_background", ", background (first guess)")
SPREAD = FieldKind(
    "_spread",
    ", standard deviation of the analysis ensemble",
    is_difference=True,
    # CF would also take "realization: standard_deviation"; the checker wants each name to be a dimension or coordinate
    cell_methods="time: point (standard deviation over realization)",
)
MEMBERS = FieldKind("_members", ", analysis ensemble", by_member=True)


def field_kinds(members: int) -> tuple[FieldKind, ...]:
    """The kinds of field a product of ``members`` stored members has (0: the mean alone)."""
    return (ANALYSIS, ERROR, BACKGROUND, *((SPREAD, MEMBERS) if members else ()))


def field_arrays(layout: Layout, kinds: tuple[FieldKind, ...]) -> list[CfArray]:
    """The arrays of all analysed variables, (time, [realization,] y, x) float32, without values."""
    return [
        CfArray(
            kind.array_name(name),
            ("time", "realization", "y", "x") if kind.by_member else ("time", "y", "x"),
            "<f4",
            _field_attributes(variable(name), kind, has_error=ERROR in kinds),
            missing=math.nan,
        )
        for kind in kinds
        for name in layout.names
    ]


def slot_arrays() -> list[CfArray]:
    """The numbers kept of every slot, (time,): publication status, creation, observation cut-off, revision."""
    status = {
        "long_name": "publication status of the analysis",
        "flag_values": np.arange(len(STATUS_WORDS), dtype="i1"),
        "flag_meanings": " ".join(STATUS_WORDS),
    }
    created = {"long_name": "wall-clock time at which the analysis was made", **_TIME_ENCODING}
    cutoff = {"long_name": "time until which observations could arrive", **_TIME_ENCODING}
    revision = {"long_name": "number of times the analysis was written", "units": "1"}
    return [
        CfArray("status", ("time",), "|i1", status),
        CfArray("created", ("time",), "<i8", created, missing=MISSING_TIME),
        CfArray("obs_cutoff", ("time",), "<i8", cutoff, missing=MISSING_TIME),
        CfArray("revision", ("time",), "<i4", revision),
    ]


def time_array(times: np.ndarray) -> CfArray:
    """The valid times (time,) ``datetime64``."""
    attributes = {"standard_name": "time", "long_name": "valid time of the analysis", "axis": "T", **_TIME_ENCODING}
    return CfArray("time", ("time",), "<i8", attributes, to_seconds(times))


def fixed_arrays(layout: Layout, static: StaticFields, members: int) -> list[CfArray]:
    """Everything that does not change in time: coordinates, grid mapping, heights, members, terrain and land."""
    arrays = [*_grid_arrays(layout.grid), *_height_arrays(layout), *_static_arrays(static)]
    if members:
        attributes = {"standard_name": "realization", "long_name": "ensemble member", "units": "1"}
        arrays.append(CfArray("realization", ("realization",), "<i4", attributes, np.arange(members, dtype="<i4")))
    return arrays


def chunk_lengths(dims: tuple[str, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Chunk of a field array: one slot, all members apart, and about 400 × 400 points."""
    lengths = {"time": 1, "realization": 1}
    return tuple(
        lengths.get(dim, math.ceil(size / math.ceil(size / _CHUNK_POINTS)))
        for dim, size in zip(dims, shape, strict=True)
    )


def to_seconds(times: np.ndarray | np.datetime64) -> np.ndarray:
    """``datetime64`` → int64 seconds since 1970, the one time encoding on disk; NaT → ``MISSING_TIME``."""
    return np.asarray(times).astype("datetime64[s]").astype("<i8")


def global_attributes(domain: str, title: str, grid: ProjectedGrid, *, source: str) -> dict[str, str]:
    """Attributes of a whole file; ``history`` is added by whoever writes it."""
    return {
        "Conventions": "CF-1.11",
        "title": title or f"Weather analysis of {domain} every fifteen minutes",
        "institution": "made with the open-source package rtma_diffda; not an official product",
        "source": source,
        "references": "rtma_diffda, README.md; Huang et al. (2024), DiffDA, arXiv:2401.05932",
        "comment": "Winds are relative to true east and north. Missing ceilings are unlimited ones.",
        "dataset_id": f"rtma_diffda.{domain}",
        "dataset_version": __version__,
        "spatial_domain": domain,
        "spatial_resolution": f"{grid.dx:g} m x {grid.dy:g} m",
        "time_domain": "one analysis each 15 minutes, UTC",
        "time_resolution": "15 minutes",
        "attribution": f"rtma_diffda {__version__}",
        "license": "as the observations and the background it was made from",
    }


def raw_dataset(arrays: Iterable[CfArray], attributes: Mapping[str, Any]) -> xr.Dataset:
    """Arrays with values as an undecoded dataset, as one would be read with ``decode_cf=False``."""
    variables = {}
    for array in arrays:
        gap = {} if array.missing is None else {"_FillValue": np.dtype(array.dtype).type(array.missing)}
        variables[array.name] = (array.dims, array.values, {**array.attributes, **gap})
    return xr.Dataset(variables, attrs=dict(attributes))


def decode(raw: xr.Dataset) -> xr.Dataset:
    """An undecoded dataset with times as ``datetime64`` and with coordinates and grid mapping as coordinates."""
    return xr.decode_cf(raw, decode_coords="all")


def _field_attributes(quantity: Variable, kind: FieldKind, *, has_error: bool) -> dict[str, str]:
    attributes = {"long_name": quantity.long_name + kind.words, "units": quantity.unit}
    if quantity.standard_name is not None:
        attributes["standard_name"] = f"{quantity.standard_name} {kind.modifier}".strip()
    if quantity.is_temperature:
        attributes["units_metadata"] = "temperature: difference" if kind.is_difference else "temperature: on_scale"
    attributes["cell_methods"] = kind.cell_methods
    attributes["grid_mapping"] = "spatial_ref"
    attributes["coordinates"] = " ".join(["latitude", "longitude", *_height_names(quantity)])
    error = [ERROR.array_name(quantity.name)] if kind is ANALYSIS and has_error else []
    attributes["ancillary_variables"] = " ".join([*error, "status"])
    return attributes


def _height_names(quantity: Variable) -> list[str]:
    return [] if quantity.height is None else [f"height_{quantity.height:g}m"]


def _height_arrays(layout: Layout) -> list[CfArray]:
    heights = sorted({c.variable.height for c in layout.channels if c.variable.height is not None})
    attributes = {
        "standard_name": "height",
        "long_name": "height above ground",
        "units": "m",
        "positive": "up",
        "axis": "Z",
    }
    return [CfArray(f"height_{height:g}m", (), "<f8", attributes, np.array(height)) for height in heights]


def _grid_arrays(grid: ProjectedGrid) -> list[CfArray]:
    return [
        _axis_array("x", grid.x),
        _axis_array("y", grid.y),
        _position_array("latitude", grid.latitude(), "degrees_north"),
        _position_array("longitude", grid.longitude(), "degrees_east"),
        CfArray("spatial_ref", (), "<i4", _grid_mapping(grid), np.array(0, dtype="<i4")),
    ]


def _grid_mapping(grid: ProjectedGrid) -> dict[str, Any]:
    """CF parameters of the projection, with its WKT.

    pyproj leaves out the pole of a polar stereographic projection with a standard parallel; CF (appendix F) wants it.
    """
    mapping = {key: value for key, value in grid.crs.to_cf().items() if value is not None}
    if mapping.get("grid_mapping_name") == "polar_stereographic" and "standard_parallel" in mapping:
        mapping.setdefault("latitude_of_projection_origin", math.copysign(90.0, mapping["standard_parallel"]))
    return mapping


def _axis_array(name: str, values: np.ndarray) -> CfArray:
    attributes = {
        "standard_name": f"projection_{name}_coordinate",
        "long_name": f"{name} coordinate of the projection",
        "units": "m",
        "axis": name.upper(),
    }
    return CfArray(name, (name,), "<f8", attributes, values)


def _position_array(name: str, values: np.ndarray, units: str) -> CfArray:
    attributes = {"standard_name": name, "long_name": name, "units": units}
    return CfArray(name, ("y", "x"), "<f8", attributes, values)


def _static_arrays(static: StaticFields) -> list[CfArray]:
    arrays = []
    for name, values in (("orog", static.orography), ("lsm", static.land_fraction)):
        if values is None:
            continue
        quantity = variable(name)
        attributes = {
            "standard_name": quantity.standard_name,
            "long_name": quantity.long_name,
            "units": quantity.unit,
            "grid_mapping": "spatial_ref",
            "coordinates": "latitude longitude",
            "source": static.source,
        }
        arrays.append(CfArray(name, ("y", "x"), "<f4", attributes, values.astype("<f4"), missing=math.nan))
    return arrays
