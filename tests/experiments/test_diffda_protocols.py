"""The paper's protocols on a toy globe: what is compared with what, and that a run goes on where it stopped."""

import numpy as np
import pandas as pd
import pytest
import torch
from diffda_world import FIRST, LAYOUT, MEANS, PERSISTENCE, STDS, STEP, ToyMethod, ToyModel, toy_bench, toy_recipe

from rtma_diffda.errors import InputError
from rtma_diffda.experiments.diffda_autoregressive import (
    FIXED,
    FREE,
    Autoregressive,
    lead_of_innovations,
    new_share,
    run_autoregressive,
    steady_errors,
)
from rtma_diffda.experiments.diffda_bench import BACKGROUND, FORECAST, ObservingPlan
from rtma_diffda.experiments.diffda_lead_time import (
    FROM_MEAN,
    LeadTime,
    lead_time_lost,
    run_lead_time,
    share_within,
)
from rtma_diffda.experiments.diffda_single_step import (
    SingleStep,
    drawn_case,
    hours,
    problem_of,
    run_single_step,
)
from rtma_diffda.observations.columns import ColumnPlaces
from rtma_diffda.verification.global_errors import ALL, AREA, MEAN, SINGLE, SPREAD

HOURS = hours((48, 6, 12))
LEAD = HOURS[0]


def step_of(bench, columns=(4, 64), cases=2, **more):
    times = bench.world.spread_times(cases, before=bench.world.reach(LEAD), after=0 * STEP)
    return SingleStep(times, columns, LEAD, leads=HOURS[1:], **more)


def chosen(rows, product=MEAN, weighting=AREA):
    return rows[(rows["product"] == product) & (rows["weighting"] == weighting)]


# The world


def test_forecasts_begin_with_the_truth_and_are_made_once(tmp_path):
    world = toy_bench(tmp_path).world
    time = FIRST + 20 * STEP
    forecast = world.forecast(time, LEAD)
    assert world.model.steps == 8 and forecast.valid_time == time
    start = world.truth(time - LEAD)
    departures, began = ((state.values - MEANS) / STDS for state in (forecast, start))
    torch.testing.assert_close(departures, PERSISTENCE**8 * began.roll(8, dims=-1), atol=2e-3, rtol=0)
    assert torch.equal(world.forecast(time, LEAD).values, forecast.values) and world.model.steps == 8


def test_cases_have_all_that_they_need_and_lie_far_apart(tmp_path):
    world = toy_bench(tmp_path, times=30).world
    usable = world.usable_times(before=world.reach(LEAD), after=2 * STEP)
    assert usable[0] == FIRST + 9 * STEP and usable[-1] == FIRST + 27 * STEP
    times = world.spread_times(3, before=world.reach(LEAD), after=2 * STEP)
    assert times.tolist() == [(FIRST + k * STEP).astype(np.int64) for k in (9, 18, 27)]
    with pytest.raises(InputError, match=r"the truth has 19 times .* from 54 h before to 12 h after"):
        world.spread_times(20, before=world.reach(LEAD), after=2 * STEP)
    with pytest.raises(InputError, match="no multiple"):
        world.steps(np.timedelta64(7, "h"))


# Single step


def test_single_step_compares_on_the_same_cases(tmp_path):
    bench = toy_bench(tmp_path, toy_recipe(), toy_recipe("ensemble", ToyMethod(noise=0.05), members=4))
    rows = run_single_step(bench, step_of(bench))
    table = chosen(rows).groupby(["method", "columns", "lead_hours", "channel"])["mse"].mean()
    assert chosen(rows).groupby(["method", "columns", "lead_hours"]).size().eq(2 * 2).all()
    for channel in LAYOUT.names:
        background = table[BACKGROUND, -1, -1, channel]
        assert table["oi", 64, -1, channel] < table["oi", 4, -1, channel] < background
        leads = [table[FORECAST, -1, lead, channel] for lead in (6, 12, 48)]
        assert leads == sorted(leads) and leads[-1] == background
    own = rows[(rows["method"] == "ensemble") & (rows["weighting"] == AREA)]
    assert set(own["product"]) == {MEAN, SINGLE, SPREAD}
    spread = own[own["product"] == SPREAD].set_index(["case", "columns", "channel"])["mse"]
    expected = {name: 0.05**2 * 5 / 4 * float(std) ** 2 for name, std in zip(LAYOUT.names, STDS[:, 0, 0], strict=True)}
    for name, value in expected.items():
        assert spread.xs(name, level="channel").to_numpy() == pytest.approx(value, rel=0.35)


