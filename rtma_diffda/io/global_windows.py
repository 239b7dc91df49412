"""``StoredGlobalWindows``: windows of global archives as data to learn from, read batch by batch.

A window's states lie in one archive, one time step apart; so none crosses from one archive to the next, or a gap.
"""

from collections.abc import Sequence

import numpy as np
import torch

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.global_windows import GlobalWindows
from rtma_diffda.io.global_pairs import MEMORY_LIMIT, Period, remembered, within
from rtma_diffda.io.packed_states import PackedStates
from rtma_diffda.io.stored_backgrounds import StatesByTime
from rtma_diffda.times import format_time

SIX_HOURS = np.timedelta64(6, "h")


class StoredGlobalWindows:
    """The windows of archives of one layout.

    Args:
        archives: such as ``GlobalArchive`` or what ``held`` makes of it.
        length: states of a window: two of history, and one a step of the roll-out.
        time_step: between the states of a window.
        periods: first and last valid time of each archive that may be in a window, one an archive; None: all.

    Raises:
        UsageError: windows shorter than two states, or not one period an archive.
        InputError: archives of different layouts, or none with a window.
    """

    def __init__(
        self,
        archives: Sequence[StatesByTime],
        *,
        length: int = 3,
        time_step: np.timedelta64 = SIX_HOURS,
        periods: Sequence[Period | None] | None = None,
    ) -> None:
        periods = [None] * len(archives) if periods is None else list(periods)
        if length < 2 or len(periods) != len(archives):
            raise UsageError(f"windows of {length} states from {len(archives)} archives in {len(periods)} periods")
        if not archives or any(archive.layout != archives[0].layout for archive in archives):
            raise InputError(f"windows need archives of one layout; found {len(archives)}, of different ones or none")
        self._archives, self.layout = list(archives), archives[0].layout
        self._offsets = np.arange(length) * time_step
        starts = [self._starts(archive, period) for archive, period in zip(archives, periods, strict=True)]
        self._archive_of = np.repeat(np.arange(len(starts)), [len(found) for found in starts])
        self._start_of = np.concatenate(starts)
        if not len(self._start_of):
            told = "; ".join(f"{format_time(a.valid_times[0])} … {format_time(a.valid_times[-1])}" for a in archives)
            raise InputError(f"no {length} states {time_step} apart in {told}, within {periods}")

    def __len__(self) -> int:
        return len(self._start_of)

    @property
    def start_times(self) -> np.ndarray:
        """(member,) datetime64[ns]: the first valid time of each window."""
        return self._start_of

    def select(self, members: np.ndarray) -> GlobalWindows:
        """The members of an index array (m,)."""
        rows = np.atleast_1d(np.asarray(members))
        times = self._start_of[rows, None] + self._offsets
        values = torch.empty((*times.shape, *self.layout.shape))
        for number in np.unique(self._archive_of[rows]):
            own = np.flatnonzero(self._archive_of[rows] == number)
            wanted, places = np.unique(times[own], return_inverse=True)
            read = self._archives[number].values(wanted)
            values[own] = read[torch.from_numpy(places.reshape(times[own].shape))]
        return GlobalWindows(values, times, self.layout)

    def _starts(self, archive: StatesByTime, period: Period | None) -> np.ndarray:
        times = within(archive.valid_times, period)
        whole = np.isin(times[:, None] + self._offsets, times).all(axis=1)
        return times[whole]


def held(source: StatesByTime, period: Period | None = None, *, memory_limit: int = MEMORY_LIMIT) -> StatesByTime:
    """The states of a period in memory if they fit: as they are, else in 16 bits; the source itself if they do not.

    Args:
        source: an archive.
        period: first and last valid time; None: all.
        memory_limit: bytes.
    """
    times = within(source.valid_times, period)
    size = 4 * len(times) * int(np.prod(source.layout.shape))
    if memory_limit < size <= 2 * memory_limit:
        return PackedStates.of(source, times)
    return remembered(source, period, memory_limit=memory_limit)
