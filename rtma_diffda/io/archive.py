"""``Archive``: the analyses of one region, one crash-safe CF Zarr store a UTC day.

Promises: a reader never sees a half-written analysis; a process killed at any moment leaves every earlier analysis as
it was; writing the same slot again changes nothing unless asked to; one writer at a time.

A store that a program keeps open through xarray does not learn of slots written later: reopen it (``open_latest``).
While a *published* slot is rewritten, its store is absent from its place for the instant between two renames;
``Archive`` looks where it is then, other programs should try again.
"""

import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from rtma_diffda.errors import InputError
from rtma_diffda.fields.convert import dataset_to_state
from rtma_diffda.fields.state import State
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io import cf
from rtma_diffda.io.archive_days import day_store, remove_day_store, stored_days
from rtma_diffda.io.archive_design import DESIGN_ATTRIBUTE, ArchiveDesign, layout_from, require_same_layout
from rtma_diffda.io.archive_lock import exclusive_lock
from rtma_diffda.io.archive_replace import rewrite_slot
from rtma_diffda.io.archive_store import build_store, load_slot, open_store, read_column, slot_provenance, write_slot
from rtma_diffda.io.atomic import (
    explain_failures,
    has_leftovers,
    publish_directory,
    recover_directories,
    remove,
    remove_stale_temporaries,
    temporary_beside,
)
from rtma_diffda.io.product import Product
from rtma_diffda.times import day_of, format_time, slot_index, slots_of_day

LOGGER = logging.getLogger(__name__)
_Found = TypeVar("_Found")

_READ_ATTEMPTS = 5
_EXCHANGE_SECONDS = 0.005  # far longer than the two renames of an exchange take