def test_a_run_goes_on_and_repeats_itself(tmp_path):
    method = ToyMethod(noise=0.1)
    bench = toy_bench(tmp_path, toy_recipe("ensemble", method, members=2))
    first = run_single_step(bench, step_of(bench, columns=(4,)))
    assert method.calls == 2
    again = toy_bench(tmp_path, toy_recipe("ensemble", method, members=2))
    more = run_single_step(again, step_of(again, columns=(4, 64)))
    assert method.calls == 4 and again.world.model.steps == 0  # only what was not there
    columns = ["case", "method", "columns", "lead_hours", "product", "weighting", "channel", "mse"]
    known = more[more["columns"] != 64].reset_index(drop=True)
    pd.testing.assert_frame_equal(known[columns], first[columns])
    other = toy_bench(tmp_path / "other", toy_recipe("ensemble", method, members=2))
    pd.testing.assert_frame_equal(run_single_step(other, step_of(other, columns=(4,)))[columns], first[columns])


def test_other_settings_of_a_method_are_other_results(tmp_path):
    bench = toy_bench(tmp_path, toy_recipe("oi", ToyMethod(error=0.01)))
    first = run_single_step(bench, step_of(bench, columns=(16,)))
    changed = toy_bench(tmp_path, toy_recipe("oi", ToyMethod(error=1.0)))
    second = run_single_step(changed, step_of(changed, columns=(16,)))
    assert (first["mse"] != second["mse"]).any()


def test_a_costly_method_may_serve_some_cases_only(tmp_path):
    bench = toy_bench(tmp_path, toy_recipe("full", cases=1))
    rows = run_single_step(bench, step_of(bench, columns=(4,)))
    assert rows[rows["method"] == "full"]["case"].unique().tolist() == ["2026-01-03T06:00Z"]


def test_the_first_case_is_drawn_for_maps(tmp_path):
    bench = toy_bench(tmp_path)
    step = step_of(bench, drawn=64)
    run_single_step(bench, step)
    case = drawn_case(bench, step)
    assert set(case.analyses) == {"oi"} and set(case.truth) == {"z500", "t2m"} and len(case.latitude) == 64
    error = case.analyses["oi"]["z500"] - case.truth["z500"]
    assert np.abs(error).mean() < 0.5 * np.abs(case.background["z500"] - case.truth["z500"]).mean()
    assert drawn_case(bench, step_of(bench)) is None


def test_maps_can_be_asked_for_later(tmp_path):
    bench = toy_bench(tmp_path)
    run_single_step(bench, step_of(bench))
    later = toy_bench(tmp_path)
    step = step_of(later, drawn=4)
    run_single_step(later, step)
    assert "oi" in drawn_case(later, step).analyses


def test_columns_are_drawn_anew_for_every_time_or_are_the_plans_own(tmp_path):
    bench = toy_bench(tmp_path)
    time = FIRST + 20 * STEP
    one, two = (problem_of(bench, t, LEAD, 8).observations for t in (time, time + STEP))
    assert len(one) == 16 and not torch.equal(one.latitude, two.latitude)
    truth = bench.world.truth(time)
    torch.testing.assert_close(bench.world.operator(truth.values.double(), one)[0], one.value)
    places = ColumnPlaces(np.array([11.25, -33.75]), np.array([0.0, 90.0]))
    own = toy_bench(tmp_path / "own", plan=ObservingPlan(locations=places))
    found = problem_of(own, time, LEAD, 0).observations
    assert found.latitude[:2].tolist() == [11.25, -33.75]


# Lead time


