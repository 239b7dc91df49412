"""The authors' numbers: complete, and consistent with what was counted from the figures."""

import numpy as np
import pytest

from rtma_diffda.verification.diffda_expected import (
    ANALYSIS,
    BLUR,
    COLUMNS,
    FROM_ANALYSIS,
    FROM_TRUTH,
    INTERPOLATION,
    LEADS,
    count_not_worse,
    expected_rmse,
    expected_values,
)


def test_every_channel_has_every_number_of_columns_and_every_lead():
    table = expected_values()
    main = table[(table["blur"] == BLUR) & table["source"].isin([ANALYSIS, FROM_ANALYSIS])]
    assert (main.groupby(["source", "columns"]).size() == 82).all() and set(main["columns"]) == set(COLUMNS)
    forecasts = table[table["source"] == FROM_TRUTH]
    assert (forecasts.groupby("lead_hours").size() == 82).all() and set(forecasts["lead_hours"]) == set(LEADS)
    assert not table.duplicated(["source", "channel", "columns", "lead_hours", "blur"]).any()
    assert np.isfinite(table["rmse"]).all() and (table["rmse"] > 0).all()


def test_headline_values_are_those_of_the_figures():
    assert expected_rmse(ANALYSIS, "z500", columns=10_000) == 42.142
    assert expected_rmse(ANALYSIS, "t2m", columns=1_000) == 1.557
    assert expected_rmse(ANALYSIS, "z500", columns=40_000, blur=0.5) == 36.521
    assert expected_rmse(FROM_ANALYSIS, "msl", columns=10_000) == 163.4
    assert expected_rmse(FROM_TRUTH, "z500", lead_hours=48) == 93.158
    assert expected_rmse(FROM_TRUTH, "u10m", lead_hours=72) == 1.659
    assert expected_rmse(INTERPOLATION, "z500", columns=20_000) == 25.9
    assert np.isnan(expected_rmse(ANALYSIS, "z500", columns=123)) and np.isnan(expected_rmse(FROM_TRUTH, "z501"))


@pytest.mark.parametrize(
    ("columns", "count"),
    [(1000, 12), (2000, 24), (4000, 43), (8000, 63), (10_000, 69), (20_000, 76), (40_000, 80)],
)
def test_channels_no_worse_than_the_background(columns, count):
    assert count_not_worse(ANALYSIS, columns=columns, than_lead=48) == (count, 82)


@pytest.mark.parametrize(("columns", "count"), [(8000, 24), (10_000, 43), (20_000, 70), (40_000, 71)])
def test_channels_that_lose_no_more_than_a_day(columns, count):
    assert count_not_worse(FROM_ANALYSIS, columns=columns, than_lead=72) == (count, 82)


@pytest.mark.parametrize(("columns", "count"), [(8000, 18), (10_000, 28), (20_000, 62), (40_000, 79)])
def test_channels_as_good_as_a_day_old_forecast(columns, count):
    assert count_not_worse(ANALYSIS, columns=columns, than_lead=24) == (count, 82)


def test_the_table_cannot_be_spoilt_by_its_readers():
    table = expected_values()
    table["rmse"] = 0.0
    assert expected_values()["rmse"].min() > 0
