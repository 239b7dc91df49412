"""Windows of archives, and states in memory."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from global_world import FIRST, SIX_HOURS, global_dataset, small_globe, write_store

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.global_layout import global_layout
from rtma_diffda.io.global_pairs import RememberedStates
from rtma_diffda.io.global_windows import StoredGlobalWindows, held
from rtma_diffda.io.packed_states import PackedStates
from rtma_diffda.io.weatherbench import open_archive


@dataclass
class Numbered:
    """States whose every value is the hour of their time since the first, plus 1000 an archive."""

    hours: tuple[int, ...]
    offset: float = 0.0
    reads: list = field(default_factory=list)

    def __post_init__(self):
        self.layout = global_layout([("2m_temperature", None), ("geopotential", 500)], small_globe(4, 8))
        self.valid_times = FIRST + np.array(self.hours) * np.timedelta64(1, "h")

    def values(self, valid_times):
        self.reads.append(len(valid_times))
        hours = (valid_times - FIRST) / np.timedelta64(1, "h")
        return torch.from_numpy(hours + self.offset).float()[:, None, None, None].expand(-1, *self.layout.shape)


def firsts(batch):
    return batch.values[:, :, 0, 0, 0].tolist()


def test_windows_cross_no_gap_and_no_archive():
    one, other = Numbered((0, 6, 12, 18, 30, 36)), Numbered((0, 6, 12), offset=1000.0)
    windows = StoredGlobalWindows([one, other], length=3)
    assert len(windows) == 3
    batch = windows.select(np.array([2, 1, 0]))
    assert firsts(batch) == [[1000, 1006, 1012], [6, 12, 18], [0, 6, 12]]
    assert np.array_equal(batch.valid_times[1], FIRST + np.array([6, 12, 18]) * np.timedelta64(1, "h"))


def test_hourly_archives_have_windows_at_every_hour():
    windows = StoredGlobalWindows([Numbered(tuple(range(15)))], length=3)
    assert len(windows) == 3
    assert firsts(windows.select(np.array([1]))) == [[1, 7, 13]]


def test_periods_bound_whole_windows():
    series = Numbered(tuple(range(0, 60, 6)))
    period = (FIRST + SIX_HOURS, FIRST + 4 * SIX_HOURS)
    windows = StoredGlobalWindows([series], length=3, periods=[period])
    assert windows.start_times.tolist() == [(FIRST + k * SIX_HOURS).astype(int) for k in (1, 2)]


def test_states_shared_by_windows_are_read_once():
    series = Numbered(tuple(range(0, 60, 6)))
    batch = StoredGlobalWindows([series], length=3).select(np.array([0, 1, 2, 0]))
    assert series.reads == [5]
    assert firsts(batch) == [[0, 6, 12], [6, 12, 18], [12, 18, 24], [0, 6, 12]]


def test_no_window_and_mixed_archives_are_refused():
    with pytest.raises(InputError, match="no 3 states"):
        StoredGlobalWindows([Numbered((0, 6, 18))], length=3)
    with pytest.raises(InputError, match="one layout; found 0"):
        StoredGlobalWindows([])
    with pytest.raises(UsageError, match="windows of 1 states"):
        StoredGlobalWindows([Numbered((0, 6))], length=1)


def test_states_are_held_whole_packed_or_not_at_all(tmp_path):
    archive = open_archive(write_store(tmp_path / "a.zarr", global_dataset()))
    size = 4 * 6 * int(np.prod(archive.layout.shape))
    whole, packed, lazy = (held(archive, memory_limit=limit) for limit in (size, size // 2, size // 2 - 1))
    assert isinstance(whole, RememberedStates) and isinstance(packed, PackedStates) and lazy is archive
    times = archive.valid_times[[4, 1]]
    truth = archive.values(times)
    assert torch.equal(whole.values(times), truth)
    ranges = archive.values(archive.valid_times).amax(dim=(0, 2, 3)) - archive.values(archive.valid_times).amin(
        dim=(0, 2, 3)
    )
    error = (packed.values(times) - truth).abs().amax(dim=(0, 2, 3))
    assert (error <= ranges / 131070 + 2e-7 * truth.abs().amax(dim=(0, 2, 3))).all()


def test_a_channel_that_never_changes_is_packed_exactly():
    constant = Numbered((0, 6), offset=0.0)
    constant.values = lambda times: torch.full((len(times), *constant.layout.shape), 5.0)
    assert torch.equal(
        PackedStates.of(constant, constant.valid_times).values(constant.valid_times),
        torch.full((2, *constant.layout.shape), 5.0),
    )


def test_a_period_is_held(tmp_path):
    archive = open_archive(write_store(tmp_path / "a.zarr", global_dataset()))
    part = held(archive, (FIRST + SIX_HOURS, FIRST + 3 * SIX_HOURS))
    assert len(part.valid_times) == 3
