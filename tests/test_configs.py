"""Every configuration file becomes settings, and every experiment names files, regions and methods that exist."""

from dataclasses import replace

import numpy as np
import pytest

from rtma_diffda.cli.configuration import compose_settings
from rtma_diffda.experiments.analyse import AnalyseSettings
from rtma_diffda.experiments.compare import CompareSettings
from rtma_diffda.experiments.cycle_settings import BackgroundSettings, CycleSettings, ReportSettings
from rtma_diffda.experiments.demo import DemoSettings
from rtma_diffda.experiments.forecast import ForecastSettings
from rtma_diffda.experiments.ingest import IngestSettings
from rtma_diffda.experiments.methods import BUILDERS
from rtma_diffda.experiments.ml_rtma_exercises import ExerciseSettings
from rtma_diffda.experiments.simulate import SimulateSettings
from rtma_diffda.experiments.train import TrainSettings
from rtma_diffda.experiments.train_global import GLOBAL_TARGETS
from rtma_diffda.geo.region import load_region
from rtma_diffda.resources import resource_directory
from rtma_diffda.training.moving_average import decay_at
from rtma_diffda.training.progress import Progress
from rtma_diffda.training.schedule import learning_rate

CYCLES = ("demo_day",)
TRAININGS = ("diffda_48h", "diffda_6h")
"""Published trainings on the globe, besides those of ``graphcast_…``."""

GIVEN = ["region=demo", "time=2026-01-01T00:15", "background=b.nc", "observations=[a.txt,c.csv]"]


def names_in(group: str) -> list[str]:
    return sorted(path.stem for path in (resource_directory("conf") / group).glob("*.yaml"))


def settings_of(overrides: list[str]) -> AnalyseSettings:
    composed = compose_settings("analyse", overrides)
    composed.pop("log")
    return AnalyseSettings.from_mapping(composed)


def experiments(prefix: str) -> list[str]:
    return [name for name in names_in("experiment") if name.startswith(prefix)]


def composed(verb: str, overrides: list[str]) -> dict:
    values = compose_settings(verb, overrides)
    values.pop("log")
    return values


def test_every_experiment_belongs_to_a_verb():
    known = [*experiments("europe"), *experiments("osse"), *experiments("ml_rtma"), *experiments("era5"), *CYCLES]
    known += [*experiments("graphcast"), *experiments("diffda")]
    assert sorted(known) == names_in("experiment")


@pytest.mark.parametrize("name", experiments("osse"))
def test_simulated_experiments_become_settings_of_every_verb_that_shares_their_data(name):
    chosen = [f"experiment={name}"]
    simulated = SimulateSettings.from_mapping(composed("simulate", chosen))
    trained = TrainSettings.from_mapping(composed("train", chosen))
    compared = CompareSettings.from_mapping(composed("compare", chosen))
    forecast = ForecastSettings.from_mapping(composed("forecast", [*chosen, "verify=true"]))
    assert simulated.data == trained.data == compared.data == forecast.data and simulated.data.name == name
    assert load_region(simulated.data.region).name == name
    assert trained.training_settings().batch_size > 0


@pytest.mark.parametrize("name", experiments("ml_rtma"))
def test_exercises_become_settings(name):
    assert f"exercise_{ExerciseSettings.from_mapping(composed('reproduce', [f'experiment={name}'])).exercise}" in name


@pytest.mark.parametrize("name", [*experiments("graphcast"), *TRAININGS])
def test_trainings_on_the_globe_become_settings(name):
    settings = TrainSettings.from_mapping(composed("train", [f"experiment={name}"]))
    assert settings.target in GLOBAL_TARGETS and settings.directory.name == settings.name
    first, last = settings.globe.period("train")
    assert first < last < settings.globe.period("validation")[0]
    assert settings.globe.network.settings().latent_size > 0 and settings.training_settings().batch_size > 0
    assert settings.globe.chosen_formulation().told_lead is (settings.globe.formulation == "improved")


