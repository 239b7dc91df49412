"""Applying weights: missing values, shapes, types; and parity with ESMF on the fixtures."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.regrid.regridder import Regridder
from rtma_diffda.geo.regrid.weights import RegridWeights

# Four sources; destination 0 has four of them, 1 the last only, 2 none.
WEIGHTS = RegridWeights(
    row=np.array([0, 0, 0, 0, 1]),
    col=np.array([0, 1, 2, 3, 3]),
    weight=np.array([0.1, 0.2, 0.3, 0.4, 1.0]),
    source_shape=(2, 2),
    target_shape=(1, 3),
    method="bilinear",
)
VALUES = np.array([[10.0, 20.0], [30.0, 40.0]])


def test_sums_and_unmapped_destinations():
    regridded = Regridder(WEIGHTS)(VALUES)
    assert regridded.shape == (1, 3)
    assert np.allclose(regridded[0, :2], [30.0, 40.0])
    assert np.isnan(regridded[0, 2])


def test_missing_values_spread_or_are_left_out():
    holed = VALUES.copy()
    holed[1, 0] = np.nan
    regridder = Regridder(WEIGHTS)
    assert np.isnan(regridder(holed)[0, 0])
    assert regridder(holed)[0, 1] == 40.0
    skipping = regridder(holed, skip_missing=True)
    assert skipping[0, 0] == pytest.approx((0.1 * 10 + 0.2 * 20 + 0.4 * 40) / 0.7)
    assert np.isnan(skipping[0, 2])
    assert np.isnan(regridder(holed, skip_missing=True, missing_threshold=0.25)[0, 0])
    nothing = np.full((2, 2), np.nan)
    assert np.isnan(regridder(nothing, skip_missing=True, missing_threshold=1.0)).all()


def test_many_fields_at_once_keep_their_axes_and_their_type():
    fields = np.random.default_rng(0).normal(size=(3, 5, 2, 2)).astype(np.float32)
    regridder = Regridder(WEIGHTS)
    together = regridder(fields)
    assert together.dtype == np.float32
    assert together.shape == (3, 5, 1, 3)
    assert np.array_equal(together[2, 4], regridder(fields[2, 4]), equal_nan=True)
    assert regridder(np.arange(4).reshape(2, 2)).dtype == np.float64


def test_wrong_shapes_are_refused_with_both_shapes():
    with pytest.raises(InputError, match=r"\(4, 3\).*\(2, 2\)"):
        Regridder(WEIGHTS)(np.zeros((4, 3)))
    with pytest.raises(InputError, match=r"\(2,\)"):
        Regridder(WEIGHTS)(np.zeros(2))
    with pytest.raises(UsageError, match="found 1"):
        Regridder(WEIGHTS)(VALUES, skip_missing=True, missing_threshold=1.5)


def parity_script():
    path = Path(__file__).resolve().parents[2] / "validation" / "regrid_parity.py"
    specification = importlib.util.spec_from_file_location("regrid_parity", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_parity_with_esmf(shared, capsys):
    assert parity_script().main([str(shared / "fixtures" / "regrid")]) == 0
    assert "40 of 40 figures within limits in 2 cases" in capsys.readouterr().out


def test_parity_script_fails_on_disagreement_and_on_nothing(shared, tmp_path, capsys):
    import xarray as xr

    script = parity_script()
    assert script.main([str(tmp_path)]) == 1
    with xr.open_dataset(shared / "fixtures" / "regrid" / "global25_to_lcc.nc", engine="netcdf4") as case:
        wrong = case.load().copy()
    wrong["out_bilinear_wavy"] = wrong["out_bilinear_wavy"] + 1e-6
    wrong.to_netcdf(tmp_path / "wrong.nc", engine="netcdf4")
    assert script.main([str(tmp_path)]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.endswith("NO")]
    assert len(lines) == 1
    assert "wavy" in lines[0]


def test_parity_script_takes_sources_from_north_to_south(shared, tmp_path):
    """The same case with its rows stored the other way round; ESMF's weights move with the rows."""
    import xarray as xr

    with xr.open_dataset(shared / "fixtures" / "regrid" / "global25_to_lcc.nc", engine="netcdf4") as case:
        flipped = case.load().isel(src_lat=slice(None, None, -1))
    flipped.to_netcdf(tmp_path / "flipped.nc", engine="netcdf4")
    figures = parity_script().safe_case_figures(tmp_path / "flipped.nc")
    fields = [figure for figure in figures if figure.method == "bilinear" and "set" not in figure.quantity]
    assert len(fields) == 3
    assert max(figure.difference for figure in fields) < 1e-6
