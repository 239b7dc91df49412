"""The chain from simulated runs to a judgement, on the smallest data set: simulate, train, compare."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.compare import CompareSettings, SensitivitySettings, run_comparison
from rtma_diffda.experiments.data_set import DataSetDesign, RunCounts
from rtma_diffda.experiments.osse_cases import ObservingSettings, RunIdentity, osse_cases
from rtma_diffda.experiments.simulate import SimulateSettings, make_runs, run_simulation
from rtma_diffda.experiments.train import NetworkSettings, RecipeSettings, TrainSettings, run_training
from rtma_diffda.io.checkpoint import read_checkpoint
from rtma_diffda.io.simulation_store import read_run, stored_runs
from rtma_diffda.observations.ingest.files import read_observations
from rtma_diffda.observations.ingest.stations import load_stations

OBSERVING = ObservingSettings(stations=25, withheld=12)


@pytest.fixture(scope="session")
def design(tmp_path_factory):
    directory = str(tmp_path_factory.mktemp("osse"))
    return DataSetDesign(
        name="tiny", region="osse_tiny", runs=RunCounts(2, 2, 2), hours=4, lags=(1,), directory=directory
    )


@pytest.fixture(scope="session")
def simulated(design):
    settings = SimulateSettings(design, OBSERVING, seed=0, workers=1, progress=False)
    return run_simulation(settings)


def test_a_data_set_has_runs_stations_text_and_a_report(simulated, design):
    path = design.path(0)
    assert [len(stored_runs(path, split)) for split in ("train", "validation", "test")] == [2, 2, 2]
    assert "2 m temperature" in simulated.text and simulated.files["report"].stat().st_size > 100_000
    run = read_run(design.run_path(0, "test", 1))
    assert torch.isfinite(run.truth.values).all() and torch.isfinite(run.background.values).all()
    assert run.layout.names == ("t2m", "d2m", "u10m", "v10m", "sp") and len(run.times) == 4
    assert (run.truth.values[:, 1] <= run.truth.values[:, 0] + 1e-3).all()
    assert sorted(p.name for p in (path / "stations").iterdir()) == [
        "test_000", "test_001", "validation_000", "validation_001"
    ]  # fmt: skip
    stations = pd.read_csv(path / "stations" / "test_000" / "stations.csv")
    assert stations["withheld"].sum() == 12 and len(stations) == 37
    assert not (path / "stations" / "validation_000" / "metar").exists() or not list(
        (path / "stations" / "validation_000" / "metar").iterdir()
    )


def test_the_metar_text_says_what_the_truth_is(simulated, design):
    directory = design.path(0) / "stations" / "test_000"
    text = sorted((directory / "metar").glob("*.txt"))[1]
    run = read_run(design.run_path(0, "test", 0))
    found = read_observations(
        [str(text)], reference_time=run.times[1], stations=load_stations(directory / "stations.csv")
    ).table
    reports = pd.read_parquet(directory / "reports.parquet")
    reports = reports[np.abs(reports["valid_time"] - run.times[1]) < pd.Timedelta("10min")].set_index("station")
    for name, precision in (("t2m", 0.051), ("d2m", 0.051), ("sp", 36.0)):
        rows = found[found["variable"] == name]
        difference = rows["value"].to_numpy() - reports.loc[rows["station"], name].to_numpy()
        assert len(rows) == 37 and np.abs(difference).max() <= precision, name


def test_a_second_call_makes_nothing_and_a_lost_run_comes_back_as_it_was(simulated, design, tmp_path):
    store = design.run_path(0, "train", 1)
    before = read_run(store)
    store.rename(tmp_path / "lost.zarr")
    neighbour = design.run_path(0, "train", 0).stat().st_mtime_ns
    make_runs(SimulateSettings(design, OBSERVING, splits=("train",), seed=0, workers=1, progress=False))
    again = read_run(store)
    assert design.run_path(0, "train", 0).stat().st_mtime_ns == neighbour
    assert torch.equal(again.truth.values, before.truth.values)
    assert torch.equal(again.background.values, before.background.values)


def test_cases_nest_and_keep_withheld_stations_apart(simulated, design):
    few, many = (
        list(osse_cases(design, replace(OBSERVING, stations=n), seed=0, split="test", hours=(1, 3))) for n in (10, 25)
    )
    assert [case.run.name for case in few] == ["test/000", "test/000", "test/001", "test/001"]
    small, large = few[1].problem.observations, many[1].problem.observations
    assert set(small.station) < set(large.station)
    assert not set(large.station) & set(many[1].withheld.station)
    by_station = dict(zip(zip(large.station, large.channel.tolist(), strict=True), large.value.tolist(), strict=True))
    same = [by_station[key] for key in zip(small.station, small.channel.tolist(), strict=True) if key in by_station]
    assert same == [v for key, v in zip(
        zip(small.station, small.channel.tolist(), strict=True), small.value.tolist(), strict=True
    ) if key in by_station]  # fmt: skip
    assert (few[1].withheld.station == many[1].withheld.station).all()
    assert torch.equal(few[1].withheld.value, many[1].withheld.value)


def test_gross_errors_meet_the_background_check(simulated, design):
    spoilt = replace(OBSERVING, gross_error_rate=0.5)
    sound, checked, unchecked = (
        next(osse_cases(design, observing, seed=0, split="test", hours=(2,))).problem.observations
        for observing in (OBSERVING, spoilt, replace(spoilt, background_limit=None))
    )
    assert len(checked) < len(sound) <= len(unchecked) == 125


def test_training_writes_a_checkpoint_and_goes_on_to_the_same_one(simulated, design, tmp_path):
    recipe = RecipeSettings(updates=6, batch_size=4, validate_every=3, validation_members=4, bfloat16=False)
    settings = TrainSettings(
        data=design,
        observing=OBSERVING,
        network=NetworkSettings(widths=(8, 16), orientations=1),
        training=recipe,
        output=str(tmp_path),
        progress=False,
        half_precision=False,
    )
    first = read_checkpoint(run_training(settings).files["checkpoint"])
    again = read_checkpoint(run_training(settings).files["checkpoint"])
    assert all(torch.equal(first.weights[name], again.weights[name]) for name in first.weights)
    assert first.provenance["data_set"]["seed"] == 0 and first.provenance["progress"]["update"] == 6
    assert first.config["background_errors"].keys() == {"t2m", "d2m", "u10m", "v10m", "sp"}
    assert "Limits" in first.card
    lines = (tmp_path / "unet_regression_training" / "metrics.jsonl").read_text().splitlines()
    assert len([line for line in lines if "loss" in json.loads(line)]) >= 6


@pytest.fixture(scope="session")
def checkpoints(simulated, design, tmp_path_factory):
    """Networks that have learned next to nothing: their regression is optimal interpolation."""
    output = str(tmp_path_factory.mktemp("checkpoints"))
    recipe = RecipeSettings(updates=1, batch_size=2, learning_rate=1e-9, validation_members=2, bfloat16=False)
    made = {}
    for target in ("unet_regression", "background_correction"):
        settings = TrainSettings(
            target=target,
            data=design,
            observing=OBSERVING,
            network=NetworkSettings(widths=(8,), orientations=1),
            training=recipe,
            output=output,
            progress=False,
        )
        made[target] = str(run_training(settings).files["checkpoint"])
    return made


def test_a_comparison_judges_every_method_alike(design, checkpoints, tmp_path, monkeypatch):
    monkeypatch.setattr("rtma_diffda.experiments.comparison_report._SHOWN", ("u10m",))  # maps take most of the time
    settings = CompareSettings(
        data=design,
        checkpoints=checkpoints,
        observing=OBSERVING,
        hours_of_day=(3,),  # one of the hours that the interpolation in the networks was tuned on
        sensitivity=SensitivitySettings(stations=(10,), error_factor=(), gross_error_rate=(), runs=1),
        seed=0,
        output=str(tmp_path),
        progress=False,
    )
    found = run_comparison(settings)
    ratios = pd.read_parquet(found.files["ratios"])
    assert set(ratios["setting"]) == {"default", "10 stations"} and set(ratios["method"]) == set(settings.methods)
    grid = ratios[(ratios["setting"] == "default") & (ratios["place"] == "grid")].set_index("method")["rmse_ratio"]
    assert grid["optimal_interpolation"] == 1.0
    # Tuned on the same validation runs, an untrained network is optimal interpolation, and corrects nothing.
    assert grid["unet_regression"] == pytest.approx(1.0, abs=1e-3)
    assert grid["background_correction"] == pytest.approx(grid["background"], rel=1e-3)
    assert grid["background"] > 1.1
    assert "unet regression" in found.text and found.files["report"].stat().st_size > 100_000
    page = found.files["report"].read_text(encoding="utf-8")
    assert page.count("the truth, and members.") >= 3  # a picture for every ensemble
    cases = pd.read_parquet(found.files["case scores"])
    assert (cases.groupby("method").size() == cases.groupby("method").size().iloc[0]).all()
    assert (cases["seconds"] > 0).all()


def test_an_absent_checkpoint_is_refused_in_a_sentence(design, simulated, tmp_path):
    settings = CompareSettings(
        data=design,
        methods=("optimal_interpolation", "unet_regression"),
        checkpoints={"unet_regression": str(tmp_path / "nothing")},
        observing=OBSERVING,
        hours_of_day=(1,),
        seed=0,
        progress=False,
    )
    with pytest.raises(InputError, match="nothing is no checkpoint"):
        run_comparison(settings)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"methods": ("magic",)}, "unknown methods"),
        ({"methods": ("background",)}, "not among the methods"),
        ({"hours_of_day": ()}, "hours_of_day is empty"),
    ],
)
def test_wrong_comparisons_are_refused(change, sentence):
    with pytest.raises(UsageError, match=sentence):
        CompareSettings(**change)


def test_aerodromes_need_the_real_terrain():
    with pytest.raises(UsageError, match=r"terrain=region"):
        SimulateSettings(observing=ObservingSettings(source="aerodromes"))


def test_every_draw_of_a_run_has_its_own_generator():
    identity, time = RunIdentity(1, "test", 2), np.datetime64("2026-06-01T03:00", "ns")
    draws = {
        stream: torch.rand(1, generator=identity.generator(stream, time)).item()
        for stream in ("reports", "withheld", "judge")
    }
    assert len(set(draws.values())) == 3 and identity.name == "test/002"
