"""Cycled training runs: the weather stays, the backgrounds have learned from earlier observations."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.cycled_data_set import CycledSettings, cycled_first_guesses, make_cycled_data_set
from rtma_diffda.experiments.data_set import DataSetDesign, RunCounts
from rtma_diffda.experiments.osse_cases import ObservingSettings, RunIdentity
from rtma_diffda.experiments.simulate import SimulateSettings, run_simulation
from rtma_diffda.io.simulation_store import read_run
from rtma_diffda.training.pairs import load_pairs

SETTINGS = CycledSettings("tiny_cycled", hours=1.5, spin_up_cycles=1, members=2, stations=(60, 90))


@pytest.fixture(scope="module")
def design(tmp_path_factory) -> DataSetDesign:
    """Four hours of weather every 15 minutes."""
    made = DataSetDesign(
        name="tiny",
        region="osse_tiny",
        runs=RunCounts(1, 1, 0),
        hours=5,
        interval_minutes=15,
        lags=(1,),
        directory=str(tmp_path_factory.mktemp("quarter_hours")),
    )
    observing = ObservingSettings(stations=60, withheld=10)
    splits = ("train", "validation")
    run_simulation(SimulateSettings(made, observing, splits=splits, workers=1, report=False, progress=False))
    return made


@pytest.fixture(scope="module")
def cycled(design):
    """The run with its first guesses, and the run that it is made of."""
    run = read_run(design.run_path(0, "train", 0))
    return cycled_first_guesses(run, RunIdentity(0, "train", 0), SETTINGS), run


def rmse(first, second) -> torch.Tensor:
    return (first - second).double().square().mean(dim=(0, 2, 3)).sqrt()


def test_the_weather_stays_and_the_first_guesses_are_nearer_to_it(cycled):
    made, run = cycled
    rows = np.searchsorted(run.times, made.times)
    assert len(made.times) == 5 and made.times[0] == run.times[1]
    assert torch.equal(made.truth.values, run.truth.values[rows]) and made.static is run.static
    given = rmse(run.background.values[rows], made.truth.values)
    assert bool((rmse(made.background.values, made.truth.values) < given).all())


def test_runs_of_odd_number_are_cycled_later_in_the_day(cycled):
    made, run = cycled
    later = cycled_first_guesses(run, RunIdentity(0, "train", 1), replace(SETTINGS, hours=1.0, spin_up_cycles=0))
    reached = run.large_scale.valid_times[-1] - np.timedelta64(105, "m")
    assert later.times[-1] == run.times[run.times <= reached][-1] > made.times[-1]


def test_the_new_data_set_is_one_like_any_other_and_is_made_once(design):
    where = {"seed": 0, "splits": ("train", "validation"), "workers": 1}
    path = make_cycled_data_set(design, SETTINGS, **where)
    assert path == replace(design, name="tiny_cycled").path(0)
    pairs = load_pairs(path, "train", large_scale=True)
    assert len(pairs) == 5 and pairs.large_scale.shape == pairs.truth.shape
    stamp = (path / "train" / "000.zarr").stat().st_mtime_ns
    assert make_cycled_data_set(design, SETTINGS, **where) == path
    assert (path / "train" / "000.zarr").stat().st_mtime_ns == stamp


def test_what_cannot_be_cycled_is_refused_in_a_sentence(design, cycled):
    _, run = cycled
    with pytest.raises(UsageError, match="weather every 15 minutes and a name of their own"):
        make_cycled_data_set(replace(design, interval_minutes=60), SETTINGS, seed=0, splits=("train",), workers=1)
    with pytest.raises(UsageError, match="a name of their own"):
        make_cycled_data_set(design, replace(SETTINGS, name="tiny"), seed=0, splits=("train",), workers=1)
    with pytest.raises(InputError, match="times to cycle; expected 80 or more"):
        cycled_first_guesses(run, RunIdentity(0, "train", 0), replace(SETTINGS, hours=20.0))
    with pytest.raises(InputError, match="has no large scale"):
        cycled_first_guesses(replace(run, large_scale=None), RunIdentity(0, "train", 0), SETTINGS)
