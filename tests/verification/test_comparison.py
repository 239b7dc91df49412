"""Tables of a comparison, significance, and their words: against hand-made cases with known differences."""

import numpy as np
import pandas as pd
import pytest
import torch

from rtma_diffda.errors import UsageError
from rtma_diffda.verification.case_scores import CaseLabel, Cost, Judge, case_table
from rtma_diffda.verification.comparison import comparison_table, cost_table, mean_ratio_table, rank_table
from rtma_diffda.verification.comparison_text import (
    COST_HEADER,
    SIGNIFICANCE_HEADER,
    cost_rows,
    format_comparison,
    significance_rows,
)
from rtma_diffda.verification.ensemble_scores import Departures
from rtma_diffda.verification.judgement import Judgement
from rtma_diffda.verification.paired import ALL_VARIABLES, holm, sign_flip_p, significance_table
from rtma_diffda.verification.run_moments import RunBootstrap

NOON = np.datetime64("2026-01-01T12:00", "ns")
UNITS = {"t2m": 1.0, "sp": 100.0}
FACTORS = {"background": 2.0, "tuned_oi": 1.0, "twin_of_oi": 1.0, "network": 0.8}


def departures(method: str, shared: np.ndarray, own: np.ndarray, unit: float) -> Departures:
    """Errors with a part that all methods share, and a part of their own; only one method states its error."""
    errors = FACTORS[method] * unit * (0.8 * shared + 0.6 * own)[None]
    return Departures(errors, np.full(len(own), unit) if method == "tuned_oi" else None)


def make_cases(runs: int = 12, *, settings: tuple[str, ...] = ("default",)) -> pd.DataFrame:
    rng, judge, generator = np.random.default_rng(7), Judge(), torch.Generator().manual_seed(0)
    scores = []
    for setting in settings:
        for run in range(runs):
            for variable, unit in UNITS.items():
                hardness = np.exp(rng.normal(0.0, 0.3))
                shared = hardness * rng.normal(size=200)
                for method in FACTORS:
                    label = CaseLabel(setting, method, f"test/{run:03d}", NOON)
                    said = departures(method, shared, hardness * rng.normal(size=200), unit)
                    scores += [
                        judge.score(said, label, variable=variable, place=place, generator=generator)
                        for place in ("grid", "withheld")
                    ]
    return case_table(scores)


@pytest.fixture(scope="module")
def cases() -> pd.DataFrame:
    return make_cases(settings=("default", "30 stations"))


@pytest.fixture(scope="module")
def judgement(cases) -> Judgement:
    return Judgement.of(cases, reference="tuned_oi", bootstrap=RunBootstrap(iterations=500))


def test_comparison_has_known_ratios(judgement):
    assert len(judgement.scores) == 2 * 2 * 2 * 4
    grid = judgement.scores.query("setting == 'default' and place == 'grid'").set_index("method")
    for variable, unit in UNITS.items():
        rows = grid[grid["variable"] == variable]
        assert rows["rmse_ratio"].tolist() == pytest.approx([2.0, 1.0, 1.0, 0.8], rel=0.06)
        assert rows.loc["tuned_oi", "rmse"] == pytest.approx(unit, rel=0.25)
        assert rows.loc["tuned_oi", "rmse_ratio_low"] == rows.loc["tuned_oi", "rmse_ratio_high"] == 1.0
        assert ((rows["rmse_low"] < rows["rmse"]) & (rows["rmse"] < rows["rmse_high"])).all()
        assert rows["spread_skill"].notna().tolist() == [False, True, False, False]
        assert (rows["cases"] == 12).all()
        assert (rows["n"] == 12 * 200).all()


def test_mean_ratio_weighs_variables_alike(judgement):
    rows = judgement.ratios.set_index(["setting", "place", "method"])
    by_variable = judgement.scores.set_index(["setting", "place", "method"])["rmse_ratio"]
    found = rows.loc[("default", "grid", "network")]
    assert found["rmse_ratio"] == pytest.approx(by_variable.loc[("default", "grid", "network")].mean())
    assert found["rmse_ratio_low"] < found["rmse_ratio"] < found["rmse_ratio_high"] < 0.9
    assert found["worst_rmse_ratio"] == pytest.approx(by_variable.loc[("default", "grid", "network")].max())
    assert judgement.ratio("network", setting="default", place="grid") == found["rmse_ratio"]
    assert np.isnan(judgement.ratio("network", setting="default", place="elsewhere"))


