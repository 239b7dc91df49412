"""Statistics of a data set: known errors, known drift, known spectra."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import small_grid

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.verification.data_set_statistics import (
    RunStatistics,
    background_spectra,
    background_table,
    drift_table,
    lead_errors,
)

LAYOUT = Layout.of(small_grid(16, 16, 5000.0), ("t2m", "sp"))
START = np.datetime64("2026-06-01T00:00", "ns")
HOUR = np.timedelta64(1, "h")


def series(values: torch.Tensor) -> StateSeries:
    return StateSeries(values, LAYOUT, START + np.arange(len(values)) * HOUR)


def noise(hours: int, seed: int) -> torch.Tensor:
    return torch.randn(hours, *LAYOUT.shape, generator=torch.Generator().manual_seed(seed))


def run_of(error: torch.Tensor, name: str, *, trend: float = 0.0) -> RunStatistics:
    truth = 280.0 + noise(len(error), 1) + trend * torch.arange(len(error))[:, None, None, None]
    return RunStatistics.of(series(truth), series(truth + error), run=name)


def test_errors_by_variable_and_point():
    error = torch.zeros(4, *LAYOUT.shape)
    error[:, 0] = 2.0
    error[:2, 1, 3, 5], error[2:, 1, 3, 5] = 8.0, -8.0
    run = run_of(error, "test/000")
    assert run.rmse == pytest.approx([2.0, 8.0 / 16.0], rel=1e-4)
    assert run.bias == pytest.approx([2.0, 0.0], abs=1e-4)
    assert run.error_map[1, 3, 5] == pytest.approx(8.0, rel=1e-4)
    assert run.bias_map[1, 3, 5] == pytest.approx(0.0, abs=1e-4)
    assert run.background_mean[:, 0] - run.truth_mean[:, 0] == pytest.approx(2.0, abs=1e-4)
    assert run.not_finite == 0


def test_runs_are_put_together_by_their_length():
    runs = [run_of(torch.full((4, *LAYOUT.shape), 1.0), "a"), run_of(torch.full((12, *LAYOUT.shape), 3.0), "b")]
    table = background_table(runs).set_index("variable")
    assert table.loc["t2m", "rmse"] == pytest.approx(np.sqrt((4 * 1 + 12 * 9) / 16), rel=1e-4)
    assert table.loc["t2m", "bias"] == pytest.approx((4 * 1 + 12 * 3) / 16, rel=1e-4)
    assert table.loc["t2m", ["least_rmse", "largest_rmse"]].tolist() == pytest.approx([1.0, 3.0], rel=1e-4)
    assert table.loc["t2m", "worst_run"] == "b"
    assert table.loc["t2m", "truth_std"] == pytest.approx(1.0, rel=0.05)


def test_a_trend_is_seen_and_the_course_of_the_day_is_not():
    hours = 48
    day = 5.0 * torch.sin(2 * torch.pi * torch.arange(hours) / 24)[:, None, None, None]
    truth = 280.0 + day + noise(hours, 2)
    still = RunStatistics.of(series(truth), series(truth), run="still")
    rising = run_of(torch.zeros(hours, *LAYOUT.shape), "rising", trend=0.1)
    assert drift_table([still])["mean_change"].tolist() == pytest.approx([0.0, 0.0], abs=0.05)
    assert drift_table([rising])["mean_change"].tolist() == pytest.approx([2.4, 2.4], abs=0.05)
    assert drift_table([still, rising])["std_change"].tolist() == pytest.approx([2.4 / np.sqrt(2)] * 2, abs=0.05)
    growing = replace(still, truth_std=still.truth_std * np.linspace(1.0, 3.0, hours)[:, None])
    assert drift_table([growing])["std_ratio"].tolist() == pytest.approx([2.5 / 1.5] * 2, rel=0.05)


def test_spectra_of_independent_noise():
    run = run_of(2.0 * noise(6, 9), "r")
    table = background_spectra([run, run])
    for name in LAYOUT.names:
        rows = table[table["variable"] == name]
        assert rows["truth"].sum() == pytest.approx(1.0, rel=0.1)
        assert rows["error"].sum() == pytest.approx(4.0, rel=0.1)
        assert rows["background"].sum() == pytest.approx(5.0, rel=0.1)
        assert rows["coherence"].iloc[4:16].mean() == pytest.approx(0.2, abs=0.08)  # 1 / (1 + 4)


def test_errors_by_lead_time():
    truth = series(280.0 + noise(12, 3))
    lagged = {lead: StateSeries(truth.values[::4] + lead, LAYOUT, truth.valid_times[::4]) for lead in (6, 3)}
    table = lead_errors(truth, lagged, run="r")
    assert table["lead"].tolist() == [3, 3, 6, 6]
    assert table["rmse"].tolist() == pytest.approx([3.0, 3.0, 6.0, 6.0], rel=1e-4)
    assert (table["times"] == 3).all()


def test_what_does_not_fit_is_refused():
    truth = series(noise(4, 0))
    with pytest.raises(InputError, match="layouts and times must agree"):
        RunStatistics.of(truth, series(noise(5, 0)), run="r")
    with pytest.raises(InputError, match="of 0 runs cannot be put together"):
        background_table([])
    bad = noise(4, 0)
    bad[0, 0, 0, 0] = torch.nan
    assert RunStatistics.of(truth, series(bad), run="r").not_finite == 1
