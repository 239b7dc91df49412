"""Cases: marks, withholding, feedback, generators."""

import numpy as np
import pandas as pd
import pytest
import torch
from builders import NOON, random_state, random_table, small_grid, small_static

from rtma_diffda.cycling.case import CaseSources, feedback, seeded
from rtma_diffda.experiments.methods import MethodSettings, build_method
from rtma_diffda.experiments.simulated_world import truth_rmse
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.region import Region
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.observations.flags import Flag
from rtma_diffda.observations.screening import QualityControl
from rtma_diffda.times import Window

LAYOUT = Layout.of(small_grid(), ["t2m"])
REGION = Region("small", "Small", LAYOUT.grid, ("t2m",))


def a_case(count: int = 60, static: StaticFields | None = None, withheld: tuple[str, ...] = ("S001", "S002")):
    table = random_table(LAYOUT, count)
    table.loc[0, "value"] = 600.0
    table.loc[3, "value"] = 320.0
    table.loc[4, ["latitude", "longitude"]] = np.nan
    table.loc[5, "variable"] = "vis"
    background = random_state(LAYOUT)
    background = background.with_values(280.0 + background.values)
    sources = CaseSources(REGION, static or small_static(), QualityControl(), withheld)
    return sources.case(background, table, Window.around(NOON, np.timedelta64(15, "m")), {"source": "test"})


def test_marks_reach_the_table_and_the_observations_alike():
    case = a_case()
    flags = dict(zip(case.table["station"], case.table["flags"], strict=True))
    assert flags["S000"] == Flag.RANGE and flags["S001"] == Flag.WITHHELD and flags["S003"] == Flag.BACKGROUND
    assert flags["S004"] == Flag.NO_POSITION and flags["S005"] == 0
    assert dict(zip(case.observations.station, case.observations.flags, strict=True)).items() <= flags.items()
    assert not {"S000", "S001", "S002", "S003", "S004"} & set(case.problem().observations.station)


def test_feedback_has_every_datum_and_departures_where_h_applies():
    case = a_case()
    built = build_method(MethodSettings("optimal_interpolation"), [case.problem()], case.static)
    analysis = built.method.analyse(case.problem(), generator=seeded(1, NOON))
    rows = feedback(case, analysis).set_index("station")
    assert len(rows) == 60
    assert rows.loc[["S004", "S005"], "ombg"].isna().all() and np.isfinite(rows.loc["S001", "oman"])
    expected = case.problem().innovations()[0].numpy()
    used = rows.loc[list(case.problem().observations.station), "ombg"]
    assert np.allclose(used, expected)


@pytest.mark.parametrize("name", ["optimal_interpolation", "observation_interpolation"])
def test_methods_are_tuned_on_the_problem_or_say_that_they_are_not(name):
    tuned = build_method(MethodSettings(name), [a_case().problem()], small_static())
    assert "leave-one-out RMS" in tuned.description
    few = build_method(MethodSettings(name), [a_case(count=12).problem()], small_static())
    assert few.description == "t2m: default parameters, not tuned"


def test_without_terrain_grid_points_take_heights_from_stations():
    case = a_case(static=StaticFields(LAYOUT.grid))
    method = build_method(MethodSettings(), [case.problem()], case.static).method
    assert "station heights" in method.static.source
    assert method.static.orography.min() >= 0 and method.static.orography.max() <= 800


def test_generators_depend_on_seed_and_time_alone():
    draw = lambda seed, time: torch.rand(3, generator=seeded(seed, time)).tolist()  # noqa: E731
    assert draw(1, NOON) == draw(1, NOON)
    assert draw(1, NOON) != draw(2, NOON)
    assert draw(1, NOON) != draw(1, NOON + np.timedelta64(15, "m"))


def test_truth_rmse_by_hand():
    truth = random_state(LAYOUT)
    off = truth.with_values(truth.values + 3.0)
    table = truth_rmse(truth, {"same": truth, "off": off})
    assert table.loc["t2m"].tolist() == pytest.approx([0.0, 3.0])
    assert isinstance(table, pd.DataFrame)
