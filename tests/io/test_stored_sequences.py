import numpy as np
import pytest
import torch
from builders import small_grid

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.simulation_store import SimulatedRun, read_run, run_path, write_run
from rtma_diffda.io.stored_sequences import SequenceDesign, StoredSequences

HOUR = np.timedelta64(1, "h")
NAMES = ("t2m", "u10m")
INNER, OUTER = Layout.of(small_grid(4, 3), NAMES), Layout.of(small_grid(3, 2, 30e3), NAMES)
START = np.datetime64("2026-06-01T00:00", "ns")


def series(layout: Layout, count: int, offset: float, every: int = 1) -> StateSeries:
    times = START + HOUR * every * np.arange(count)
    values = offset + every * torch.arange(float(count))[:, None, None, None].expand(count, *layout.shape)
    return StateSeries(values.contiguous(), layout, times)


def static(layout: Layout, height: float) -> StaticFields:
    return StaticFields(layout.grid, np.full(layout.grid.shape, height), np.full(layout.grid.shape, 0.5), "made up")


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    """Two runs of 6 hourly states, 100 · run + hour; the large scale 1000 more, at even hours until hour 6."""
    path = tmp_path_factory.mktemp("runs")
    for number in range(2):
        truth = series(INNER, 6, 100.0 * number)
        run = SimulatedRun(
            f"train/{number:03d}",
            static(INNER, 10.0 * number),
            truth,
            series(INNER, 6, -1.0),
            large_scale=series(OUTER, 4, 1000.0 + 100.0 * number, every=2),
            large_scale_static=static(OUTER, 7.0),
        )
        write_run(run_path(path, "train", number), run)
    return path


def test_every_sequence_whose_boundary_is_there_is_found(data_set):
    stored = StoredSequences(data_set, "train", SequenceDesign(2, 1, HOUR, 2 * HOUR))
    assert len(stored) == 2 * 3 and stored.runs == 2  # targets at 2, 3 and 4 h; that at 5 h would need 7 h
    batch = stored.select(np.array([4, 0]))
    assert batch.states[:, :, 0, 0, 0].tolist() == [[101.0, 102.0, 103.0], [0.0, 1.0, 2.0]]
    assert batch.run.tolist() == [1, 0]
    assert batch.orography[:, 0, 0].tolist() == [10.0, 0.0] and float(batch.boundary_orography.max()) == 7.0
    assert (batch.valid_times[0] - START == HOUR * np.array([1, 2, 3])).all()


def test_the_boundary_reaches_as_far_as_asked_for(data_set):
    stored = StoredSequences(data_set, "train", SequenceDesign(2, 1, 2 * HOUR, HOUR))
    batch = stored.select(np.array([1]))  # target at 3 h: boundary from 1 to 4 h
    assert batch.boundary[0, :, 0, 0, 0].tolist() == [1000.0, 1002.0, 1004.0]
    assert (batch.boundary_times[0] - START == HOUR * np.array([0, 2, 4])).all()
    later = stored.select(np.array([2]))  # target at 4 h: from 2 to 5 h, and the state before 5 h is not enough
    assert (later.boundary_times[0] - START == HOUR * np.array([2, 4, 6])).all()


def test_memory_and_disk_give_the_same(data_set):
    design = SequenceDesign(2, 2, HOUR, HOUR)
    pair = [StoredSequences(data_set, "train", design, memory_limit=limit) for limit in (0, 10**9)]
    members = np.arange(len(pair[0]))
    assert len(pair[0]) == len(pair[1])
    assert torch.equal(pair[0].select(members).states, pair[1].select(members).states)
    assert torch.equal(pair[0].select(members).boundary, pair[1].select(members).boundary)
    assert len(StoredSequences(data_set, "train", design, runs=1)) == len(members) // 2


def test_a_run_is_read_without_what_is_not_wanted(data_set):
    run = read_run(run_path(data_set, "train", 1), only=("large_scale",))
    assert run.background is run.truth and run.large_scale is not None
    assert read_run(run_path(data_set, "train", 1), only=()).large_scale is None
    assert float(read_run(run_path(data_set, "train", 1)).background.values[0, 0, 0, 0]) == -1.0


def test_what_is_missing_is_said(data_set, tmp_path):
    with pytest.raises(InputError, match="no runs of split 'validation'"):
        StoredSequences(data_set, "validation", SequenceDesign(2, 1, HOUR, HOUR))
    with pytest.raises(InputError, match="too short"):
        StoredSequences(data_set, "train", SequenceDesign(2, 5, HOUR, HOUR))
    bare = SimulatedRun("train/000", static(INNER, 0.0), series(INNER, 6, 0.0), series(INNER, 6, 0.0))
    write_run(run_path(tmp_path, "train", 0), bare)
    with pytest.raises(InputError, match="no large scale"):
        StoredSequences(tmp_path, "train", SequenceDesign(2, 1, HOUR, HOUR))
