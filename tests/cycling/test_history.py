"""History: what it remembers is bit by bit what the archive answers, so that a restarted run goes on from the same."""

import numpy as np
import pytest
import torch
from builders import NOON, small_grid, small_static

from rtma_diffda.cycling.history import History
from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.io.archive import Archive
from rtma_diffda.io.archive_design import ArchiveDesign
from rtma_diffda.io.product import Product
from rtma_diffda.times import SLOT

STORED = Layout.of(small_grid(), ["t2m", "d2m", "ceil"])
OTHER_ORDER = Layout.of(small_grid(), ["ceil", "t2m", "d2m"])
HOUR = np.timedelta64(1, "h")


def archive_at(directory, members=0):
    return Archive.open(directory, ArchiveDesign(STORED, small_static(), "small", members=members))


def a_state(*, members=1, seed=0, time=NOON, layout=STORED, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    values = 280.0 + torch.randn(members, *layout.shape, generator=generator, dtype=dtype) / 3.0
    return State(values, layout, time)


def store(archive, state):
    static = small_static()
    archive.write(Product("small", state, static, state.valid_time, state.valid_time + SLOT))


@pytest.mark.parametrize("layout", [STORED, OTHER_ORDER], ids=["order of the archive", "another order"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("members", "kept"), [(1, 0), (5, 0), (5, 5)])
def test_what_is_remembered_equals_what_the_archive_gives_bit_by_bit(tmp_path, members, kept, dtype, layout):
    state = a_state(members=members, layout=layout, dtype=dtype)
    state.values[:, layout.index("ceil"), 2, 3] = float("nan")  # an unlimited ceiling
    archive = archive_at(tmp_path, kept)
    remembering = History(archive)
    remembering.add(state)
    remembered = remembering.at(NOON)
    store(archive, state)
    stored = History(archive_at(tmp_path, kept)).at(NOON)
    assert torch.equal(remembered.values.view(torch.int32), stored.values.view(torch.int32))
    assert remembered.values.shape == (max(kept, 1), *STORED.shape) and remembered.values.dtype == torch.float32
    assert remembered.layout == stored.layout == STORED
    assert remembered.valid_time == stored.valid_time == NOON
    expected = state.values.mean(dim=0)[layout.index("t2m")] if not kept else state.channel("t2m")
    assert torch.equal(stored.channel("t2m").squeeze(0), expected.float())


def test_the_archive_answers_what_is_not_remembered(tmp_path):
    archive = archive_at(tmp_path)
    store(archive, a_state(seed=1))
    history = History(archive)
    assert torch.equal(history.at(NOON).values, a_state(seed=1).values.float())
    assert history.at(NOON + SLOT) is None


def test_times_of_any_unit_name_the_same_analysis(tmp_path):
    history = History(archive_at(tmp_path))
    history.add(a_state(time=np.datetime64("2026-01-01T12:00", "m")))
    assert history.at(np.datetime64("2026-01-01T12", "h")).valid_time.dtype == np.dtype("datetime64[ns]")
    assert history.latest(np.datetime64("2026-01-01T12:01", "m")) == NOON
    history.forget(np.datetime64("2026-01-01T12:00", "s"))
    assert history.at(NOON) is None


def test_what_did_not_reach_the_archive_is_forgotten(tmp_path):
    archive = archive_at(tmp_path)
    store(archive, a_state(seed=1))
    history = History(archive)
    history.add(a_state(seed=2))
    assert torch.equal(history.at(NOON).values, a_state(seed=2).values.float())
    history.forget(NOON)
    history.forget(NOON)  # which was forgotten already
    assert torch.equal(history.at(NOON).values, a_state(seed=1).values.float())


def test_the_latest_is_the_newest_of_memory_and_archive_strictly_before(tmp_path):
    archive = archive_at(tmp_path)
    history = History(archive)
    assert history.latest(NOON) is None
    store(archive, a_state(time=NOON - 4 * SLOT))
    assert history.latest(NOON) == NOON - 4 * SLOT
    history.add(a_state(time=NOON - 2 * SLOT))
    assert history.latest(NOON) == NOON - 2 * SLOT
    assert history.latest(NOON - 2 * SLOT) == NOON - 4 * SLOT
    store(archive, a_state(time=NOON - SLOT))
    assert history.latest(NOON) == NOON - SLOT
    assert history.latest(NOON - 4 * SLOT) is None


def test_memory_keeps_three_hours_and_the_archive_the_rest(tmp_path):
    archive = archive_at(tmp_path)
    history = History(archive)
    times = NOON + np.arange(40) * SLOT
    for i, time in enumerate(times):
        history.add(a_state(seed=i, time=time))
        assert len(history._recent) <= 13
    assert history.at(times[-1] - 3 * HOUR) is not None
    assert history.at(times[-1] - 3 * HOUR - SLOT) is None  # it never reached the archive
    store(archive, a_state(seed=0))
    assert torch.equal(history.at(NOON).values, a_state(seed=0).values.float())


def test_a_later_change_of_the_analysis_does_not_change_what_is_remembered(tmp_path):
    history, state = History(archive_at(tmp_path)), a_state(dtype=torch.float32)
    before = state.values.clone()
    history.add(state)
    state.values.add_(1.0)
    assert torch.equal(history.at(NOON).values, before)


def test_a_damaged_store_is_as_if_there_were_no_analysis(tmp_path, caplog):
    archive = archive_at(tmp_path)
    store(archive, a_state())
    (tmp_path / "20260101.zarr" / "status" / "0").write_bytes(b"\x00")
    with pytest.raises(InputError):
        archive.state(NOON)
    history = History(archive)
    assert history.at(NOON) is None and history.latest(NOON + SLOT) is None
    assert "damaged" in caplog.text


def test_a_history_that_begins_late_takes_what_is_earlier_from_another_archive(tmp_path):
    old, new = archive_at(tmp_path / "old"), archive_at(tmp_path / "new")
    for time, seed in ((NOON - 2 * SLOT, 1), (NOON - SLOT, 2), (NOON, 3)):
        store(old, a_state(seed=seed, time=time))
        store(new, a_state(seed=10 + seed, time=time))
    history = History(new, since=NOON, earlier=History(old))
    expected = {NOON - 2 * SLOT: 1, NOON - SLOT: 2, NOON: 13}
    for time, seed in expected.items():
        assert torch.equal(history.at(time).values, a_state(seed=seed).values.float())
    assert history.latest(NOON + SLOT) == NOON and history.latest(NOON) == NOON - SLOT
    assert history.latest(NOON - 2 * SLOT) is None
    history.add(a_state(seed=4, time=NOON + SLOT))
    assert history.latest(NOON + 2 * SLOT) == NOON + SLOT


def test_a_history_that_begins_late_without_another_has_nothing_earlier(tmp_path):
    archive = archive_at(tmp_path)
    store(archive, a_state(time=NOON - SLOT))
    history = History(archive, since=NOON)
    assert history.at(NOON - SLOT) is None and history.latest(NOON) is None and history.latest(NOON + SLOT) is None
