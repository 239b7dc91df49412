"""The two exercises: what they draw, what the baselines know, what the network begins with, and a whole tiny run."""

import numpy as np
import pandas as pd
import pytest
import torch

from rtma_diffda.cli.configuration import compose_settings
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.exercise_baselines import LagCovariance, kriging, linear_interpolation
from rtma_diffda.experiments.exercise_estimates import estimate_test_fields
from rtma_diffda.experiments.exercise_fields import ExerciseFields, Quantity
from rtma_diffda.experiments.exercise_network import Climate, FieldReconstruction, NetworkShape
from rtma_diffda.experiments.exercise_scores import score_sources
from rtma_diffda.experiments.exercise_shallow_water import shallow_water_exercise
from rtma_diffda.experiments.exercise_size import ExerciseSize
from rtma_diffda.experiments.exercise_temperature import temperature_exercise
from rtma_diffda.experiments.ml_rtma_exercises import TINY, ExerciseSettings, run_exercise
from rtma_diffda.experiments.sparse_observations import ObservingPlan

SMALL, RAW = NetworkShape((16, 32)), NetworkShape((16, 32), fill=False)


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def temperature():
    return temperature_exercise(TINY, generator=seeded())


@pytest.fixture(scope="module")
def water():
    return shallow_water_exercise(TINY, generator=seeded(), shown=False)


def test_sites_are_shared_within_groups_and_errors_are_as_stated():
    plan = ObservingPlan(groups=((0,), (1, 2)), sites=(5, 7), error_std=(0.1, 1.0, 2.0))
    truth = 10.0 + torch.zeros(400, 3, 8, 8)
    seen = plan.observe(truth, generator=seeded())
    assert seen.observed_mask.sum(dim=(2, 3)).unique(dim=0).tolist() == [[5, 7, 7]]
    assert torch.equal(seen.observed_mask[:, 1], seen.observed_mask[:, 2])
    assert not torch.equal(seen.observed_mask[0], seen.observed_mask[1])
    assert (seen.values[~seen.observed_mask] == 0).all()
    for channel, error_std in enumerate(plan.error_std):
        errors = (seen.values - truth)[:, channel][seen.observed_mask[:, channel]]
        assert float(errors.std()) == pytest.approx(error_std, rel=0.05)
    again = plan.observe(truth, generator=seeded())
    assert torch.equal(again.values, seen.values)


def test_a_plan_that_misses_a_channel_is_refused():
    with pytest.raises(UsageError, match="every channel needs one group"):
        ObservingPlan(groups=((0,),), sites=(5,), error_std=(1.0, 1.0))


def test_kriging_is_the_conditional_mean_of_a_gaussian():
    """Against the formula with the full covariance matrix of all cells, for two correlated periodic quantities."""
    lags = np.minimum(np.arange(6), 6 - np.arange(6))
    one = np.exp(-np.hypot(lags[:, None], lags[None, :]))
    covariance = LagCovariance(np.stack([np.stack([one, 0.5 * one]), np.stack([0.5 * one, 2.0 * one])]))
    generator = np.random.default_rng(1)
    departures, observed_mask = generator.normal(size=(2, 6, 6)), generator.random((2, 6, 6)) < 0.3
    error_std = np.array([0.3, 0.6])
    everywhere = covariance.among(np.argwhere(np.ones((2, 6, 6), bool)))
    seen = observed_mask.reshape(-1)
    R = np.diag(np.repeat(error_std**2, 36)[seen])
    expected = everywhere[:, seen] @ np.linalg.solve(everywhere[np.ix_(seen, seen)] + R, departures.reshape(-1)[seen])
    result = kriging(departures, observed_mask, covariance, error_std=error_std)
    np.testing.assert_allclose(result.reshape(-1), expected, atol=1e-12)


def test_lag_covariance_is_the_mean_product():
    generator = np.random.default_rng(2)
    fields = generator.normal(size=(3, 2, 5, 4))
    estimated = LagCovariance.estimated(fields, periodic=True)
    expected = (fields[:, 0] * np.roll(fields[:, 1], (2, 1), axis=(-2, -1))).mean()  # a at p, b at p − (2, 1)
    assert estimated.values[0, 1, 2, 1] == pytest.approx(expected)
    bounded = LagCovariance.estimated(fields, periodic=False)
    expected = (fields[:, 0, 2:, :-1] * fields[:, 1, :-2, 1:]).sum() / (3 * 5 * 4)
    assert bounded.values[0, 1, 2, -1] == pytest.approx(expected)
    assert np.linalg.eigvalsh(bounded.among(np.argwhere(np.ones((2, 5, 4), bool)))).min() > -1e-9
    assert not bounded.univariate().values[0, 1].any()


