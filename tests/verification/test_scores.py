"""Scores: hand-computed values, missing data, weights, the wind vector, paired ratios, display units."""

import logging

import numpy as np
import pandas as pd
import pytest

from rtma_diffda.errors import InputError
from rtma_diffda.verification.bootstrap import BlockBootstrap
from rtma_diffda.verification.display import display_difference, display_field, format_table
from rtma_diffda.verification.scores import SCORE_COLUMNS, VECTOR_WIND, rmse_by_time, score_table

TIME = np.datetime64("2026-01-01T00:00", "ns")


def pairs_of(observed: list[float], *, variable: str = "t2m", **sources: list[float]) -> pd.DataFrame:
    """Stations a, b, c … in blocks of their own (1° apart)."""
    count = len(observed)
    return pd.DataFrame(
        {
            "station": [chr(97 + i) for i in range(count)],
            "network": "metar",
            "variable": variable,
            "valid_time": TIME,
            "latitude": 40.5 + np.arange(count),
            "longitude": 10.5,
            "elevation": 0.0,
            "observed": observed,
            "error_std": 1.0,
            **sources,
        }
    )


def row_of(scores: pd.DataFrame, variable: str, source: str) -> pd.Series:
    (row,) = scores[(scores["variable"] == variable) & (scores["source"] == source)].to_dict("records")
    return pd.Series(row)


def test_hand_computed_scores():
    pairs = pairs_of([280.0, 281.0, 282.0, 283.0], background=[281, 281, 280, 287], better=[280, 281, 281, 284])
    scores = score_table(pairs)
    assert tuple(scores) == SCORE_COLUMNS
    background, better = row_of(scores, "t2m", "background"), row_of(scores, "t2m", "better")
    # errors 1, 0, −2, 4 and 0, 0, −1, 1
    assert (background["bias"], background["mae"]) == (0.75, 1.75)
    assert background["rmse"] == pytest.approx(np.sqrt(21 / 4))
    assert (better["bias"], better["mae"], better["rmse"]) == (0.0, 0.5, pytest.approx(np.sqrt(0.5)))
    assert better["ratio_to_background"] == pytest.approx(np.sqrt(2 / 21))
    assert (background["n"], background["stations"], background["blocks"], background["missing"]) == (4, 4, 4, 0)
    assert [background[f"ratio_{end}"] for end in ("low", "high")] == [1.0, 1.0]


def test_missing_values_leave_the_row_out_for_all_sources(caplog):
    pairs = pairs_of(
        [280.0, np.nan, 282.0, 283.0],
        background=[281, 281, 280, 287],
        better=[280, 281, np.nan, 284],
        absent=[np.nan] * 4,
    )
    with caplog.at_level(logging.WARNING):
        scores = score_table(pairs)
    assert scores["source"].tolist() == ["background", "better"]
    background = row_of(scores, "t2m", "background")
    assert (background["n"], background["missing"], background["bias"]) == (2, 2, 2.5)
    assert background["rmse"] == pytest.approx(np.sqrt(17 / 2))
    assert "t2m: 2 of 4 data lack a value of some source" in caplog.text


def test_weights():
    pairs = pairs_of([280.0, 281.0, 282.0], background=[281, 283, 279]).assign(weight=[2.0, 1.0, 0.0])
    row = row_of(score_table(pairs, weights="weight"), "t2m", "background")
    assert row["bias"] == pytest.approx(4 / 3)
    assert row["rmse"] == pytest.approx(np.sqrt(6 / 3))
    assert row["n"] == 3
    with pytest.raises(InputError, match="finite and not negative"):
        score_table(pairs.assign(weight=[1.0, np.nan, 1.0]), weights="weight")


def test_wind_vector():
    u = pairs_of([3.0, 0.0], variable="u10m", background=[6.0, 0.0], better=[3.0, 1.0])
    v = pairs_of([4.0, 0.0], variable="v10m", background=[8.0, 2.0], better=[4.0, 0.0]).iloc[::-1]
    scores = score_table(pd.concat([u, v], ignore_index=True))
    background, better = (row_of(scores, VECTOR_WIND, source) for source in ("background", "better"))
    assert background["rmse"] == pytest.approx(np.sqrt((25 + 4) / 2))
    assert background["mae"] == pytest.approx(3.5)
    assert better["ratio_to_background"] == pytest.approx(np.sqrt(1 / 29))
    assert np.isnan(background[["bias", "bias_low", "bias_high"]].to_numpy(float)).all()
    assert scores["variable"].unique().tolist() == ["u10m", "v10m", VECTOR_WIND]


