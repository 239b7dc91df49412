"""Runs of a global model in files, as boundaries of a region: a ``BoundarySource``.

Files of any kind that ``io.gridded`` reads, one or many, in any order; which runs and times they hold is read from
their contents, never from their names. Winds are turned to east and north; temperature, dew point and pressure stay at
the global model's own terrain, which comes along where the files hold it.

A source whose fields are all valid at their initial time, or have none, is a series of analyses: one state a time, each
a start of its own. Its later analyses count as known, as they do for a boundary of reanalyses.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.boundary import Boundary, BoundaryNeed
from rtma_diffda.fields.boundary_runs import Availability, GlobalRun, latest_boundary
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.file_inventory import FileInventory, HeldField, OpenedFiles, complete_times, lacking
from rtma_diffda.io.gridded import load_field
from rtma_diffda.io.member_fields import member_fields, references_by_member, regridded
from rtma_diffda.io.region_regrid import RegionRegrid
from rtma_diffda.io.source_field import FieldReference
from rtma_diffda.times import format_time

logger = logging.getLogger(__name__)

_STATIC = ("orog", "lsm")
_TOLD_FILES = 3


@dataclass(frozen=True, kw_only=True)
class GlobalRunFiles:
    """Attributes:
    path: file, directory (with all below it) or pattern such as ``gfs/*.grib2``; looked at anew with each request.
    layout: the boundary grid, and the variables wanted.
    latency: how long after its initial time a run arrives.
    source: name of the global model, for messages and products; the path where empty.
    static_path: more files, with the model's terrain and land, where those of ``path`` have none.
    """

    path: str | Path
    layout: Layout
    latency: np.timedelta64
    source: str = ""
    static_path: str | Path | None = None

    def __post_init__(self) -> None:
        if self.latency < np.timedelta64(0, "s"):
            raise UsageError(f"the latency of global runs must not be negative; found {self.latency}")

    @property
    def name(self) -> str:
        """What the source is called."""
        return self.source or str(self.path)

    def bracketing(
        self, need: BoundaryNeed, *, available_at: np.datetime64, before: np.datetime64 | None = None
    ) -> Boundary:
        """As in ``BoundarySource``.

        Raises:
            InputError: there is no run, none is old enough, none has the times and variables needed, or their grid does
                not cover the boundary grid; files that could not be read are named.
        """
        availability = Availability(available_at, available_at if before is None else before, self.latency)
        try:
            return latest_boundary(self.runs(), need, availability=availability, source=self.name)
        except InputError as error:
            failures = self.inventory.failures()
            if not failures:
                raise
            told = "; ".join(failures[:_TOLD_FILES])
            raise InputError(f"{error}. {len(failures)} files were skipped: {told}") from error

    def runs(self) -> tuple[GlobalRun, ...]:
        """The runs there are, oldest first; times at which a variable is missing are left out.

        Raises:
            InputError: no file, or none of the runs ever has all variables.
        """
        held = self.inventory.held()
        runs = _by_start(held)
        times = {start: complete_times(fields, self.layout.names) for start, fields in runs.items()}
        if times and not any(map(len, times.values())):
            raise InputError(f"{self.name} lacks {', '.join(lacking({h.variable for h in held}, self.layout.names))}")
        static = tuple(h for h in held if h.variable in _STATIC)
        found = []
        for start in sorted(runs, key=lambda start: (start is not None, start)):
            if len(times[start]):
                found.append(GlobalRun(start, times[start], _Loader(self, frozenset(runs[start]), static)))
            else:
                logger.warning("%s: run of %s has no time with all variables", self.name, start)
        return tuple(found)

    @cached_property
    def inventory(self) -> FileInventory:
        """What the files hold."""
        paths = (self.path,) if self.static_path is None else (self.path, self.static_path)
        return FileInventory(paths, "global runs")

    @cached_property
    def regrid(self) -> RegionRegrid:
        """To the boundary grid; weights are made once for each grid of the files."""
        return RegionRegrid(self.layout.grid)


@dataclass(frozen=True)
class _Loader:
    """Reads the states of one run.

    Attributes:
        files: whose run it is.
        fields: those of the run.
        static: terrain and land, of any run.
    """

    files: GlobalRunFiles
    fields: frozenset[HeldField] = field(repr=False)
    static: tuple[HeldField, ...] = field(repr=False)

    def __call__(self, times: np.ndarray) -> tuple[tuple[State, ...], StaticFields | None]:
        opened = OpenedFiles()
        states = tuple(self._state(time, self._references(time, opened)) for time in times)
        return states, self._static(opened)

    def _references(self, time: np.datetime64, opened: OpenedFiles) -> list[FieldReference]:
        """The run's fields at a time."""
        fields = [one for one in self.fields if one.valid_time == time]
        return opened.references_to(fields, sorted({one.path for one in fields}))

    def _state(self, time: np.datetime64, references: Sequence[FieldReference]) -> State:
        layout, what = self.files.layout, f"{self.files.name} at {format_time(time)}"
        members = [member_fields(chosen, layout, what) for chosen in references_by_member(references, layout, what)]
        on_grid = [regridded(fields, layout, self.files.regrid) for fields in members]
        values = np.stack([np.stack([fields[name] for name in layout.names]) for fields in on_grid])
        require_reached(values, layout, what)
        return State(torch.from_numpy(values.astype(np.float32)), layout, time)

    def _static(self, opened: OpenedFiles) -> StaticFields | None:
        """Terrain and land, of this run where it has them; None where no file has any."""
        fields = {name: self._fixed_field(name, opened) for name in _STATIC}
        terrain, land = fields["orog"], fields["lsm"]
        if terrain is None and land is None:
            return None
        land = None if land is None else np.clip(land, 0.0, 1.0)
        return StaticFields(self.files.layout.grid, terrain, land, source=self.files.name)

    def _fixed_field(self, name: str, opened: OpenedFiles) -> np.ndarray | None:
        """(y, x) on the boundary grid; None where it is nowhere, or does not reach."""
        places = {one.path for one in self.static if one.variable == name}
        for path in sorted(places, key=lambda path: (path not in opened, path)):
            source = load_field(next(r for r in opened.references(path) if r.variable == name))
            values = None if source is None else self.files.regrid(source)
            if values is not None and np.isfinite(values).all():
                return values
            logger.warning("%s: %s of %s does not cover the boundary grid; left out", self.files.name, name, path)
        return None


def require_reached(values: np.ndarray, layout: Layout, what: str) -> None:
    """Nothing where ``values`` (member, channel, y, x) are all there.

    Raises:
        InputError: some are not; the message says on which side of the grid, how many, and of which variables.
    """
    absent = ~np.isfinite(values)
    gaps = absent.any(axis=(0, 1))
    if not gaps.any():
        return
    names = [name for name, lost in zip(layout.names, absent.any(axis=(0, 2, 3)), strict=True) if lost]
    raise InputError(
        f"{what} does not cover the boundary grid {_sides(gaps)}: {int(gaps.sum())} of its {gaps.size} points have no "
        f"{', '.join(names)}"
    )


def _sides(gaps: np.ndarray) -> str:
    """Where a field is missing, by the edges of the grid: those missing whole, else those missing in part."""
    if gaps.all():
        return "anywhere"
    edges: Mapping[str, np.ndarray] = {"south": gaps[0], "north": gaps[-1], "west": gaps[:, 0], "east": gaps[:, -1]}
    sides = [side for side, edge in edges.items() if edge.all()] or [side for side, edge in edges.items() if edge.any()]
    return f"in the {' and '.join(sides)}" if sides else "within"


def _by_start(held: Sequence[HeldField]) -> dict[np.datetime64 | None, list[HeldField]]:
    """Fields that change with time, by the initial time of their run; under None where all are analyses."""
    timed = [one for one in held if one.valid_time is not None and one.variable not in _STATIC]
    analyses = all(one.is_analysis for one in timed)
    runs: dict[np.datetime64 | None, list[HeldField]] = {}
    for one in timed:
        runs.setdefault(None if analyses else one.initial_time, []).append(one)
    return runs