def test_linear_interpolation_is_exact_on_a_plane_within_its_sites():
    y, x = np.mgrid[:7, :7]
    field, observed_mask = 2.0 * y - x, np.zeros((7, 7), bool)
    observed_mask[[0, 0, 6, 6, 3], [0, 6, 0, 6, 2]] = True
    np.testing.assert_allclose(linear_interpolation(field, observed_mask), field, atol=1e-12)
    with pytest.raises(InputError, match="at least four"):
        linear_interpolation(field, (y == 3) & (x < 3))


def test_background_and_truth_of_exercise_1_have_the_same_statistics():
    size = ExerciseSize(cells=24, training_runs=150, validation_runs=1, test_runs=1, sites=12)
    fields = temperature_exercise(size, generator=seeded()).training
    truth, background = fields.truth[:, 0], fields.background[:, 0]
    assert float(background.mean() - truth.mean()) == pytest.approx(0.0, abs=0.2)
    assert float(background.std() / truth.std()) == pytest.approx(1.0, abs=0.03)
    roughness = [float(field.diff(dim=-1).std()) for field in (truth, background)]
    assert roughness[1] / roughness[0] == pytest.approx(1.0, abs=0.08)
    assert 1.0 < float((background - truth).square().mean().sqrt()) < 1.8


def test_exercise_2_observes_speed_and_vorticity_of_the_very_wind(water):
    truth = water.training.truth
    torch.testing.assert_close(truth[:, 3], torch.hypot(truth[:, 1], truth[:, 2]))
    dv_dx = (truth[:, 2].roll(-1, -1) - truth[:, 2].roll(1, -1)) / 5e4
    du_dy = (truth[:, 1].roll(-1, -2) - truth[:, 1].roll(1, -2)) / 5e4
    torch.testing.assert_close(truth[:, 4], dv_dx - du_dy, rtol=1e-4, atol=1e-9)
    assert float(truth[:, 0].min()) > 10.0 and float(truth[:, 1:3].abs().max()) < 60.0
    torch.testing.assert_close(truth[:, 0].mean(), torch.tensor(100.0), rtol=1e-2, atol=0)


def test_runs_are_split_and_windows_are_cut_from_the_periodic_plane(water):
    runs = [set(part.run) for part in (water.training, water.validation, water.test)]
    assert [len(part) for part in runs] == [8, 2, 2] and not (runs[0] & runs[1] | runs[0] & runs[2] | runs[1] & runs[2])
    assert len(water.test) == 4 and water.is_periodic
    window = water.test.window(24, rows=20, columns=5)
    assert torch.equal(window.truth[..., 12, 0], water.test.truth[..., 0, 5])
    with pytest.raises(InputError, match="run numbers"):
        ExerciseFields(water.test.truth, np.arange(2))


@pytest.mark.parametrize("name", ["temperature", "water"])
def test_an_untrained_network_returns_what_is_known_beforehand(name, request):
    exercise = request.getfixturevalue(name)
    network = FieldReconstruction(exercise, Climate.of(exercise), RAW)
    assert network.unet.settings.in_channels == {"temperature": 2, "water": 5}[name]
    fields = exercise.test.window(exercise.size)
    observations = exercise.plan.observe(fields.truth, generator=seeded())
    mean = exercise.training.truth[:, : exercise.wanted].mean(dim=(0, 2, 3))[:, None, None]
    known = mean.expand(len(fields), -1, *fields.truth.shape[-2:]) if fields.background is None else fields.background
    torch.testing.assert_close(network(observations, fields.background), known)


@pytest.mark.parametrize("name", ["temperature", "water"])
def test_with_filled_channels_an_untrained_network_is_the_baseline(name, request):
    """Kriging of each quantity without a background, optimal interpolation with one."""
    exercise = request.getfixturevalue(name)
    network = FieldReconstruction(exercise, Climate.of(exercise), SMALL)
    cases = estimate_test_fields(exercise, network, generator=seeded(), shown=False)
    baseline = cases.estimates[{"temperature": "optimal interpolation", "water": "kriging"}[name]]
    np.testing.assert_allclose(cases.estimates["U-Net"], baseline, rtol=0, atol=2e-3)


