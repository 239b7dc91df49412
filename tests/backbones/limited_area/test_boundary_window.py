import math

import numpy as np
import pytest
import torch
from builders import small_grid

from rtma_diffda.backbones.limited_area.boundary_window import BoundaryWindow, static_features
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.static_fields import StaticFields

HOUR = np.timedelta64(1, "h")
MIDNIGHT = np.datetime64("2026-01-01T00:00", "ns")
SIX_HOURLY = BoundaryWindow(interval=6 * HOUR, step=HOUR, encoding=4)


def hours(*numbers: float) -> np.ndarray:
    return MIDNIGHT + (np.asarray(numbers) * 60).astype(int) * np.timedelta64(1, "m")


def states(times: np.ndarray, *, channels: int = 2, nodes: int = 3) -> torch.Tensor:
    """(time, channel, node): hour + 100 · channel + 1000 · node, linear in time."""
    hour = torch.from_numpy((times - MIDNIGHT) / HOUR).double()[:, None, None]
    return hour + 100.0 * torch.arange(channels)[:, None] + 1000.0 * torch.arange(nodes)


def test_a_boundary_of_six_hours_serves_six_hourly_targets_with_the_same_states():
    available = hours(0, 6, 12, 18, 24)
    for hour in range(6, 12):
        assert (SIX_HOURLY.times(hours(hour)[0], available) == hours(0, 6, 12)).all()
    assert (SIX_HOURLY.times(hours(12)[0], available) == hours(6, 12, 18)).all()
    plan = SIX_HOURLY.plan(hours(6, 7, 11, 12), available)
    assert plan.offsets.tolist() == [[-6, 0, 6], [-7, -1, 5], [-11, -5, 1], [-6, 0, 6]]


def test_features_stand_in_the_order_that_is_documented():
    available = hours(0, 6, 12, 18)
    static = torch.tensor([[7.0], [8.0], [9.0]], dtype=torch.float64)
    found = SIX_HOURLY.features(states(available), available, hours(8)[0], static=static)
    assert found.shape == (3, SIX_HOURLY.channels(2, static=1)) == (3, 3 * (2 + 4) + 1)
    assert found[1, :6].tolist() == [1000, 1006, 1012, 1100, 1106, 1112]
    divisors = (22.0**0.5, 22.0)  # T = 11: a current state of up to 5 h, and 6 h before it
    encoded = [f(offset / d) for offset in (-8, -2, 4) for f in (math.sin, math.cos) for d in divisors]
    assert found[1, 6:18].tolist() == pytest.approx(encoded, abs=1e-6)
    assert found[:, 18].tolist() == [7, 8, 9]


def test_the_largest_offset_is_reached_and_not_passed():
    available = hours(*range(0, 49, 6))
    offsets = SIX_HOURLY.plan(hours(*range(6, 40)), available).offsets
    assert SIX_HOURLY.largest_offset == 11 == offsets.abs().max()
    ahead = BoundaryWindow(interval=6 * HOUR, step=HOUR, past=0, future=2)
    assert ahead.largest_offset == 12 == ahead.plan(hours(*range(30)), available).offsets.abs().max()
    quarter = BoundaryWindow(interval=HOUR, step=np.timedelta64(15, "m"))
    assert quarter.largest_offset == 7


def test_both_kinds_of_store_give_the_same_features_for_the_same_states():
    analyses = hours(*range(25))  # one state a time, since midnight
    run = hours(*range(5, 20))  # one run from 05 UTC
    for window in (BoundaryWindow(interval=HOUR, step=HOUR), BoundaryWindow(interval=3 * HOUR, step=HOUR)):
        target = hours(10)[0]
        of_analyses = window.features(states(analyses), analyses, target)
        assert torch.equal(window.features(states(run), run, target), of_analyses)
        assert of_analyses[0, 1] == 10  # centred on the target, not on the step before


def test_a_coarser_interval_leaves_states_out():
    window = BoundaryWindow(interval=6 * HOUR, step=HOUR, future=2)
    available = hours(*range(30))
    assert (window.times(hours(7.5)[0], available) == hours(1, 7, 13, 19)).all()
    assert (window.needed(hours(7, 8), available) == hours(1, 2, 7, 8, 13, 14, 19, 20)).all()


def test_interpolation_is_exact_for_fields_linear_in_time_and_centres_on_the_target():
    window = BoundaryWindow(interval=HOUR, step=np.timedelta64(15, "m"), interpolate=True)
    available = hours(0, 6, 12)
    targets = hours(1, 1.25, 6, 7.5)
    found = window.batch(states(available), available, targets)
    expected = torch.tensor([[h - 1.0, h, h + 1.0] for h in (1, 1.25, 6, 7.5)], dtype=torch.float64)
    assert torch.allclose(found[:, 0, :3], expected, atol=1e-12)
    assert torch.allclose(found[:, 2, 3:6], expected + 2100, atol=1e-10)
    assert window.plan(targets, available).offsets.tolist() == [[-4, 0, 4]] * 4
    assert window.largest_offset == 4
    assert (window.needed(targets[:1], available) == hours(0, 6)).all()
    assert (window.times(targets[1], available) == hours(0.25, 1.25, 2.25)).all()


