"""From simulated runs to a trained forecast model, a forecast from files, and its verification."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from rtma_diffda.cli.main import main
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.data_set import DataSetDesign, RunCounts
from rtma_diffda.experiments.forecast import ForecastSettings, run_forecast
from rtma_diffda.experiments.forecast_verification import ForecastVerification, verify_forecasts
from rtma_diffda.experiments.simulate import SimulateSettings, make_runs
from rtma_diffda.experiments.train import RecipeSettings, TrainSettings, run_training
from rtma_diffda.experiments.train_forecast import ForecastNetworkSettings
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.checkpoint import read_checkpoint
from rtma_diffda.io.forecast_file import ForecastProduct, write_forecast
from rtma_diffda.io.simulation_store import SimulatedRun, read_run

HOUR = np.timedelta64(1, "h")
NETWORK = ForecastNetworkSettings(hidden=8, layers=1, convolutions=(8, 8))


@pytest.fixture(scope="module")
def design(tmp_path_factory) -> DataSetDesign:
    directory = str(tmp_path_factory.mktemp("forecast"))
    return DataSetDesign(
        name="tiny", region="osse_tiny", runs=RunCounts(2, 1, 2), hours=8, lags=(), directory=directory
    )


@pytest.fixture(scope="module")
def runs(design) -> None:
    make_runs(SimulateSettings(design, metar=False, report=False, seed=0, workers=1, progress=False))


def settings(design, directory, **changes) -> TrainSettings:
    recipe = RecipeSettings(updates=3, batch_size=2, bfloat16=False, validate_every=3, validation_members=2)
    return TrainSettings(
        target="forecast", data=design, forecast=replace(NETWORK, **changes), training=recipe, output=str(directory),
        progress=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(design, runs, tmp_path_factory):
    return run_training(settings(design, tmp_path_factory.mktemp("checkpoints"))).files["checkpoint"]


def test_a_training_leaves_a_checkpoint_that_says_what_it_is(checkpoint):
    found = read_checkpoint(checkpoint)
    assert found.provenance["splits"]["train"] == 2 and found.provenance["rollout"] == 1
    assert found.provenance["members"] == 2 * 5  # targets at 2 … 6 h: the window looks an hour further
    assert "rtma-diffda train target=forecast" in found.card


def test_a_longer_rollout_goes_on_from_the_weights_of_a_shorter_one(design, checkpoint, tmp_path):
    further = replace(settings(design, tmp_path, rollout=3), initial=str(checkpoint))
    found = read_checkpoint(run_training(further).files["checkpoint"])
    assert found.provenance["rollout"] == 3 and found.provenance["members"] == 2 * 3
    assert found.provenance["initial"]["progress"]["update"] == 3
    before = read_checkpoint(checkpoint)
    for name in ("difference_mean", "difference_std"):
        assert (found.statistics[name] == before.statistics[name]).all()


def written(directory, name: str, series: StateSeries, static: StaticFields, start: np.datetime64):
    product = ForecastProduct(name, tuple(series), start, static, start, {"source": "simulated"})
    return write_forecast(product, directory / name)


@pytest.fixture(scope="module")
def arguments(design, runs, checkpoint, tmp_path_factory) -> list[str]:
    """A command line that works, on files of one run."""
    directory = tmp_path_factory.mktemp("files")
    run: SimulatedRun = read_run(design.run_path(0, "test", 0))
    start = run.times[0]
    initial = written(directory, "initial", run.truth, run.static, start)
    outer = written(directory, "global", run.large_scale, run.large_scale_static, start)
    region = directory / "region.yaml"
    region.write_text(
        "name: place\ntitle: A place\n"
        "projection: {proj: lcc, lat_1: 45, lat_2: 45, lat_0: 45, lon_0: 0, a: 6371200, b: 6371200}\n"
        "grid: {nx: 32, ny: 32, dx: 5000, dy: 5000, centre: {latitude: 45.0, longitude: 0.0}}\n"
        f"static: {{orog: {initial}, lsm: {initial}}}\nvariables: [t2m, d2m, u10m, v10m, sp]\n"
    )
    time = str((start + 2 * HOUR).astype("datetime64[m]"))
    return ["forecast", f"region={region}", f"time={time}", f"initial={initial}", f"global_runs={outer}",
            "global_model=coarse", "steps=2", f"checkpoint={checkpoint}", "log.level=error"]  # fmt: skip


def test_a_forecast_from_files_names_its_global_run(arguments, tmp_path, capsys):
    assert main([*arguments, f"output={tmp_path}"]) == 0
    assert "forced by coarse, run of" in capsys.readouterr().out
    (path,) = tmp_path.glob("*.nc")
    with xr.open_dataset(path) as dataset:
        assert dataset.sizes["time"] == 2 and "global_run: coarse" in dataset.attrs["source"]
        assert "global_run_initial_time" in dataset.attrs["provenance"]
        assert (dataset.d2m <= dataset.t2m).all() and np.isfinite(dataset.sp).all()


def test_a_missing_boundary_stops_with_a_sentence(arguments, tmp_path, capsys):
    given = [a for a in arguments if not a.startswith("global_runs")]
    assert main([*given, f"output={tmp_path}"]) == 3
    assert "needs the states of a global run" in capsys.readouterr().err and not list(tmp_path.iterdir())
    assert main([*given, "without_boundary=true", f"output={tmp_path}"]) == 4
    assert "made without boundary states" in capsys.readouterr().err and len(list(tmp_path.iterdir())) == 1


def test_a_global_run_that_had_not_arrived_is_not_used(arguments, tmp_path, capsys):
    """It began two hours before the forecast does, and arrives three hours after it began."""
    assert main([*arguments, "latency_hours=3", f"output={tmp_path}"]) == 3
    assert "arrive" in capsys.readouterr().err
    assert main([*arguments, "latency_hours=2", f"output={tmp_path}"]) == 0


def test_a_global_run_that_does_not_reach_stops_with_a_sentence(arguments, tmp_path, capsys):
    assert main([*arguments, "steps=6", f"output={tmp_path}"]) == 3
    assert "coarse" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_simple_forecasts_are_made_by_the_same_verb(arguments, tmp_path):
    for name in ("persistence", "global_state", "global_change"):
        assert main([*arguments, f"model={name}", f"output={tmp_path / name}"]) == 0


def test_what_must_be_given_is_asked_for():
    with pytest.raises(UsageError, match="not given: region, time, initial"):
        ForecastSettings()
    with pytest.raises(UsageError, match="it may be limited_area"):
        ForecastSettings(verify=True, model="crystal_ball")
    with pytest.raises(UsageError, match=r"verification\.leads"):
        ForecastVerification(leads=(3, 1))
    with pytest.raises(InputError, match=r"nowhere\.nc"):
        run_forecast(ForecastSettings("persistence", "demo", np.datetime64("2026-01-01T00:00", "ns"), "nowhere.nc"))


def test_verification_scores_every_forecast_on_the_same_cases(design, runs, checkpoint, tmp_path):
    chosen = ForecastVerification(leads=(1, 3), start_hours=(2, 3), rim=4)
    found = verify_forecasts(design, chosen, seed=0, checkpoint=str(checkpoint), output=tmp_path, progress_shown=False)
    scores = pd.read_parquet(found.files["scores"])
    assert set(scores["method"]) == {
        "limited_area", "persistence", "global_state", "global_change", "shuffled_boundary", "no_boundary"
    }  # fmt: skip
    assert set(scores["setting"]) == {"1 h", "3 h", "1 h from the twin", "3 h from the twin"}
    run = read_run(design.run_path(0, "test", 0))
    cases = pd.read_parquet(found.files["cases"])
    row = cases[(cases["method"] == "persistence") & (cases["setting"] == "3 h") & (cases["run"] == run.name)
                & (cases["variable"] == "t2m") & (cases["place"] == "grid")]  # fmt: skip
    change = run.truth.values[[5, 6], 0] - run.truth.values[[2, 3], 0]
    np.testing.assert_allclose(row["mse"], change.double().square().mean(dim=(1, 2)), rtol=1e-6)
    assert "shuffled_boundary / limited_area" in found.text and "seam" in found.text
    assert all(path.stat().st_size for path in found.files.values())
