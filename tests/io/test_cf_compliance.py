"""The strict CF-1.11 checker passes on what we write. It needs no network: its standard-name table is in the package.

The checker reads Zarr only through the netCDF library, which shows neither scalar arrays nor 8-bit attributes of such a
store; so a day store is turned into NetCDF by xarray first, array by array, attribute by attribute.
"""

import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from archive_products import make_archive, make_product
from builders import small_grid
from compliance_checker.runner import CheckSuite, ComplianceChecker
from pyproj import CRS

from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.archive import Archive
from rtma_diffda.io.archive_design import ArchiveDesign
from rtma_diffda.io.netcdf import write_netcdf
from rtma_diffda.io.product import Product
from rtma_diffda.variables import VARIABLES

EVERYTHING = Layout.of(small_grid(), [name for name in VARIABLES if name not in ("orog", "lsm", "tp")])


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError("tests do not use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def assert_compliant(path: Path, tmp_path: Path) -> None:
    CheckSuite.load_all_available_checkers()
    report = tmp_path / "report.txt"
    passed, errors = ComplianceChecker.run_checker(
        str(path), ["cf:1.11"], verbose=0, criteria="strict", output_filename=str(report), output_format="text"
    )
    assert passed and not errors, report.read_text()
    assert "All tests passed!" in report.read_text()


def as_netcdf(store: Path, path: Path, **options: object) -> Path:
    raw = xr.open_dataset(store, engine="zarr", decode_cf=False, chunks=None, **options).load()
    raw["status"].attrs["flag_values"] = np.asarray(raw["status"].attrs["flag_values"], raw["status"].dtype)
    encoding = {name: {} if "_FillValue" in a.attrs else {"_FillValue": None} for name, a in raw.variables.items()}
    raw.to_netcdf(path, engine="netcdf4", encoding=encoding, unlimited_dims=["time"])
    return path


def test_netcdf_file_of_every_variable(tmp_path):
    product = make_product(1, layout=EVERYTHING, background=None, error_std=None, degraded=("for the test",))
    assert_compliant(write_netcdf(product, tmp_path), tmp_path)


def test_netcdf_file_of_an_ensemble(tmp_path):
    assert_compliant(write_netcdf(make_product(1, members=3), tmp_path), tmp_path)


def test_netcdf_file_of_an_analysis_alone_on_a_plain_grid(tmp_path):
    whole = make_product(1, background=None, error_std=None, provenance={})
    product = Product(**{**vars(whole), "static": StaticFields(whole.analysis.layout.grid)})
    assert_compliant(write_netcdf(product, tmp_path), tmp_path)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_day_store(tmp_path, zarr_format):
    archive = make_archive(tmp_path, zarr_format=zarr_format)
    archive.write(make_product(1))
    store = tmp_path / "20260101.zarr"
    path = as_netcdf(store, tmp_path / "day.nc", consolidated=zarr_format == 2, zarr_format=zarr_format)
    assert_compliant(path, tmp_path)


@pytest.mark.parametrize(
    "projection",
    [
        "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=-150 +a=6371200 +b=6371200 +units=m",  # as Alaska
        "+proj=lcc +lat_1=40 +lat_2=60 +lat_0=50 +lon_0=10 +ellps=WGS84 +units=m",
    ],
)
def test_day_store_of_other_attributes_and_projections(tmp_path, projection):
    grid = replace(small_grid(), projection=projection, x0=-1e6, y0=1e6)
    layout = Layout.of(grid, ("t2m", "ws10m"))
    product = make_product(0, layout=layout)
    design = ArchiveDesign(layout, product.static, "test", title="Polar", attributes={"institution": "an institute"})
    archive = Archive.open(tmp_path, design)
    archive.write(product)
    path = as_netcdf(tmp_path / "20260101.zarr", tmp_path / "day.nc", consolidated=True)
    assert_compliant(path, tmp_path)
    with xr.open_dataset(path, engine="netcdf4") as dataset:
        assert CRS.from_cf(dataset.spatial_ref.attrs) == grid.crs
        assert (dataset.attrs["title"], dataset.attrs["institution"]) == ("Polar", "an institute")
    assert Archive.open(tmp_path).design.attributes["institution"] == "an institute"


def test_the_checker_would_notice(tmp_path):
    path = write_netcdf(make_product(1), tmp_path)
    with xr.open_dataset(path, engine="netcdf4", decode_cf=False) as dataset:
        dataset["t2m"].attrs["standard_name"] = "no_such_name"
        dataset.load().to_netcdf(tmp_path / "bad.nc", engine="netcdf4")
    with pytest.raises(AssertionError, match="no_such_name"):
        assert_compliant(tmp_path / "bad.nc", tmp_path)
