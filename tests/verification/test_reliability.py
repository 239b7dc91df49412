"""Spread over skill and rank deviation, with their flags; variables that got worse: by hand."""

import numpy as np
import pandas as pd
import pytest
from test_run_moments import record

from rtma_diffda.verification.case_scores import case_table
from rtma_diffda.verification.case_spectra import octave_table
from rtma_diffda.verification.checks_text import WORSE_HEADER, format_checks, reliability_rows, worse_rows
from rtma_diffda.verification.judgement import Judgement
from rtma_diffda.verification.reliability import reliability_table
from rtma_diffda.verification.run_moments import RunBootstrap
from rtma_diffda.verification.worse_variables import worse_variables, worst_variables

FLAT, BOWL = (100, 110, 90, 100), (140, 65, 65, 130)


def judged(records) -> Judgement:
    return Judgement.of(case_table(records), reference="oi", bootstrap=RunBootstrap(iterations=50))


@pytest.fixture(scope="module")
def judgement() -> Judgement:
    """Two runs, two settings, two variables: in the sparse setting the network spoils pressure."""
    records = []
    for run in ("r0", "r1"):
        for setting in ("default", "10 stations"):
            for variable in ("t2m", "sp"):
                spoilt = variable == "sp" and setting == "10 stations"
                where = {"setting": setting, "variable": variable, "n": 400}
                records += [
                    record("background", run, mse=4.0, spread_variance=np.nan, **where),
                    record("oi", run, mse=1.0, spread_variance=1.0, ranks=FLAT, **where),
                    record("network", run, mse=9.0 if spoilt else 0.25, spread_variance=0.36, ranks=BOWL, **where),
                ]
    return judged(records)


def test_reliability_by_hand(judgement):
    table = judgement.reliability.set_index(["setting", "variable", "method"])
    assert len(table) == 2 * 2 * 2  # the background states nothing
    oi, network = table.loc[("default", "t2m", "oi")], table.loc[("default", "t2m", "network")]
    assert (oi["spread_skill"], oi["spread_off"], oi["ranks_off"]) == (1.0, False, False)
    assert oi["rank_deviation"] == pytest.approx(0.1)
    assert (network["spread_skill"], network["spread_off"]) == (pytest.approx(1.2), True)
    assert network["rank_deviation"] == pytest.approx(0.4)  # of both runs together: 280 where 200 were expected
    assert (network["rank"], network["ranks"], network["ranks_off"]) == (0, 4, True)
    assert network["chance"] == pytest.approx(2.4977 * np.sqrt(3 / 800), rel=1e-3)


def test_flat_ranks_stay_within_chance():
    rng = np.random.default_rng(0)
    counts = rng.multinomial(900, np.full(9, 1 / 9), size=2000)
    ranks = pd.DataFrame(
        {
            "setting": "default",
            "place": "grid",
            "variable": np.repeat([f"v{i}" for i in range(2000)], 9),
            "method": "m",
            "rank": np.tile(np.arange(9), 2000),
            "count": counts.ravel(),
            "relative": counts.ravel() / 100.0,
        }
    )
    scores = ranks.drop_duplicates("variable")[["setting", "place", "variable", "method"]].assign(spread_skill=1.0)
    table = reliability_table(scores, ranks)
    assert (table["rank_deviation"] > table["chance"]).mean() == pytest.approx(0.05, abs=0.02)


def test_reliability_in_words(judgement):
    rows = list(reliability_rows(judgement.of_setting("default").reliability, ["sp", "t2m", "gust"]))
    assert rows[0] == ("over the grid", "oi", "1.00, 10 %", "1.00, 10 %", "–")
    assert rows[1] == ("over the grid", "network", "1.20!, 40 %!", "1.20!, 40 %!", "–")


def test_a_variable_that_got_worse_is_found(judgement):
    table = worse_variables(judgement.scores)
    assert len(table) == 2 * 2 * 3
    found = table.set_index(["setting", "variable", "method"])
    spoilt = found.loc[("10 stations", "sp", "network")]
    assert spoilt["background_ratio"] == pytest.approx(1.5)
    assert spoilt["rmse_ratio"] == pytest.approx(3.0)
    assert bool(spoilt["worse_than_background"]) and bool(spoilt["worse_than_reference"])
    assert found["worse_than_background"].sum() == 1
    assert found.xs("background", level="method")["worse_than_reference"].all()
    assert not found.xs("oi", level="method")["worse_than_reference"].any()  # itself is not worse than itself
    rows = {row[1]: dict(zip(WORSE_HEADER[2:4], row[2:4], strict=True)) for row in worse_rows(worst_variables(table))}
    assert rows["network"] == {"worse than background": "1 of 4!", "worst": "1.500 (sp, 10 stations)"}
    assert rows["oi"]["worse than background"] == "0 of 4"


def test_without_a_background_or_an_uncertainty_there_are_dashes():
    records = [record(m, r, spread_variance=np.nan) for m in ("oi", "network") for r in ("r0", "r1")]
    bare = judged(records)
    assert bare.reliability.empty and bare.ensembles.empty
    (_, oi, none, worst, *_), _ = worse_rows(worst_variables(worse_variables(bare.scores)))
    assert (oi, none, worst) == ("oi", "0 of 1", "–")
    spectra = pd.DataFrame(
        columns=["setting", "method", "variable", "wavelength", "spacing", "truth", "mean", "members"]
    )
    text = format_checks(bare, octave_table(spectra), setting="default")
    assert "up to – %" in text
