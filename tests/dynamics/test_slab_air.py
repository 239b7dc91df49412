import pytest
import torch

from rtma_diffda.dynamics.slab.air import (
    below_temperature,
    cloud_base,
    dew_point,
    hydrostatic_ratio,
    saturation_humidity,
    standard_pressure,
)


def test_dew_point_inverts_saturation():
    temperature, pressure = torch.tensor([263.15, 283.15, 303.15]).double(), torch.tensor(95000.0).double()
    torch.testing.assert_close(dew_point(saturation_humidity(temperature, pressure), pressure), temperature)


@pytest.mark.parametrize(("celsius", "grams"), [(0.0, 3.75), (20.0, 14.35), (30.0, 26.06)])
def test_saturation_is_bolton_s(celsius, grams):
    found = saturation_humidity(torch.tensor(celsius + 273.15), 101325.0)
    assert 1e3 * float(found) == pytest.approx(grams, rel=0.01)


def test_pressure_of_the_standard_atmosphere():
    assert float(standard_pressure(torch.tensor(1000.0))) == pytest.approx(89875.0, rel=1e-3)
    ratio = hydrostatic_ratio(torch.tensor(1000.0), torch.tensor(288.15))
    assert 101325.0 * float(ratio) == pytest.approx(89875.0, rel=1e-3)


def test_dew_point_stays_below_temperature_and_far_below_is_kept():
    bent = below_temperature(torch.tensor([270.0, 285.0, 290.0]), torch.full((3,), 285.0))
    assert (bent < 285.0).all() and float(bent[0]) == pytest.approx(270.0, abs=1e-4)


def test_cloud_base_is_the_condensation_level_within_bounds():
    bases = cloud_base(torch.tensor([290.0, 290.0, 290.0]), torch.tensor([280.0, 289.9, 250.0]))
    assert bases.tolist() == [1250.0, 30.0, 3650.0]
