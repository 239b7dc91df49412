"""Pairs from stored runs: read batch by batch they are those in memory."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import small_grid, small_static

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.pairs import Pairs
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.geo.boundary_points import boundary_grid
from rtma_diffda.io.simulation_store import SimulatedRun, run_path, write_run
from rtma_diffda.io.stored_pairs import StoredPairs
from rtma_diffda.training.pairs import load_pairs


def store_run(data_set, number, *, hours=10, grid=None, coarse=None):
    grid = grid or small_grid()
    layout = Layout.of(grid, ("t2m", "u10m"))
    times = np.datetime64("2026-06-01T00:00", "ns") + np.arange(hours) * np.timedelta64(1, "h")
    draws = torch.Generator().manual_seed(number)
    truth, background = (
        StateSeries(torch.randn(hours, *layout.shape, generator=draws), layout, times) for _ in range(2)
    )
    static = small_static(grid)
    run = SimulatedRun(f"train/{number:03d}", static, truth, background)
    if coarse is not None:
        outer = Layout.of(coarse, ("t2m", "u10m"))
        values = torch.randn(hours, *outer.shape, generator=draws)
        run = replace(run, large_scale=StateSeries(values, outer, times), large_scale_static=small_static(coarse))
    write_run(run_path(data_set, "train", number), run)


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    path = tmp_path_factory.mktemp("data_set")
    store_run(path, 0)
    store_run(path, 4, hours=3)
    return path


def test_members_from_the_disk_are_those_in_memory(data_set):
    stored, whole = load_pairs(data_set, "train", memory_limit=0), load_pairs(data_set, "train")
    assert isinstance(stored, StoredPairs) and isinstance(whole, Pairs)
    assert len(stored) == len(whole) == 13
    assert stored.bytes == whole.truth.nbytes + whole.background.nbytes
    members = np.array([12, 0, 9, 9, 10])
    found, expected = stored.select(members), whole.select(members)
    for name in ("truth", "background", "orography", "land_fraction"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
    assert (found.valid_time == expected.valid_time).all() and found.run.tolist() == [4, 0, 0, 0, 4]
    assert found.layout == expected.layout


def test_the_large_scale_from_the_disk_is_that_in_memory(tmp_path, data_set):
    grid = small_grid()
    coarse = boundary_grid(grid, spacing=3.0 * grid.dx, width=3.0 * grid.dx)
    for number in (0, 3):
        store_run(tmp_path, number, hours=4, coarse=coarse)
    stored, whole = (load_pairs(tmp_path, "train", large_scale=True, memory_limit=limit) for limit in (0, 2**30))
    assert isinstance(stored, StoredPairs) and stored.bytes == 3 * whole.truth.nbytes
    members = np.array([7, 0, 5])
    assert torch.equal(stored.select(members).large_scale, whole.select(members).large_scale)
    assert whole.large_scale.shape == whole.truth.shape and float(whole.large_scale.std()) > 0.1
    assert load_pairs(tmp_path, "train").large_scale is None
    for limit in (0, 2**30):
        with pytest.raises(InputError, match="has no large scale; make the data set again"):
            load_pairs(data_set, "train", large_scale=True, memory_limit=limit)


def test_batches_with_and_without_a_large_scale_are_not_joined(tmp_path):
    grid = small_grid()
    store_run(tmp_path, 0, hours=2, coarse=boundary_grid(grid, spacing=3.0 * grid.dx, width=3.0 * grid.dx))
    forced, bare = (load_pairs(tmp_path, "train", large_scale=told) for told in (True, False))
    assert len(Pairs.joined([forced, forced]).large_scale) == 4
    with pytest.raises(InputError, match="all with a large scale or none"):
        Pairs.joined([forced, bare])
    with pytest.raises(InputError, match="a large scale of shape"):
        replace(forced, large_scale=forced.large_scale[:1])


def test_the_first_runs_alone(data_set):
    assert len(load_pairs(data_set, "train", runs=1, memory_limit=0)) == 10


def test_what_cannot_be_read_is_refused_with_its_name(tmp_path):
    with pytest.raises(InputError, match="no runs of split 'train'"):
        load_pairs(tmp_path, "train")
    store_run(tmp_path, 0)
    store_run(tmp_path, 1, grid=small_grid(nx=7))
    with pytest.raises(InputError, match=r"001\.zarr has truths of shape \(10, 2, 10, 7\), expected \(10, 2, 10, 12\)"):
        load_pairs(tmp_path, "train")
    (run_path(tmp_path, "train", 1) / "zarr.json").write_text("{")
    with pytest.raises(InputError, match=r"001\.zarr cannot be read"):
        load_pairs(tmp_path, "train")


def test_a_chunk_damaged_later_is_refused_with_its_name(tmp_path):
    store_run(tmp_path, 0)
    stored = StoredPairs(tmp_path, "train")
    for chunk in (run_path(tmp_path, "train", 0) / "truth" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"000\.zarr cannot be read"):
        stored.select(np.array([1]))
