import pytest
import torch

from rtma_diffda.assimilation.error_calibration import ErrorCalibration, fit_error_calibration
from rtma_diffda.errors import InputError, UsageError


def test_errors_of_known_size_give_back_floor_and_factor():
    generator = torch.Generator().manual_seed(0)
    reference = 0.2 + 2.0 * torch.rand(20, 2, 32, 32, generator=generator)
    std = torch.stack([torch.hypot(torch.tensor(0.5), 0.7 * reference[:, 0]), 100.0 * reference[:, 1]], dim=1)
    errors = std * torch.randn(std.shape, generator=generator)
    found = fit_error_calibration(errors, reference, ("t2m", "sp"))
    assert found.floor["t2m"] == pytest.approx(0.5, rel=0.05)
    assert found.factor["t2m"] == pytest.approx(0.7, rel=0.05)
    assert found.factor["sp"] == pytest.approx(100.0, rel=0.05)
    torch.testing.assert_close(found(reference, ("t2m", "sp")), std, rtol=0.08, atol=0.0)


def test_constant_reference_gives_the_errors_own_size():
    errors = 3.0 * torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    found = fit_error_calibration(errors, torch.ones(4, 1, 32, 32), ("t2m",))
    assert float(found(torch.ones(1, 2, 2), ("t2m",)).mean()) == pytest.approx(3.0, rel=0.05)


def test_channels_are_matched_by_name():
    calibration = ErrorCalibration({"t2m": 3.0, "sp": 0.0}, {"t2m": 0.0, "sp": 2.0})
    assert calibration(torch.full((2, 1, 1), 5.0), ("sp", "t2m")).flatten().tolist() == [10.0, 3.0]


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="a and b"):
        ErrorCalibration({"t2m": -1.0}, {"t2m": 1.0})
    with pytest.raises(UsageError, match="no calibration of errors for"):
        ErrorCalibration({"t2m": 1.0}, {"t2m": 1.0})(torch.ones(1, 2, 2), ("sp",))
    with pytest.raises(InputError, match="finite"):
        fit_error_calibration(torch.full((1, 1, 2, 2), torch.nan), torch.ones(1, 1, 2, 2), ("t2m",))
