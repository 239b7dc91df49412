"""Backgrounds out of many files: of the newest run that had arrived and has fields for the time asked for.

Files of any kind that ``io.gridded`` reads, in any order; which runs and times they hold is read from their contents. A
run is available at ``available_at`` if

    initial time + latency ≤ available_at    and    its files had arrived by then,

and serves if it has fields valid at the time, or at two times around it that are close enough for linear interpolation.
A run that turns out to be unusable gives way to the next older one. Fields without an initial time are one run, older
than all others and without latency.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.background import Background, BackgroundReader, listed_times
from rtma_diffda.io.derived_fields import ingredients
from rtma_diffda.io.file_inventory import FileInventory, HeldField, OpenedFiles, complete_times
from rtma_diffda.times import format_time

logger = logging.getLogger(__name__)

_NONE = np.timedelta64(0, "s")
_MINUTE = np.timedelta64(1, "m")
_TOLD_REASONS = 3
_DIRECTION = "wd10m"


@dataclass(frozen=True)
class _Run:
    """Fields of one initial time.

    Attributes:
        initial_time: of the run; None for fields that have none.
        fields: some of the run's.
    """

    initial_time: np.datetime64 | None
    fields: tuple[HeldField, ...]

    def __str__(self) -> str:
        start = self.initial_time
        return "series without initial times" if start is None else f"run of {format_time(start)}"

    def without(self, paths: Collection[Path]) -> "_Run":
        """What the run has in other files."""
        return replace(self, fields=tuple(one for one in self.fields if one.path not in paths))

    def may_share(self, terrain: HeldField) -> bool:
        """Whether a terrain is the run's own, or stands for all."""
        return terrain.valid_time is None or terrain.initial_time in (None, self.initial_time)


@dataclass(frozen=True, kw_only=True)
class BackgroundFiles:
    """Attributes:
    path: file, directory (with all below it) or pattern such as ``hrrr/*.grib2``; looked at anew with each request.
    layout: grid and variables of the region.
    static: terrain of the region.
    region: its name, for messages.
    latency: how long after its initial time a run arrives.
    longest_gap: two valid times of one run no further apart than this are interpolated linearly in time; 0 for never.
    shift: the field valid this long before the time asked for is taken as background of that time.
    arrived: when a file arrived; None where the latency alone counts.
    """

    path: str | Path
    layout: Layout
    static: StaticFields
    region: str = "of the analysis"
    latency: np.timedelta64 = _NONE
    longest_gap: np.timedelta64 = _NONE
    shift: np.timedelta64 = _NONE
    arrived: Callable[[Path], np.datetime64] | None = None

    def __post_init__(self) -> None:
        for name, found in (("latency", self.latency), ("longest_gap", self.longest_gap), ("shift", self.shift)):
            if not found >= _NONE:
                raise UsageError(f"the {name} of background files must not be negative; found {found}")

    def at(self, valid_time: np.datetime64, *, available_at: np.datetime64) -> Background:
        """The background for a time, of the newest run that serves; of fields found twice, those of the newest file.

        Args:
            valid_time: UTC; that of the state, also where its fields are older by ``shift``.
            available_at: the time of day at which the choice is made.

        Raises:
            InputError: no run that was there has usable fields for the time; the message says what there is.
        """
        time = valid_time.astype("datetime64[ns]") - self.shift
        held = self._held(time)
        reasons = []
        for run in self._candidates(held, time, available_at):
            try:
                background = self._read(run, held, time)
            except InputError as error:
                reasons.append(f"{run}: {error}")
                continue
            if reasons:
                used = "background %s at %s: the %s is used instead of newer ones; %s"
                logger.warning(used, self.path, format_time(time), run, _told(reasons))
            return self._shifted(background)
        reasons += self._late(held, time, available_at) + self.inventory.failures()
        raise InputError(self._refusal(held, time, available_at, reasons))

    @cached_property
    def inventory(self) -> FileInventory:
        """What the files hold."""
        return FileInventory((self.path,), "backgrounds")

    @cached_property
    def reader(self) -> BackgroundReader:
        """To the region's grid; its weights serve all requests."""
        return BackgroundReader(self.layout, self.static, self.region)

    def _held(self, time: np.datetime64) -> tuple[HeldField, ...]:
        try:
            return self.inventory.held()
        except InputError as error:
            raise InputError(f"no background valid at {format_time(time)}: there is no file at {self.path}") from error

    def _near(self, held: Sequence[HeldField], time: np.datetime64) -> list[_Run]:
        """What the runs have within the longest gap of a time, the newest run first."""
        wanted = set().union(*map(ingredients, self.layout.names))
        earliest, latest = time - self.longest_gap, time + self.longest_gap
        runs: dict[np.datetime64 | None, list[HeldField]] = {}
        for one in held:
            if one.variable in wanted and one.valid_time is not None and earliest <= one.valid_time <= latest:
                runs.setdefault(one.initial_time, []).append(one)
        starts = sorted(runs, key=lambda start: (start is not None, start), reverse=True)
        return [_Run(start, tuple(runs[start])) for start in starts]

    def _candidates(self, held: Sequence[HeldField], time: np.datetime64, available_at: np.datetime64) -> list[_Run]:
        """The runs that have the time in files that are available, the newest first."""
        there = [run.without(self._due(run, available_at)) for run in self._near(held, time)]
        return [run for run in there if len(self._times(run, time))]

    def _due(self, run: _Run, available_at: np.datetime64) -> dict[Path, np.datetime64]:
        """The files of a run that were not yet there, and when they arrive."""
        due = {}
        for path in {one.path for one in run.fields}:
            times = [] if run.initial_time is None else [run.initial_time + self.latency]
            times += [] if self.arrived is None else [self.arrived(path)]
            if not all(time <= available_at for time in times):
                due[path] = max(times)
        return due

    def _late(self, held: Sequence[HeldField], time: np.datetime64, available_at: np.datetime64) -> list[str]:
        """The runs that have the time, but not yet, in words."""
        late = []
        for run in self._near(held, time):
            due = self._due(run, available_at)
            if due and len(self._times(run, time)) and not len(self._times(run.without(due), time)):
                path = min(due)
                late.append(f"{run}: {path} arrives at {format_time(due[path])}")
        return late

    def _times(self, run: _Run, time: np.datetime64) -> np.ndarray:
        """(0, 1 or 2) valid times of a run from which its state at ``time`` is made; none where it has no such."""
        complete = complete_times(run.fields, self.layout.names)
        ends = np.concatenate([complete[complete <= time][-1:], complete[complete >= time][:1]])
        if len(ends) == 2 and ends[1] - ends[0] <= self.longest_gap:
            return np.unique(ends)
        # an incomplete time counts, so that whoever reads it says what is missing
        return np.array([time] if any(one.valid_time == time for one in run.fields) else [], "datetime64[ns]")

    def _read(self, run: _Run, held: Sequence[HeldField], time: np.datetime64) -> Background:
        terrain = [one for one in held if one.variable == "orog" and run.may_share(one)]
        opened = OpenedFiles()
        found = [self._read_at(end, run, terrain, opened) for end in self._times(run, time)]
        return found[0] if len(found) == 1 else _between(*found, time)

    def _read_at(
        self, time: np.datetime64, run: _Run, terrain: Collection[HeldField], opened: OpenedFiles
    ) -> Background:
        """The state at one of the run's own times, with terrain of the same files where they have it."""
        fields = [one for one in run.fields if one.valid_time == time]
        files = self._files_of(fields)
        places = {one.path for one in terrain}
        with_terrain = [file for file in files if file in places] or self.inventory.newest_first(places)[:1]
        references = opened.references_to(fields, files) + opened.references_to(terrain, with_terrain)
        source = ", ".join(map(str, dict.fromkeys(files + with_terrain)))
        return self.reader.read(references, valid_time=time, source=source)

    def _files_of(self, fields: Collection[HeldField]) -> list[Path]:
        """The files that hold these fields, the newest first, without those that only repeat what newer ones hold."""
        files, known = [], set()
        for file in self.inventory.newest_first({one.path for one in fields}):
            here = {(one.variable, one.member) for one in fields if one.path == file}
            if here - known:
                files.append(file)
                known |= here
        return files

    def _shifted(self, background: Background) -> Background:
        if self.shift == _NONE:
            return background
        state, time = background.state, background.state.valid_time + self.shift
        text = f"a field of {_minutes(self.shift)} earlier, taken as that of {format_time(time)}"
        provenance = f"{background.provenance}; {text}"
        return replace(background, state=replace(state, valid_time=time), provenance=provenance)

    def _refusal(
        self, held: Sequence[HeldField], time: np.datetime64, available_at: np.datetime64, reasons: Sequence[str]
    ) -> str:
        asked = format_time(time)
        if self.shift != _NONE:
            asked += f", {_minutes(self.shift)} before {format_time(time + self.shift)},"
        gap = f" or around it, no more than {_minutes(self.longest_gap)} apart" if self.longest_gap > _NONE else ""
        why = _told(reasons) if reasons else f"none has fields at that time{gap}"
        when = format_time(available_at)
        return f"no background valid at {asked} can be had from {self.path} at {when}: {_runs_there(held)}; {why}"


