"""Scores of one analysis: the grid, withheld stations against the truth, and their reports, by hand and by identity."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.state import State
from rtma_diffda.interfaces import Analysis
from rtma_diffda.verification.case_scores import CaseLabel, CaseScores, Cost, Judge, case_table
from rtma_diffda.verification.ensemble_scores import Departures, gaussian_crps
from rtma_diffda.verification.joint_scores import (
    Pairs,
    block_energy_score,
    drawn_members,
    energy_score,
    variogram_score,
)

LABEL = CaseLabel("default", "kriging", "test/000", np.datetime64("2026-01-01T00:15"))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def truth(case) -> State:
    """Half a unit below the analysis everywhere."""
    return case.analysis.state.with_values(case.analysis.state.values - 0.5)


@pytest.fixture(scope="module")
def scores(case, truth) -> list[CaseScores]:
    cost = Cost(network_calls=8.0, seconds=0.5)
    return Judge().score_case(
        case.analysis, truth, withheld=case.withheld, label=LABEL, generator=generator(), cost=cost
    )


def one(scores: list[CaseScores], variable: str, place: str) -> CaseScores:
    (found,) = [score for score in scores if (score.variable, score.place) == (variable, place)]
    return found


def test_grid_and_withheld_scores_are_against_the_truth(scores, case):
    for place, count in (("grid", 64 * 64), ("withheld", 30)):
        score = one(scores, "u10m", place)
        assert score.n == count
        assert score.bias == pytest.approx(0.5, abs=1e-5)
        assert score.mse == pytest.approx(0.25, abs=1e-5)
    error_std = case.analysis.error_std[1].numpy()
    grid = one(scores, "u10m", "grid")
    assert grid.crps == pytest.approx(gaussian_crps(np.full_like(error_std, 0.5), error_std).mean(), rel=1e-4)
    assert grid.spread_variance == pytest.approx((error_std**2).mean())


def test_report_scores_are_against_reports_with_their_errors(scores, case):
    rows = case.pairs[case.pairs["variable"] == "t2m"]
    score = one(scores, "t2m", "reports")
    assert score.mse == pytest.approx(((rows["kriging"] - rows["observed"]) ** 2).mean(), rel=1e-6)
    total = np.hypot(rows["kriging_error_std"], rows["error_std"])
    assert score.spread_variance == pytest.approx((total**2).mean(), rel=1e-6)
    expected = gaussian_crps((rows["kriging"] - rows["observed"]).to_numpy(), total.to_numpy()).mean()
    assert score.crps == pytest.approx(expected, rel=1e-6)
    assert sum(score.ranks) == 30
    assert len(score.ranks) == Judge().rank_bins


def test_an_ensemble_is_scored_by_its_members(case, truth):
    draws = torch.randn(8, *truth.layout.shape, generator=generator())
    ensemble = Analysis(case.analysis.state.with_values(truth.values + draws), case.analysis.problem)
    scores = Judge().score_case(ensemble, truth, withheld=case.withheld, label=LABEL, generator=generator())
    grid = one(scores, "t2m", "grid")
    assert grid.members == 8
    assert len(grid.ranks) == 9
    assert grid.mse == pytest.approx(1.0 / 8.0, rel=0.1)
    assert grid.laplacian_mean < grid.laplacian_members  # averaging smooths


def test_a_calibrated_spread_beside_several_members_changes_no_score(case, truth):
    """What is handed on are the members: they are judged."""
    draws = torch.randn(8, *truth.layout.shape, generator=generator())
    state = case.analysis.state.with_values(truth.values + draws)
    alone, beside = (
        Judge().score_case(
            Analysis(state, case.analysis.problem, error_std),
            truth,
            withheld=case.withheld,
            label=LABEL,
            generator=generator(),
        )
        for error_std in (None, 99.0 * torch.ones(truth.layout.shape))
    )
    assert [repr(score) for score in alone] == [repr(score) for score in beside]
    assert {score.members for score in alone} == {8}
    assert all(len(score.ranks) == 9 for score in alone)


def test_joint_scores_of_an_ensemble_are_of_its_members(case, truth):
    draws = torch.randn(8, *truth.layout.shape, generator=generator(), dtype=torch.float64)
    ensemble = Analysis(case.analysis.state.with_values(truth.values + draws), case.analysis.problem)
    scores = Judge().score_case(ensemble, truth, withheld=case.withheld, label=LABEL, generator=generator())
    errors = (ensemble.state.values.double() - truth.values.double()).numpy()[:, 1]
    assert one(scores, "u10m", "grid").energy == pytest.approx(block_energy_score(errors), rel=1e-6)
    operator, stations = case.analysis.problem.operator, case.withheld.of_channel(1)
    said, exact = (operator(s.values.double(), stations).numpy() for s in (ensemble.state, truth))
    pairs = Pairs.of(stations.latitude.numpy(), stations.longitude.numpy())
    score = one(scores, "u10m", "withheld")
    assert score.energy == pytest.approx(float(energy_score(said - exact)))
    assert score.variogram == pytest.approx(variogram_score(Departures(said - exact), exact[0], pairs))
    assert np.isnan(one(scores, "u10m", "grid").variogram) and np.isnan(one(scores, "u10m", "reports").energy)


def test_joint_scores_of_a_stated_gaussian_are_of_independent_draws(scores, case, truth):
    """All methods that state a Gaussian share the draws, for the judge's generator is the case's."""
    drawing = generator()
    std = case.analysis.error_std.double().numpy().reshape(3, -1)
    for i, name in enumerate(truth.layout.names):
        drawn = drawn_members(Departures(np.full((1, 64 * 64), 0.5), std[i]), count=8, generator=drawing)
        expected = block_energy_score(drawn.reshape(8, 64, 64))
        assert one(scores, name, "grid").energy == pytest.approx(expected, rel=1e-4)
    assert all(np.isfinite(one(scores, name, "withheld").variogram) for name in truth.layout.names)


def test_roughness_of_the_truth_itself_is_one(case, truth):
    perfect = Analysis(truth, case.analysis.problem)
    score = one(
        Judge().score_case(perfect, truth, withheld=case.withheld, label=LABEL, generator=generator()), "t2m", "grid"
    )
    assert score.laplacian_mean == score.laplacian_truth > 0.0
    assert (score.mse, score.crps, score.energy, score.ranks) == (0.0, 0.0, 0.0, None)


def test_the_rim_is_left_out(case, truth):
    values = truth.values.clone()
    values[..., 0, :] += 100.0
    spoilt = Analysis(truth.with_values(values), case.analysis.problem)
    judged = {
        rim: Judge(rim=rim).score_case(
            spoilt, truth, withheld=case.withheld.select(np.empty(0, int)), label=LABEL, generator=generator()
        )
        for rim in (0, 2)
    }
    assert one(judged[0], "t2m", "grid").mse > 100.0
    assert one(judged[2], "t2m", "grid").mse == 0.0
    assert one(judged[2], "t2m", "grid").n == 60 * 60
    assert {score.place for score in judged[2]} == {"grid"}  # without withheld data the grid alone is scored


def test_table_has_a_row_a_record(scores):
    table = case_table(scores)
    assert len(table) == 3 * 3
    assert table.loc[0, ["setting", "method", "run"]].tolist() == ["default", "kriging", "test/000"]
    assert (table["network_calls"] == 8.0).all()
    assert table["memory_bytes"].isna().all()
    assert table["laplacian_truth"].notna().sum() == 3
    assert list(case_table([]).columns) == list(table.columns)


def test_a_truth_that_does_not_fit_is_refused(case, truth):
    later = replace(truth, valid_time=truth.valid_time + np.timedelta64(1, "h"))
    with pytest.raises(InputError, match="layout and time must agree"):
        Judge().score_case(case.analysis, later, withheld=case.withheld, label=LABEL, generator=generator())
    for wrong in ({"rank_bins": 1}, {"gaussian_members": 1}, {"rim": -1}):
        with pytest.raises(UsageError, match="rank bins"):
            Judge(**wrong)


def test_departures_can_be_scored_alone():
    score = Judge(rank_bins=4).score(
        Departures(np.array([[1.0, -1.0]]), np.ones(2)), LABEL, variable="sp", place="withheld", generator=generator()
    )
    assert (score.n, score.bias, score.mse, score.within_1, score.within_2) == (2, 0.0, 1.0, 1.0, 1.0)
