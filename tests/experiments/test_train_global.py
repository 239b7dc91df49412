"""Training on archives of the globe, tiny: forecasts, pairs made with them, denoisers begun with their weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from global_world import SIX_HOURS, global_dataset, write_store

from rtma_diffda.assimilation.graphcast_denoiser_checkpoint import graphcast_denoiser_from_checkpoint
from rtma_diffda.backbones.graphcast.deepmind import model_config_of, task_config_of, to_deepmind
from rtma_diffda.backbones.graphcast.task import FORCINGS, STATICS
from rtma_diffda.errors import UsageError
from rtma_diffda.experiments.train import RecipeSettings, TrainSettings, run_training
from rtma_diffda.experiments.train_global import GlobalMaterial, global_plan
from rtma_diffda.experiments.train_global_fitting import expected_residuals, mean_squares
from rtma_diffda.experiments.train_global_pairs import times_with_forecasts
from rtma_diffda.experiments.train_global_settings import MINIATURE, GlobalNetworkSettings, GlobeSettings
from rtma_diffda.fields.global_statistics import GlobalStatistics
from rtma_diffda.forecast.graphcast_checkpoint import load_graphcast
from rtma_diffda.forecast.steps import forecast_states
from rtma_diffda.io.checkpoint import read_checkpoint
from rtma_diffda.io.deepmind_checkpoint import DeepMindCheckpoint, write_deepmind_checkpoint
from rtma_diffda.io.global_statistics import write_global_statistics
from rtma_diffda.io.stored_backgrounds import read_backgrounds
from rtma_diffda.io.weatherbench import open_archive
from rtma_diffda.training.interruption import TrainingInterrupted
from rtma_diffda.training.session import Session

TINY = RecipeSettings(
    updates=4, batch_size=2, learning_rate=1e-3, warm_up_updates=1, bfloat16=False, validate_every=2,
    validation_members=2
)  # fmt: skip
SPLITS = {"train": ("2016-03-01", "2016-03-05"), "validation": ("2016-03-06", "2016-03-08")}


def smooth_dataset(times=32) -> xr.Dataset:
    """Random states, with the vertical velocity and the levels of the miniature."""
    dataset = global_dataset(times=times, levels=MINIATURE.pressure_levels, seed=1)
    rng = np.random.default_rng(2)
    shape = dataset["temperature"].shape
    wind = ("time", "level", "latitude", "longitude"), (0.2 * rng.standard_normal(shape)).astype(np.float32)
    return dataset.assign(vertical_velocity=wind)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Settings for a small archive and a forecast model trained on it."""
    place = tmp_path_factory.mktemp("globe")
    dataset = smooth_dataset()
    path = write_store(place / "truth.zarr", dataset)
    write_global_statistics(place / "stats", statistics_of(dataset))
    globe = GlobeSettings(
        archives=(str(path),),
        statistics=str(place / "stats"),
        network=GlobalNetworkSettings(mesh_size=1, latent_size=8, message_steps=1),
        leads=(6, 12),
        backgrounds=str(place / "backgrounds"),
        fitted_members=16,
        **SPLITS,
    )
    settings = TrainSettings("graphcast_forecast", globe=globe, training=TINY, output=str(place), half_precision=False)
    run_training(replace(settings, name="model"))
    return replace(settings, globe=replace(globe, forecast=str(place / "model")))


def statistics_of(dataset) -> GlobalStatistics:
    keys = [*MINIATURE.outputs, *((name, None) for name in STATICS)]
    arrays = {key: dataset[key[0]] if key[1] is None else dataset[key[0]].sel(level=key[1]) for key in keys}
    mean = {key: float(array.mean()) for key, array in arrays.items()} | {(name, None): 0.0 for name in FORCINGS}
    std = {key: float(array.std()) for key, array in arrays.items()} | {(name, None): 1.0 for name in FORCINGS}
    std["toa_incident_solar_radiation", None] = 1e6
    return GlobalStatistics(mean, std, {key: 1.4 * std[key] for key in MINIATURE.outputs})


def denoiser_settings(world, **globe):
    return replace(
        world, target="graphcast_denoiser", initial=world.globe.forecast, globe=replace(world.globe, **globe)
    )


def test_the_pairs_that_are_made_are_the_models_own_forecasts(world, tmp_path):
    settings = replace(world, target="graphcast_pairs", globe=replace(world.globe, backgrounds=str(tmp_path)))
    summary = run_training(settings)
    assert "forecasts were made in" in summary.text
    archive = open_archive(world.globe.archives[0], keys=MINIATURE.prognostic)
    stored = read_backgrounds(settings.globe.directory(archive.path, 12), archive)
    model = load_graphcast(world.globe.forecast, static=archive.static)
    time = stored.valid_times[5]
    history = [archive.state(time - 3 * SIX_HOURS), archive.state(time - 2 * SIX_HOURS)]
    direct = forecast_states(model, history, None, steps=2)[-1].values[0]
    truth = archive.state(time).values[0]
    unit = stored.unit[:, None, None]
    torch.testing.assert_close((stored.values(np.array([time]))[0] - truth) / unit, (direct - truth) / unit,
                               rtol=2e-3, atol=2e-3)  # fmt: skip
    assert stored.valid_times[0] == archive.valid_times[3] and len(stored.valid_times) == 29
    assert "0 forecasts were made" in run_training(settings).text


def test_only_times_whose_beginning_is_there_have_forecasts():
    times = np.datetime64("2016-03-01", "ns") + np.array([0, 1, 2, 3, 5, 6, 7, 8]) * SIX_HOURS
    found = times_with_forecasts(times, times, 2 * SIX_HOURS)
    assert (found == times[[3, 4, 7]]).all()


