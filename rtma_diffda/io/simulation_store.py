"""Simulated runs on disk: one Zarr store a run, published whole; a data set is a directory of them, split by run.

    DATA_SET/data_set.json            what was asked for: experiment, seed, settings
    DATA_SET/train/000.zarr           runs; likewise validation/ and test/
             arrays truth, background (time, channel, y, x), sky, lagged_LEAD, large_scale, orography, land_fraction

A run that is there is complete: it was written under a temporary name and renamed, so that a killed generation goes on
where it stopped, and several processes may fill one data set. xarray opens every store (dimension names are kept).
"""

import json
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from torch import Tensor
from zarr.codecs import BloscCodec
from zarr.errors import BaseZarrError

from rtma_diffda.errors import InputError
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.global_on_region import global_state
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.pairs import Pairs
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.atomic import explain_failures, publish_directory, temporary_beside, write_bytes

SPLITS = ("train", "validation", "test")
"""Runs that a network learns from, that settings are chosen on, and that judge."""

_FORMAT = 1
_COARSE = "_coarse"
_EPOCH = np.datetime64("1970-01-01T00:00:00", "ns")
_TIMES_A_CHUNK = 8
_COMPRESSOR = BloscCodec(cname="zstd", clevel=3, shuffle="shuffle")


@dataclass(frozen=True)
class SimulatedRun:
    """One independent run: the truth, and what a forecast office would have instead.

    Attributes:
        name: such as ``test/003``.
        static: terrain and land of this run, on the grid of its states.
        truth: t2m, d2m, u10m, v10m, sp.
        background: like the truth, at the same times.
        sky: gust, tcc, vis, ceil of the truth, at the same times; None where not kept.
        lagged: {lead hours: forecasts of that lead}, at some of the times.
        large_scale: states of a coarser grid that reaches beyond the region; None where not kept.
        large_scale_static: terrain and land of that grid.
        parameters: what was drawn for the truth's and the background's model.
    """

    name: str
    static: StaticFields
    truth: StateSeries
    background: StateSeries
    sky: StateSeries | None = None
    lagged: Mapping[int, StateSeries] = field(default_factory=dict)
    large_scale: StateSeries | None = None
    large_scale_static: StaticFields | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        """Of truth and background."""
        return self.truth.layout

    @property
    def times(self) -> np.ndarray:
        """(time,) valid times of truth and background."""
        return self.truth.valid_times

    def boundary(self) -> Boundary | None:
        """The states of the coarser grid as those of a global run; None where they were not kept."""
        if self.large_scale is None:
            return None
        return Boundary(tuple(self.large_scale), self.times[0], "the simulated large scale", self.large_scale_static)

    def large_scale_on_region(self) -> Tensor:
        """(time, channel, y, x) SI: the states of the coarser grid at the run's times, on the region.

        Raises:
            InputError: they were not kept, or do not reach.
        """
        boundary = self.boundary()
        if boundary is None:
            raise InputError(f"run {self.name} has no large scale; make the data set again")
        return torch.cat([global_state(boundary, self.static, self.layout, time).values for time in self.times])

    def pairs(self, number: int, *, large_scale: bool = False) -> Pairs:
        """All times as a training batch, under the run's number, with the large scale on the region if wanted."""
        count = len(self.times)
        terrain, land = (
            torch.from_numpy(np.asarray(f, np.float32))
            for f in (self.static.orography, self.static.land_fraction)
        )  # fmt: skip
        return Pairs(
            self.truth.values,
            self.background.values,
            terrain.expand(count, *terrain.shape),
            land.expand(count, *land.shape),
            self.times,
            np.full(count, number, np.int64),
            self.layout,
            self.large_scale_on_region() if large_scale else None,
        )


def run_path(data_set: Path, split: str, number: int) -> Path:
    """Where a run lies."""
    return data_set / split / f"{number:03d}.zarr"


def stored_runs(data_set: Path, split: str) -> list[Path]:
    """The complete runs of a split, by number."""
    return sorted(path for path in (data_set / split).glob("[0-9]*.zarr") if path.is_dir())


def write_description(data_set: Path, description: Mapping[str, Any]) -> Path:
    """Write ``data_set.json``; the directory is made when absent."""
    with explain_failures(f"directory {data_set}"):
        data_set.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format": _FORMAT, **description}, indent=1, sort_keys=True)
    return write_bytes(data_set / "data_set.json", text.encode())


def read_description(data_set: Path) -> dict[str, Any]:
    """What ``write_description`` wrote.

    Raises:
        InputError: there is none, it is damaged, or of another format.
    """
    path = data_set / "data_set.json"
    if not path.is_file():
        raise InputError(f"{data_set} is no simulated data set: it has no data_set.json")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        raise InputError(f"{path} is of another format than {_FORMAT}; make the data set again")
    return found


