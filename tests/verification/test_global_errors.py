"""Errors of global states against numbers worked out by hand, and tables over cases."""

import numpy as np
import pandas as pd
import pytest
import torch

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Channel, Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.verification.bootstrap import BlockBootstrap
from rtma_diffda.verification.global_errors import (
    ALL,
    AREA,
    MEAN,
    NORTH,
    PLAIN,
    SINGLE,
    SOUTH,
    SPREAD,
    TROPICS,
    Summary,
    cell_weights,
    equal_lead,
    mean_squared_errors,
    score_rows,
)

TIME = np.datetime64("2026-01-01T00", "ns")
GRID = LatLonGrid(np.array([-60.0, 0.0, 60.0]), np.arange(4) * 90.0, periodic=True)
LAYOUT = Layout(GRID, (Channel("t", 850.0), Channel("t2m")))


def state(values, time=TIME):
    return State(torch.as_tensor(values, dtype=torch.float32), LAYOUT, time)


def test_weights_add_up_to_one_and_follow_the_area():
    weights = cell_weights(GRID)
    assert all(values.sum() == pytest.approx(1.0) for values in weights.values())
    assert set(weights) == {AREA, PLAIN, NORTH, TROPICS, SOUTH}
    # Rows reach from ±30° to the poles and from −30° to 30°: shares 1/4, 1/2, 1/4 of the sphere.
    np.testing.assert_allclose(weights[AREA].sum(axis=1), [0.25, 0.5, 0.25])
    np.testing.assert_allclose(weights[PLAIN].sum(axis=1), [1 / 3] * 3)
    np.testing.assert_allclose(weights[NORTH].sum(axis=1), [0, 0, 1])


def test_errors_are_those_worked_out_by_hand():
    members = torch.zeros(2, 2, 3, 4)
    members[0, 0], members[1, 0] = 3.0, 1.0  # everywhere: mean 2, members 3 and 1
    members[:, 1, 1] = 2.0  # on the equator only, both alike
    found = mean_squared_errors(state(members), state(torch.zeros(1, 2, 3, 4)), cell_weights(GRID))
    assert found[MEAN][AREA] == pytest.approx([4.0, 2.0])
    assert found[MEAN][PLAIN] == pytest.approx([4.0, 4 / 3])
    assert found[SINGLE][AREA] == pytest.approx([5.0, 2.0])
    assert found[SPREAD][AREA] == pytest.approx([1.5 * 2.0, 0.0])
    assert found[MEAN][TROPICS] == pytest.approx([4.0, 4.0]) and found[MEAN][NORTH] == pytest.approx([4.0, 0.0])


def test_one_member_has_one_error_and_no_spread():
    found = mean_squared_errors(state(torch.ones(1, 2, 3, 4)), state(torch.zeros(1, 2, 3, 4)), cell_weights(GRID))
    assert set(found) == {MEAN}
    rows = list(score_rows(found, LAYOUT.names, case="a"))
    assert len(rows) == 2 * 5 and rows[0] | {"mse": 1.0} == {
        "case": "a", "product": MEAN, "weighting": AREA, "channel": "t850", "mse": 1.0}  # fmt: skip


def test_honest_members_have_the_spread_of_their_error():
    generator = torch.Generator().manual_seed(0)
    grid = LatLonGrid(np.linspace(-80, 80, 60), np.arange(120) * 3.0, periodic=True)
    layout = Layout(grid, (Channel("t2m"),))
    draws = torch.randn(9, 1, 60, 120, generator=generator)
    truth, members = State(draws[:1], layout, TIME), State(draws[1:], layout, TIME)
    found = mean_squared_errors(members, truth, cell_weights(grid))
    assert found[SPREAD][AREA][0] == pytest.approx(found[MEAN][AREA][0], rel=0.05)
    assert found[SINGLE][AREA][0] == pytest.approx(2.0, rel=0.05)


def test_states_of_other_times_are_refused():
    with pytest.raises(InputError, match="cannot be scored"):
        mean_squared_errors(
            state(torch.zeros(1, 2, 3, 4), TIME + np.timedelta64(6, "h")), state(torch.zeros(1, 2, 3, 4)), {}
        )


def rows_of(errors):
    """{(case, method): (mse of channel a, of channel b)}."""
    return pd.DataFrame(
        [
            {"case": case, "method": method, "channel": channel, "mse": value}
            for (case, method), values in errors.items()
            for channel, value in zip("ab", values, strict=True)
        ]
    )


SUMMARY = Summary(("method",), {"method": "background"}, bootstrap=BlockBootstrap(iterations=200))


def test_tables_are_those_worked_out_by_hand():
    table = SUMMARY.table(
        rows_of({(1, "background"): (4, 16), (2, "background"): (12, 16), (1, "x"): (1, 4), (2, "x"): (3, 4)})
    ).set_index(["method", "channel"])
    assert table.loc[("x", "a"), "rmse"] == pytest.approx(np.sqrt(2.0))
    assert table.loc[("x", "a"), "ratio"] == pytest.approx(0.5) == table.loc[("x", "b"), "ratio"]
    assert table.loc[("x", ALL), "rmse"] == pytest.approx(0.5)
    assert table.loc[("background", ALL), "rmse"] == pytest.approx(1.0)
    assert (table.loc[("x", "a"), "low"], table.loc[("x", "a"), "high"]) == pytest.approx((1.0, np.sqrt(3.0)))
    # The ratio is the same in both cases: resampling them together cannot move it.
    assert table.loc[("x", "a"), "ratio_low"] == pytest.approx(0.5) == table.loc[("x", "a"), "ratio_high"]
    assert (table["cases"] == 2).all()


def test_a_method_of_fewer_cases_is_compared_within_them():
    table = SUMMARY.table(rows_of({(1, "background"): (4, 4), (2, "background"): (100, 100), (1, "x"): (1, 1)}))
    x = table[(table["method"] == "x") & (table["channel"] == ALL)].iloc[0]
    assert x["ratio"] == pytest.approx(0.5) and x["cases"] == 1


def test_a_reference_may_be_that_of_the_same_cycle():
    rows = pd.concat(
        [rows_of({(1, "background"): (4.0 * k, 4.0 * k), (1, "x"): (1.0, 1.0)}).assign(cycle=k) for k in (1, 4)]
    )
    summary = Summary(("method", "cycle"), {"method": "background"}, shared=("cycle",))
    table = summary.table(rows).set_index(["method", "cycle", "channel"])
    assert table.loc[("x", 1, ALL), "ratio"] == pytest.approx(0.5)
    assert table.loc[("x", 4, ALL), "ratio"] == pytest.approx(0.25)


def test_rows_of_two_weightings_are_not_mixed():
    rows = rows_of({(1, "x"): (1, 1)})
    with pytest.raises(InputError, match="choose one of each"):
        SUMMARY.table(pd.concat([rows, rows]))


def test_equal_lead_lies_between_leads():
    leads, errors = np.array([48.0, 60.0, 72.0, 84.0]), np.array([1.0, 2.0, 1.9, 3.0])
    assert equal_lead(1.5, leads, errors) == pytest.approx(54.0)
    assert equal_lead(2.5, leads, errors) == pytest.approx(78.0)  # errors made to grow: 2 at 72 h
    assert equal_lead(1.0, leads, errors) == 48.0 and equal_lead(3.0, leads, errors) == 84.0
    assert equal_lead(0.9, leads, errors) == -np.inf and equal_lead(3.1, leads, errors) == np.inf
