import numpy as np
import pytest
import xarray as xr

from rtma_diffda.errors import InputError
from rtma_diffda.fields.global_statistics import GlobalStatistics
from rtma_diffda.io.global_statistics import FILES, read_global_statistics, write_global_statistics

STATISTICS = GlobalStatistics(
    {("geopotential", 500): 5.4e4, ("geopotential", 850): 1.4e4, ("land_sea_mask", None): 0.34},
    {("geopotential", 500): 3e3, ("geopotential", 850): 1e3, ("land_sea_mask", None): 0.46},
    {("geopotential", 500): 300.0, ("2m_temperature", None): 3.0},
)


def test_written_statistics_come_back(tmp_path):
    write_global_statistics(tmp_path / "stats", STATISTICS)
    assert read_global_statistics(tmp_path / "stats") == STATISTICS


def test_statistics_of_the_published_layout(shared):
    folder = shared / "fixtures" / "graphcast"
    statistics = read_global_statistics(folder)
    with xr.open_dataset(folder / FILES["change_std"], engine="scipy") as stored:
        expected = stored["temperature"].sel(level=[850, 250]).values.tolist()
    assert statistics.change_std_of([("temperature", 850), ("temperature", 250)]).tolist() == expected
    assert ("toa_incident_solar_radiation", None) in statistics.mean
    assert len([key for key in statistics.std if key[0] == "geopotential"]) == 6


@pytest.mark.parametrize("engine", ["scipy", "netcdf4"])
def test_either_kind_of_netcdf_is_read(tmp_path, engine):
    for kind, name in FILES.items():
        value = {"mean": 278.0, "std": 21.0, "change_std": 3.0}[kind]
        xr.Dataset({"2m_temperature": value}).to_netcdf(tmp_path / name, engine=engine)
    statistics = read_global_statistics(tmp_path)
    assert statistics.change_std_of([("2m_temperature", None)]).tolist() == [3.0]


def test_what_is_missing_or_damaged_is_said(tmp_path):
    with pytest.raises(InputError, match=r"lack mean_by_level.nc, stddev.*gs://dm_graphcast/graphcast/stats/"):
        read_global_statistics(tmp_path)
    write_global_statistics(tmp_path, STATISTICS)
    (tmp_path / FILES["std"]).write_bytes(b"no netcdf")
    with pytest.raises(InputError, match=r"stddev_by_level.nc cannot be read"):
        read_global_statistics(tmp_path)
    xr.Dataset({"geopotential": (("latitude",), np.ones(3))}).to_netcdf(tmp_path / FILES["std"])
    with pytest.raises(InputError, match="expected none, or level"):
        read_global_statistics(tmp_path)
