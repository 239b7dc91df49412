"""Global states around a window, and which run they are taken from."""

import logging
from functools import partial

import numpy as np
import pytest
import torch
from builders import NOON, small_grid

from rtma_diffda.backbones.limited_area.boundary_window import BoundaryWindow
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.boundary import Boundary, surrounding
from rtma_diffda.fields.boundary_runs import Availability, GlobalRun, SeriesRuns, latest_boundary
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.fields.state import State

HOUR = np.timedelta64(1, "h")
LAYOUT = Layout.of(small_grid(), ["t2m", "sp"])
MIDNIGHT = NOON - 12 * HOUR


def hours(*numbers: float) -> np.ndarray:
    return MIDNIGHT + (np.asarray(numbers) * 60).astype(int) * np.timedelta64(1, "m")


def state(time: np.datetime64, *, members: int = 1) -> State:
    """Everywhere the hour since midnight: linear in time."""
    return State(torch.full((members, *LAYOUT.shape), float((time - MIDNIGHT) / HOUR)), LAYOUT, time)


def boundary(*numbers: float) -> Boundary:
    return Boundary(tuple(map(state, hours(*numbers))), hours(0)[0], "gfs")


def series(count: int, spacing: float = 1) -> StateSeries:
    times = hours(*np.arange(count) * spacing)
    return StateSeries(torch.cat([state(time).values for time in times]), LAYOUT, times)


def test_states_are_found_and_interpolated_linearly_in_time():
    found = boundary(0, 6, 9)
    assert found.at(hours(6)[0]) is found.states[1]
    assert found.interpolated(hours(6)[0]) is found.states[1]
    assert torch.allclose(found.interpolated(hours(1.5)[0]).values, torch.tensor(1.5))
    later = found.interpolated(hours(8)[0])
    assert torch.allclose(later.values, torch.tensor(8.0))
    assert later.valid_time == hours(8)[0]
    there = "it has 3 from 2026-01-01T00:00Z to 2026-01-01T09:00Z"
    with pytest.raises(InputError, match=f"gfs, run of 2026-01-01T00:00Z has no state at 2026-01-01T07:00Z; {there}"):
        found.at(hours(7)[0])
    with pytest.raises(InputError, match="reach from 2026-01-01T00:00Z to 2026-01-01T09:00Z; needed are 2026-01-01T10"):
        found.interpolated(hours(10)[0])
    with pytest.raises(InputError, match="2025-12-31T23:00Z"):
        found.interpolated(hours(-1)[0])


def test_between_keeps_the_states_that_surround():
    found = boundary(0, 3, 6, 9, 12)
    assert (found.between(hours(7, 4)).valid_times == hours(3, 6, 9)).all()
    assert (found.between(hours(3, 6)).valid_times == hours(3, 6)).all()
    assert found.between(hours(3)).states == (found.states[1],)
    with pytest.raises(InputError, match="needed are"):
        found.between(hours(11, 13))
    with pytest.raises(InputError, match="reach nowhere"):
        surrounding(hours(3))(hours())


def test_a_series_has_the_states_in_order_and_refuses_an_ensemble():
    found = boundary(0, 6).series()
    assert found.values[:, 0, 0, 0].tolist() == [0, 6]
    assert (found.valid_times == hours(0, 6)).all()
    with pytest.raises(InputError, match="3 members"):
        Boundary((state(NOON, members=3),), NOON, "gefs").series()


def test_states_of_several_layouts_are_refused():
    other = Layout.of(small_grid(), ["t2m", "msl"])
    with pytest.raises(InputError, match="one layout"):
        Boundary((state(MIDNIGHT), State(state(NOON).values, other, NOON)), MIDNIGHT, "gfs")


def six_hourly_runs(**changes) -> SeriesRuns:
    return SeriesRuns(series(49), **{"latency": 4 * HOUR, "run_interval": 6 * HOUR, **changes})


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        (22, None, 18),  # arrived this very moment
        (21.75, None, 12),  # the run of 18 is not there yet
        (24, 18, 12),  # a run that starts with ours is replaced by the one before
        (24, 18.25, 18),
    ],
)
def test_the_newest_run_that_has_arrived_and_is_strictly_older_is_taken(now, before, expected):
    before = None if before is None else hours(before)[0]
    found = six_hourly_runs().bracketing(surrounding(hours(20, 21)), available_at=hours(now)[0], before=before)
    assert found.initial_time == hours(expected)[0]
    assert (found.valid_times == hours(20, 21)).all()
    assert found.at(hours(20)[0]).values.unique().tolist() == [20]


