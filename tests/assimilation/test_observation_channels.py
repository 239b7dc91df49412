from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import random_observations, random_state, small_grid, small_static

from rtma_diffda.assimilation.observation_channels import GridData, in_fixed_order, point_channels
from rtma_diffda.assimilation.simulated_observing import Reports, Stations
from rtma_diffda.fields.layout import Layout
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.times import Window


def datum(*, innovation: float, error_std: float, weights=(1.0, 0.0, 0.0, 0.0), field: int = 0) -> GridData:
    """One datum between the points 0, 1, 3, 4 of a grid of 2 × 3."""
    return GridData(
        torch.tensor([field]),
        torch.tensor([[0, 1, 3, 4]]),
        torch.tensor([weights]),
        torch.tensor([innovation]),
        torch.tensor([error_std]),
    )


def both(first: GridData, second: GridData) -> GridData:
    names = GridData.__dataclass_fields__
    return GridData(**{name: torch.cat([getattr(first, name), getattr(second, name)]) for name in names})


def problem_of(count: int, *, members: int = 1) -> AssimilationProblem:
    layout = Layout.of(small_grid(), ("t2m", "sp"))
    state = random_state(layout, members=members)
    window = Window.around(state.valid_time, np.timedelta64(30, "m"))
    operator = BilinearOperator(layout, small_static(layout.grid))
    return AssimilationProblem(state, random_observations(layout, count), operator, window)


def test_datum_at_a_point_is_a_scalar_analysis_there():
    """Error equal to the background's: gain ½. Half of it: gain 4/5. Nothing elsewhere."""
    increment, gain = point_channels(datum(innovation=3.0, error_std=1.0), (1, 1, 2, 3))
    assert increment.flatten().tolist() == [1.5, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert gain.flatten().tolist() == [0.5, 0.0, 0.0, 0.0, 0.0, 0.0]
    increment, gain = point_channels(datum(innovation=3.0, error_std=0.5), (1, 1, 2, 3))
    assert increment.flatten()[0] == pytest.approx(2.4)
    assert gain.flatten()[0] == pytest.approx(0.8)


def test_datum_between_points_counts_for_each_by_its_weight():
    spread = datum(innovation=2.0, error_std=1.0, weights=(0.5, 0.25, 0.25, 0.0))
    increment, gain = point_channels(spread, (1, 1, 2, 3))
    assert gain.flatten().tolist() == pytest.approx([1 / 3, 0.2, 0.0, 0.2, 0.0, 0.0])
    assert increment.flatten().tolist() == pytest.approx([2 / 3, 0.4, 0.0, 0.4, 0.0, 0.0])


def test_two_data_are_weighted_by_their_precision():
    """Innovations 1 ± 1 and 4 ± ½: (1 · 1 + 4 · 4) / (1 + 1 + 4)."""
    data = both(datum(innovation=1.0, error_std=1.0), datum(innovation=4.0, error_std=0.5))
    increment, gain = point_channels(data, (1, 1, 2, 3))
    assert increment.flatten()[0] == pytest.approx(17 / 6)
    assert gain.flatten()[0] == pytest.approx(5 / 6)


def test_data_stay_with_their_member_and_channel():
    data = both(datum(innovation=1.0, error_std=1.0, field=1), datum(innovation=2.0, error_std=1.0, field=2))
    increment, _ = point_channels(data, (2, 2, 2, 3))
    assert increment[..., 0, 0].tolist() == [[0.0, 0.5], [1.0, 0.0]]


def test_perfect_data_and_no_data_are_finite():
    increment, gain = point_channels(datum(innovation=2.0, error_std=0.0), (1, 1, 2, 3))
    assert increment.flatten()[0] == pytest.approx(2.0, rel=1e-3)
    assert gain.flatten()[0] == pytest.approx(1.0, rel=1e-3)
    nothing = GridData.of_problem(problem_of(0), torch.tensor([1.0, 50.0]))
    increment, gain = point_channels(nothing, (1, 2, 10, 12))
    assert float(increment.abs().max()) == float(gain.abs().max()) == 0.0


def test_problem_gives_its_innovations_over_the_scales():
    problem, scales = problem_of(6, members=2), torch.tensor([2.0, 50.0])
    data, observed = GridData.of_problem(problem, scales), problem.observations
    by_hand = problem.innovations() / scales.double()[observed.channel]
    torch.testing.assert_close(data.innovation, by_hand.flatten().float())
    assert data.field.tolist() == [*observed.channel.tolist(), *(2 + observed.channel).tolist()]
    torch.testing.assert_close(data.error_std[:6], (observed.error_std / scales.double()[observed.channel]).float())


def test_reports_give_the_same_channels_as_the_problem_they_make():
    """Six stations that report both variables, once as reports of a batch and once as a problem's data."""
    problem, scales = problem_of(12), torch.tensor([2.0, 50.0])
    as_data = GridData.of_problem(problem, scales)
    rows = problem.observations.channel == 0
    at = (as_data.points[rows], as_data.weights[rows])
    stations = Stations(torch.zeros(6, 2), *at, torch.zeros(6))
    d, r = as_data.innovation[rows], as_data.error_std[rows]
    reports = Reports(stations, torch.zeros(2, 6), torch.stack([2.0 * d, 0.0 * d]), torch.stack([2.0 * r, 1e9 + r]))
    found = point_channels(GridData.of_reports([reports], scales), (1, 2, 10, 12))
    expected = point_channels(as_data, (1, 2, 10, 12))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours[:, 0], theirs[:, 0])


def test_fixed_order_does_not_depend_on_the_order_given():
    problem = problem_of(9)
    shuffled = replace(problem, observations=problem.observations.select(np.random.default_rng(0).permutation(9)))
    first, second = in_fixed_order(problem).observations, in_fixed_order(shuffled).observations
    assert list(first.station) == list(second.station)
    assert torch.equal(first.value, second.value)