@dataclass(frozen=True)
class Archive:
    """Analyses by valid time.

    Attributes:
        root: directory with one ``YYYYMMDD.zarr`` a day.
        design: what each store looks like.
        lock_timeout: seconds that a write waits for another writer before it gives up.
    """

    root: Path
    design: ArchiveDesign
    lock_timeout: float = 5.0

    @classmethod
    def open(cls, root: str | Path, design: ArchiveDesign | None = None, *, create: bool = True) -> "Archive":
        """Open an archive, and repair what a killed writer left.

        Args:
            root: its directory.
            design: what it holds; None takes it from the stores that are there (enough for reading).
            create: make the directory when absent; only with a design.

        Raises:
            InputError: no archive there, or one of another grid, other variables or other members.
        """
        root = Path(root)
        if create and design is not None:
            with explain_failures(f"archive {root}"):
                root.mkdir(parents=True, exist_ok=True)
        if not root.is_dir():
            raise InputError(f"there is no archive at {root}")
        _repair_if_free(root)
        newest = _newest_readable(root)
        if design is None:
            if newest is None:
                raise InputError(f"archive {root} holds no analyses yet; state its design to write the first")
            design = _design_of(root, newest)
        archive = cls(root, design)
        if newest is not None:
            archive._require_design_of(newest)
        return archive

    def write(self, product: Product, *, overwrite: bool = False) -> bool:
        """Store one analysis; when this returns, it is on the disk and visible to readers.

        A slot that holds an analysis keeps it, unless ``overwrite`` is set or a complete analysis comes for a degraded
        one. The old analysis stays readable until the new one is verified.

        Returns:
            True if stored; False if the slot was left as it was.

        Raises:
            InputError: the product does not fit, another writer is at work, or the file system refused. Whatever was
                stored before is unharmed.
            UsageError: the valid time is not on a 15-minute slot.
        """
        self.design.require_fits(product)
        slot = slot_index(product.valid_time)
        with (
            explain_failures(f"analysis of {format_time(product.valid_time)} to archive {self.root}"),
            exclusive_lock(self.root / ".lock", timeout=self.lock_timeout),
        ):
            _repair(self.root)
            path = self._ensure_day(product.valid_time)
            held = int(read_column(path, "status")[slot])
            improves = held == cf.DEGRADED and product.status == "complete"
            if held in cf.PUBLISHED and not overwrite and not improves:
                LOGGER.info("%s keeps its %s analysis", format_time(product.valid_time), cf.STATUS_WORDS[held])
                return False
            publish = rewrite_slot if held in cf.PUBLISHED else write_slot
            publish(path, product, self.design)
        return True

    def status(self, time: np.datetime64) -> str:
        """What the slot at ``time`` holds: missing, writing, complete or degraded."""
        return cf.STATUS_WORDS[_look(self.root, day_of(time), slot_index(time))[1].status]

    def read(self, time: np.datetime64, names: tuple[str, ...] | None = None) -> xr.Dataset:
        """One published analysis as a CF dataset in memory, ``time`` scalar.

        Args:
            time: valid time.
            names: fields wanted (``t2m``, ``t2m_error``, …); all by default.

        Raises:
            InputError: nothing published there; the message says what is.
        """
        return cf.decode(self._read_raw(time, names)).isel(time=0).load()

    def state(self, time: np.datetime64) -> State:
        """One published analysis as a state: the members where they are stored, else the mean.

        Raises:
            InputError: nothing published there.
        """
        kind = cf.MEMBERS if self.design.members else cf.ANALYSIS
        stored = {kind.array_name(name): name for name in self.design.layout.names}
        dataset = self.read(time, tuple(stored))
        return dataset_to_state(dataset[list(stored)].rename(stored), self.design.layout)

    def made(self, time: np.datetime64) -> Mapping[str, Any]:
        """How one published analysis was made, as its store says it; no field is loaded.

        Returns:
            ``valid_time``, ``status``, ``degraded`` (the reasons), ``software``; ``made`` is the product's provenance.

        Raises:
            InputError: nothing published there.
        """
        return self._unchanged(time, lambda path: json.loads(slot_provenance(path, time)))

    def created(self, time: np.datetime64) -> np.datetime64:
        """When one published analysis was made, ``datetime64[ns]`` UTC.

        Raises:
            InputError: nothing published there.
        """
        return self._moment(time, "created")

    def obs_cutoff(self, time: np.datetime64) -> np.datetime64:
        """Until when the observations of one published analysis could arrive, ``datetime64[ns]`` UTC.

        Raises:
            InputError: nothing published there.
        """
        return self._moment(time, "obs_cutoff")

    def days(self) -> tuple[np.datetime64, ...]:
        """Days that have a store, ascending, as ``datetime64[ns]``."""
        return tuple(stored_days(self.root))

    def remove_day(self, day: np.datetime64) -> bool:
        """Remove the store of a day; killed at any moment, all of it is there or none. Links are never followed.

        Returns:
            True if removed; False if there is none.

        Raises:
            InputError: another writer is at work, the store is no directory, or the file system refused.
        """
        with (
            explain_failures(f"archive {self.root} without the day {str(day)[:10]}"),
            exclusive_lock(self.root / ".lock", timeout=self.lock_timeout),
        ):
            _repair(self.root)
            return remove_day_store(self.root, day)

    def times(self, statuses: tuple[str, ...] = ("complete", "degraded")) -> np.ndarray:
        """Valid times ``datetime64[ns]`` of all slots whose status is among ``statuses``, ascending."""
        wanted = [cf.STATUS_WORDS.index(word) for word in statuses]
        times = [self._readable_times_of(day, wanted) for day in stored_days(self.root)]
        return np.concatenate([np.empty(0, "datetime64[ns]"), *times])

    def latest(self, before: np.datetime64) -> np.datetime64 | None:
        """Valid time of the newest published analysis earlier than ``before``; None if there is none."""
        for day in reversed(stored_days(self.root)):
            times = self._readable_times_of(day, cf.PUBLISHED)
            earlier = times[times < before]
            if earlier.size:
                return earlier[-1]
        return None

    def _read_raw(self, time: np.datetime64, names: tuple[str, ...] | None) -> xr.Dataset:
        return self._unchanged(time, lambda path: load_slot(path, time, names))

    def _moment(self, time: np.datetime64, column: str) -> np.datetime64:
        seconds = self._unchanged(time, lambda path: int(read_column(path, column)[slot_index(time)]))
        return np.datetime64(seconds, "s").astype("datetime64[ns]")

    def _unchanged(self, time: np.datetime64, read: Callable[[Path], _Found]) -> _Found:
        """What is read of a slot that no writer has touched meanwhile: its token is the same before and after."""
        slot, day = slot_index(time), day_of(time)
        for _ in range(_READ_ATTEMPTS):
            path, before = _look(self.root, day, slot)
            if before.status not in cf.PUBLISHED:
                raise InputError(self._describe_absence(time, cf.STATUS_WORDS[before.status]))
            try:
                found = read(path)
            except (OSError, KeyError, ValueError, RuntimeError) as error:
                if _look(self.root, day, slot) == (path, before):
                    raise InputError(f"archive store {path} cannot be read: {error}") from error
                continue
            if _look(self.root, day, slot) == (path, before):
                return found
        raise InputError(f"analysis of {format_time(time)} in {self.root} changes faster than it can be read")

    def _describe_absence(self, time: np.datetime64, status: str) -> str:
        latest = self.latest(time)
        nearest = "none before it" if latest is None else f"the latest before it is {format_time(latest)}"
        return f"archive {self.root} has no analysis of {format_time(time)} (status {status}); {nearest}"

    def _readable_times_of(self, day: np.datetime64, wanted: tuple[int, ...] | list[int]) -> np.ndarray:
        """One damaged day does not hide the others."""
        try:
            return self._times_of(day, wanted)
        except InputError as error:
            LOGGER.warning("a day of archive %s is passed over: %s", self.root, error)
            return np.empty(0, "datetime64[ns]")

    def _times_of(self, day: np.datetime64, wanted: tuple[int, ...] | list[int]) -> np.ndarray:
        for _ in range(_READ_ATTEMPTS):  # a writer that exchanges directories may come between the two looks
            with contextlib.suppress(FileNotFoundError):
                return slots_of_day(day)[np.isin(read_column(day_store(self.root, day), "status"), wanted)]
        raise InputError(f"{day_store(self.root, day)} is not a store of this archive: it has no status of its slots")

    def _ensure_day(self, time: np.datetime64) -> Path:
        path = day_store(self.root, day_of(time))
        if path.exists():
            self._require_design_of(day_of(time))
            return path
        temporary = temporary_beside(path)
        try:
            build_store(temporary, self.design, day_of(time))
            publish_directory(temporary, path)
        finally:
            remove(temporary)
        return path

    def _require_design_of(self, day: np.datetime64) -> None:
        layout, members = layout_from(_design_text(self.root, day))
        require_same_layout(self.design.layout, layout, where=f"archive {self.root}")
        if members != self.design.members:
            raise InputError(f"archive {self.root} stores {members} members a slot, not {self.design.members}")


