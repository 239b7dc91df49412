import pytest
import torch

from rtma_diffda.assimilation.spread_calibration import SpreadCalibration, SpreadSums, spread
from rtma_diffda.errors import InputError, UsageError


def test_members_move_along_the_line_to_their_mean():
    members = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    moved = SpreadCalibration({"t2m": 2.0})(members, ("t2m",))
    assert moved.flatten().tolist() == [0.0, 4.0]
    assert torch.equal(SpreadCalibration()(members, ("t2m",)), members)


def test_spread_is_corrected_for_the_number_of_members():
    """Two members 1 and 3: variance 2, times (2 + 1)/2."""
    assert float(spread(torch.tensor([1.0, 3.0]).view(2, 1, 1, 1))) == pytest.approx(3.0**0.5)
    with pytest.raises(UsageError, match="two members"):
        spread(torch.zeros(1, 1, 2, 2))


def test_draws_of_one_law_need_no_calibration_and_half_their_spread_needs_two():
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(9, 2, 60, 60, generator=generator, dtype=torch.float64)
    truth, members = draws[0], draws[1:]
    members = torch.stack([members[:, 0], 0.5 * members[:, 1]], dim=1)
    truth = torch.stack([truth[0], truth[1]])
    factor = SpreadSums.of(members, truth).calibration(("a", "b")).factor
    assert factor["a"] == pytest.approx(1.0, abs=0.03)
    expected = ((1.0 + 0.25 / 8) / (0.25 * 9 / 8)) ** 0.5
    assert factor["b"] == pytest.approx(expected, abs=0.05)


def test_sums_of_cases_add_up():
    generator = torch.Generator().manual_seed(1)
    members, truth = torch.randn(4, 1, 6, 6, generator=generator), torch.randn(1, 6, 6, generator=generator)
    whole = SpreadSums.of(members, truth)
    halves = SpreadSums.of(members[..., :3], truth[..., :3]) + SpreadSums.of(members[..., 3:], truth[..., 3:])
    torch.testing.assert_close(whole.squared_error, halves.squared_error)
    torch.testing.assert_close(whole.spread_variance, halves.spread_variance)


def test_no_spread_cannot_be_calibrated_and_factors_are_positive():
    with pytest.raises(InputError, match="cannot be calibrated"):
        SpreadSums.of(torch.zeros(3, 1, 4, 4), torch.ones(1, 4, 4)).calibration(("t2m",))
    with pytest.raises(UsageError, match="must be positive"):
        SpreadCalibration({"t2m": 0.0})