def test_diffdas_training_is_the_published_one():
    """diffda.md §5: 20 epochs of 52,560 pairs, 48 at a time; a warm-up of a sixth, a constant rate from five sixths."""
    settings = TrainSettings.from_mapping(composed("train", ["experiment=diffda_48h"]))
    training = settings.training_settings()
    assert training.updates * training.batch_size == 20 * 52_560
    rates = [learning_rate(Progress(update), training) for update in (0, 3650, 18_251)]
    assert rates == pytest.approx([1e-5, 1e-4, 3e-6])
    assert (training.betas, training.weight_decay, training.clip_value) == ((0.9, 0.999), 1e-4, 0.5)
    assert decay_at(10_000, half_life=training.average_half_life, ramp=training.average_ramp) < 1e-300
    assert settings.globe.formulation == "diffda" and settings.globe.leads == (48,)
    six = TrainSettings.from_mapping(composed("train", ["experiment=diffda_6h"]))
    assert replace(six, name="diffda_48h", globe=replace(six.globe, leads=(48,))) == settings


def test_defaults_of_simulation_files_and_dataclasses_agree():
    assert SimulateSettings.from_mapping(composed("simulate", [])) == SimulateSettings()
    assert TrainSettings.from_mapping(composed("train", [])) == TrainSettings()
    assert ForecastSettings.from_mapping(composed("forecast", ["verify=true"])) == ForecastSettings(verify=True)
    from_file = CompareSettings.from_mapping(composed("compare", []))
    assert replace(from_file, checkpoints={}) == CompareSettings()


@pytest.mark.parametrize("name", experiments("europe"))
def test_every_experiment_becomes_settings(name):
    settings = settings_of([f"experiment={name}", "data=somewhere"])
    assert load_region(settings.region).name == settings.region
    assert settings.background.startswith("somewhere/") and settings.observations[0].startswith("somewhere/")


@pytest.mark.parametrize("name", CYCLES)
def test_cycles_become_settings(name):
    settings = CycleSettings.from_mapping(composed("cycle", [f"experiment={name}"]))
    assert load_region(settings.region).name == settings.region and len(settings.streams()[0].times(
        settings.start, settings.end)) == 96  # fmt: skip


def test_defaults_of_cycles_in_file_and_dataclasses_agree():
    given = {"region": "demo", "start": "2026-06-15", "end": "2026-06-16"}
    paths = {"background.path": "b.nc", "observations.path": "spool"}
    found = CycleSettings.from_mapping(composed("cycle", [f"{k}={v}" for k, v in {**given, **paths}.items()]))
    start, end = (np.datetime64(given[name], "ns") for name in ("start", "end"))
    background, observed = BackgroundSettings("b.nc"), ReportSettings(("spool",))
    assert found == CycleSettings("demo", background, start, end, observations=observed)


@pytest.mark.parametrize("name", names_in("method"))
def test_every_method_is_registered(name):
    assert settings_of([*GIVEN, f"method={name}"]).method.name == name
    assert name in BUILDERS


def test_every_registered_method_has_a_file():
    assert sorted(BUILDERS) == names_in("method")


def test_defaults_of_files_and_dataclasses_agree():
    composed = compose_settings("demo", [])
    composed.pop("log")
    assert DemoSettings.from_mapping(composed) == DemoSettings()
    from_file = settings_of(GIVEN)
    plain = AnalyseSettings(from_file.region, from_file.time, from_file.background, from_file.observations)
    for name in ("method", "quality_control", "verification", "window_minutes", "seed", "overwrite", "stations"):
        assert getattr(from_file, name) == getattr(plain, name), name


def test_ingest_takes_one_file_or_several():
    composed = compose_settings("ingest", ["observations=[a.txt,b.txt]", "time=2026-01-01T00:00"])
    composed.pop("log")
    assert IngestSettings.from_mapping(composed).observations == ("a.txt", "b.txt")
