"""Each test of quality control on cases decided by hand."""

import numpy as np
import pandas as pd
import pytest
import torch
from builders import NOON, random_state, random_table, small_grid, small_static

from rtma_diffda.errors import UsageError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.observations.error_model import DEFAULT_ERRORS, ErrorModel
from rtma_diffda.observations.flags import Flag
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.observations.quality_control import (
    BackgroundCheck,
    flag_consistency,
    flag_lists,
    flag_range,
    flag_region,
    flag_repeats,
    flag_whole_winds,
    flag_window,
)
from rtma_diffda.observations.screening import QualityControl
from rtma_diffda.observations.table import Observations, as_table
from rtma_diffda.times import Window

MINUTE = np.timedelta64(1, "m")
LAYOUT = Layout.of(small_grid(), ["t2m", "d2m"])


def table_of(*rows: dict) -> pd.DataFrame:
    place = {"latitude": LAYOUT.grid.latitude()[4, 4], "longitude": LAYOUT.grid.longitude()[4, 4]}
    base = {"station": "KAAA", "network": "metar", "report_type": "METAR", "valid_time": NOON, "elevation": 10.0}
    return as_table(pd.DataFrame([base | place | row for row in rows]))


def test_range_marks_gross_errors_and_missing_values():
    table = table_of(
        {"variable": "t2m", "value": 273.15 + 91}, {"variable": "d2m", "value": 273.15 + 97},
        {"variable": "t2m", "value": 330.0}, {"variable": "sp", "value": np.nan}, {"variable": "vis", "value": -1.0},
    )  # fmt: skip
    assert flag_range(table)["flags"].tolist() == [Flag.RANGE, Flag.RANGE, 0, Flag.MISSING, Flag.RANGE]


def test_consistency_marks_both_of_a_contradiction():
    table = table_of(
        {"variable": "t2m", "value": 280.0}, {"variable": "d2m", "value": 282.0},
        {"variable": "ws10m", "value": 12.0}, {"variable": "gust", "value": 9.0},
        {"variable": "t2m", "value": 280.0, "station": "KBBB"}, {"variable": "d2m", "value": 280.5, "station": "KBBB"},
    )  # fmt: skip
    flags = flag_consistency(table)["flags"].to_numpy()
    assert flags.tolist() == [Flag.CONSISTENCY] * 4 + [0, 0]


def test_consistency_spares_a_datum_whose_partner_is_out_of_range():
    table = flag_range(table_of({"variable": "t2m", "value": 280.0}, {"variable": "d2m", "value": 370.0}))
    assert flag_consistency(table)["flags"].tolist() == [0, Flag.RANGE]


def test_lists_name_stations_or_single_variables():
    table = table_of({"variable": "t2m", "value": 280.0}, {"variable": "d2m", "value": 279.0})
    assert flag_lists(table, reject=("KAAA:d2m",))["flags"].tolist() == [0, Flag.BLOCKLISTED]
    assert (flag_lists(table, reject=("KAAA",))["flags"].to_numpy() == Flag.BLOCKLISTED).all()
    assert (flag_lists(table, reject=())["flags"] == 0).all()


def test_region_marks_no_position_and_outside():
    table = table_of(
        {"variable": "t2m", "value": 280.0}, {"variable": "t2m", "value": 280.0, "latitude": np.nan},
        {"variable": "t2m", "value": 280.0, "latitude": -40.0},
    )  # fmt: skip
    assert flag_region(table, LAYOUT.grid)["flags"].tolist() == [0, Flag.NO_POSITION, Flag.OUTSIDE_REGION]


def test_window_includes_its_ends():
    offsets = [-16, -15, 0, 15, 16]
    table = table_of(*({"variable": "t2m", "value": 280.0, "valid_time": NOON + m * MINUTE} for m in offsets))
    outside = flag_window(table, Window.around(NOON, 15 * MINUTE))["flags"].to_numpy() != 0
    assert outside.tolist() == [True, False, False, False, True]


def test_the_report_nearest_the_analysis_time_is_kept_and_a_bad_one_does_not_displace_it():
    table = table_of(
        {"variable": "t2m", "value": 280.0, "valid_time": NOON - 9 * MINUTE},
        {"variable": "t2m", "value": 281.0, "valid_time": NOON + 4 * MINUTE, "report_type": "SPECI"},
        {"variable": "t2m", "value": 500.0, "valid_time": NOON},
        {"variable": "d2m", "value": 279.0, "valid_time": NOON - 9 * MINUTE},
        {"variable": "d2m", "value": 278.0, "valid_time": NOON + 9 * MINUTE},
    )  # fmt: skip
    flags = flag_repeats(flag_range(table), NOON)["flags"].tolist()
    assert flags == [Flag.DUPLICATE, 0, Flag.RANGE, Flag.DUPLICATE, 0]


