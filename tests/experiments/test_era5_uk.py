"""Persistence as background, the mean change, and the whole experiment on a made-up week; the real file where it is."""

import numpy as np
import pandas as pd
import pytest
import torch

from rtma_diffda.cli.configuration import compose_settings
from rtma_diffda.errors import InputError
from rtma_diffda.experiments.era5_uk import ERA5_UK, FILE, DaySplit, Era5Settings, run_on_series
from rtma_diffda.experiments.mean_change import MeanChange
from rtma_diffda.experiments.osse_cases import ObservingSettings, RunIdentity, run_cases
from rtma_diffda.experiments.persistence import Persistence, read_series
from rtma_diffda.experiments.persistence_denoiser import DenoiserSettings
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.region import load_region
from rtma_diffda.geo.static_fields import StaticFields

DAYS = DaySplit(training=2, validation=1, test=2)
SIX_HOURS = np.timedelta64(6, "h")
CYCLE = 3.0  # K


@pytest.fixture(scope="module")
def series() -> StateSeries:
    """Five days of a moving wave, and in the east a diurnal cycle."""
    grid = ProjectedGrid.from_first_point(
        "+proj=lcc +lat_1=52 +lat_2=56 +lat_0=54 +lon_0=-4 +R=6371229 +units=m",
        nx=16, ny=14, dx=25e3, dy=25e3, latitude=53.0, longitude=-6.0,
    )  # fmt: skip
    hours = np.arange(24 * 5)
    rows, columns = np.meshgrid(np.arange(14), np.arange(16), indexing="ij")
    wave = 2.0 * np.cos(2 * np.pi * ((columns + 0.5 * rows) / 16 - hours[:, None, None] / 37))
    cycle = CYCLE * np.where(columns >= 8, 1.0, 0.0) * -np.cos(2 * np.pi * hours[:, None, None] / 24)
    times = np.datetime64("2019-03-01", "ns") + hours * np.timedelta64(1, "h")
    values = torch.from_numpy((280.0 + wave + cycle)[:, None].astype(np.float32))
    return StateSeries(values, Layout.of(grid, ("t2m",)), times)


@pytest.fixture(scope="module")
def weather(series) -> Persistence:
    return Persistence(series, StaticFields(series.layout.grid), SIX_HOURS)


def test_the_background_is_the_truth_of_six_hours_before(weather, series):
    first, second = weather.day(1), weather.day(2)
    assert len(first.times) == 18 and len(second.times) == 24  # the first six hours have none
    for time in (first.times[0], second.times[-1]):
        day = first if time in first.times else second
        assert torch.equal(day.background.at(time).values, series.at(time - SIX_HOURS).values)
        assert torch.equal(day.truth.at(time).values, series.at(time).values)
    pairs = weather.pairs((1, 2))
    assert len(pairs) == 42 and np.unique(pairs.run).tolist() == [1, 2]
    assert torch.equal(pairs.background[-1], series.at(pairs.valid_time[-1] - SIX_HOURS).values[0])


@pytest.mark.parametrize("number", [0, 6])
def test_a_day_outside_the_series_is_refused(weather, number):
    with pytest.raises(InputError, match="not within the series"):
        weather.day(number)


def test_the_mean_change_is_the_mean_of_the_training_days(weather):
    correction = MeanChange.of(weather.pairs((2, 3)), weather.static)
    case = next(iter(run_cases(weather.day(4), ObservingSettings(5, 5, background_limit=None),
                               RunIdentity(1, "test", 4), hours=(12,))))  # fmt: skip
    analysis = correction.analyse(case.problem, generator=torch.Generator())
    changes = [weather.day(d).truth.values[12] - weather.day(d).background.values[12] for d in (2, 3)]
    assert torch.allclose(analysis.increment()[0], torch.stack(changes).mean(dim=0), atol=1e-4)


def test_a_time_without_a_mean_change_is_refused(weather):
    pairs = weather.pairs((2,))
    noon = pairs.select(np.flatnonzero(pairs.valid_time.astype("datetime64[h]").astype(int) % 24 == 12))
    case = next(iter(run_cases(weather.day(4), ObservingSettings(5, 5, background_limit=None),
                               RunIdentity(1, "test", 4), hours=(15,))))  # fmt: skip
    with pytest.raises(InputError, match="15:00 UTC"):
        MeanChange.of(noon, weather.static).analyse(case.problem, generator=torch.Generator())


def test_days_of_the_splits_follow_each_other():
    assert [list(DAYS.numbers(split)) for split in ("train", "validation", "test")] == [[1, 2], [3], [4, 5]]


def test_the_whole_experiment_on_a_made_up_week(series, tmp_path):
    settings = Era5Settings(
        data="", days=DAYS, stations=(5, 10), withheld=4, hours_of_day=(3, 15),
        denoiser=DenoiserSettings((8, 8), updates=4, batch_size=4, validate_every=2),
        output=str(tmp_path), progress=False,
    )  # fmt: skip
    summary = run_on_series(settings, series)
    table = pd.read_csv(summary.files["density table"])
    rows = table.set_index(["setting", "place", "method"])["rmse"]
    assert set(table["setting"]) == {"5 stations", "10 stations"} and (rows > 0).all()
    assert {"background", "optimal_interpolation", "diffusion_channels", "diffusion"} <= set(table["method"])
    corrected, plain = (rows["10 stations", "grid", name] for name in
                        ("mean_change_and_interpolation", "optimal_interpolation"))  # fmt: skip
    assert corrected < plain < rows["10 stations", "grid", "background"]  # the cycle is known beforehand
    assert summary.files["report"].stat().st_size > 10_000 and "Terrain and land are unknown" in summary.text


def test_the_configuration_becomes_settings():
    composed = compose_settings("reproduce", [f"experiment={ERA5_UK}", "data=somewhere"])
    settings = Era5Settings.from_mapping(composed)
    assert composed["exercise"] == ERA5_UK and settings == Era5Settings(data="somewhere", output=settings.output)


def test_the_real_file_covers_the_region(shared):
    path = shared / "data" / ERA5_UK / FILE
    if not path.is_file():
        pytest.skip(f"needs {path}, which is not here")
    series = read_series(path, Layout.of(load_region("uk").grid, ("t2m",)))
    assert len(series) == 744 and str(series.valid_times[0])[:13] == "2019-03-01T00"
    assert 265.0 < float(series.values.min()) < float(series.values.max()) < 292.0