def test_without_latency_a_run_of_the_same_time_is_still_too_young():
    runs = six_hourly_runs(latency=0 * HOUR)
    assert runs.bracketing(surrounding(hours(12)), available_at=hours(12)[0]).initial_time == hours(6)[0]


def test_a_run_holds_states_from_its_start_to_its_longest_lead_at_its_spacing():
    runs = six_hourly_runs(spacing=3 * HOUR, longest_lead=12 * HOUR).runs()
    assert [run.initial_time for run in runs] == list(hours(*range(0, 49, 6)))
    assert (runs[1].valid_times == hours(6, 9, 12, 15, 18)).all()
    assert (runs[-1].valid_times == hours(48)).all()


def test_a_window_is_fed_by_an_older_run_where_the_newest_begins_too_late():
    window = BoundaryWindow(interval=6 * HOUR, step=HOUR)
    need = partial(window.needed, hours(13))
    found = six_hourly_runs(latency=0 * HOUR).bracketing(need, available_at=hours(13)[0])
    assert found.initial_time == hours(6)[0]  # the run of 12 has no state of 7, one interval before that of 13
    assert (found.valid_times == hours(7, 13, 19)).all()
    values = found.series().values.flatten(2)
    assert window.features(values, found.valid_times, hours(13)[0])[0, :3].tolist() == [7, 13, 19]


def test_no_run_none_old_enough_and_none_that_reaches_are_told_apart():
    availability = Availability(hours(3)[0], hours(3)[0], 4 * HOUR)
    with pytest.raises(InputError, match="no global run of gfs at all"):
        latest_boundary([], surrounding(hours(3)), availability=availability, source="gfs")
    runs = "none of the 9 runs of simulated, of 2026-01-01T00:00Z to 2026-01-03T00:00Z, is old enough"
    with pytest.raises(InputError, match=f"{runs} at 2026-01-01T03:00Z: a run arrives 4 h after"):
        six_hourly_runs().bracketing(surrounding(hours(3)), available_at=hours(3)[0])
    with pytest.raises(InputError, match=r"none of the 2 usable runs.*T06:00Z: its states.*T00:00Z: its states"):
        six_hourly_runs().bracketing(surrounding(hours(60)), available_at=hours(10)[0])


def test_of_many_runs_that_fail_three_are_told():
    with pytest.raises(InputError, match=r"12:00Z: its states.*and 6 older ones$"):
        six_hourly_runs().bracketing(surrounding(hours(60)), available_at=hours(53)[0])


def test_a_run_that_cannot_be_read_is_replaced_and_told(caplog):
    def broken(times):
        raise InputError("file x is damaged")

    runs = [
        GlobalRun(hours(6)[0], hours(6, 12), broken),
        GlobalRun(hours(0)[0], hours(0, 6, 12), lambda times: (tuple(map(state, times)), None)),
    ]
    availability = Availability(NOON, NOON, 4 * HOUR)
    with caplog.at_level(logging.WARNING):
        found = latest_boundary(runs, surrounding(hours(9)), availability=availability, source="gfs")
    assert found.initial_time == hours(0)[0]
    assert "run of 2026-01-01T06:00Z: file x is damaged" in caplog.text


def test_analyses_start_at_the_latest_that_had_arrived():
    times = hours(0, 6, 12, 18, 24)
    analyses = GlobalRun(None, times, lambda chosen: (tuple(map(state, chosen)), None))

    def initial_time(now, before):
        availability = Availability(hours(now)[0], hours(before)[0], 4 * HOUR)
        return latest_boundary([analyses], surrounding(hours(13, 14)), availability=availability, source="era5")

    assert initial_time(15, 15).initial_time == hours(6)[0]
    assert initial_time(16, 16).initial_time == hours(12)[0]
    assert initial_time(40, 12).initial_time == hours(6)[0]
    assert (initial_time(16, 16).valid_times == hours(12, 18)).all()
    with pytest.raises(InputError, match="of 2026-01-02T00:00Z to 2026-01-02T00:00Z, is old enough"):
        initial_time(3, 3)


def test_wrong_runs_are_refused():
    with pytest.raises(UsageError, match="longer than 0"):
        six_hourly_runs(run_interval=0 * HOUR)
    with pytest.raises(UsageError, match="latency"):
        six_hourly_runs(latency=-1 * HOUR)
