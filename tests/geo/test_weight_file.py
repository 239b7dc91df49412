"""Weight files: round trip, ESMF's own files, and broken ones."""

import numpy as np
import pytest
import xarray as xr

from rtma_diffda.errors import InputError
from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.geo.regrid.weight_file import read_weights, write_weights
from rtma_diffda.geo.regrid.weights import RegridWeights, regrid_weights

SOURCE = LatLonGrid(np.arange(30.0, 40.0, 2.0), np.arange(0.0, 14.0, 2.0))
TARGET = LatLonGrid(np.arange(29.0, 37.0, 1.5), np.arange(1.0, 9.0, 1.1))


@pytest.fixture
def weights():
    return regrid_weights(SOURCE, TARGET, engine="embedded")


def test_write_and_read_back(tmp_path, weights):
    path = tmp_path / "weights.nc"
    write_weights(path, weights)
    again = read_weights(path)
    assert (again.source_shape, again.target_shape, again.method) == (SOURCE.shape, TARGET.shape, "bilinear")
    for name in ("row", "col", "weight"):
        assert np.array_equal(getattr(again, name), getattr(weights, name))
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights.nc"]


def test_the_file_is_what_esmf_writes(tmp_path, weights):
    path = tmp_path / "weights.nc"
    write_weights(path, weights)
    with xr.open_dataset(path, engine="netcdf4") as dataset:
        assert dataset.sizes["n_s"] == weights.row.size
        assert int(dataset["row"].min()) == int(weights.row.min()) + 1
        assert int(dataset["col"].max()) == int(weights.col.max()) + 1
        assert dataset["src_grid_dims"].to_numpy().tolist() == [SOURCE.shape[1], SOURCE.shape[0]]
        assert (dataset.attrs["n_a"], dataset.attrs["n_b"]) == (35, 48)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, weights, monkeypatch):
    path = tmp_path / "weights.nc"
    write_weights(path, weights)
    before = path.read_bytes()

    def fail(dataset, name, **options):
        name.write_bytes(b"half a file")
        raise OSError("no space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
    with pytest.raises(OSError, match="no space"):
        write_weights(path, weights)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights.nc"]


def test_files_of_xesmf_are_read(shared):
    path = shared / "fixtures" / "regrid" / "global25_to_lcc.bilinear.weights.nc"
    flat = read_weights(path)
    assert (flat.source_shape, flat.target_shape, flat.method) == ((10512,), (480,), "bilinear")
    shaped = read_weights(path, source_shape=(73, 144), target_shape=(20, 24))
    assert shaped.mapped().all()
    with pytest.raises(InputError, match="10512 points"):
        read_weights(path, source_shape=(73, 145), target_shape=(20, 24))


def test_broken_files_are_explained(tmp_path, weights):
    path = tmp_path / "weights.nc"
    with pytest.raises(InputError, match="does not exist"):
        read_weights(path)
    write_weights(path, weights)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match="cannot be read"):
        read_weights(path)
    xr.Dataset({"row": ("n_s", np.array([1]))}).to_netcdf(path, engine="netcdf4")
    with pytest.raises(InputError, match="lacks S, col"):
        read_weights(path)


@pytest.mark.parametrize(("column", "words"), [([1, 5], "1 to 5|0 to 4"), ([0, 2], "-1 to 1")])
def test_indices_beyond_the_grids_are_refused(tmp_path, column, words):
    path = tmp_path / "weights.nc"
    columns = np.array(column, "i4")
    content = {"row": ("n_s", np.array([1, 2], "i4")), "col": ("n_s", columns), "S": ("n_s", np.ones(2))}
    xr.Dataset(content).to_netcdf(path, engine="netcdf4")
    with pytest.raises(InputError, match=words):
        read_weights(path, source_shape=(2, 2), target_shape=(2, 1))
    with pytest.raises(InputError, match="does not state its shape"):
        read_weights(path)


def test_weights_must_be_finite_and_equally_long():
    one = np.zeros(1, int)
    with pytest.raises(InputError, match="not finite"):
        RegridWeights(one, one, np.array([np.nan]), (2, 2), (2, 2), "bilinear")
    with pytest.raises(InputError, match="equally long"):
        RegridWeights(one, one, np.zeros(2), (2, 2), (2, 2), "bilinear")
