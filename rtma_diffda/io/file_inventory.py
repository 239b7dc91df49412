"""Inventory of gridded files: which fields the files of a path hold, without their values.

The files are looked for anew with each request, and one is read again only if its size or age changed. A file that
cannot be read is told in the log once and remembered with the reason. Which times a file holds is read from its
contents, never from its name.
"""

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rtma_diffda.errors import InputError
from rtma_diffda.io.derived_fields import RECIPES
from rtma_diffda.io.gridded import find_fields
from rtma_diffda.io.gridded_files import gridded_files
from rtma_diffda.io.source_field import FieldReference

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeldField:
    """A field that a file holds; the file is opened again when it is wanted.

    Attributes:
        path: the file.
        variable: short name of ``variables.py``.
        valid_time: datetime64[ns]; None for a field without time, such as terrain.
        initial_time: start of the forecast, datetime64[ns]; None where the file does not say.
        member: of an ensemble; None for a single forecast.
    """

    path: Path
    variable: str
    valid_time: np.datetime64 | None
    initial_time: np.datetime64 | None
    member: int | None = None

    @property
    def is_analysis(self) -> bool:
        """Whether it is valid at its initial time, or has none."""
        return self.initial_time is None or self.initial_time == self.valid_time


@dataclass(frozen=True)
class _Contents:
    """What a file held when it had this size and age; ``failure`` where it cannot be read."""

    stamp: tuple[int, int] | None
    held: tuple[HeldField, ...] = ()
    failure: str | None = None


@dataclass(frozen=True)
class FileInventory:
    """What is in the files of some paths.

    Attributes:
        paths: each a file, a directory (with all below it) or a pattern such as ``gfs/*.grib2``.
        kind: what the files should hold, for the log: "global runs".
    """

    paths: tuple[str | Path, ...]
    kind: str
    _contents: dict[Path, _Contents] = field(default_factory=dict, init=False, repr=False, compare=False)

    def held(self) -> tuple[HeldField, ...]:
        """All fields of the files that can be read, as they are now.

        Raises:
            InputError: a path stands for no file.
        """
        files = tuple(dict.fromkeys(file for path in self.paths for file in gridded_files(path)))
        for gone in set(self._contents) - set(files):
            del self._contents[gone]
        for file in files:
            stamp = _stamp(file)
            if stamp is None or file not in self._contents or self._contents[file].stamp != stamp:
                self._contents[file] = self._read(file, stamp)
        return tuple(held for file in files for held in self._contents[file].held)

    def failures(self) -> list[str]:
        """Why files could not be read when they were last looked at, in the order of their names."""
        return [contents.failure for _, contents in sorted(self._contents.items()) if contents.failure is not None]

    def newest_first(self, files: Iterable[Path]) -> list[Path]:
        """Files of this inventory by their age, then by their names; directories (Zarr stores) last."""

        def age(file: Path) -> tuple[int, Path]:
            stamp = self._contents[file].stamp
            return (0 if stamp is None else -stamp[1]), file

        return sorted(files, key=age)

    def _read(self, file: Path, stamp: tuple[int, int] | None) -> _Contents:
        try:
            return _Contents(stamp, tuple(held_field(file, reference) for reference in find_fields(file)))
        except InputError as error:
            logger.warning("%s is skipped as a file of %s: %s", file, self.kind, error)
            return _Contents(stamp, failure=str(error))


@dataclass(frozen=True)
class OpenedFiles:
    """Files that are being read: each is opened once, however many of its fields are wanted."""

    _opened: dict[Path, tuple[FieldReference, ...]] = field(default_factory=dict, init=False, repr=False)

    def __contains__(self, path: Path) -> bool:
        return path in self._opened

    def references(self, path: Path) -> tuple[FieldReference, ...]:
        """All that a file holds.

        Raises:
            InputError: it cannot be read.
        """
        if path not in self._opened:
            self._opened[path] = find_fields(path)
        return self._opened[path]

    def references_to(self, fields: Collection[HeldField], paths: Sequence[Path]) -> list[FieldReference]:
        """Those of ``fields`` that the files ``paths`` hold, in the order of the files.

        Raises:
            InputError: a file cannot be read.
        """
        wanted = frozenset(fields)
        return [r for path in paths for r in self.references(path) if held_field(path, r) in wanted]


def held_field(path: Path, reference: FieldReference) -> HeldField:
    """The entry of a field that a file holds."""
    valid_time, initial_time = _moment(reference.valid_time), _moment(reference.initial_time)
    return HeldField(path, reference.variable, valid_time, initial_time, reference.member)


def complete_times(fields: Iterable[HeldField], names: Sequence[str]) -> np.ndarray:
    """Valid times (time,) datetime64[ns], increasing, at which all variables ``names`` are there or follow."""
    present: dict[np.datetime64, set[str]] = {}
    for one in fields:
        present.setdefault(one.valid_time, set()).add(one.variable)
    times = sorted(time for time, found in present.items() if not lacking(found, names))
    return np.array(times, "datetime64[ns]")


def lacking(present: Collection[str], names: Sequence[str]) -> list[str]:
    """Those of the variables ``names`` that are neither present nor follow from what is."""
    present = set(present)
    follow = {name for name, recipes in RECIPES.items() if any(present.issuperset(parts) for parts, _ in recipes)}
    return [name for name in names if name not in present | follow]


def _moment(time: np.datetime64 | None) -> np.datetime64 | None:
    return None if time is None else time.astype("datetime64[ns]")


def _stamp(path: Path) -> tuple[int, int] | None:
    """Size and age of a file; None for a directory (a Zarr store), whose own age says little."""
    if path.is_dir():
        return None
    try:
        status = path.stat()
    except OSError:
        return None  # gone since it was listed; reading it will say so
    return status.st_size, status.st_mtime_ns