def open_latest(root: str | Path) -> xr.Dataset:
    """The newest published analysis of the archive at ``root``, freshly opened.

    Raises:
        InputError: no archive, or nothing published in it.
    """
    archive = Archive.open(root, create=False)
    times = archive.times()
    if not times.size:
        raise InputError(f"archive {root} holds no published analysis")
    return archive.read(times[-1])


@dataclass(frozen=True)
class _Token:
    """What changes whenever somebody writes a slot, or exchanges the store that it is in."""

    status: int
    revision: int
    inode: int  # of the store's directory: writing one slot again exchanges the store of all others too


def _look(root: Path, day: np.datetime64, slot: int) -> tuple[Path, _Token]:
    """Where the store of ``day`` is now, with the token of a slot; status missing without a store.

    Tried again where a writer that exchanges directories came between finding the store and reading it.
    """
    for _ in range(_READ_ATTEMPTS):
        path = day_store(root, day)
        with contextlib.suppress(FileNotFoundError):
            status, revision = (int(read_column(path, name)[slot]) for name in ("status", "revision"))
            return path, _Token(status, revision, path.stat().st_ino)
        if not path.exists() and day_store(root, day) == path:
            break
        sleep(_EXCHANGE_SECONDS)
    return path, _Token(cf.MISSING, 0, 0)


def _repair_if_free(root: Path) -> None:
    """Repair on opening, unless a writer is at work (it has repaired) or we may not write (readers need not)."""
    if not has_leftovers(root):
        return
    try:
        with exclusive_lock(root / ".lock", timeout=0.0):
            _repair(root)
    except (InputError, OSError) as error:
        LOGGER.debug("archive %s is opened without repair: %s", root, error)


def _repair(root: Path) -> None:
    """Finish or undo what killed writers left. Under the lock."""
    for path in recover_directories(root):
        LOGGER.warning("restored %s, whose replacement was interrupted", path)
    for path in remove_stale_temporaries(root):
        LOGGER.warning("removed %s, left by a process that was killed", path)


def _newest_readable(root: Path) -> np.datetime64 | None:
    """The newest day whose store can be opened; None without any store.

    Raises:
        InputError: there are stores, and none can be read.
    """
    days = stored_days(root)
    for day in reversed(days):
        try:
            _design_text(root, day)
        except InputError as error:
            LOGGER.warning("a day of archive %s is passed over: %s", root, error)
        else:
            return day
    if days:
        newest = day_store(root, days[-1])
        raise InputError(f"archive {root} has {len(days)} day stores, and none can be read; the newest is {newest}")
    return None


def _design_text(root: Path, day: np.datetime64) -> str:
    """What a day's store says of its design. Tried again, since a writer may be exchanging the store just now."""
    for _ in range(_READ_ATTEMPTS - 1):
        with contextlib.suppress(InputError):
            return _text_of(day_store(root, day))
        sleep(_EXCHANGE_SECONDS)
    return _text_of(day_store(root, day))


def _text_of(path: Path) -> str:
    text = open_store(path).attrs.get(DESIGN_ATTRIBUTE)
    if not isinstance(text, str):
        raise InputError(f"{path} is not a store of this archive: it lacks the attribute {DESIGN_ATTRIBUTE}")
    return text


def _design_of(root: Path, day: np.datetime64) -> ArchiveDesign:
    """The design that a store was made by, from the store alone. Tried again as ``_design_text`` is."""
    for _ in range(_READ_ATTEMPTS - 1):
        with contextlib.suppress(InputError, OSError, KeyError):
            return _design_in(day_store(root, day))
        sleep(_EXCHANGE_SECONDS)
    return _design_in(day_store(root, day))


def _design_in(path: Path) -> ArchiveDesign:
    layout, members = layout_from(_text_of(path))
    group = open_store(path)
    terrain, land = (np.asarray(group[name][...], float) if name in group else None for name in ("orog", "lsm"))
    return ArchiveDesign(
        layout=layout,
        static=StaticFields(layout.grid, terrain, land, str(group.attrs["static_source"])),
        domain=str(group.attrs["spatial_domain"]),
        title=str(group.attrs["title"]),
        members=members,
        zarr_format=group.metadata.zarr_format,
        attributes={key: value for key, value in group.attrs.items() if key not in ("history", DESIGN_ATTRIBUTE)},
    )