def _between(before: Background, after: Background, time: np.datetime64) -> Background:
    """Linear interpolation in time of two states of one run; a wind direction goes the shorter way round."""
    first, second, names = before.state, after.state, before.state.layout.names
    start, end = format_time(first.valid_time), format_time(second.valid_time)
    if (first.members, before.terrain_adjusted) != (second.members, after.terrain_adjusted):
        raise InputError(
            f"the states at {start} and {end} cannot be interpolated in time: they have {first.members} and "
            f"{second.members} members, and {len(before.terrain_adjusted)} and {len(after.terrain_adjusted)} variables "
            "adjusted to the terrain"
        )
    share = float((time - first.valid_time) / (second.valid_time - first.valid_time))
    change = second.values - first.values
    turning = [names.index(_DIRECTION)] if _DIRECTION in names else []
    change[:, turning] = (change[:, turning] + 180.0) % 360.0 - 180.0
    values = first.values + share * change
    values[:, turning] %= 360.0
    how = f"linear in time between {start} and {end} (weights {1.0 - share:.3g} and {share:.3g})"
    provenance = f"{how}: {before.provenance}; and {after.provenance}"
    return replace(before, state=replace(first, values=values, valid_time=time), provenance=provenance)


def _runs_there(held: Sequence[HeldField]) -> str:
    """Which runs there are, and their valid times, in words."""
    timed = [one for one in held if one.valid_time is not None]
    if not timed:
        return "its files hold no field with a time"
    times = listed_times(sorted({one.valid_time for one in timed}))
    starts = sorted({one.initial_time for one in timed if one.initial_time is not None})
    if not starts:
        return f"there are fields without initial times, valid at {times}"
    runs = f"{len(starts)} runs from {format_time(starts[0])} to {format_time(starts[-1])}"
    return f"there are {runs}, with fields valid at {times}"


def _told(reasons: Sequence[str]) -> str:
    more = f"; and {len(reasons) - _TOLD_REASONS} more" if len(reasons) > _TOLD_REASONS else ""
    return "; ".join(reasons[:_TOLD_REASONS]) + more


def _minutes(interval: np.timedelta64) -> str:
    return f"{float(interval / _MINUTE):g} min"