def lead_run(bench, columns=(2, 8)):
    before, after = bench.world.reach(np.timedelta64(96, "h")), hours((48,))[0]
    times = bench.world.spread_times(6, before=before, after=after)
    return LeadTime(times, columns, LEAD, after, hours((48, 60, 72, 84, 96)))


def test_more_columns_lose_less_lead_time(tmp_path):
    bench = toy_bench(tmp_path, toy_recipe("ensemble", ToyMethod(noise=0.02), members=2))
    rows = run_lead_time(bench, lead_run(bench))
    lost = {
        product: lead_time_lost(chosen(rows, product=product), 48.0).set_index(["method", "columns", "channel"])["lost"]
        for product in (MEAN, FROM_MEAN)
    }
    few, many = (lost[MEAN]["ensemble", columns, "t2m"] for columns in (2, 8))
    assert 0 < many < min(few, lost[MEAN][BACKGROUND, -1, "t2m"])
    # The toy model is linear: the forecast of the mean is the mean of the forecasts.
    assert lost[MEAN].to_numpy() == pytest.approx(lost[FROM_MEAN].to_numpy(), abs=0.02)
    # Without an analysis the forecast is the one of 96 h: 48 h are lost.
    assert lost[MEAN][BACKGROUND, -1, ALL] == pytest.approx(48.0)
    table = lead_time_lost(chosen(rows), 48.0)
    assert (table["low"] <= table["lost"]).mean() > 0.9
    within = share_within(table, 48.0).set_index(["method", "columns"])
    assert within.loc[("ensemble", 8), "within"] == 2 == within.loc[("ensemble", 8), "channels"]


def test_forecasts_from_analyses_are_made_once(tmp_path):
    method = ToyMethod()
    bench = toy_bench(tmp_path, toy_recipe("oi", method))
    first = run_lead_time(bench, lead_run(bench, (4,)))
    calls, again = method.calls, toy_bench(tmp_path, toy_recipe("oi", method))
    second = run_lead_time(again, lead_run(again, (4,)))
    assert calls == 2 * 6 == method.calls and again.world.model.steps == 0
    pd.testing.assert_frame_equal(first, second)


# Autoregressive


def cycled(bench, cycles=12, networks=(FREE,), spread=None):
    reach = bench.world.reach(LEAD)
    starts = bench.world.spread_times(2, before=reach, after=cycles * STEP)
    return Autoregressive(starts, cycles, 16, networks, LEAD, spread)


def test_cycles_take_the_two_latest_analyses_and_stay_better_than_no_observations(tmp_path):
    bench = toy_bench(tmp_path)
    rows = chosen(run_autoregressive(bench, cycled(bench, networks=(FREE, FIXED))))
    table = rows.groupby(["method", "network", "stage", "cycle"])["mse"].mean()
    for network in (FREE, FIXED):
        analysis, background = table["oi", network, "analysis"], table["oi", network, BACKGROUND]
        assert (analysis < background).all()
        assert background[0] == pytest.approx(table[FORECAST, "", "analysis"][0])
        assert (background[4:] < 0.5 * table[FORECAST, "", "analysis"][4:]).all()
    first, second = (
        bench.places(16, "autoregressive", "x", network, *cycle) for network, cycle in ((FREE, (1,)), (FREE, (2,)))
    )
    assert not np.array_equal(first.latitude, second.latitude)


class Interrupted(Exception):
    """In the place of a kill."""


def test_a_cycle_run_that_is_killed_goes_on_bit_for_bit(tmp_path):
    def bench_of(directory, fails_at=None):
        method = ToyMethod(noise=0.1)
        analyse = method.analyse

        def failing(problem, *, generator):
            if method.calls == fails_at:
                raise Interrupted
            return analyse(problem, generator=generator)

        method.analyse = failing
        return toy_bench(directory, toy_recipe("ensemble", method, members=2)), method

    whole, _ = bench_of(tmp_path / "whole")
    expected = run_autoregressive(whole, cycled(whole))
    broken, _ = bench_of(tmp_path / "broken", fails_at=7)
    with pytest.raises(Interrupted):
        run_autoregressive(broken, cycled(broken))
    after, method = bench_of(tmp_path / "broken")
    found = run_autoregressive(after, cycled(after))
    assert method.calls == 2 * 12 - 7
    pd.testing.assert_frame_equal(found, expected)
    # Where the analyses before it are lost, they are made again.
    for path in (tmp_path / "broken" / "results").glob("*history*"):
        path.unlink()
    lines = after.store.path.read_text().splitlines(keepends=True)
    after.store.path.write_text("".join(lines[:-1]))
    third, method = bench_of(tmp_path / "broken")
    pd.testing.assert_frame_equal(run_autoregressive(third, cycled(third)), expected)
    assert method.calls == 12


