"""Joint scores through a comparison: pooled, as ratios, tested for significance, in words and on the page."""

import numpy as np
import pandas as pd
import pytest
from builders import NOON
from test_run_moments import record

from rtma_diffda.verification.case_scores import case_table
from rtma_diffda.verification.joint_text import (
    ENSEMBLE_HEADER,
    JOINT_HEADER,
    JOINT_SCORE_HEADER,
    RIVAL_HEADER,
    ensemble_rows,
    format_joint,
    joint_rows,
    joint_score_rows,
    rival_rows,
)
from rtma_diffda.verification.judgement import Judgement
from rtma_diffda.verification.paired import ALL_VARIABLES, PAIRED_SCORES, significance_table
from rtma_diffda.verification.reports.comparison_page import ComparisonPage, comparison_page
from rtma_diffda.verification.reports.page import PageHead
from rtma_diffda.verification.run_moments import RunBootstrap, RunMoments

BOOTSTRAP = RunBootstrap(iterations=200)
RANKS = (10, 10, 10, 10, 10, 10, 10, 10, 10)
ENERGY = {"oi": 1.0, "network": 0.8, "generative": 0.78}
VARIOGRAM = {"oi": 0.4, "network": 0.4, "generative": 0.3}


@pytest.fixture(scope="module")
def cases() -> pd.DataFrame:
    """Twelve runs of known ratios, each method's numbers a little noisy."""
    rng = np.random.default_rng(0)
    records = []
    for run in range(12):
        for variable, unit in (("t2m", 1.0), ("sp", 100.0)):
            for method, energy in ENERGY.items():
                noise = np.exp(rng.normal(0.0, 0.01, 3))
                if method != "generative":  # the network is as often worse than the other as better
                    noise[1] = 1.0 + 0.02 * (-1.0) ** run * (method == "network")
                members = 8 if method == "generative" else 1
                about = {
                    "members": members,
                    "mse": (energy * unit * noise[0]) ** 2,
                    "ranks": RANKS,
                    "variable": variable,
                }
                near = {"variogram": VARIOGRAM[method] * unit * noise[1], "energy": energy * unit * noise[2]}
                records += [
                    record(method, f"r{run}", place="grid", energy=0.9 * near["energy"], **about),
                    record(method, f"r{run}", place="withheld", **near, **about),
                    record(method, f"r{run}", place="reports", **about),
                ]
    return case_table(records)


@pytest.fixture(scope="module")
def judgement(cases) -> Judgement:
    return Judgement.of(cases, reference="oi", bootstrap=BOOTSTRAP)


def test_joint_scores_are_pooled_by_places():
    table = case_table([record("a", "r0", n=10, energy=1.0, variogram=0.1), record("a", "r1", n=30, energy=3.0)])
    found = RunMoments.of(table).scores()
    assert found["energy"][0, 0] == pytest.approx(2.5)
    assert np.isnan(found["variogram"][0, 0])  # one case lacks it


def test_ratios_are_of_places_that_have_the_score(judgement):
    ratios = judgement.ratios.set_index(["place", "method"])
    network, generative = ratios.loc[("withheld", "network")], ratios.loc[("withheld", "generative")]
    assert network["energy_ratio"] == pytest.approx(0.8, rel=0.01)
    assert generative["variogram_ratio"] == pytest.approx(0.75, rel=0.02)
    assert generative["variogram_ratio_low"] < generative["variogram_ratio"] < generative["variogram_ratio_high"] < 0.8
    assert ratios.loc[("grid", "network"), "energy_ratio"] == pytest.approx(0.8, rel=0.01)
    assert np.isnan(ratios.loc[("grid", "network"), "variogram_ratio"])
    assert ratios.loc["reports", ["energy_ratio", "variogram_ratio"]].isna().all(axis=None)
    table = judgement.scores.set_index(["place", "variable", "method"])
    assert table.loc[("withheld", "sp", "network"), "energy"] == pytest.approx(80.0, rel=0.01)


