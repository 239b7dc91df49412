"""First guesses: which source serves when, what its label says, and the arithmetic of cycling."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import NOON, random_state, small_grid, small_static

from rtma_diffda.cycling.first_guess import (
    Asked,
    CycledGuess,
    DownscaledGlobal,
    FirstOf,
    GivenBackground,
    Guess,
    Persisted,
    drawn_towards,
)
from rtma_diffda.cycling.history import History
from rtma_diffda.errors import InputError
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.io.archive import Archive
from rtma_diffda.io.archive_design import ArchiveDesign
from rtma_diffda.io.background import Background
from rtma_diffda.times import SLOT, Window

LAYOUT = Layout.of(small_grid(), ["t2m", "d2m"])
HOUR = np.timedelta64(1, "h")


def constant(value, *, time=NOON, members=1):
    """Temperature ``value``, dew point 10 K below; members 1 K apart."""
    values = torch.full((members, *LAYOUT.shape), float(value)) + torch.arange(members).reshape(-1, 1, 1, 1)
    values[:, 1] -= 10.0
    return State(values, LAYOUT, time)


def t2m(guess):
    values = guess.state.channel("t2m")
    assert bool((values == values[:, :1, :1]).all())
    return values[:, 0, 0].tolist()


class Backgrounds:
    """A source whose newest run began ``lead`` before the time asked for; nothing before ``arrives``."""

    def __init__(self, value=280.0, *, lead=HOUR, refusal=None):
        self.value, self.lead, self.refusal, self.asked = value, lead, refusal, []

    def at(self, valid_time, *, available_at):
        self.asked.append((valid_time, available_at))
        if self.refusal:
            raise InputError(self.refusal)
        start = None if self.lead is None else valid_time - self.lead
        return Background(constant(self.value, time=valid_time), "a forecast", start, ("t2m",))


class Failing:
    def __init__(self, sentence):
        self.sentence = sentence

    def __call__(self, asked):
        raise InputError(self.sentence)


class Giving:
    def __init__(self, state, **extra):
        self.state, self.extra = state, extra

    def __call__(self, asked):
        return Guess(replace(self.state, valid_time=asked.time), "given", "background", **self.extra)


@pytest.fixture
def history(tmp_path):
    design = ArchiveDesign(LAYOUT, small_static(), "small")
    return History(Archive.open(tmp_path, design))


def asked(history, time=NOON, boundary=None):
    return Asked(Window.around(time, SLOT, 2 * SLOT), history, boundary)


def boundary(value=270.0):
    return Boundary((constant(value),), NOON - 6 * HOUR, "a global model")


def test_the_background_asked_for_had_arrived_by_the_cut_off(history):
    source = Backgrounds()
    guess = GivenBackground(source)(asked(history))
    assert source.asked == [(NOON, NOON + 2 * SLOT)]
    assert t2m(guess) == [280.0]
    assert (guess.source, guess.kind, guess.degraded, guess.terrain_adjusted) == (
        "a forecast", "background", (), ("t2m",),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("hours", "label"), [(1, ()), (2, ()), (3, ("background late: a forecast of 3 h is used",)), (None, ())]
)
def test_a_forecast_longer_than_usual_is_used_with_a_label(history, hours, label):
    source = Backgrounds(lead=None if hours is None else hours * HOUR)
    guess = GivenBackground(source, usual_lead=2 * HOUR, longest_lead=6 * HOUR)(asked(history))
    assert guess.degraded == label


def test_a_forecast_that_is_too_long_is_not_used(history):
    given = GivenBackground(Backgrounds(lead=6 * HOUR + SLOT), usual_lead=2 * HOUR, longest_lead=6 * HOUR)
    with pytest.raises(InputError, match=r"a forecast of 6.25 h, longer than is allowed"):
        given(asked(history))
    assert GivenBackground(Backgrounds(lead=6 * HOUR), longest_lead=6 * HOUR)(asked(history)).degraded == ()


def test_the_global_state_is_taken_to_the_region(history):
    source = DownscaledGlobal(lambda found, time: replace(found.at(NOON), valid_time=time))
    guess = source(asked(history, NOON + SLOT, boundary()))
    assert t2m(guess) == [270.0] and guess.state.valid_time == NOON + SLOT
    assert guess.source == "a global model, run of 2026-01-01T06:00Z, on the region" and guess.kind == "global state"
    with pytest.raises(InputError, match="there is no global run to take it from"):
        source(asked(history))


def test_the_latest_analysis_persists_until_it_is_too_old(history):
    history.add(constant(275.0, time=NOON))
    history.add(constant(276.0, time=NOON + SLOT))
    persisted = Persisted(longest=HOUR)
    guess = persisted(asked(history, NOON + 3 * SLOT))
    assert t2m(guess) == [276.0] and guess.state.valid_time == NOON + 3 * SLOT
    assert (guess.source, guess.kind) == ("analysis of 2026-01-01T12:15Z", "persistence")
    assert t2m(persisted(asked(history, NOON + 5 * SLOT))) == [276.0]  # just as old as is allowed
    with pytest.raises(InputError, match=r"no analysis of the 1 h before .* the newest is of 2026-01-01T12:15Z"):
        persisted(asked(history, NOON + 6 * SLOT))


def test_an_analysis_of_the_same_time_or_later_does_not_persist(history):
    history.add(constant(275.0, time=NOON))
    for time in (NOON, NOON - SLOT):
        with pytest.raises(InputError, match="there is none"):
            Persisted()(asked(history, time))


def a_chain(background, history):
    """Background, global state, persistence."""
    return FirstOf(
        (
            ("background", GivenBackground(background)),
            ("global state", DownscaledGlobal(lambda found, time: replace(found.at(NOON), valid_time=time))),
            ("analysis", Persisted()),
        )
    )


def test_the_first_source_serves_without_a_label(history):
    guess = a_chain(Backgrounds(), history)(asked(history, boundary=boundary()))
    assert (t2m(guess), guess.kind, guess.degraded, guess.source) == ([280.0], "background", (), "a forecast")


def test_what_stands_in_says_so_and_why(history, caplog):
    missing = Backgrounds(refusal="the spool is empty")
    history.add(constant(275.0, time=NOON - SLOT))
    guess = a_chain(missing, history)(asked(history, boundary=boundary()))
    assert (t2m(guess), guess.kind) == ([270.0], "global state")
    assert guess.degraded == ("no background: global state is the first guess",)
    assert guess.source.endswith("on the region (no background: the spool is empty)")
    guess = a_chain(missing, history)(asked(history))
    assert (t2m(guess), guess.kind) == ([275.0], "persistence")
    assert guess.degraded == ("no background: analysis is the first guess",)
    assert "the spool is empty" in guess.source and "there is no global run" in guess.source
    assert "2026-01-01T12:00Z: no background: the spool is empty" in caplog.text


def test_labels_of_the_source_itself_stay(history):
    late = GivenBackground(Backgrounds(lead=9 * HOUR), usual_lead=HOUR)
    guess = FirstOf((("forecast", Failing("none")), ("background", late)))(asked(history))
    assert guess.degraded == (
        "no forecast: background is the first guess",
        "background late: a forecast of 9 h is used",
    )


def test_without_any_source_one_sentence_names_all_reasons(history):
    with pytest.raises(InputError) as refusal:
        a_chain(Backgrounds(refusal="the spool is empty"), history)(asked(history))
    assert str(refusal.value) == (
        "no first guess for 2026-01-01T12:00Z: no background: the spool is empty; no global state: there is no global "
        "run to take it from; no analysis: no analysis of the 3 h before can persist: there is none"
    )


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_first_guess_with_values_that_are_not_finite_is_passed_over(history, bad):
    state = constant(280.0)
    state.values[0, 1, 3, 4] = bad
    source = FirstOf((("background", Giving(state)), ("global state", Giving(constant(270.0)))))
    guess = source(asked(history))
    assert t2m(guess) == [270.0] and "d2m (1 values)" in guess.source
    with pytest.raises(InputError, match=r"not finite: d2m \(1 values\)"):
        FirstOf((("background", Giving(state)),))(asked(history))


# Cycling: the forecast adds 1 K to the analysis 15 minutes before


def warmer(request):
    before = request.history.at(request.time - SLOT)
    if before is None:
        raise InputError("no analysis to begin with")
    return State(before.values + 1.0, LAYOUT, request.time)


def test_cycling_begins_with_the_given_background(history):
    guess = CycledGuess(warmer, Giving(constant(280.0)), weight=0.5)(asked(history))
    assert t2m(guess) == [280.0] and guess.kind == "background (start)" and guess.degraded == ()
    assert "cycling begins: no analysis to begin with" in guess.source


def test_a_cycled_guess_is_the_forecast_drawn_towards_the_background(history):
    history.add(constant(270.0, time=NOON - SLOT))
    for weight, expected in ((0.0, 271.0), (0.25, 273.25), (1.0, 280.0)):
        guess = CycledGuess(warmer, Giving(constant(280.0)), weight=weight)(asked(history))
        assert t2m(guess) == [expected] and guess.kind == "cycled" and guess.degraded == ()
        assert ("0.25 of given" in guess.source) == (weight == 0.25)


def test_blending_goes_by_the_valid_time_whenever_the_run_began(history):
    times = NOON + np.arange(-4, 9) * SLOT
    for time in times:
        history.add(constant(270.0, time=time - SLOT))
        cycled = CycledGuess(warmer, Giving(constant(280.0)), weight=0.5, blend_every=HOUR)
        on_the_hour = time in (NOON - HOUR, NOON, NOON + HOUR, NOON + 2 * HOUR)
        assert t2m(cycled(asked(history, time))) == [275.5 if on_the_hour else 271.0]


def test_blending_every_six_hours_happens_at_midnight_too(history):
    cycled = CycledGuess(warmer, Giving(constant(280.0)), weight=0.5, blend_every=6 * HOUR)
    blended = []
    for hour in range(24):
        time = np.datetime64("2026-01-02T00:00", "ns") + hour * HOUR
        history.add(constant(270.0, time=time - SLOT))
        blended += [hour] if t2m(cycled(asked(history, time))) == [275.5] else []
    assert blended == [0, 6, 12, 18]


def test_a_missing_background_is_told_where_it_would_have_been_blended_in(history):
    history.add(constant(270.0, time=NOON - SLOT))
    guess = CycledGuess(warmer, Failing("none came"), weight=0.5)(asked(history))
    assert t2m(guess) == [271.0] and guess.kind == "cycled"
    assert guess.degraded == ("not drawn to the background: none came",)
    history.add(constant(270.0, time=NOON))
    for cycled in (
        CycledGuess(warmer, Failing("none came"), weight=0.0),
        CycledGuess(warmer, Failing("none came"), weight=0.5, blend_every=HOUR),
    ):
        guess = cycled(asked(history, NOON + SLOT))
        assert t2m(guess) == [271.0] and guess.degraded == ()  # nothing is less than usual


def test_the_label_of_a_late_background_stays_where_it_is_blended_in(history):
    history.add(constant(270.0, time=NOON - SLOT))
    late = GivenBackground(Backgrounds(lead=9 * HOUR), usual_lead=HOUR)
    assert CycledGuess(warmer, late, weight=0.5)(asked(history)).degraded == (
        "background late: a forecast of 9 h is used",
    )
    assert CycledGuess(warmer, late, weight=0.0)(asked(history)).degraded == ()


def test_without_analysis_and_background_cycling_has_no_first_guess(history):
    with pytest.raises(InputError, match="no analysis to begin with; none came"):
        CycledGuess(warmer, Failing("none came"))(asked(history))


def test_every_member_is_drawn_to_the_mean_of_the_background():
    drawn = drawn_towards(constant(270.0, members=3), constant(280.0, members=2), 0.5)
    assert drawn.values[:, 0, 0, 0].tolist() == [275.25, 275.75, 276.25]  # 270, 271, 272 towards 280.5


def test_what_is_blended_keeps_the_limits_of_its_variables():
    forecast, given = constant(270.0), random_state(LAYOUT, dtype=torch.float32)
    given = given.with_values(270.0 + 20.0 * given.values)
    drawn = drawn_towards(forecast, given, 0.5)
    plain = 0.5 * (forecast.values + given.values)
    assert bool((plain[:, 1] > plain[:, 0]).any())
    assert torch.allclose(drawn.channel("t2m"), plain[:, 0])
    assert torch.allclose(drawn.channel("d2m"), torch.minimum(plain[:, 0], plain[:, 1]))