def test_a_station_without_both_components_has_no_wind_vector():
    u = pairs_of([3.0, 0.0, 1.0], variable="u10m", background=[6.0, 0.0, 0.0])
    v = pairs_of([4.0, 0.0], variable="v10m", background=[8.0, 2.0])
    assert row_of(score_table(pd.concat([u, v])), VECTOR_WIND, "background")["n"] == 2


def test_ratio_interval_is_paired():
    """An analysis that halves every error of the background has a ratio of ½ without any doubt."""
    errors = np.random.default_rng(0).normal(size=60)
    pairs = pairs_of([280.0] * 60, background=280 + errors, half=280 + errors / 2)
    half = row_of(score_table(pairs, bootstrap=BlockBootstrap(period=None)), "t2m", "half")
    assert half["ratio_low"] == pytest.approx(0.5)
    assert half["ratio_high"] == pytest.approx(0.5)
    assert half["rmse_low"] < half["rmse"] < half["rmse_high"]
    assert half["bias_low"] < half["bias"] < half["bias_high"]


def test_one_block_has_no_interval_and_no_background_no_ratio():
    pairs = pairs_of([280.0, 281.0], other=[281.0, 281.0])
    row = row_of(score_table(pairs, bootstrap=BlockBootstrap(block_degrees=None)), "t2m", "other")
    assert row["blocks"] == 1
    assert np.isnan([row["rmse_low"], row["rmse_high"], row["ratio_to_background"], row["ratio_low"]]).all()


def test_no_pairs_give_an_empty_table():
    assert score_table(pairs_of([], background=[])).empty
    assert format_table(score_table(pairs_of([], background=[]))).startswith("variable")


def test_rmse_by_time():
    pairs = pairs_of([280.0, 280.0, 280.0], background=[281.0, 283.0, 278.0])
    pairs["valid_time"] = pd.to_datetime(["2026-01-01T00:05", "2026-01-01T00:55", "2026-01-01T01:10"])
    series = rmse_by_time(pairs, "t2m")
    assert series["background"].tolist() == [pytest.approx(np.sqrt(5)), 2.0]
    assert series["n"].tolist() == [2, 1]
    assert series.index.tolist() == [pd.Timestamp("2026-01-01T00:00"), pd.Timestamp("2026-01-01T01:00")]
    assert rmse_by_time(pairs, "d2m").empty
    cycles = pairs.assign(analysis_time=pd.to_datetime(["2026-01-01T00:15", "2026-01-01T01:00", "2026-01-01T01:00"]))
    assert rmse_by_time(cycles, "t2m")["background"].tolist() == [1.0, pytest.approx(np.sqrt(6.5))]


def test_differences_are_shown_without_the_offset():
    assert display_field("t2m", 283.15) == (pytest.approx(10.0), "°C")
    assert display_difference("t2m", 2.0) == (2.0, "K")
    assert display_difference("sp", 150.0) == (1.5, "hPa")


def test_table_for_the_terminal():
    pairs = pd.concat(
        [
            pairs_of([280.0, 281.0, 282.0, 283.0], background=[281, 281, 280, 287], better_one=[280, 281, 281, 284]),
            pairs_of([1e5, 1e5], variable="sp", background=[100200, 99800]),
        ]
    )
    bootstrap = BlockBootstrap(block_degrees=None)
    assert format_table(score_table(pairs, bootstrap=bootstrap)).splitlines() == [
        "variable                source      n  blocks  bias   MAE  RMSE  interval  ratio  interval",
        "2 m temperature (K)     background  4       1  0.75  1.75  2.29         –   1.00         –",
        "                        better one  4       1  0.00  0.50  0.71         –   0.31         –",
        "surface pressure (hPa)  background  2       1  0.00  2.00  2.00         –   1.00         –",
    ]