def test_differences_of_joint_scores_are_tested(judgement):
    assert set(judgement.significance["score"]) == {"rmse"}
    rows = judgement.joint_significance.set_index(["place", "score", "variable", "method"])
    assert set(rows.xs("grid").index.get_level_values("score")) == {"crps", "energy"}
    for variable in ("t2m", "sp", ALL_VARIABLES):
        assert rows.loc[("withheld", "energy", variable, "network"), "verdict"] == "better"
        assert rows.loc[("withheld", "variogram", variable, "network"), "verdict"] == "undecided"
        assert rows.loc[("withheld", "variogram", variable, "generative"), "verdict"] == "better"
    together = rows.loc[("withheld", "variogram", ALL_VARIABLES, "generative")]
    assert together["difference"] == pytest.approx(np.log(0.75), abs=0.02)
    assert together["p_holm"] == pytest.approx(2 * 2 / 2**12)  # of 2¹² signs two are as extreme; two comparisons
    p = judgement.chance("generative", setting="default", place="withheld", score="variogram")
    assert p == together["p_holm"]
    assert np.isnan(judgement.chance("oi", setting="default", place="withheld", score="energy"))


def test_rmse_is_tested_as_before(cases):
    alone = significance_table(cases, reference="oi", bootstrap=BOOTSTRAP)
    beside = significance_table(cases, reference="oi", bootstrap=BOOTSTRAP, scores=PAIRED_SCORES)
    beside = beside[beside["score"] == "rmse"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, beside)


def test_every_method_meets_each_ensemble(judgement):
    table = judgement.ensembles
    assert set(table["reference"]) == {"generative"}
    assert set(table["method"]) == {"oi", "network"}
    assert set(table["variable"]) == {ALL_VARIABLES}
    rows = {row[:2]: dict(zip(ENSEMBLE_HEADER[3:], row[3:], strict=False)) for row in ensemble_rows(table)}
    network = rows["withheld stations, truth", "network"]
    assert float(network["energy (%)"]) == pytest.approx(100 * (0.8 / 0.78 - 1), abs=1.0)
    assert float(network["variogram (%)"]) == pytest.approx(100 * (4 / 3 - 1), abs=2.0)
    assert rows["over the grid", "network"]["variogram (%)"] == "–"


def test_words_are_in_display_units(judgement):
    one = judgement.of_setting("default")
    rows = list(joint_rows(one))
    assert [row[:2] for row in rows] == [
        (place, method)
        for place in ("over the grid", "withheld stations, truth")
        for method in ("oi", "network", "generative")
    ]
    assert all(len(row) == len(JOINT_HEADER) for row in rows)
    by_variable = [dict(zip(JOINT_SCORE_HEADER[:3], row, strict=False)) for row in joint_score_rows(one, "withheld")]
    pressure = [row for row in by_variable if row["variable"] == "surface pressure (hPa)"]
    assert float(pressure[1]["energy score"]) == pytest.approx(0.8, rel=0.01)
    ((place, ensemble, rmse, _, _, variogram), _, _) = rival_rows(judgement.ensembles)
    assert (place, ensemble) == ("over the grid", "generative")
    assert rmse.startswith("network +2.")  # the better of the two others
    assert variogram == "–"
    text = format_joint(one)
    assert "the best other method" in text
    assert all(name in text for name in RIVAL_HEADER)


def test_without_joint_scores_there_is_nothing_to_say():
    bare = Judgement.of(case_table([record("a", "r0"), record("b", "r0")]), reference="a", bootstrap=BOOTSTRAP)
    assert format_joint(bare.of_setting("default")) == ""


def test_the_page_has_the_sections(judgement, tmp_path):
    head = PageHead("A comparison", "Simulated.", NOON)
    path = comparison_page(tmp_path / "page.html", head, ComparisonPage(judgement, "default"))
    text = path.read_text(encoding="utf-8")
    for title in ("Uncertainty", "Many places together", "Is any variable worse?"):
        assert f"<h2>{title}</h2>" in text
    assert "Energy score over that of oi" in text
    assert "Scores above those of the ensembles" in text
    grid_only = judgement.of_setting("default")
    tables = {name: getattr(grid_only, name) for name in ("scores", "ratios", "ranks", "reliability")}
    tables = {name: table[table["place"] == "grid"] for name, table in tables.items()}
    rest = {name: getattr(grid_only, name) for name in ("significance", "joint_significance", "ensembles", "cost")}
    page = ComparisonPage(Judgement("oi", BOOTSTRAP, **tables, **rest), "default")
    text = comparison_page(tmp_path / "grid.html", head, page).read_text(encoding="utf-8")
    assert "Energy score over that of oi" in text
    assert "Variogram score over that of oi" not in text
