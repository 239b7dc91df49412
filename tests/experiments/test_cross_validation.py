"""Cross-validation: nobody sees what they are scored at, and everything is scored."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from builders import random_observations, random_state, small_grid

from rtma_diffda.errors import InputError
from rtma_diffda.experiments.cross_validation import cross_validate
from rtma_diffda.experiments.methods import MethodSettings, build_method
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import AssimilationProblem, PointAnalysis
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.observations.quality_control import BackgroundCheck
from rtma_diffda.observations.table import Observations
from rtma_diffda.times import Window

NOON = np.datetime64("2026-01-01T12:00", "ns")


@dataclass
class MeanOfTraining:
    """Answers the mean of the data it was given, and remembers who they were."""

    seen: list[set] = field(default_factory=list)

    def method_for(self, training: AssimilationProblem) -> "MeanOfTraining":
        self.seen.append(set(training.observations.station))
        return self

    def analyse_at(self, problem: AssimilationProblem, targets: Observations) -> PointAnalysis:
        assert not set(targets.station) & set(problem.observations.station)
        mean = problem.observations.value.mean().expand(1, len(targets))
        return PointAnalysis(mean, torch.ones(len(targets)))


@pytest.fixture
def problem():
    grid = ProjectedGrid("+proj=lcc +lat_1=45 +lat_2=45 +lat_0=45 +lon_0=10 +R=6371200 +units=m", 9, 9, 1e4, 1e4, -4e4,
                         -4e4)  # fmt: skip
    layout = Layout.of(grid, ["t2m"])
    count = 12
    data = Observations(
        value=torch.arange(280.0, 292.0, dtype=torch.float64),
        error_std=torch.ones(count, dtype=torch.float64),
        latitude=torch.linspace(44.8, 45.2, count, dtype=torch.float64),
        longitude=torch.full((count,), 10.0, dtype=torch.float64),
        elevation=torch.zeros(count, dtype=torch.float64),
        channel=torch.zeros(count, dtype=torch.int64),
        valid_time=np.full(count, NOON),
        station=np.array([f"S{i}" for i in range(count)], dtype=object),
        network=np.full(count, "synop", dtype=object),
        flags=np.zeros(count, np.int32),
        bound=np.zeros(count, np.int8),
    )
    background = State(torch.full((1, 1, 9, 9), 286.0, dtype=torch.float64), layout, NOON)
    operator = BilinearOperator(layout, StaticFields(grid))
    return AssimilationProblem(background, data, operator, Window.around(NOON, np.timedelta64(30, "m")))


def test_every_datum_is_scored_once_in_its_order_by_what_has_not_seen_it(problem):
    folds = np.arange(12) % 4
    pairs = cross_validate(problem, folds, MeanOfTraining().method_for)
    assert pairs["station"].tolist() == problem.observations.station.tolist()
    assert pairs["fold"].tolist() == folds.tolist()
    values = problem.observations.value.numpy()
    expected = [values[folds != fold].mean() for fold in folds]
    np.testing.assert_allclose(pairs["analysis"], expected)
    np.testing.assert_allclose(pairs["background"], 286.0)
    assert (pairs["analysis_error_std"] == 1.0).all()


def test_gross_departures_are_scored_but_train_nobody(problem):
    value = problem.observations.value.clone()
    value[5] = 330.0
    spoilt = replace(problem, observations=replace(problem.observations, value=value))
    spy = MeanOfTraining()
    pairs = cross_validate(spoilt, np.arange(12) % 3, spy.method_for, check=BackgroundCheck())
    assert pairs.loc[pairs["station"] == "S5", "observed"].item() == 330.0
    assert not any("S5" in seen for seen in spy.seen)
    trusting = MeanOfTraining()
    cross_validate(spoilt, np.arange(12) % 3, trusting.method_for, check=None)
    assert sum("S5" in seen for seen in trusting.seen) == 2


def test_suspect_data_train_nobody_but_are_scored(problem):
    spy = MeanOfTraining()
    pairs = cross_validate(problem, np.arange(12) % 3, spy.method_for, suspect=np.arange(12) == 7)
    assert "S7" in set(pairs["station"]) and not any("S7" in seen for seen in spy.seen)


@pytest.mark.parametrize("name", ["optimal_interpolation", "observation_interpolation"])
def test_withheld_values_reach_neither_tuning_nor_analysis(name):
    """100 K on all values of one fold leave every prediction of that fold as it was, to the bit."""
    layout = Layout.of(small_grid(), ["t2m"])
    background = random_state(layout)
    background = background.with_values(280.0 + background.values)
    observations, static = random_observations(layout, 60), StaticFields(layout.grid)
    plain = AssimilationProblem(
        background, observations, BilinearOperator(layout, static), Window.around(NOON, np.timedelta64(30, "m"))
    )
    folds = np.arange(60) % 5
    shifted = replace(observations, value=observations.value + 100.0 * torch.from_numpy(folds == 2))

    def method_for(training):
        return build_method(MethodSettings(name), [training], static).method

    found = [
        cross_validate(replace(plain, observations=data), folds, method_for, check=BackgroundCheck(limit=1e3))
        for data in (observations, shifted)
    ]
    first, second = (pairs.loc[folds == 2, ["analysis", "analysis_error_std"]].to_numpy() for pairs in found)
    assert np.array_equal(first, second)
    assert not np.array_equal(*(pairs.loc[folds == 1, "analysis"].to_numpy() for pairs in found))


def test_a_station_in_two_folds_is_refused(problem):
    names = problem.observations.station.copy()
    names[1] = names[0]
    doubled = replace(problem, observations=replace(problem.observations, station=names))
    with pytest.raises(InputError, match="station S0 is in more than one fold"):
        cross_validate(doubled, np.arange(12) % 3, MeanOfTraining().method_for)


@pytest.mark.parametrize("folds", [np.zeros(12, int), np.arange(5)])
def test_unfit_folds_are_refused(problem, folds):
    with pytest.raises(InputError, match="at least two folds"):
        cross_validate(problem, folds, MeanOfTraining().method_for)