def test_errors_come_from_the_network_and_stated_ones_stay():
    table = table_of(
        {"variable": "t2m", "value": 280.0}, {"variable": "t2m", "value": 280.0, "network": "backyard"},
        {"variable": "t2m", "value": 280.0, "error_std": 0.3}, {"variable": "tp", "value": 0.0},
    )  # fmt: skip
    assigned = ErrorModel().assign(table)
    assert assigned["error_std"].tolist()[:3] == [
        DEFAULT_ERRORS["metar"]["t2m"], DEFAULT_ERRORS["mesonet"]["t2m"], 0.3,
    ]  # fmt: skip
    assert assigned["flags"].tolist() == [0, 0, 0, Flag.NO_ERROR]


def test_error_model_refuses_nonsense():
    with pytest.raises(UsageError, match="must be positive"):
        ErrorModel({"metar": {"t2m": -1.0}}, fallback="metar")
    with pytest.raises(UsageError, match="unknown variable"):
        ErrorModel({"metar": {"warmth": 1.0}}, fallback="metar")
    with pytest.raises(UsageError, match="fallback"):
        ErrorModel({"metar": {"t2m": 1.0}})


def test_background_check_compares_with_both_errors():
    observations = Observations.from_table(random_table(LAYOUT, 4), LAYOUT)
    check = BackgroundCheck(limit=3.0, background_std=(("t2m", 2.0),))
    innovations = np.array([3 * np.sqrt(5.0) + 0.01, 1e6, -3 * np.sqrt(5.0) + 0.01, 1e6])
    marked = check.mark(observations, LAYOUT.names, innovations)
    assert marked.flags.tolist() == [Flag.BACKGROUND, 0, 0, 0]  # d2m has no stated spread: not checked
    with pytest.raises(UsageError):
        BackgroundCheck(limit=0.0)


def test_screening_runs_the_tests_in_order_and_keeps_withheld_data_from_the_background_check():
    table = table_of(
        {"variable": "t2m", "value": 280.0}, {"variable": "t2m", "value": 310.0, "station": "KBBB"},
        {"variable": "t2m", "value": 310.0, "station": "KCCC"}, {"variable": "vis", "value": 5000.0},
    )  # fmt: skip
    control = QualityControl(reject=("KAAA:vis",))
    screened = control.screen(table, grid=LAYOUT.grid, window=Window.around(NOON, 15 * MINUTE))
    assert screened["flags"].tolist() == [0, 0, 0, Flag.BLOCKLISTED]
    observations = Observations.from_table(screened, LAYOUT).with_flag(np.array([0, 0, 1], bool), Flag.WITHHELD)
    background = random_state(LAYOUT).with_values(torch.full((1, *LAYOUT.shape), 280.0))
    operator = BilinearOperator(LAYOUT, small_static())
    checked = control.check_background(observations, background, operator)
    assert checked.flags.tolist() == [0, Flag.BACKGROUND, Flag.WITHHELD]
    unchecked = QualityControl(background_check=None).check_background(observations, background, operator)
    assert unchecked.flags.tolist() == observations.flags.tolist()


def test_a_bad_speed_spoils_its_components_but_no_other_time():
    table = table_of(
        {"variable": "ws10m", "value": 12.0}, {"variable": "gust", "value": 9.0},
        {"variable": "u10m", "value": 12.0}, {"variable": "v10m", "value": 0.0},
        {"variable": "u10m", "value": 2.0, "valid_time": NOON + MINUTE}, {"variable": "t2m", "value": 280.0},
    )  # fmt: skip
    flags = flag_whole_winds(flag_consistency(table))["flags"].tolist()
    assert flags == [Flag.CONSISTENCY] * 4 + [0, 0]
    assert len(flag_whole_winds(table.iloc[:0])) == 0


def test_background_check_rejects_a_wind_as_a_whole():
    layout = Layout.of(small_grid(), ["u10m", "v10m"])
    table = random_table(layout, 4).assign(station=["A", "A", "B", "B"])
    marked = BackgroundCheck(limit=3.0).mark(
        Observations.from_table(table, layout), layout.names, np.array([0.1, 50.0, 0.1, 0.1])
    )
    assert marked.flags.tolist() == [Flag.BACKGROUND, Flag.BACKGROUND, 0, 0]