def test_innovations_tell_the_lead_time_of_errors_of_their_size(tmp_path):
    bench = toy_bench(tmp_path)
    time = FIRST + 20 * STEP

    def spread(lead):
        return STDS[:, 0, 0] * (1 - PERSISTENCE ** (2 * (lead / STEP))) ** 0.5

    for lead in hours((12, 24, 48)):
        told = [
            float(lead_of_innovations(problem_of(bench, time + k * STEP, lead, 64), spread) / np.timedelta64(1, "h"))
            for k in range(0, 30, 3)
        ]
        assert np.exp(np.mean(np.log(told))) == pytest.approx(float(lead / np.timedelta64(1, "h")), rel=0.35)
    truth = bench.world.truth(time)
    perfect = bench.problem(truth, bench.places(8, "x"))
    assert lead_of_innovations(perfect, spread) == np.timedelta64(6 * 60, "m")


def test_adaptive_methods_are_told_and_others_are_not(tmp_path):
    asked = []

    def build(lead):
        asked.append(float(lead / np.timedelta64(1, "h")))
        return ToyMethod()

    def spread(lead):
        return STDS[:, 0, 0] * (1 - PERSISTENCE ** (2 * (lead / STEP))) ** 0.5

    for adaptive in (False, True):
        recipe = toy_recipe("built", adaptive=adaptive)
        bench = toy_bench(tmp_path / str(adaptive), type(recipe)(**{**vars(recipe), "build": build}))
        run_autoregressive(bench, cycled(bench, cycles=5, spread=spread))
        if not adaptive:
            assert set(asked) == {48.0, 6.0}
    assert any(6.0 < lead < 48.0 for lead in asked)


def test_growth_is_that_of_the_settled_cycles():
    table = pd.DataFrame({"cycle": range(12), "rmse": [9.0, 9, 9, 9, 1, 1, 1, 1, 1, 1, 2, 2]})
    table = table.assign(method="x", network="free", channel="t2m")
    found = steady_errors(table, first=4)
    assert found["growth"].item() == pytest.approx(2.0) and found["mean"].item() == pytest.approx(10 / 8)


def test_what_new_columns_correct_is_given_to_the_state_before(tmp_path, monkeypatch):
    seen, step = [], ToyModel.step

    def watched(self, history, boundary, *, generator):
        seen.append(history)
        return step(self, history, boundary, generator=generator)

    monkeypatch.setattr(ToyModel, "step", watched)

    def earlier_states(name, network, **more):
        seen.clear()
        bench = toy_bench(tmp_path / name / network, toy_recipe(**more))
        run_autoregressive(bench, cycled(bench, cycles=5, networks=(network,)))
        return torch.stack([history[-2].values for history in seen])

    for network, same in ((FIXED, True), (FREE, False)):
        plain, smoothed = earlier_states("plain", network), earlier_states("smoothed", network, smoothed=True)
        assert torch.equal(plain, smoothed) == same


def test_the_share_of_new_columns_is_counted():
    here, there = (ColumnPlaces(np.full(4, latitude), np.arange(4.0) * 22.5) for latitude in (-45.0, 45.0))
    both = [np.concatenate([getattr(p, n)[:2] for p in (here, there)]) for n in ("latitude", "longitude")]
    mixed = ColumnPlaces(*both)
    assert new_share(here, here) == 0.0 and new_share(here, there) == 1.0 and new_share(mixed, here) == 0.5
