from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import small_grid
from forecast_world import (
    GRID,
    HOUR,
    LAYOUT,
    NAMES,
    NOON,
    OUTER,
    PLACE,
    STATIC,
    boundary,
    history,
    model,
    network,
    warmed,
    weather,
)

from rtma_diffda.errors import InputError
from rtma_diffda.fields.boundary_runs import SeriesRuns
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.fields.state import State
from rtma_diffda.forecast.limited_area import LimitedAreaForecast
from rtma_diffda.geo.static_fields import StaticFields, ridge_and_coast


def test_a_forecast_without_its_boundary_is_refused_and_says_how_to_go_on():
    with pytest.raises(InputError, match=r"needs the states of a global run.*without_boundary=true"):
        model().rollout(history(), None, steps=1)


def test_a_forecast_without_its_boundary_that_was_allowed_says_that_it_is_less():
    allowed = model(without_boundary=True)
    alone = allowed.rollout(history(), None, steps=2)
    assert alone.degraded == ("made without boundary states",) and alone.boundary is None
    complete = allowed.rollout(history(), boundary(), steps=2)
    assert complete.degraded == () and complete.boundary.source == "a made-up model"
    assert not torch.equal(alone.states[0].values, complete.states[0].values)


def test_the_interior_answers_to_its_boundary():
    """Every point of the region differs when the global run is warmer throughout, which only the nodes are told."""
    made = LimitedAreaForecast(network(scale=2.0), STATIC, PLACE)
    base, warmer, warmest = (
        made.step(history(), given).values[0, 0].double()
        for given in (boundary(), warmed(boundary(), 5.0), warmed(boundary(), 50.0))
    )
    assert bool(((warmest - base).abs() > 0).all())
    assert float((warmest - base).square().mean()) > 2.0 * float((warmer - base).square().mean()) > 0.0


def test_boundary_states_outside_the_window_do_not_matter():
    made = model()
    wide, exact = boundary(-1, 8), boundary(0, 2)
    assert torch.equal(made.step(history(), wide).values, made.step(history(), exact).values)
    with pytest.raises(InputError, match="window"):
        made.step(history(), boundary(0, 1))


def test_a_source_is_asked_for_what_the_windows_need():
    states = [weather(OUTER, NOON + HOUR * k) for k in range(-6, 8)]
    series = StateSeries(torch.cat([s.values for s in states]), OUTER, np.array([s.valid_time for s in states]))
    source = SeriesRuns(series, 0 * HOUR, 6 * HOUR)
    found = source.bracketing(model().need(NOON, 3), available_at=NOON, before=NOON)
    assert found.initial_time == NOON - 6 * HOUR
    assert (found.valid_times == NOON + HOUR * np.arange(5)).all()
    with pytest.raises(InputError, match="none of the"):
        source.bracketing(model().need(NOON, 7), available_at=NOON, before=NOON)


def test_members_do_not_know_of_each_other():
    made = model()
    both = history(2)
    together = made.step(both, boundary()).values
    for m in range(2):
        alone = [state.with_values(state.values[m : m + 1]) for state in both]
        torch.testing.assert_close(made.step(alone, boundary()).values, together[m : m + 1], rtol=1e-5, atol=1e-4)


def test_what_does_not_fit_is_said():
    made, known = model(), history()
    with pytest.raises(InputError, match="begins with 2 states, 1 h apart; found 1"):
        made.step(known[1:], boundary())
    with pytest.raises(InputError, match="expected 1 h apart"):
        made.step([weather(LAYOUT, NOON - 2 * HOUR), known[1]], boundary())
    other = Layout.of(GRID, NAMES[::-1])
    with pytest.raises(InputError, match="in this order"):
        made.step([State(s.values, other, s.valid_time) for s in known], boundary())
    elsewhere = Layout.of(small_grid(10, 8), NAMES)
    with pytest.raises(InputError, match="another grid than the model"):
        made.step([State(s.values, elsewhere, s.valid_time) for s in known], boundary())
    smaller = Layout.of(replace(PLACE.boundary_grid, dx=2e4), NAMES)
    moved = replace(boundary(), states=tuple(State(s.values, smaller, s.valid_time) for s in boundary().states))
    with pytest.raises(InputError, match=r"points of 20 km.*points of 30 km"):
        made.step(known, moved)
    with pytest.raises(InputError, match="terrain and land"):
        LimitedAreaForecast(network(), StaticFields(GRID), PLACE)
    with pytest.raises(InputError, match="another grid than its region"):
        LimitedAreaForecast(network(), ridge_and_coast(small_grid()), PLACE)
    assert LimitedAreaForecast(network(), STATIC, PLACE).layout == LAYOUT
