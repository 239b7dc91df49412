"""What every forecast model promises (style.md §8), over every one there is."""

import pytest
import torch
from forecast_world import HOUR, LAYOUT, NOON, OUTER_STATIC, STATIC, boundary, history, model

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.global_on_region import GlobalOnRegion
from rtma_diffda.forecast.boundary_state import BoundaryState
from rtma_diffda.forecast.persistence import Persistence
from rtma_diffda.forecast.steps import forecast_states

MODELS = {
    "limited_area": model,
    "persistence": lambda: Persistence(LAYOUT, HOUR),
    "global_state": lambda: BoundaryState(LAYOUT, HOUR, GlobalOnRegion(STATIC, OUTER_STATIC)),
    "global_change": lambda: BoundaryState(LAYOUT, HOUR, GlobalOnRegion(STATIC, OUTER_STATIC), change=True),
}


@pytest.fixture(params=MODELS, scope="module")
def forecast_model(request):
    return MODELS[request.param]()


def test_n_steps_are_k_steps_a_restart_and_the_rest(forecast_model):
    known, given = history(2), boundary()
    whole = forecast_states(forecast_model, known, given, steps=5)
    first = forecast_states(forecast_model, known, given, steps=2)
    rest = forecast_states(forecast_model, (*known, *first)[-2:], given, steps=3)
    assert len(whole) == 5
    for a, b in zip(whole, (*first, *rest), strict=True):
        assert torch.equal(a.values, b.values) and a.valid_time == b.valid_time


def test_states_keep_layout_members_and_clock(forecast_model):
    states = forecast_states(forecast_model, history(2), boundary(), steps=2)
    assert [state.valid_time for state in states] == [NOON + HOUR, NOON + 2 * HOUR]
    assert all(state.layout == LAYOUT == forecast_model.layout for state in states)
    assert all(torch.isfinite(state.values).all() for state in states)
    assert forecast_model.time_step == HOUR


def test_what_was_given_is_left_as_it_was(forecast_model):
    known, given = history(), boundary()
    before = [state.values.clone() for state in (*known, *given.states)]
    forecast_states(forecast_model, known, given, steps=1)
    assert all(torch.equal(a, b.values) for a, b in zip(before, (*known, *given.states), strict=True))


def test_bad_histories_are_refused(forecast_model):
    broken = history()
    broken[-1].values[0, 0, 0, 0] = torch.nan
    with pytest.raises(InputError, match=r"not finite: t2m \(1 values\)"):
        forecast_model.step(broken, boundary(), generator=None)
    with pytest.raises(InputError, match="begins with"):
        forecast_model.step([], boundary(), generator=None)
    with pytest.raises(UsageError, match="0 steps"):
        forecast_states(forecast_model, history(), boundary(), steps=0)
