"""The NetCDF file of one analysis."""

import resource

import netCDF4
import numpy as np
import pytest
import xarray as xr
from archive_products import LAYOUT, make_archive, make_product, slot_time
from pyproj import CRS

from rtma_diffda.errors import InputError
from rtma_diffda.fields.convert import dataset_to_state
from rtma_diffda.io.netcdf import write_netcdf


def open_as_users_do(path) -> xr.Dataset:
    return xr.open_dataset(path, engine="netcdf4", decode_coords="all")


def test_the_file_is_named_by_domain_and_time(tmp_path):
    path = write_netcdf(make_product(1), tmp_path / "new" / "place")
    assert path == tmp_path / "new" / "place" / "rtma_diffda.test.20260101T0015Z.nc"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_what_is_written_is_read_back_bit_for_bit(tmp_path):
    product = make_product(1)
    with open_as_users_do(write_netcdf(product, tmp_path)) as dataset:
        state = dataset_to_state(dataset.isel(time=0), LAYOUT)
        assert np.array_equal(state.values.numpy(), product.analysis.values.numpy())
        assert state.valid_time == slot_time(1)
        assert np.array_equal(dataset.ceil_error.values[0], product.error_std[2].numpy())
        assert np.array_equal(dataset.u10m_background.values[0], product.background.channel("u10m")[0].numpy())
        assert dataset.created.values[0] == product.created
        assert dataset.obs_cutoff.values[0] == product.obs_cutoff
        assert CRS.from_cf(dataset.spatial_ref.attrs) == LAYOUT.grid.crs


def test_the_file_says_the_same_as_the_archive(tmp_path):
    product = make_product(1, members=2)
    archive = make_archive(tmp_path, members=2)
    archive.write(product)
    with open_as_users_do(write_netcdf(product, tmp_path)) as dataset:
        stored = archive.read(slot_time(1))
        assert set(stored.variables) == set(dataset.variables)
        xr.testing.assert_identical(stored.drop_attrs(deep=False), dataset.isel(time=0).drop_attrs(deep=False))


def test_time_is_stored_as_seconds_and_can_grow(tmp_path):
    with netCDF4.Dataset(write_netcdf(make_product(1), tmp_path)) as file:
        assert file.dimensions["time"].isunlimited()
        file.set_auto_maskandscale(False)
        assert file["time"][:].tolist() == [1767226500]
        assert file["time"].dtype == np.int64
        assert not hasattr(file["latitude"], "_FillValue")
        assert file["t2m"].filters()["complevel"] <= 4


def test_a_degraded_product_says_why(tmp_path):
    product = make_product(1, degraded=("no reports from METAR", "background 12 h old"))
    with open_as_users_do(write_netcdf(product, tmp_path)) as dataset:
        assert "Degraded: no reports from METAR; background 12 h old." in dataset.attrs["comment"]
        assert dataset.status.values[0] == 3


def test_a_product_of_an_analysis_alone_has_neither_error_nor_background(tmp_path):
    product = make_product(1, background=None, error_std=None)
    with open_as_users_do(write_netcdf(product, tmp_path)) as dataset:
        fields = {name for name, array in dataset.data_vars.items() if {"time", "x"} <= set(array.dims)}
        assert fields == {"t2m", "u10m", "ceil"}
        assert dataset.t2m.attrs["ancillary_variables"] == "status"


def test_provenance_is_in_the_source_attribute(tmp_path):
    with open_as_users_do(write_netcdf(make_product(1, seed=4), tmp_path)) as dataset:
        assert "method: optimal_interpolation; background: simulated; seed: 4.0" in dataset.attrs["source"]


def test_a_second_file_of_the_same_time_replaces_the_first(tmp_path):
    write_netcdf(make_product(1), tmp_path)
    path = write_netcdf(make_product(1, seed=2), tmp_path)
    with open_as_users_do(path) as dataset:
        assert np.array_equal(dataset.t2m.values[0], make_product(1, seed=2).analysis.channel("t2m")[0].numpy())


def test_a_disk_that_fills_leaves_the_older_file(tmp_path):
    path = write_netcdf(make_product(1), tmp_path)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(InputError, match="cannot write"):
            write_netcdf(make_product(1, seed=2), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_place_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "a").write_text("x")
    with pytest.raises(InputError, match="cannot write directory"):
        write_netcdf(make_product(1), tmp_path / "a")