def test_a_state_at_the_very_time_is_taken_as_it_is():
    window = BoundaryWindow(interval=6 * HOUR, step=HOUR, interpolate=True)
    available = hours(0, 6, 12)
    values = torch.rand(3, 2, 4)
    found = window.features(values, available, hours(6)[0])
    assert torch.equal(found[:, :6].reshape(4, 2, 3), values.permute(2, 1, 0))


def test_many_targets_at_once_equal_one_by_one():
    available = hours(*range(0, 40, 3))
    values = torch.rand(len(available), 2, 4, 5)  # a field of 4 × 5 nodes
    targets = hours(9, 6, 20, 7.5)
    for interpolate in (False, True):
        window = BoundaryWindow(interval=3 * HOUR, step=HOUR, past=2, interpolate=interpolate)
        together = window.batch(values, available, targets)
        assert together.shape == (4, 20, window.channels(2))
        for target, features in zip(targets, together, strict=True):
            assert torch.equal(window.features(values, available, target), features)


def test_plans_of_several_runs_join():
    available = hours(0, 6, 12, 18)
    first, second = torch.rand(4, 2, 3), torch.rand(4, 2, 3)
    for window in (SIX_HOURLY, BoundaryWindow(interval=6 * HOUR, step=HOUR, interpolate=True)):
        joined = window.plan(hours(7), available).shifted(4).features(torch.cat([first, second]))
        assert torch.equal(joined, window.batch(second, available, hours(7)))


def test_a_boundary_that_does_not_reach_is_told():
    available = hours(0, 6, 18)
    there = "3 states from 2026-01-01T00:00Z to 2026-01-01T18:00Z"
    with pytest.raises(InputError, match=f"gfs has no state at 2026-01-01T12:00Z.*around 2026-01-01T08:00Z.*{there}"):
        SIX_HOURLY.times(hours(8)[0], available, source="gfs")
    with pytest.raises(InputError, match="no state at 2025-12-31T18:00Z, which"):
        SIX_HOURLY.times(hours(3)[0], hours(0, 6))
    with pytest.raises(InputError, match="no state in the 6 h up to 2026-01-01T13:00Z"):
        SIX_HOURLY.times(hours(13)[0], available)
    with pytest.raises(InputError, match="no state in the 6 h up to 2025-12-31T23:00Z"):
        SIX_HOURLY.times(hours(-1)[0], available)
    alone = BoundaryWindow(interval=6 * HOUR, step=HOUR, past=0, future=0)
    assert (alone.times(hours(23.75)[0], hours(18)) == hours(18)).all()
    with pytest.raises(InputError, match="no state in the 6 h up to 2026-01-02T00:00Z"):
        alone.times(hours(24)[0], hours(18))
    with pytest.raises(InputError, match="no states at all"):
        SIX_HOURLY.times(hours(0)[0], hours())
    with pytest.raises(InputError, match="must increase"):
        SIX_HOURLY.times(hours(0)[0], hours(6, 0))
    with pytest.raises(InputError, match="has 2 states and 3 valid times"):
        SIX_HOURLY.features(states(available)[:2], available, hours(6)[0])


def test_interpolation_bridges_no_long_gap_and_does_not_reach_beyond():
    window = BoundaryWindow(interval=HOUR, step=HOUR, interpolate=True)
    with pytest.raises(InputError, match="no states within 6 h of each other around 2026-01-01T07:00Z, 2026-01-01T08"):
        window.times(hours(7)[0], hours(0, 6, 18))
    with pytest.raises(InputError, match="around 2026-01-01T13:00Z, which"):
        window.times(hours(12)[0], hours(6, 12))
    longer = BoundaryWindow(interval=HOUR, step=HOUR, interpolate=True, longest_gap=12 * HOUR)
    assert (longer.needed(hours(8), hours(0, 6, 18)) == hours(6, 18)).all()


def test_settings_come_back():
    window = BoundaryWindow(interval=3 * HOUR, step=np.timedelta64(15, "m"), past=2, future=0, interpolate=True)
    assert BoundaryWindow.from_settings(window.settings()) == window
    assert all(type(value) in (int, bool) for value in window.settings().values())


def test_wrong_windows_are_refused():
    with pytest.raises(UsageError, match="past, future"):
        BoundaryWindow(interval=HOUR, step=HOUR, past=-1)
    with pytest.raises(UsageError, match="even"):
        BoundaryWindow(interval=HOUR, step=HOUR, encoding=3)
    with pytest.raises(UsageError, match="interval of a boundary window must be longer than 0"):
        BoundaryWindow(interval=0 * HOUR, step=HOUR)
    assert BoundaryWindow(interval=HOUR, step=HOUR, encoding=0).channels(5) == 15


def test_static_features_are_kilometres_and_land():
    grid = small_grid()
    height = np.arange(grid.nx * grid.ny, dtype=float).reshape(grid.shape)
    found = static_features(StaticFields(grid, height, np.full(grid.shape, 0.25)))
    assert found.shape == (grid.nx * grid.ny, 2)
    assert found[13].tolist() == pytest.approx([0.013, 0.25])
    with pytest.raises(InputError, match=r"\(none\) lack terrain and land fraction"):
        static_features(StaticFields(grid))
