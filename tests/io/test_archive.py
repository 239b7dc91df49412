"""The archive as its users see it: what goes in comes out, in both Zarr formats; the traps of appending are absent."""

import json

import numpy as np
import pytest
import torch
import xarray as xr
from archive_products import LAYOUT, MIDNIGHT, holds, make_archive, make_design, make_product, slot_time
from builders import small_grid

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.io.archive import Archive, open_latest
from rtma_diffda.io.archive_design import ArchiveDesign
from rtma_diffda.io.archive_store import build_store
from rtma_diffda.io.product import Product

FORMATS = pytest.mark.parametrize("zarr_format", [2, 3])


def open_as_users_do(path, zarr_format: int) -> xr.Dataset:
    return xr.open_dataset(
        path, engine="zarr", consolidated=zarr_format == 2, zarr_format=zarr_format, decode_coords="all", chunks=None
    )


@FORMATS
def test_what_is_written_is_read_back_bit_for_bit(tmp_path, zarr_format):
    archive = make_archive(tmp_path, zarr_format=zarr_format)
    product = make_product(5)
    assert archive.write(product)
    state = archive.state(slot_time(5))
    assert torch.equal(state.values, product.analysis.values)
    assert state.layout == LAYOUT
    assert state.valid_time == slot_time(5)
    assert holds(archive, product)


@FORMATS
def test_a_reader_with_xarray_alone_sees_times_fields_and_projection(tmp_path, zarr_format):
    archive = make_archive(tmp_path, zarr_format=zarr_format)
    product = make_product(1)
    archive.write(product)
    dataset = open_as_users_do(tmp_path / "20260101.zarr", zarr_format)
    assert dataset.sizes == {"time": 96, "y": 10, "x": 12}
    assert np.array_equal(dataset.time.values, slot_time(0) + np.arange(96) * np.timedelta64(15, "m"))
    assert dataset.status.values.tolist() == [0, 2] + [0] * 94
    assert dataset.status.dtype == np.int8
    assert dataset.created.values[1] == product.created
    assert np.isnat(dataset.created.values[2])
    assert np.array_equal(dataset.t2m.values[1], product.analysis.channel("t2m")[0].numpy())
    assert np.isnan(dataset.t2m.values[0]).all()
    assert {"latitude", "longitude", "spatial_ref", "height_2m", "height_10m"} <= set(dataset.coords)


@FORMATS
def test_after_a_midnight_slot_a_quarter_past_stays_a_quarter_past(tmp_path, zarr_format):
    archive = make_archive(tmp_path, zarr_format=zarr_format)
    for slot in (0, 1, 2, 3, 95, 96):
        archive.write(make_product(slot))
    expected = [slot_time(slot) for slot in (0, 1, 2, 3, 95, 96)]
    assert archive.times().tolist() == np.array(expected).tolist()
    assert [archive.read(time).time.values for time in expected] == expected
    assert sorted(path.name for path in tmp_path.glob("*.zarr")) == ["20260101.zarr", "20260102.zarr"]


def test_late_data_keep_the_time_axis_monotonic(tmp_path):
    archive = make_archive(tmp_path)
    for slot in (9, 3, 6):
        archive.write(make_product(slot))
    assert archive.times().tolist() == np.array([slot_time(slot) for slot in (3, 6, 9)]).tolist()


def test_writing_a_slot_again_changes_nothing_unless_asked_to(tmp_path):
    archive = make_archive(tmp_path)
    archive.write(make_product(4, seed=1))
    before = {path: path.read_bytes() for path in (tmp_path / "20260101.zarr").rglob("*") if path.is_file()}
    assert not archive.write(make_product(4, seed=2))
    after = {path: path.read_bytes() for path in (tmp_path / "20260101.zarr").rglob("*") if path.is_file()}
    assert before == after
    assert archive.write(make_product(4, seed=2), overwrite=True)
    assert holds(archive, make_product(4, seed=2))
    assert int(archive.read(slot_time(4)).revision) == 2


