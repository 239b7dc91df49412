"""Short forecasts from our own analyses, against what they are on paper; and backgrounds read ahead."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from builders import NOON, random_state, small_grid

from rtma_diffda.cycling.cycled_forecast import BackgroundChange, DepartureForecast, ShortForecast
from rtma_diffda.cycling.first_guess import Asked
from rtma_diffda.cycling.remembered import RememberedBackgrounds
from rtma_diffda.errors import InputError
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.io.background import Background
from rtma_diffda.times import SLOT, Window

LAYOUT = Layout.of(small_grid(), ["t2m"])
HOUR = np.timedelta64(60, "m")


@dataclass(frozen=True)
class Kept:
    """Stands for the history."""

    states: dict

    def at(self, time):
        return self.states.get(time)


@dataclass(frozen=True)
class Given:
    """Backgrounds of 280 K, warmer by 1 K an hour; some times are missing."""

    missing: tuple = ()
    asked: list = field(default_factory=list)

    def at(self, valid_time, *, available_at):
        self.asked.append(valid_time)
        if valid_time in self.missing:
            raise InputError(f"no background of {valid_time}")
        value = 280.0 + float((valid_time - NOON) / HOUR)
        return Background(State(torch.full((1, *LAYOUT.shape), value), LAYOUT, valid_time), "made up")


@dataclass(frozen=True)
class Doubling:
    """A model that moves the state's departure from 280 K two-fold in an hour, with an error of 5 K of its own."""

    layout: Layout = LAYOUT
    time_step: np.timedelta64 = HOUR
    history_length: int = 2

    def step(self, history, boundary, *, generator):
        before, last = history
        assert last.valid_time - before.valid_time == HOUR
        return State(280.0 + 2.0 * (last.values - 280.0) + 5.0, LAYOUT, last.valid_time + HOUR)


def asked_for(states: dict, *, boundary: bool = True) -> Asked:
    made = Boundary((random_state(LAYOUT),), NOON, "somewhere") if boundary else None
    return Asked(Window.around(NOON, SLOT // 3), Kept(states), made)


def analysis(value: float, time: np.datetime64, members: int = 1) -> State:
    steps = torch.arange(members, dtype=torch.float32)[:, None, None, None]
    return State(value + steps.expand(members, *LAYOUT.shape), LAYOUT, time)


def test_the_background_s_change_is_added_to_the_analysis():
    made = BackgroundChange(Given(), SLOT)(asked_for({NOON - SLOT: analysis(283.0, NOON - SLOT)}))
    assert torch.allclose(made.values, torch.tensor(283.25)) and made.valid_time == NOON


def test_members_keep_their_differences():
    made = BackgroundChange(Given(), SLOT)(asked_for({NOON - SLOT: analysis(283.0, NOON - SLOT, members=3)}))
    assert made.values[:, 0, 0, 0].tolist() == pytest.approx([283.25, 284.25, 285.25])


def test_a_model_carries_the_departure_on_and_its_own_error_cancels():
    start = NOON - SLOT
    states = {start: analysis(281.75, start), start - HOUR: analysis(280.0, start - HOUR)}
    made = DepartureForecast(Given(), Doubling(), SLOT)(asked_for(states))
    departure = 281.75 - 279.75  # twice that after an hour, and a quarter of the way there after 15 minutes
    assert torch.allclose(made.values, torch.tensor(280.0 + departure * 1.25))


@pytest.mark.parametrize("boundary", [True, False])
def test_where_the_model_cannot_begin_the_departure_persists(boundary):
    start = NOON - SLOT
    states = {start: analysis(281.75, start)} if boundary else {
        start: analysis(281.75, start), start - HOUR: analysis(280.0, start - HOUR)}  # fmt: skip
    made = DepartureForecast(Given(), Doubling(), SLOT)(asked_for(states, boundary=boundary))
    assert torch.allclose(made.values, torch.tensor(282.0))


def test_a_forecast_alone_takes_a_quarter_of_an_hour_s_step():
    start = NOON - SLOT
    states = {start: analysis(281.0, start), start - HOUR: analysis(280.0, start - HOUR)}
    made = ShortForecast(Doubling(), SLOT)(asked_for(states))
    assert torch.allclose(made.values, torch.tensor(281.0 + 0.25 * (287.0 - 281.0)))


@pytest.mark.parametrize("forecast", [BackgroundChange(Given(), SLOT), ShortForecast(Doubling(), SLOT)])
def test_without_an_analysis_there_is_no_forecast(forecast):
    with pytest.raises(InputError, match="there is no analysis of"):
        forecast(asked_for({}))


def test_backgrounds_are_read_once_and_failures_are_told_when_they_are_wanted():
    given = Given(missing=(NOON + SLOT,))
    source = RememberedBackgrounds(given)
    for _ in range(2):
        source.look_ahead(Window.around(NOON, SLOT // 3))
        source.look_ahead(Window.around(NOON + SLOT, SLOT // 3))
    assert given.asked == [NOON, NOON + SLOT]
    assert source.at(NOON, available_at=NOON + SLOT).provenance == "made up"
    with pytest.raises(InputError, match="no background of"):
        source.at(NOON + SLOT, available_at=NOON + 2 * SLOT)
    assert len(given.asked) == 2


def test_what_is_remembered_is_little():
    given = Given()
    source = RememberedBackgrounds(given)
    for _ in range(2):
        for k in range(12):
            source.at(NOON + k * SLOT, available_at=NOON)
    assert len(given.asked) == 24
