"""Random fields: unit variance, the Whittle–Matérn correlation, exact decay in time, reproducible streams."""

import numpy as np
import pytest
import torch
from scipy.special import k1

from rtma_diffda.dynamics.random_fields import RandomFieldModel, random_series
from rtma_diffda.errors import UsageError
from rtma_diffda.geo.grid import ProjectedGrid

GRID = ProjectedGrid("+proj=lcc +lat_1=45 +lat_0=45 +lon_0=0 +R=6371200", 40, 30, 2000.0, 2000.0, 0.0, 0.0)
HOUR = np.timedelta64(1, "h")
ONE_TIME = np.array(["2026-01-01"], "datetime64[ns]")


def series(model, times=ONE_TIME, count=400, seed=0):
    return random_series(GRID, times, model, count=count, generator=torch.Generator().manual_seed(seed))


def test_every_point_has_unit_variance_and_zero_mean():
    fields = series(RandomFieldModel(8e3, HOUR), count=2000)[0]
    assert fields.shape == (2000, 30, 40)
    assert fields.mean(dim=0).abs().max() < 0.1
    assert (fields.var(dim=0) - 1.0).abs().max() < 0.16  # 5 standard errors of 2,000 draws


@pytest.mark.parametrize("points", [2, 4, 8])
def test_correlation_in_space_is_whittles(points):
    length, distance = 8e3, points * 2000.0
    fields = series(RandomFieldModel(length, HOUR, smoothness=1.0), count=1500)[0]
    found = (fields[:, :, :-points] * fields[:, :, points:]).mean()
    assert float(found) == pytest.approx(distance / length * k1(distance / length), abs=0.04)


def test_opposite_edges_are_independent():
    fields = series(RandomFieldModel(10e3, HOUR), count=2000)[0]
    assert (fields[:, :, 0] * fields[:, :, -1]).mean().abs() < 0.05


@pytest.mark.parametrize("minutes", [15, 60, 240])
def test_correlation_in_time_is_exponential_for_any_interval(minutes):
    times = ONE_TIME[0] + np.array([0, minutes]) * np.timedelta64(1, "m")
    first, second = series(RandomFieldModel(4e3, 2 * HOUR), times, count=600)
    assert float((first * second).mean()) == pytest.approx(np.exp(-minutes / 120.0), abs=0.02)
    assert float(second.var()) == pytest.approx(1.0, abs=0.03)


def test_more_times_leave_the_first_ones_and_later_draws_as_they_were():
    model, times = RandomFieldModel(8e3, HOUR), ONE_TIME[0] + np.arange(5) * HOUR
    ends = []
    for n in (2, 5):
        generator = torch.Generator().manual_seed(7)
        fields = random_series(GRID, times[:n], model, count=1, generator=generator)
        ends.append((fields[:2], torch.rand(3, generator=generator)))
    assert torch.equal(ends[0][0], ends[1][0])
    assert torch.equal(ends[0][1], ends[1][1])


def test_a_model_without_length_or_memory_is_refused():
    with pytest.raises(UsageError, match="positive length"):
        RandomFieldModel(0.0, HOUR)
    with pytest.raises(UsageError, match="decay time"):
        RandomFieldModel(1e3, np.timedelta64(0, "s"))
