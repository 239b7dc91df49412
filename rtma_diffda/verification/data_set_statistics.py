"""How wrong the backgrounds of a data set are, and whether its weather drifts: run by run, then over runs.

A run is read once and leaves a small record: errors by variable, a map of squared errors, spectra, and means over the
area by hour. Records of any number of runs fit in memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from rtma_diffda.errors import InputError
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.times import DAY
from rtma_diffda.verification.spectra import Bands, coefficients, coherence

SPECTRA = ("truth", "background", "error", "cross")
"""Kinds of spectra in a record, in order."""


@dataclass(frozen=True)
class RunStatistics:
    """One run of a data set; SI units.

    Attributes:
        run: its name.
        names: of the variables, in order of the channels.
        times: (time,) valid times, UTC.
        rmse, bias: (channel,) of the background over all times and points.
        error_map, bias_map: (channel, y, x) root mean square and mean of the background's error over times.
        truth_mean, background_mean: (time, channel) means over the area.
        truth_std: (time, channel) standard deviation of the truth over the area.
        wavelength: (band,) m.
        power: (len(SPECTRA), channel, band) means over times.
        not_finite: number of values of truth and background that are not finite.
    """

    run: str
    names: tuple[str, ...]
    times: np.ndarray
    rmse: np.ndarray
    bias: np.ndarray
    error_map: np.ndarray
    bias_map: np.ndarray
    truth_mean: np.ndarray
    background_mean: np.ndarray
    truth_std: np.ndarray
    wavelength: np.ndarray
    power: np.ndarray
    not_finite: int

    @classmethod
    def of(cls, truth: StateSeries, background: StateSeries, *, run: str) -> "RunStatistics":
        """From the states of one run.

        Raises:
            InputError: truth and background differ in layout or times.
        """
        exact, approximate = _paired_fields(truth, background, run)
        error, layout = approximate - exact, truth.layout
        bands = Bands.of(layout.grid)
        return cls(
            run=run,
            names=layout.names,
            times=truth.valid_times,
            rmse=np.sqrt((error**2).mean(axis=(0, 2, 3))),
            bias=error.mean(axis=(0, 2, 3)),
            error_map=np.sqrt((error**2).mean(axis=0)),
            bias_map=error.mean(axis=0),
            truth_mean=exact.mean(axis=(2, 3)),
            background_mean=approximate.mean(axis=(2, 3)),
            truth_std=exact.std(axis=(2, 3)),
            wavelength=bands.wavelength,
            power=_mean_power(exact, approximate, bands),
            not_finite=int((~np.isfinite(exact)).sum() + (~np.isfinite(approximate)).sum()),
        )


def background_table(runs: Sequence[RunStatistics]) -> pd.DataFrame:
    """Errors of the backgrounds by variable over all runs, SI.

    Returns:
        variable, runs, rmse, bias, the least and the largest RMSE of a run and that run's name, and ``truth_std``: the
        truth's standard deviation over the area, for comparison.

    Raises:
        InputError: no runs, or runs of different variables.
    """
    rmse, bias = _stacked(runs, "rmse"), _stacked(runs, "bias")
    weights = np.array([len(run.times) for run in runs], float)[:, None]
    spread = np.sqrt(np.concatenate([run.truth_std**2 for run in runs]).mean(axis=0))
    worst = rmse.argmax(axis=0)
    return pd.DataFrame(
        {
            "variable": runs[0].names,
            "runs": len(runs),
            "rmse": np.sqrt((weights * rmse**2).sum(axis=0) / weights.sum()),
            "bias": (weights * bias).sum(axis=0) / weights.sum(),
            "least_rmse": rmse.min(axis=0),
            "largest_rmse": rmse.max(axis=0),
            "worst_run": [runs[i].run for i in worst],
            "truth_std": spread,
        }
    )


def drift_table(runs: Sequence[RunStatistics]) -> pd.DataFrame:
    """Whether the weather drifts, by variable, SI.

    A run's daily cycle ends where it begins only if whole days are compared: the change is of means over 24 hours where
    a run has two days, over its first and last quarter otherwise (and then holds some of the daily cycle).

    Returns:
        variable; change of the truth's mean over the area from the run's beginning to its end: ``mean_change`` and its
        ``std_change`` over runs; ``std_ratio``: standard deviation over the area at the end over that at the beginning.
    """
    changes, ratios = [], []
    for run in runs:
        first, last = _beginning_and_end(run.times)
        changes.append(run.truth_mean[last].mean(axis=0) - run.truth_mean[first].mean(axis=0))
        ratios.append(run.truth_std[last].mean(axis=0) / run.truth_std[first].mean(axis=0))
    change, ratio = np.array(changes), np.array(ratios)
    spread = change.std(axis=0, ddof=1) if len(runs) > 1 else np.full(change.shape[1], np.nan)
    return pd.DataFrame(
        {
            "variable": runs[0].names,
            "mean_change": change.mean(axis=0),
            "std_change": spread,
            "std_ratio": ratio.mean(axis=0),
        }
    )


def lead_errors(truth: StateSeries, lagged: Mapping[int, StateSeries], *, run: str) -> pd.DataFrame:
    """RMSE of forecasts of one run by lead time: run, lead (h), variable, rmse (SI), times (their number).

    Args:
        truth: at all times of the forecasts, and perhaps others.
        lagged: {lead hours: forecasts of that lead}.
        run: its name.

    Raises:
        InputError: a forecast is valid at a time without truth, or of another layout.
    """
    rows = []
    for lead, forecasts in sorted(lagged.items()):
        exact = torch.cat([truth.at(time).values for time in forecasts.valid_times])
        error = (forecasts.values - exact).double().numpy()
        rmse = np.sqrt((error**2).mean(axis=(0, 2, 3)))
        rows += [(run, lead, name, value, len(forecasts)) for name, value in zip(truth.layout.names, rmse, strict=True)]
    return pd.DataFrame(rows, columns=["run", "lead", "variable", "rmse", "times"])


def background_spectra(runs: Sequence[RunStatistics]) -> pd.DataFrame:
    """Means over runs: variable, band (from 1), wavelength (m), variances ``SPECTRA`` (SI squared), and coherence."""
    power = _stacked(runs, "power").mean(axis=0)
    tables = []
    for i, name in enumerate(runs[0].names):
        kinds = dict(zip(SPECTRA, power[:, i], strict=True))
        columns = {"band": np.arange(1, power.shape[-1] + 1), "wavelength": runs[0].wavelength, **kinds}
        columns["coherence"] = coherence(kinds["cross"], kinds["truth"], kinds["background"])
        tables.append(pd.DataFrame({"variable": name} | columns))
    return pd.concat(tables, ignore_index=True)


def _paired_fields(truth: StateSeries, background: StateSeries, run: str) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 (time, channel, y, x)."""
    if truth.layout != background.layout or not np.array_equal(truth.valid_times, background.valid_times):
        raise InputError(
            f"run {run}: {len(truth)} truths of {truth.layout.names} and {len(background)} backgrounds of "
            f"{background.layout.names}; layouts and times must agree"
        )
    return truth.values.double().numpy(), background.values.double().numpy()


