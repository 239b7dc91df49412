"""GraphCast as a ``ForecastModel``."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from global_world import FIRST, SIX_HOURS, small_history, small_network, small_task

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.forecast.graphcast import GraphCastForecast
from rtma_diffda.forecast.steps import forecast_states, roll_out


@pytest.fixture(scope="module")
def model():
    return GraphCastForecast(small_network().eval())


def test_it_steps_six_hours_from_two_states(model):
    history = small_history(members=2)
    state = model.step(history, None, generator=None)
    assert (model.history_length, model.time_step) == (2, SIX_HOURS)
    assert state.valid_time == FIRST + 2 * SIX_HOURS
    assert state.layout == model.layout == history[0].layout
    assert state.values.shape == history[0].values.shape and not state.values.requires_grad
    change = (state.values - history[1].values) / model.network.change_std
    assert 0.1 < change.square().mean().sqrt() < 10.0


def test_members_do_not_influence_each_other(model):
    together = model.step(small_history(members=3)).values
    alone = model.step([state.with_values(state.values[1:2]) for state in small_history(members=3)]).values
    spread = model.network.change_std
    assert ((together[1:2] - alone) / spread).abs().max() < 1e-4


def test_steps_in_two_parts_are_the_same_steps(model):
    """Contract of forecast models: n steps equal k steps, a restart, and n − k more."""
    history = small_history()
    whole = forecast_states(model, history, None, steps=4)
    first = forecast_states(model, history, None, steps=2)
    rest = forecast_states(model, first, None, steps=2)
    for one, other in zip(whole, (*first, *rest), strict=True):
        assert one.valid_time == other.valid_time
        assert torch.equal(one.values, other.values)


def test_a_roll_out_makes_states_when_they_are_asked_for(model):
    made = []

    class Counting:
        layout, time_step, history_length = model.layout, model.time_step, model.history_length

        def step(self, history, boundary, *, generator):
            made.append(len(history))
            return model.step(history)

    states = roll_out(Counting(), small_history(count=3), steps=100)
    assert made == []
    assert [next(states).valid_time for _ in range(2)] == [FIRST + 3 * SIX_HOURS, FIRST + 4 * SIX_HOURS]
    assert made == [2, 2]
    with pytest.raises(UsageError, match="0 steps"):
        next(roll_out(model, small_history(), steps=0))


def test_members_of_different_times_advance_together(model):
    (a, b), (c, d) = (
        small_history(seed=1),
        (replace(state, valid_time=state.valid_time + 33 * SIX_HOURS) for state in small_history(seed=2)),
    )
    earlier, later = torch.cat([a.values, c.values]), torch.cat([b.values, d.values])
    found = model.advance(earlier, later, np.array([b.valid_time, d.valid_time]))
    expected = torch.cat([model.step((a, b)).values, model.step((c, d)).values])
    assert ((found - expected) / model.network.change_std).abs().max() < 1e-4


def test_diagnostics_come_beside_the_state():
    model = GraphCastForecast(small_network(task=small_task(diagnostic_precipitation=True)).eval())
    state, diagnostics = model.step_with_diagnostics(small_history())
    assert diagnostics.layout.names == ("tp6h",) and diagnostics.valid_time == state.valid_time
    assert "tp6h" not in state.layout.names
    plain = GraphCastForecast(small_network().eval()).step_with_diagnostics(small_history())
    assert plain[1] is None


def test_a_step_is_differentiable_where_the_state_asks_for_it(model):
    earlier, later = small_history()
    values = later.values.clone().requires_grad_()
    normalised = model.step((earlier, later.with_values(values))).values / model.network.states_std
    normalised.sum().backward()
    assert values.grad.abs().sum() > 0


def test_what_was_given_is_left_as_it_was(model):
    history = small_history()
    before = [state.values.clone() for state in history]
    forecast_states(model, history, None, steps=2)
    assert all(torch.equal(one, state.values) for one, state in zip(before, history, strict=True))


def test_histories_that_do_not_fit_are_refused(model):
    earlier, later = small_history()
    with pytest.raises(InputError, match="begins with 2 states, 6 h apart; found 1"):
        model.step([later])
    with pytest.raises(InputError, match="expected 6 h apart"):
        model.step([replace(earlier, valid_time=FIRST - SIX_HOURS), later])
    broken = later.values.clone()
    broken[0, 3, 1, 1] = torch.nan
    with pytest.raises(InputError, match=r"not finite: z500 \(1 values\)"):
        model.step([earlier, later.with_values(broken)])