@FORMATS
def test_overwriting_leaves_the_other_slots_and_clears_what_the_new_product_lacks(tmp_path, zarr_format):
    archive = make_archive(tmp_path, zarr_format=zarr_format)
    archive.write(make_product(0))
    archive.write(make_product(1))
    archive.write(make_product(1, seed=3, error_std=None, background=None), overwrite=True)
    assert holds(archive, make_product(0))
    stored = archive.read(slot_time(1))
    assert np.isnan(stored.t2m_error.values).all()
    assert np.isnan(stored.t2m_background.values).all()
    assert np.array_equal(stored.t2m.values, make_product(1, seed=3).analysis.channel("t2m")[0].numpy())


def test_a_complete_analysis_replaces_a_degraded_one_and_not_the_reverse(tmp_path):
    archive = make_archive(tmp_path)
    degraded = make_product(2, seed=1, degraded=("no regional background: global states downscaled",))
    assert archive.write(degraded)
    assert archive.status(slot_time(2)) == "degraded"
    assert json.loads(archive.read(slot_time(2)).attrs["provenance"])["degraded"] == list(degraded.degraded)
    assert archive.write(make_product(2))
    assert archive.status(slot_time(2)) == "complete"
    assert not archive.write(degraded)
    assert holds(archive, make_product(2))


@FORMATS
def test_members_are_stored_with_their_mean_and_spread(tmp_path, zarr_format):
    archive = make_archive(tmp_path, zarr_format=zarr_format, members=3)
    product = make_product(7, members=3)
    archive.write(product)
    assert torch.equal(archive.state(slot_time(7)).values, product.analysis.values)
    stored = archive.read(slot_time(7))
    values = product.analysis.channel("u10m").numpy()
    assert np.allclose(stored.u10m, values.mean(axis=0), rtol=1e-6, atol=0)
    assert np.allclose(stored.u10m_spread, values.std(axis=0, ddof=1), rtol=1e-4, atol=0)
    with pytest.raises(InputError, match="stores 3 members; the analysis has 2"):
        archive.write(make_product(8, members=2))


def test_an_archive_without_members_stores_the_mean_of_an_ensemble(tmp_path):
    archive = make_archive(tmp_path)
    product = make_product(7, members=4)
    archive.write(product)
    assert torch.equal(archive.state(slot_time(7)).values[0], product.analysis.values.mean(dim=0))


def test_missing_ceilings_stay_missing(tmp_path):
    product = make_product(1)
    product.analysis.channel("ceil")[0, 2, 3] = np.nan
    archive = make_archive(tmp_path)
    archive.write(product)
    assert np.isnan(archive.read(slot_time(1)).ceil.values[2, 3])
    assert holds(archive, product)


def test_latest_times_and_status(tmp_path):
    archive = make_archive(tmp_path)
    for slot in (94, 97):
        archive.write(make_product(slot))
    archive.write(make_product(95, degraded=("few stations",)))
    assert archive.latest(slot_time(97)) == slot_time(95)
    assert archive.latest(slot_time(95)) == slot_time(94)
    assert archive.latest(slot_time(94)) is None
    assert archive.times(("complete",)).tolist() == np.array([slot_time(94), slot_time(97)]).tolist()
    assert archive.status(slot_time(95)) == "degraded"
    assert archive.status(slot_time(500)) == "missing"
    assert open_latest(tmp_path).time.values == slot_time(97)


def test_reading_what_is_not_there_says_what_is(tmp_path):
    archive = make_archive(tmp_path)
    archive.write(make_product(3))
    with pytest.raises(InputError, match=r"no analysis of 2026-01-01T01:30Z \(status missing\).*2026-01-01T00:45Z"):
        archive.read(slot_time(6))
    with pytest.raises(InputError, match=r"no analysis of 2026-01-01T00:00Z.*none before it"):
        archive.read(slot_time(0))
    with pytest.raises(InputError, match="no field q2m; it has ceil, ceil_background, ceil_error, t2m"):
        archive.read(slot_time(3), ("q2m",))
    with pytest.raises(UsageError, match="not on a 15-minute slot"):
        archive.read(MIDNIGHT + np.timedelta64(7, "m"))


