"""Calibration of stated errors: hand-computed shares, and honest, over-confident and missing errors."""

import numpy as np
import pandas as pd
import pytest

from rtma_diffda.verification.bootstrap import BlockBootstrap
from rtma_diffda.verification.calibration import (
    CALIBRATION_COLUMNS,
    EXPECTED,
    calibration_table,
    standardised_departures,
)


def pairs_of(departures: np.ndarray, *, error_std: float, analysis_error_std: float) -> pd.DataFrame:
    count = len(departures)
    return pd.DataFrame(
        {
            "station": [f"S{i}" for i in range(count)],
            "network": "metar",
            "variable": "t2m",
            "valid_time": np.datetime64("2026-01-01", "ns"),
            "latitude": np.linspace(40, 60, count),
            "longitude": 0.0,
            "elevation": 0.0,
            "observed": 280.0 + departures,
            "error_std": error_std,
            "background": 279.0,
            "analysis": 280.0,
            "analysis_error_std": analysis_error_std,
        }
    )


def test_hand_computed():
    pairs = pairs_of(np.array([5.0, -2.5, 11.0, 0.0]), error_std=3.0, analysis_error_std=4.0)
    assert standardised_departures(pairs, "analysis") == pytest.approx([1.0, -0.5, 2.2, 0.0])
    table = calibration_table(pairs)
    assert tuple(table) == CALIBRATION_COLUMNS
    (row,) = table.to_dict("records")
    assert (row["source"], row["n"], row["within_1"], row["within_2"]) == ("analysis", 4, 0.75, 0.75)
    assert row["standardised_rms"] == pytest.approx(np.sqrt((1 + 0.25 + 4.84) / 4))


def test_honest_errors_meet_the_expected_shares():
    departures = np.random.default_rng(1).normal(scale=np.hypot(1.0, 1.5), size=20_000)
    (row,) = calibration_table(pairs_of(departures, error_std=1.0, analysis_error_std=1.5)).to_dict("records")
    for name, expected in EXPECTED.items():
        assert row[name] == pytest.approx(expected, abs=0.015)
    assert row["standardised_rms_low"] < row["standardised_rms"] < row["standardised_rms_high"]


def test_too_small_errors_show_as_standardised_rms_above_one():
    departures = np.random.default_rng(1).normal(scale=2.0, size=5_000)
    (row,) = calibration_table(pairs_of(departures, error_std=0.6, analysis_error_std=0.8)).to_dict("records")
    assert row["standardised_rms_low"] > 1.8


def test_missing_errors_are_left_out_and_counted():
    pairs = pairs_of(np.array([1.0, 1.0, 1.0]), error_std=1.0, analysis_error_std=0.0)
    pairs.loc[0, "error_std"] = np.nan
    pairs.loc[1, "error_std"] = 0.0
    (row,) = calibration_table(pairs, bootstrap=BlockBootstrap()).to_dict("records")
    assert (row["n"], row["missing"], row["standardised_rms"]) == (1, 2, 1.0)
    assert np.isnan(row["standardised_rms_low"])
    assert calibration_table(pairs.drop(columns="analysis_error_std")).empty
