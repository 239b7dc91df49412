"""Persistence as background, the mean change, and the whole experiment on a made-up week; the real file where it is."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rtma_diffda.cli.configuration import compose_settings
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.era5_uk import (
    ERA5_UK,
    FILE,
    DaySplit,
    Era5Settings,
    PreparedMethods,
    judged_methods,
    prepared_methods,
    run_on_series,
)
from rtma_diffda.experiments.mean_change import MeanChange
from rtma_diffda.experiments.osse_cases import ObservingSettings, RunIdentity, run_cases
from rtma_diffda.experiments.persistence import Persistence, read_series
from rtma_diffda.experiments.persistence_denoiser import DenoiserSettings
from rtma_diffda.experiments.persistence_scores import density_table
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.region import load_region
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.checkpoint import read_checkpoint
from rtma_diffda.times import DAY

DAYS = DaySplit(training=2, validation=1, unused=0, test=2)
SIX_HOURS = np.timedelta64(6, "h")
CYCLE = 3.0  # K
PERIOD = 36.0  # h: over three days at one hour, the wave has no mean


@pytest.fixture(scope="module")
def series() -> StateSeries:
    """Five days of a moving wave, and in the east a diurnal cycle."""
    grid = ProjectedGrid.from_first_point(
        "+proj=lcc +lat_1=52 +lat_2=56 +lat_0=54 +lon_0=-4 +R=6371229 +units=m",
        nx=16, ny=14, dx=25e3, dy=25e3, latitude=53.0, longitude=-6.0,
    )  # fmt: skip
    hours = np.arange(24 * 5)
    rows, columns = np.meshgrid(np.arange(14), np.arange(16), indexing="ij")
    wave = 2.0 * np.cos(2 * np.pi * ((columns + 0.5 * rows) / 16 - hours[:, None, None] / PERIOD))
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


@pytest.mark.parametrize("minutes", [0, 90, -360])
def test_a_lead_that_the_series_does_not_have_is_refused(weather, minutes):
    with pytest.raises(UsageError, match="multiple of the series' interval"):
        replace(weather, lead=np.timedelta64(minutes, "m"))


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


def test_the_days_that_judge_come_after_all_others():
    days = DaySplit()
    assert list(days.tune) == [*days.train, *days.validate] == list(range(1, 21))  # 1 to 20 March
    assert list(days.judge) == list(range(25, 32))  # 25 to 31 March
    assert [days.split_of(day) for day in (16, 17, 25)] == ["train", "validation", "test"]


def test_stations_have_a_stream_of_their_own(weather):
    def places(count: int, day: int, seed: int = 1) -> list[float]:
        """Longitudes of the stations that report."""
        observing = ObservingSettings(count, 5, background_limit=None)
        case = next(iter(run_cases(weather.day(day), observing, RunIdentity(seed, "test", day), hours=(12,))))
        return case.problem.observations.longitude.tolist()

    few = places(5, day=4)
    torch.rand(3)  # the global generator has nothing to do with it
    assert places(5, day=4) == few == places(12, day=4)[:5]
    assert places(5, day=5) != few != places(5, day=4, seed=2)


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Era5Settings:
    return Era5Settings(
        data="", days=DAYS, stations=(10,), withheld=4, hours_of_day=(9, 15),
        denoiser=DenoiserSettings((8, 8), updates=4, batch_size=4, validate_every=2),
        output=str(tmp_path_factory.mktemp("week")), progress=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def prepared(settings, weather) -> PreparedMethods:
    return prepared_methods(settings, weather)


def test_methods_are_judged_on_a_made_up_week(settings, weather, prepared):
    found = judged_methods(settings, weather, prepared)
    table = density_table(found.cases, reference="optimal_interpolation")
    rows = table.set_index(["setting", "place", "method"])["rmse"]
    assert {"background", "optimal_interpolation", "diffusion_channels", "diffusion"} <= set(table["method"])
    corrected, plain, background = (
        rows["10 stations", "grid", name]
        for name in ("mean_change_and_interpolation", "optimal_interpolation", "background")
    )
    assert corrected < plain < 0.7 * background  # the cycle is known beforehand
    assert "Terrain and land are unknown" in found.summary and "next 2, which no choice has seen" in found.summary
    assert {case.split("/")[0] for case in found.cases["run"]} == {"test"}


def test_no_choice_sees_the_days_that_judge(settings, weather, prepared, tmp_path):
    series = weather.series
    judged = torch.from_numpy(np.isin((series.valid_times - series.valid_times[0]) // DAY + 1, DAYS.judge))
    values = series.values.clone()
    values[judged] = values[judged].flip(-1) + 20.0
    spoilt = replace(weather, series=replace(series, values=values))
    others = prepared_methods(replace(settings, output=str(tmp_path)), spoilt)
    assert [method.description for method in others.methods] == [method.description for method in prepared.methods]
    chosen, again = (read_checkpoint(found.checkpoint) for found in (prepared, others))
    assert again.config == chosen.config  # B, R, spreads
    assert all(torch.equal(again.weights[name], weight) for name, weight in chosen.weights.items())


@pytest.mark.slow
def test_the_page_is_written(settings, series):
    summary = run_on_series(settings, series)
    assert summary.files["report"].stat().st_size > 10_000 and summary.files["density table"].is_file()
    assert "report: " in summary.text


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"stations": ()}, "stations"), ({"stations": (0,)}, "stations"), ({"hours_of_day": (3, 3)}, "hours_of_day"),
     ({"hours_of_day": (24,)}, "hours_of_day"), ({"withheld": 0}, "withheld"), ({"lead_hours": 0}, "lead_hours")],
)  # fmt: skip
def test_settings_without_a_meaning_are_refused(changed, named):
    with pytest.raises(UsageError, match=named):
        Era5Settings(data="", **changed)


def test_days_that_the_file_lacks_are_refused_before_anything_is_trained(settings, series):
    with pytest.raises(InputError, match="day 6 is not within"):
        run_on_series(replace(settings, days=replace(DAYS, unused=1)), series)


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