@pytest.mark.parametrize("formulation", ["improved", "diffda"])
def test_a_denoiser_is_trained_and_has_its_covariances(world, formulation, tmp_path):
    settings = replace(denoiser_settings(world, formulation=formulation), output=str(tmp_path))
    summary = run_training(settings)
    stored = read_checkpoint(summary.files["checkpoint"])
    trained = graphcast_denoiser_from_checkpoint(stored)
    assert sorted(trained.covariances) == [6.0, 12.0]
    assert stored.provenance["initial"]["data_set"]["archives"] == ["truth.zarr"]
    assert "forecast of 6 and 12 hours" in stored.card and stored.provenance["command"] in stored.card
    begun, start = trained.denoiser.network.state_dict(), read_checkpoint(Path(world.globe.forecast)).weights
    changes = [(begun[name] - start[f"network.{name}"]).abs().max() for name in begun]
    assert 0 < max(changes) < 0.02
    material = GlobalMaterial(settings.globe)
    expected = mean_squares(material.pairs("train"), (6, 12))
    scale = trained.denoiser.scale
    if formulation == "improved":
        torch.testing.assert_close(scale.of(np.timedelta64(12, "h")).flatten(), expected[12.0].sqrt().float())
    else:
        change_std = material.statistics.change_std_of(MINIATURE.prognostic)
        torch.testing.assert_close(scale.of(np.timedelta64(12, "h")).flatten(), change_std)


def test_a_training_that_was_ended_early_goes_on_to_the_same_bits(world, tmp_path):
    whole = replace(denoiser_settings(world, fitted_members=0), output=str(tmp_path / "whole"))
    run_training(whole)
    parts = replace(whole, output=str(tmp_path / "parts"))
    interrupted_after(2, parts)
    run_training(parts)
    one, two = (read_checkpoint(tmp_path / name / "graphcast_denoiser").weights for name in ("whole", "parts"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def interrupted_after(updates, settings):
    """As by SIGTERM after so many updates."""
    original = Session.update

    def stopping(self, progress):
        progress, _ = original(self, progress)
        return progress, progress.update >= updates

    with pytest.MonkeyPatch.context() as patch, pytest.raises(TrainingInterrupted):
        patch.setattr(Session, "update", stopping)
        run_training(settings)


def test_a_forecast_model_goes_on_with_several_steps(world, tmp_path):
    settings = replace(world, name="longer", output=str(tmp_path), initial=world.globe.forecast)
    summary = run_training(replace(settings, globe=replace(world.globe, rollout=2)))
    stored = read_checkpoint(summary.files["checkpoint"])
    assert stored.provenance["rollout"] == 2 and "2 step(s)" in stored.card


def test_a_denoiser_begins_with_published_weights(world, tmp_path):
    network = load_graphcast(world.globe.forecast, static=GlobalMaterial(world.globe).archives[0].static).network
    shape = world.globe.network.settings()
    stored = DeepMindCheckpoint(
        to_deepmind(network.network.state_dict(), shape), model_config_of(shape, resolution=22.5),
        task_config_of(MINIATURE), "", ""
    )  # fmt: skip
    path = write_deepmind_checkpoint(tmp_path / "GraphCast.npz", stored)
    plan = global_plan(world.globe, "graphcast_denoiser", validation_members=2, device="cpu")
    denoiser = plan.network()
    assert plan.begin(denoiser, path) == {"published": "GraphCast.npz"}
    expected = network.network.state_dict()
    assert all(torch.equal(values, expected[name]) for name, values in denoiser.network.state_dict().items())
    again = plan.network()
    plan.begin(again, Path(world.globe.forecast))
    assert torch.equal(again.network.output_map.last.weight, denoiser.network.output_map.last.weight)


def test_what_the_background_tells_is_the_answer_to_noise_alone(world):
    pairs = GlobalMaterial(world.globe).pairs("validation").select(np.arange(3))
    settings = denoiser_settings(world)

    class Constant(torch.nn.Module):
        def __init__(self, denoiser):
            super().__init__()
            self.inner = denoiser
            self.formulation, self.context_of_pairs = denoiser.formulation, denoiser.context_of_pairs

        def forward(self, noisy, sigma, context):
            assert float(sigma.min()) == 30.0 and float(noisy.std()) > 20.0
            return torch.full_like(noisy, 0.25)

    plan = global_plan(settings.globe, settings.target, validation_members=2, device="cpu")
    assert (expected_residuals(Constant(plan.network()), pairs) == 0.25).all()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"task": "tiny"}, "globe.task is 'tiny'; it may be miniature, GraphCast"),
        ({"formulation": "better"}, "globe.formulation is 'better'; it may be diffda, improved"),
        ({"rollout": 0}, "globe.rollout is 0"),
        ({"archives": ("a", "b"), "forecast_stores": ("c",)}, "one store for each archive, or none; found 1 for 2"),
    ],
)
def test_impossible_settings_are_refused(changes, sentence):
    with pytest.raises(UsageError, match=sentence):
        GlobeSettings(**changes)


def test_periods_include_the_whole_of_their_last_day():
    settings = GlobeSettings(**SPLITS)
    first, last = settings.period("train")
    assert first == np.datetime64("2016-03-01") and last == np.datetime64("2016-03-05T23:59:59")
    assert replace(settings, train=("2016-03-01", "2016-03-05T12:00")).period("train")[1] == np.datetime64(
        "2016-03-05T12:00"
    )
    with pytest.raises(UsageError, match=r"globe\.validation is a first and a last valid time"):
        replace(settings, validation=(None, None)).period("validation")
    with pytest.raises(UsageError, match=r"globe\.archives is empty"):
        _ = GlobalMaterial(settings).archives
