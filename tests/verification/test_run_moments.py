"""Scores over runs: pooled by hand, intervals that cover, complete cases only."""

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.verification.case_scores import CaseLabel, CaseScores, case_table
from rtma_diffda.verification.run_moments import RunBootstrap, RunMoments, interval, ratio_to

NOON = np.datetime64("2026-01-01T12:00", "ns")
HOUR = np.timedelta64(1, "h")


def record(method: str, run: str, hour: int = 0, *, setting: str = "default", **numbers: float) -> CaseScores:
    """A record over the grid whose numbers are stated; the rest follow from ``mse``."""
    mse = numbers.get("mse", 1.0)
    defaults = {"n": 10, "members": 1, "bias": 0.0, "mse": mse, "crps": 0.5 * np.sqrt(mse), "spread_variance": mse}
    defaults |= {"within_1": 0.68, "within_2": 0.95, "laplacian_truth": 4.0, "laplacian_mean": 1.0}
    label = CaseLabel(setting, method, run, NOON + hour * HOUR)
    place, variable = numbers.pop("place", "grid"), numbers.pop("variable", "t2m")
    return CaseScores(label, variable, place, **defaults | numbers)


def moments(*records: CaseScores) -> RunMoments:
    return RunMoments.of(case_table(records))


def test_scores_are_pooled_over_places_not_over_cases():
    found = moments(
        record("a", "r0", n=10, mse=1.0, bias=1.0),
        record("a", "r0", 1, n=30, mse=9.0, bias=2.0, spread_variance=1.0),
        record("a", "r1", n=60, mse=4.0, bias=-1.0, spread_variance=1.0),
    )
    assert found.runs == ("r0", "r1")
    assert (found.cases, found.missing, found.counts.tolist()) == (3, 0, [[100.0]])
    scores = found.scores()
    assert scores["rmse"][0, 0] == pytest.approx(np.sqrt((10 + 270 + 240) / 100))
    assert scores["bias"][0, 0] == pytest.approx((10 + 60 - 60) / 100)
    assert scores["spread_skill"][0, 0] == pytest.approx(np.sqrt(1.0 / 5.2))
    assert scores["roughness_mean"][0, 0] == pytest.approx(0.5)
    assert np.isnan(scores["roughness_members"][0, 0])
    assert found.scores_by_run()["rmse"][:, 0, 0] == pytest.approx([np.sqrt(7.0), 2.0])
    assert found.sum_of("mse")[:, 0, 0].tolist() == [280.0, 240.0]


def test_cases_that_a_method_lacks_count_for_none(caplog):
    records = [record("a", "r0"), record("b", "r0", mse=4.0), record("a", "r1", mse=100.0)]
    with caplog.at_level(logging.WARNING):
        found = moments(*records)
    assert (found.cases, found.missing) == (1, 1)
    assert found.scores()["rmse"][:, 0].tolist() == [1.0, 2.0]
    assert "1 cases lack an analysis" in caplog.text


def test_what_cannot_be_put_together_is_refused():
    with pytest.raises(InputError, match="stands twice"):
        moments(record("a", "r0"), record("a", "r0"))
    with pytest.raises(InputError, match="no case that all"):
        moments(record("a", "r0"), record("b", "r1"))
    with pytest.raises(InputError, match="one place"):
        moments(record("a", "r0"), record("a", "r0", place="withheld"))
    with pytest.raises(UsageError, match="none of the methods"):
        moments(record("a", "r0")).row_of("z")


def test_replicates_draw_whole_runs():
    found = moments(*(record("a", f"r{r}", h, mse=4.0**r) for r in range(2) for h in range(3)))
    drawn = np.unique(found.replicates(RunBootstrap(iterations=200))["rmse"].round(9))
    assert drawn.tolist() == pytest.approx([1.0, np.sqrt(2.5), 2.0])  # one run twice, both, the other twice
    low, high = interval(np.zeros((50, 1, 1)), RunBootstrap(), runs=1)
    assert np.isnan([low, high]).all()


def test_intervals_cover_the_truth_as_often_as_they_say():
    """Run means of 20 runs around a known mean; 90 % intervals of bootstraps are a little too narrow at this number."""
    rng = np.random.default_rng(0)
    bootstrap = RunBootstrap(iterations=400, confidence=0.9)
    like, covered = moments(*(record("a", f"r{i}") for i in range(20))), 0
    for _ in range(200):
        sums = like.sums.copy()
        sums[:, 0, 0, 2] *= np.exp(rng.normal(0.0, 0.3, 20))
        found = replace(like, sums=sums)
        low, high = interval(found.replicates(bootstrap)["rmse"], bootstrap, runs=20)
        covered += low[0, 0] <= np.exp(0.25 * 0.3**2) <= high[0, 0]
    assert 0.80 <= covered / 200 <= 0.95


def test_ratios_are_paired():
    """Two methods that share the runs' difficulty: the ratio is sure although neither RMSE is."""
    rng = np.random.default_rng(1)
    hard = np.exp(rng.normal(0.0, 1.0, 12))
    found = moments(*(record(m, f"r{i}", mse=f * h) for i, h in enumerate(hard) for m, f in (("a", 1.0), ("b", 0.64))))
    replicates = found.replicates(RunBootstrap())
    assert replicates["rmse"][:, 1, 0].std() > 0.05
    assert ratio_to(replicates, "rmse", 0)[:, 1, 0] == pytest.approx(0.8)
    zero = {"rmse": np.array([[0.0], [1.0]])}
    assert np.isnan(ratio_to(zero, "rmse", 0)).all()


def test_the_table_says_how_intervals_were_made():
    assert RunBootstrap().describe() == "95 % intervals by 2,000 resamplings of whole runs"
    assert isinstance(case_table([record("a", "r0")]), pd.DataFrame)