@pytest.mark.parametrize("name", ["temperature", "water"])
def test_the_loss_is_reproducible_and_falls(name, request):
    exercise = request.getfixturevalue(name)
    torch.manual_seed(0)
    network = FieldReconstruction(exercise, Climate.of(exercise), SMALL)
    first, figures = network.loss(exercise.training, generator=seeded())
    assert torch.equal(network.loss(exercise.training, generator=seeded())[0], first)
    assert len(figures) == exercise.wanted
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(20):
        optimiser.zero_grad()
        network.loss(exercise.training, generator=seeded())[0].backward()
        optimiser.step()
    assert network.loss(exercise.training, generator=seeded())[0].item() < 0.8 * first.item()


def test_scores_are_those_worked_out_by_hand():
    truth = np.zeros((4, 1, 2, 2))
    sources = {"reference": truth + 1.0, "other": truth + np.array([1.0, 1.0, 3.0, 3.0])[:, None, None, None]}
    kinds = [Quantity("q", "quantity", "cm", 100.0)]
    table = score_sources(sources, truth, run=np.array([0, 0, 1, 1]), quantities=kinds, reference="reference")
    other = table.set_index("source").loc["other"]
    assert other["rmse"] == pytest.approx(100 * np.sqrt(5.0))
    assert other["ratio"] == pytest.approx(1 / np.sqrt(5.0))
    assert (other["rmse_low"], other["rmse_high"]) == pytest.approx((100.0, 300.0))
    assert (other["ratio_low"], other["ratio_high"]) == pytest.approx((1 / 3, 1.0))


def test_a_whole_tiny_run_of_exercise_2(tmp_path):
    summary = run_exercise(ExerciseSettings(2, network=SMALL, tiny=True, drawn=1, output=str(tmp_path), progress=False))
    page = summary.files["report"].read_text()
    assert all(
        word in page for word in ("cokriging with vorticity", "northward wind v (m/s)", "2 independent test runs")
    )
    assert page.count("<img") == 3


def test_a_whole_tiny_run_of_exercise_1_repeats_itself(tmp_path):
    settings = ExerciseSettings(1, network=SMALL, tiny=True, drawn=1, output=str(tmp_path), progress=False)
    summary = run_exercise(settings)
    assert all(path.stat().st_size > 0 for path in summary.files.values())
    assert {"report", "scores", "training", "case 1", "score table"} <= set(summary.files)
    assert "U-Net" in summary.text and "20 updates" in summary.text
    table = pd.read_csv(summary.files["score table"])
    assert np.isfinite(table["rmse"]).all()
    resumed = run_exercise(settings)  # the training is complete: nothing is learnt again
    assert resumed.files["training"].read_bytes() == summary.files["training"].read_bytes()
    pd.testing.assert_frame_equal(pd.read_csv(resumed.files["score table"]), table)


@pytest.mark.parametrize("number", [1, 2])
def test_configurations_become_settings(number):
    values = compose_settings("reproduce", [f"experiment=ml_rtma_exercise_{number}"])
    values.pop("log")
    settings = ExerciseSettings.from_mapping(values)
    assert settings.exercise == number and settings.output == f"outputs/ml_rtma_exercise_{number}"
    assert settings.training.updates == settings.size.updates
    assert settings.network.fill == (number == 2)


def test_defaults_of_file_and_dataclass_agree():
    values = compose_settings("reproduce", ["experiment=ml_rtma_exercise_2"])
    default = ExerciseSettings(2)
    assert ExerciseSize(**values["size"]) == default.size
    assert (values["seed"], values["drawn"], values["tiny"]) == (default.seed, default.drawn, default.tiny)


def test_wrong_settings_are_said_in_words():
    with pytest.raises(UsageError, match="exercise is 3"):
        ExerciseSettings(3)
    with pytest.raises(UsageError, match=r"size\.sites is 1000"):
        ExerciseSettings.from_mapping({"exercise": 1, "size": {"cells": 24, "sites": 1000}})
    with pytest.raises(UsageError, match="experiment"):
        compose_settings("reproduce", [])