def test_known_differences_are_found_and_noise_is_not(judgement):
    rows = judgement.significance.query("setting == 'default' and place == 'grid'")
    for variable in (*UNITS, ALL_VARIABLES):
        verdicts = rows[rows["variable"] == variable].set_index("method")["verdict"]
        assert verdicts.to_dict() == {"background": "worse", "twin_of_oi": "undecided", "network": "better"}
    network = rows.set_index(["variable", "method"]).loc[(ALL_VARIABLES, "network")]
    assert network["difference"] == pytest.approx(np.log(0.8), abs=0.06)
    assert network["better_runs"] == network["runs"] == 12
    assert network["difference_high"] < 0.0
    assert network["p_holm"] == pytest.approx(3 * 2 / 2**12)  # of 2¹² signs two are as extreme; three comparisons


def test_a_test_of_nothing_rejects_as_often_as_it_says():
    rng = np.random.default_rng(2)
    p = sign_flip_p(rng.standard_t(3, size=(11, 3000)))
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.015)
    many = sign_flip_p(rng.normal(size=(30, 400)), seed=1)
    assert np.mean(many < 0.05) == pytest.approx(0.05, abs=0.03)
    assert sign_flip_p(np.ones((30, 1)))[0] == pytest.approx(1.0 / 20_000)  # what was seen is one of the draws
    assert sign_flip_p(np.zeros((5, 1)))[0] == 1.0
    assert np.isnan(sign_flip_p(np.full((5, 1), np.nan))[0])


def test_holm_by_hand():
    found = holm(np.array([0.01, np.nan, 0.04, 0.03]))
    assert found[[0, 2, 3]].tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(found[1])
    assert holm(np.array([0.6, 0.7])).tolist() == [1.0, 1.0]


def test_ranks_and_cost_are_gathered(cases):
    ranks = rank_table(cases[cases["setting"] == "default"])
    assert set(ranks["method"]) == {"tuned_oi"}
    one = ranks[(ranks["place"] == "grid") & (ranks["variable"] == "t2m")]
    assert one["count"].sum() == 12 * 200
    assert one["relative"].mean() == pytest.approx(1.0)
    measured = cases.assign(seconds=np.where(cases["run"] == "test/000", 3.0, 1.0), network_calls=8.0)
    cost = cost_table(measured).set_index(["setting", "method"]).loc[("default", "network")]
    assert cost[["analyses", "network_calls", "seconds", "longest_seconds"]].tolist() == [12, 8.0, 1.0, 3.0]
    assert {"network_calls", "seconds", "memory_bytes"} == set(Cost.__dataclass_fields__)


def test_words_are_in_display_units(judgement, cases):
    text = format_comparison(judgement.scores, judgement.ratios, setting="default", places=("grid",))
    assert "surface pressure (hPa)" in text
    assert "mean over variables:" in text.splitlines()
    rmse = judgement.scores.set_index(["setting", "place", "variable", "method"])["rmse"]
    assert f"{rmse[('default', 'grid', 'sp', 'network')] / 100:.3f}" in text
    rows = [dict(zip(SIGNIFICANCE_HEADER, row, strict=True)) for row in significance_rows(judgement.significance)]
    together = [row for row in rows if row["variable"] == "all variables (%)" and row["method"] == "network"]
    assert float(together[0]["difference"]) == pytest.approx(-20.0, abs=5.0)
    assert together[0]["better in"] == "12 of 12 runs"
    assert all(len(row) == len(COST_HEADER) for row in cost_rows(cost_table(cases)))


def test_sentences_say_how_each_method_does(judgement):
    sentences = judgement.sentences("default")
    assert [text.split(":")[0] for text in sentences] == ["background", "twin of oi", "network"]
    assert "times the RMSE of tuned oi" in sentences[2]
    assert "better in 12 of 12 runs, better (p = 0.001)" in sentences[2]
    assert "undecided" in sentences[1]
    assert judgement.settings == ("default", "30 stations")


def test_an_unknown_reference_is_refused(cases):
    for table in (comparison_table, mean_ratio_table, significance_table):
        with pytest.raises(UsageError, match="'kriging' is none of the methods"):
            table(cases, reference="kriging")