def write_run(path: Path, run: SimulatedRun) -> Path:
    """Publish a run at ``path``; an earlier one there is an error.

    Raises:
        InputError: the file system refused, or there is already a run of that name.
    """
    with explain_failures(f"directory {path.parent}"):
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        with explain_failures(f"run {path}"):
            _fill(temporary, run)
        publish_directory(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def read_run(path: Path, *, only: Collection[str] | None = None) -> SimulatedRun:
    """The run at ``path``, in memory.

    Args:
        path: of its store.
        only: names of the series to read besides the truth, such as ``large_scale``; all where None. A background that
            is not read is the truth's.

    Raises:
        InputError: there is none, or it is damaged.
    """
    if not path.is_dir():
        raise InputError(f"run {path} does not exist")
    try:
        group = zarr.open_group(path, mode="r")
        return _run_of(group, only)
    except (BaseZarrError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"run {path} cannot be read: {type(error).__name__}: {error}") from error


def read_pairs(data_set: Path, split: str, *, runs: int | None = None, large_scale: bool = False) -> Pairs:
    """Truths and backgrounds of all (or the first ``runs``) runs of a split, in memory; with ``large_scale`` that too.

    Raises:
        InputError: the split has no run, or a damaged one.
    """
    paths = stored_runs(data_set, split)[:runs]
    if not paths:
        raise InputError(f"data set {data_set} has no runs of split '{split}'; make them with rtma-diffda simulate")
    wanted = ("background", "large_scale") if large_scale else ("background",)
    return Pairs.joined([read_run(path, only=wanted).pairs(int(path.stem), large_scale=large_scale) for path in paths])


def _fill(path: Path, run: SimulatedRun) -> None:
    group = zarr.create_group(path, zarr_format=3)
    series = {"truth": run.truth, "background": run.background, "sky": run.sky, "large_scale": run.large_scale}
    series |= {f"lagged_{lead:02d}": values for lead, values in run.lagged.items()}
    stored = {name: values for name, values in series.items() if values is not None}
    for name, values in stored.items():
        _write_series(group, name, values)
    _write_static(group, run.static, "")
    if run.large_scale_static is not None:
        _write_static(group, run.large_scale_static, _COARSE)
    group.attrs.update(
        {
            "format": _FORMAT,
            "name": run.name,
            "terrain_source": run.static.source,
            "parameters": {name: float(value) for name, value in run.parameters.items()},
            "series": {name: _describe(values.layout) for name, values in stored.items()},
        }
    )


def _write_static(group: zarr.Group, static: StaticFields, suffix: str) -> None:
    for name, values in (("orography", static.orography), ("land_fraction", static.land_fraction)):
        _write_array(group, name + suffix, np.asarray(values, np.float32), (f"y{suffix}", f"x{suffix}"), {})


def _read_static(group: zarr.Group, grid: ProjectedGrid, suffix: str) -> StaticFields:
    fields = (np.asarray(group[name + suffix][...]) for name in ("orography", "land_fraction"))
    return StaticFields(grid, *fields, source=str(group.attrs["terrain_source"]))


def _write_series(group: zarr.Group, name: str, series: StateSeries) -> None:
    """``name`` and its times; truth and background, on the run's own grid, share their spatial dimensions."""
    coarse = _COARSE if name == "large_scale" else ""
    time = f"{name}_time"
    values = series.values.detach().cpu().numpy().astype(np.float32)
    dimensions = (time, f"{name}_channel", f"y{coarse}", f"x{coarse}")
    units = [channel.variable.unit for channel in series.layout.channels]
    _write_array(group, name, values, dimensions, {"channels": list(series.layout.names), "units": units})
    seconds = (series.valid_times - _EPOCH) // np.timedelta64(1, "s")
    _write_array(group, time, seconds.astype(np.int64), (time,), {"units": "seconds since 1970-01-01 00:00:00"})


def _write_array(
    group: zarr.Group, name: str, values: np.ndarray, dimensions: tuple[str, ...], attributes: Mapping[str, Any]
) -> None:
    chunks = (min(_TIMES_A_CHUNK, len(values)), *values.shape[1:]) if values.ndim == 4 else values.shape
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=chunks,
        compressors=[_COMPRESSOR],
        dimension_names=dimensions,
        attributes=dict(attributes),
    )
    array[...] = values


def _run_of(group: zarr.Group, only: Collection[str] | None) -> SimulatedRun:
    attributes = dict(group.attrs)
    if attributes.get("format") != _FORMAT:
        raise InputError(f"store of format {attributes.get('format')}, expected {_FORMAT}")
    layouts = {name: _layout(described) for name, described in attributes["series"].items()}
    wanted = [name for name in layouts if only is None or name in {"truth", *only}]
    series = {name: _read_series(group, name, layouts[name]) for name in wanted}
    static = _read_static(group, layouts["truth"].grid, "")
    coarse = _read_static(group, layouts["large_scale"].grid, _COARSE) if f"orography{_COARSE}" in group else None
    return SimulatedRun(
        attributes["name"],
        static,
        series["truth"],
        series["background"] if only is None else series.get("background", series["truth"]),
        series.get("sky"),
        {int(name.removeprefix("lagged_")): values for name, values in series.items() if name.startswith("lagged_")},
        series.get("large_scale"),
        coarse,
        attributes["parameters"],
    )


def _read_series(group: zarr.Group, name: str, layout: Layout) -> StateSeries:
    values = torch.from_numpy(np.asarray(group[name][...]))
    seconds = np.asarray(group[f"{name}_time"][...])
    return StateSeries(values, layout, _EPOCH + seconds * np.timedelta64(1, "s"))


def _describe(layout: Layout) -> dict[str, Any]:
    grid = layout.grid
    numbers = {name: getattr(grid, name) for name in ("nx", "ny", "dx", "dy", "x0", "y0")}
    return {"projection": grid.projection, **numbers, "channels": list(layout.names)}


def _layout(described: Mapping[str, Any]) -> Layout:
    settings = {name: value for name, value in described.items() if name != "channels"}
    return Layout.of(ProjectedGrid(**settings), described["channels"])
