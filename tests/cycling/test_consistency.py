"""Desroziers' diagnostics: known answers of a scalar linear Gaussian system, and what is read."""

import numpy as np
import pandas as pd
import pytest
from cycle_runs import DAY_ONE, make_publisher, publish

from rtma_diffda.cycling.consistency import Resampling, consistency_table, read_feedback, remark
from rtma_diffda.times import SLOT


def simulated_feedback(*, background: float, observation: float, stated: float, cycles: int = 96) -> pd.DataFrame:
    """Scalars with true error variances ``background`` and ``observation``, analysed with a gain that has the right
    background variance and ``stated`` as variance of the observations."""
    rng, n = np.random.default_rng(4), 400 * cycles
    ombg = rng.normal(0.0, np.sqrt(observation), n) - rng.normal(0.0, np.sqrt(background), n)
    gain = background / (background + stated)
    times = DAY_ONE + np.repeat(np.arange(cycles), 400) * SLOT
    columns = {"variable": "t2m", "flags": 0, "ombg": ombg, "oman": (1.0 - gain) * ombg, "error_std": np.sqrt(stated)}
    return pd.DataFrame({**columns, "analysis_time": times})


def test_with_the_right_gain_the_true_errors_are_diagnosed():
    row = consistency_table(simulated_feedback(background=1.0, observation=0.49, stated=0.49)).iloc[0]
    assert row["n"] == 96 * 400 and row["remark"] == ""
    assert row["innovation_variance"] == pytest.approx(1.49, rel=0.02)
    assert row["stated_error"] == pytest.approx(0.7)
    assert row["diagnosed_error"] == pytest.approx(0.7, rel=0.01)
    assert row["diagnosed_background_error"] == pytest.approx(1.0, rel=0.01)
    assert row["ratio_low"] < 1.0 < row["ratio_high"] and row["ratio_high"] - row["ratio_low"] < 0.05


@pytest.mark.parametrize(("stated", "weight"), [(4.0, "too little weight"), (0.04, "too much weight")])
def test_with_a_wrong_gain_the_ratio_is_that_of_the_theory_and_is_told(stated, weight):
    background, observation = 0.25, 0.49
    row = consistency_table(simulated_feedback(background=background, observation=observation, stated=stated)).iloc[0]
    expected = np.sqrt((background + observation) / (background + stated))
    assert row["ratio"] == pytest.approx(expected, rel=0.02)
    assert row["remark"].endswith(weight) and f"is {expected:.1f}"[:-1] in row["remark"]
    assert row["ratio_low"] < expected < row["ratio_high"]


def test_intervals_need_two_blocks_and_are_the_same_each_time():
    table = simulated_feedback(background=1.0, observation=1.0, stated=1.0, cycles=4)
    assert np.isnan(consistency_table(table)["ratio_low"].iloc[0])
    halves = Resampling(period=np.timedelta64(30, "m"))
    found = [consistency_table(table, halves)[["ratio_low", "ratio_high"]].to_numpy() for _ in range(2)]
    assert np.array_equal(*found) and np.isfinite(found[0]).all()


def test_marked_and_incomplete_data_do_not_count():
    table = simulated_feedback(background=1.0, observation=1.0, stated=1.0, cycles=1)
    marked = table.assign(flags=2048, ombg=99.0)
    incomplete = table.assign(oman=np.nan)
    row = consistency_table(pd.concat([table, marked, incomplete])).iloc[0]
    assert row["n"] == 400 and row["innovation_variance"] < 5.0


def test_an_analysis_beyond_its_observations_has_no_diagnosed_error():
    table = simulated_feedback(background=1.0, observation=1.0, stated=1.0, cycles=1)
    row = consistency_table(table.assign(oman=-table["ombg"])).iloc[0]
    assert np.isnan(row["diagnosed_error"]) and "goes beyond its observations" in row["remark"]
    assert remark("t2m", 1.39) == remark("t2m", 0.71) == ""


def test_feedback_of_a_period_is_read_and_damaged_files_are_passed_over(tmp_path, caplog):
    publisher = make_publisher(tmp_path)
    times = DAY_ONE + np.arange(4) * SLOT
    for time in times:
        publish(publisher, time)
    publisher.feedback_path(times[2]).write_bytes(b"no table")
    found = read_feedback(tmp_path / "feedback", times[1], times[3])
    assert np.array_equal(found["analysis_time"].unique(), times[[1, 3]])
    assert "feedback of 20260101T0030Z is passed over" in caplog.text
    table = consistency_table(found)
    assert table["variable"].tolist() == ["t2m", "d2m"] and (table["n"] == 28).all()


def test_without_feedback_the_table_is_empty(tmp_path):
    table = consistency_table(read_feedback(tmp_path / "feedback", DAY_ONE, DAY_ONE))
    assert table.empty and "diagnosed_error" in table