def test_an_archive_knows_its_design_without_being_told(tmp_path):
    design = make_design(members=2)
    Archive.open(tmp_path, design).write(make_product(0, members=2))
    reopened = Archive.open(tmp_path)
    assert reopened.design.layout == design.layout
    assert (reopened.design.members, reopened.design.domain, reopened.design.zarr_format) == (2, "test", 2)
    assert np.allclose(reopened.design.static.orography, design.static.orography, atol=1e-3)
    assert reopened.write(make_product(1, members=2))


def test_another_grid_or_other_variables_are_refused_in_a_sentence(tmp_path):
    make_archive(tmp_path).write(make_product(0))
    wider = Layout.of(small_grid(nx=14), LAYOUT.names)
    with pytest.raises(InputError, match=r"is on another grid: it has 12 × 10 points .* offered was 14 × 10 points"):
        Archive.open(tmp_path, make_design(layout=wider))
    with pytest.raises(InputError, match="is on another grid"):
        make_archive(tmp_path).write(make_product(1, layout=wider))
    fewer = Layout.of(LAYOUT.grid, ("t2m", "u10m"))
    with pytest.raises(InputError, match="holds other variables: it has t2m, u10m, ceil, offered were t2m, u10m"):
        Archive.open(tmp_path, make_design(layout=fewer))
    with pytest.raises(InputError, match="stores 0 members a slot, not 3"):
        make_archive(tmp_path, members=3)
    assert holds(make_archive(tmp_path), make_product(0))


def test_the_order_of_variables_does_not_matter(tmp_path):
    make_archive(tmp_path).write(make_product(0))
    turned = Layout.of(LAYOUT.grid, LAYOUT.names[::-1])
    archive = Archive.open(tmp_path, make_design(layout=turned))
    assert torch.equal(archive.state(slot_time(0)).channel("t2m"), make_product(0).analysis.channel("t2m"))
    assert archive.write(make_product(1))


def test_a_place_without_archive_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no archive at"):
        Archive.open(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no analyses yet"):
        Archive.open(tmp_path)
    with pytest.raises(InputError, match="holds no published analysis"):
        open_latest(tmp_path_with_day(tmp_path))


def tmp_path_with_day(tmp_path):
    archive = make_archive(tmp_path)
    archive.write(make_product(0))
    column = tmp_path / "20260101.zarr" / "status" / "0"
    column.write_bytes(bytes(96))
    return tmp_path


def test_a_product_with_broken_numbers_is_never_made():
    product = make_product(0)
    broken = product.analysis.values.clone()
    broken[0, 0, 1, 1] = np.nan
    with pytest.raises(InputError, match="1 missing and 0 infinite values of t2m among 120"):
        Product(**{**vars(product), "analysis": product.analysis.with_values(broken), "background": None})
    with pytest.raises(InputError, match=r"error_std has shape \(3, 10, 11\)"):
        make_product(0, error_std=torch.zeros(3, 10, 11))
    with pytest.raises(InputError, match="background is valid at"):
        make_product(0, background=make_product(1).analysis)


def test_a_new_day_costs_no_room_for_its_fields(tmp_path):
    """96 slots of 36 fields would be 7 GB; only coordinates and metadata are written."""
    grid = small_grid(nx=800, ny=640)
    names = ("t2m", "d2m", "q2m", "r2m", "u10m", "v10m", "gust", "sp", "msl", "vis", "ceil", "tcc")
    layout = Layout.of(grid, names)
    design = ArchiveDesign(layout, make_design(layout=layout).static, "large")
    build_store(tmp_path / "day", design, MIDNIGHT)
    size = sum(path.stat().st_size for path in (tmp_path / "day").rglob("*") if path.is_file())
    assert size < 12e6
    dataset = open_as_users_do(tmp_path / "day", 2)
    assert dataset.t2m.shape == (96, 640, 800)
    assert dataset.t2m.encoding["chunks"] == (1, 320, 400)