def _mean_power(truth: np.ndarray, background: np.ndarray, bands: Bands) -> np.ndarray:
    """(len(SPECTRA), channel, band), a time after another to save memory."""
    total = np.zeros((len(SPECTRA), truth.shape[1], bands.wavelength.size))
    for exact, approximate in zip(truth, background, strict=True):
        first, second = coefficients(exact), coefficients(approximate)
        kinds = (first**2, second**2, (second - first) ** 2, first * second)
        total += np.stack([bands.gather(kind) for kind in kinds])
    return total / len(truth)


def _stacked(runs: Sequence[RunStatistics], name: str) -> np.ndarray:
    """One attribute of all runs, runs first.

    Raises:
        InputError: no runs, or runs of different variables.
    """
    if not runs or any(run.names != runs[0].names for run in runs):
        raise InputError(
            f"statistics of {len(runs)} runs cannot be put together: some, of the same variables, are needed"
        )
    return np.stack([getattr(run, name) for run in runs])


def _beginning_and_end(times: np.ndarray) -> tuple[slice, slice]:
    """The first and the last 24 hours of two days or more; the first and the last quarter of less."""
    first_day = int((times < times[0] + DAY).sum())
    count = first_day if 2 * first_day <= len(times) else max(1, len(times) // 4)
    return slice(0, count), slice(-count, None)
