import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from builders import small_grid, small_static

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.io.simulation_store import (
    SimulatedRun,
    read_description,
    read_pairs,
    read_run,
    run_path,
    stored_runs,
    write_description,
    write_run,
)

TIMES = np.datetime64("2026-06-01T00:00", "ns") + np.arange(10) * np.timedelta64(1, "h")
NAMES = ("t2m", "d2m", "u10m", "v10m", "sp")


def series(names=NAMES, times=TIMES, *, grid=None, seed=0):
    layout = Layout.of(grid or small_grid(), names)
    values = torch.randn(len(times), *layout.shape, generator=torch.Generator().manual_seed(seed))
    return StateSeries(values, layout, times)


def a_run(name="train/000", *, seed=0):
    grid = small_grid()
    coarse = ProjectedGrid(grid.projection, 6, 5, 15000.0, 15000.0, grid.x0 - 30000.0, grid.y0 - 30000.0)
    return SimulatedRun(
        name,
        small_static(grid),
        truth=series(seed=seed),
        background=series(seed=seed + 1),
        sky=series(("gust", "tcc", "vis", "ceil"), seed=seed + 2),
        lagged={3: series(times=TIMES[3::3], seed=seed + 3), 12: series(times=TIMES[-1:], seed=seed + 4)},
        large_scale=series(times=TIMES[::6], grid=coarse, seed=seed + 5),
        large_scale_static=small_static(coarse),
        parameters={"truth_drag": 0.1, "background_drag": 0.2},
    )


def same(a: StateSeries, b: StateSeries) -> bool:
    return torch.equal(a.values, b.values) and a.layout == b.layout and (a.valid_times == b.valid_times).all()


def test_a_run_comes_back_as_it_was(tmp_path):
    run = a_run()
    found = read_run(write_run(run_path(tmp_path, "train", 0), run))
    assert same(found.truth, run.truth) and same(found.background, run.background)
    assert same(found.sky, run.sky) and same(found.large_scale, run.large_scale)
    assert list(found.lagged) == [3, 12] and all(same(found.lagged[lead], run.lagged[lead]) for lead in (3, 12))
    assert found.name == run.name and found.parameters == run.parameters
    assert found.static.grid == run.static.grid and found.static.source == run.static.source
    np.testing.assert_allclose(found.static.orography, run.static.orography, rtol=1e-6)
    assert found.large_scale_static.grid == run.large_scale.layout.grid
    np.testing.assert_allclose(found.large_scale_static.land_fraction, run.large_scale_static.land_fraction, rtol=1e-6)


def test_what_a_run_need_not_have_may_be_absent(tmp_path):
    run = replace(a_run(), sky=None, large_scale=None, large_scale_static=None, lagged={})
    found = read_run(write_run(tmp_path / "000.zarr", run))
    assert found.sky is None and found.large_scale is None and found.lagged == {}


def test_xarray_opens_a_run(tmp_path):
    run = a_run()
    path = write_run(tmp_path / "000.zarr", run)
    dataset = xr.open_dataset(path, engine="zarr", consolidated=False)
    assert dataset["truth"].dims == ("truth_time", "truth_channel", "y", "x")
    assert (dataset["truth_time"].values == TIMES).all()
    np.testing.assert_array_equal(dataset["background"].values, run.background.values.numpy())


def test_pairs_join_the_runs_of_a_split_in_order(tmp_path):
    for number in (1, 0):
        write_run(run_path(tmp_path, "train", number), a_run(f"train/{number:03d}", seed=10 * number))
    pairs = read_pairs(tmp_path, "train")
    assert len(pairs) == 20 and pairs.run.tolist() == [0] * 10 + [1] * 10
    assert torch.equal(pairs.truth[10:], a_run(seed=10).truth.values)
    assert len(read_pairs(tmp_path, "train", runs=1)) == 10
    picked = pairs.select(np.array([15, 2]))
    assert torch.equal(picked.background[0], a_run(seed=10).background.values[5])
    assert picked.run.tolist() == [1, 0] and picked.valid_time.tolist() == TIMES[[5, 2]].tolist()


def test_an_absent_split_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match="no runs of split 'test'"):
        read_pairs(tmp_path, "test")


def test_a_run_is_published_once_and_whole(tmp_path):
    path = write_run(run_path(tmp_path, "train", 0), a_run())
    with pytest.raises(InputError, match="exists already"):
        write_run(path, a_run())
    assert stored_runs(tmp_path, "train") == [path]
    assert [p.name for p in (tmp_path / "train").iterdir()] == ["000.zarr"]


def test_an_unfinished_run_does_not_count(tmp_path):
    path = write_run(run_path(tmp_path, "train", 0), a_run())
    path.rename(path.parent / ".001.zarr.host-1-1.00000000.tmp")
    assert stored_runs(tmp_path, "train") == []


@pytest.mark.parametrize("damage", ["metadata", "chunk", "absent"])
def test_a_damaged_run_is_refused_with_its_name(tmp_path, damage):
    path = write_run(run_path(tmp_path, "train", 0), a_run())
    if damage == "metadata":
        (path / "zarr.json").write_text("{")
    elif damage == "chunk":
        chunk = next(p for p in sorted((path / "truth" / "c").rglob("*")) if p.is_file())
        chunk.write_bytes(b"nothing")
    else:
        path = run_path(tmp_path, "train", 7)
    with pytest.raises(InputError, match=path.name):
        read_run(path)


def test_the_description_comes_back(tmp_path):
    write_description(tmp_path / "set", {"experiment": "osse_tiny", "seed": 3})
    assert read_description(tmp_path / "set") == {"format": 1, "experiment": "osse_tiny", "seed": 3}


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"format": 99})])
def test_a_wrong_description_is_refused(tmp_path, text):
    with pytest.raises(InputError, match="data_set"):
        read_description(tmp_path)
    (tmp_path / "data_set.json").write_text(text)
    with pytest.raises(InputError, match=r"data_set\.json"):
        read_description(tmp_path)


def test_series_refuses_times_that_do_not_increase():
    with pytest.raises(InputError, match="increase"):
        series(times=TIMES[[1, 0]])
    with pytest.raises(InputError, match="expected"):
        StateSeries(torch.zeros(2, 5, 3, 3), Layout.of(small_grid(), NAMES), TIMES[:2])


def test_series_gives_states():
    found = series()
    state = found.at(TIMES[3])
    assert torch.equal(state.values[0], found.values[3]) and state.valid_time == TIMES[3]
    assert [s.valid_time for s in found] == list(TIMES)
    with pytest.raises(InputError, match="no state"):
        found.at(TIMES[0] - np.timedelta64(1, "h"))
