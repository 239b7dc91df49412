"""Figures and pages of comparisons and data sets: they show every number, and are whole, self-contained pages."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from builders import NOON, small_grid, small_static

from rtma_diffda.errors import UsageError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.fields.state import State
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.verification.case_scores import CaseLabel, Judge, case_table
from rtma_diffda.verification.case_spectra import case_spectra, mean_spectra
from rtma_diffda.verification.data_set_statistics import RunStatistics, lead_errors
from rtma_diffda.verification.ensemble_scores import Departures
from rtma_diffda.verification.judgement import Judgement
from rtma_diffda.verification.reports.comparison_figures import (
    Sweep,
    rank_figure,
    ratio_figure,
    spread_figure,
    sweep_figure,
)
from rtma_diffda.verification.reports.comparison_page import ComparisonPage, comparison_page
from rtma_diffda.verification.reports.data_set_figures import drift_figure, run_figure
from rtma_diffda.verification.reports.data_set_page import DataSetPage, data_set_page
from rtma_diffda.verification.reports.method_maps import MethodMaps, method_figure
from rtma_diffda.verification.reports.page import PageHead, PageSection
from rtma_diffda.verification.reports.report import Picture
from rtma_diffda.verification.reports.spectra_figures import amplitude_figure, error_spectra_figure
from rtma_diffda.verification.reports.weather_maps import (
    StationPlaces,
    sea_level_pressure,
    sky_figure,
    weather_figure,
)
from rtma_diffda.verification.run_moments import RunBootstrap

GRID = small_grid(16, 16, 5000.0)
STATIC = small_static(GRID)
LAYOUT = Layout.of(GRID, ("t2m", "d2m", "u10m", "v10m", "sp"))
TWO = Layout.of(GRID, ("t2m", "d2m"))
FACTORS = {"background": 2.0, "tuned_oi": 1.0, "ensemble": 0.7}
HEAD = PageHead("A <comparison>", "Simulated & stated.", NOON, {"seed": 4, "methods": "<all>"})


def weather(hours: int, seed: int, layout: Layout = LAYOUT) -> StateSeries:
    """Plausible numbers: a mean by variable, a gradient of wind, and noise."""
    mean = torch.tensor([285.0, 278.0, 5.0, -3.0, 98000.0])[:, None, None]
    std = torch.tensor([2.0, 2.0, 1.5, 1.5, 80.0])[:, None, None]
    draws = torch.randn(hours, *LAYOUT.shape, generator=torch.Generator().manual_seed(seed))
    values = (mean + std * draws)[:, : len(layout.names)]
    return StateSeries(values, layout, NOON + np.arange(hours) * np.timedelta64(1, "h"))


def make_cases() -> pd.DataFrame:
    rng, judge, generator = np.random.default_rng(0), Judge(), torch.Generator().manual_seed(0)
    scores = []
    for setting in ("default", "30 stations"):
        for run in range(5):
            for method, factor in FACTORS.items():
                members = 8 if method == "ensemble" else 1
                errors = factor * rng.normal(size=(members, 50))
                said = Departures(errors, np.ones(50) if method == "tuned_oi" else None)
                label = CaseLabel(setting, method, f"test/{run:03d}", NOON)
                scores += [
                    judge.score(said, label, variable=variable, place=place, generator=generator)
                    for variable in ("t2m", "sp")
                    for place in ("grid", "withheld", "reports")
                ]
    return case_table(scores)


@pytest.fixture(scope="module")
def judgement() -> Judgement:
    return Judgement.of(make_cases(), reference="tuned_oi", bootstrap=RunBootstrap(iterations=200))


@pytest.fixture(scope="module")
def spectra() -> pd.DataFrame:
    truth, other = (weather(1, seed, TWO).state(0) for seed in (0, 1))
    pair = State(torch.cat([truth.values, other.values]), TWO, NOON)
    records = case_spectra(other, truth, label=CaseLabel("default", "background", "r", NOON))
    return mean_spectra(records + case_spectra(pair, truth, label=CaseLabel("default", "ensemble", "r", NOON)))


@pytest.fixture(scope="module")
def runs() -> list[RunStatistics]:
    pairs = [(weather(6, 2 * i, TWO), weather(6, 2 * i + 1, TWO)) for i in range(3)]
    return [RunStatistics.of(*pair, run=f"train/{i:03d}") for i, pair in enumerate(pairs)]


def titles(figure) -> list[str]:
    return [axis.get_title(loc="left") for axis in figure.axes if axis.get_title(loc="left")]


def test_ratio_bars_are_the_ratios(judgement):
    one = judgement.of_setting("default")
    figure = ratio_figure(one.ratios, score="rmse", reference="tuned_oi")
    assert titles(figure) == ["over the grid", "withheld stations, truth", "withheld stations, reports"]
    expected = one.ratios[one.ratios["place"] == "grid"]["rmse_ratio"].tolist()
    assert [bar.get_width() for bar in figure.axes[0].patches] == pytest.approx(expected)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["background", "tuned oi", "ensemble"]


def test_sweep_lines_are_ordered_by_the_number(judgement):
    sweep = Sweep("stations", {"default": 100.0, "30 stations": 30.0})
    figure = sweep_figure(judgement.ratios, sweep, score="crps", reference="tuned_oi")
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert lines["ensemble"].get_xdata().tolist() == [30.0, 100.0]
    settings = [judgement.ratio("ensemble", setting=s, place="grid", score="crps") for s in ("30 stations", "default")]
    assert lines["ensemble"].get_ydata().tolist() == pytest.approx(settings)
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["30", "100"]


def test_ranks_and_spread_show_methods_that_state_an_uncertainty(judgement):
    one = judgement.of_setting("default")
    ranks = one.ranks[one.ranks["place"] == "grid"]
    figure = rank_figure(ranks, methods=list(FACTORS))
    assert [axis.get_ylabel() for axis in figure.axes if axis.get_ylabel()] == ["tuned oi", "ensemble"]
    bars = figure.axes[0].patches
    assert len(bars) == 9
    assert np.mean([bar.get_height() for bar in bars]) == pytest.approx(1.0)
    assert [text.get_text() for text in spread_figure(one.scores).axes[0].get_legend().get_texts()] == [
        "tuned oi",
        "ensemble",
    ]


def test_amplitudes_are_drawn_members_apart(spectra):
    axis = amplitude_figure(spectra).axes[0]
    assert [line.get_label() for line in axis.lines[:3]] == ["background", "ensemble", "ensemble, members"]
    assert axis.get_xlim()[0] > axis.get_xlim()[1]  # long waves at the left
    assert len(titles(error_spectra_figure(spectra))) == 2


def test_weather_chart_has_nine_panels_barbs_and_isobars():
    truth, background = weather(1, 0).state(0), weather(1, 1).state(0)
    places = StationPlaces(GRID.latitude()[3, 3:6], GRID.longitude()[3, 3:6], np.array([True, False, False]))
    figure = weather_figure(truth, background, STATIC, stations=places, place="test/000")
    names = titles(figure)
    assert len(names) == 9
    assert names[0] == "truth: 2 m temperature (°C)"
    assert names[8] == "background − truth: 10 m wind speed (m/s)"
    kinds = {type(artist).__name__ for artist in figure.axes[0].collections}
    assert {"Barbs", "QuadContourSet"} <= kinds
    with pytest.raises(UsageError, match="lacking"):
        weather_figure(truth, State(truth.values[:, :1], Layout.of(GRID, ("t2m",)), NOON), STATIC)


def test_pressure_reduced_to_sea_level_has_no_terrain_in_it():
    height = np.linspace(0.0, 1500.0, 256).reshape(16, 16)
    static = StaticFields(GRID, height, np.ones((16, 16)))
    temperature = 288.15 - 0.0065 * height
    standard = 101325.0 * (1.0 - 0.0065 * height / 288.15) ** 5.2559  # the standard atmosphere
    assert sea_level_pressure(standard, temperature, static) == pytest.approx(101325.0, abs=15.0)
    flat = StaticFields(GRID, None, np.ones((16, 16)))
    assert sea_level_pressure(standard, temperature, flat) is standard


def test_method_maps_state_their_errors_on_one_scale():
    truth = weather(1, 0).values[0, 0].numpy()
    estimates = {name: truth + error for name, error in (("background", 2.0), ("a", 1.0), ("b", -0.5))}
    maps = MethodMaps("t2m", NOON, truth, estimates)
    figure = method_figure(maps, STATIC)
    names = titles(figure)
    assert {"truth (°C)", "background − truth: RMS 2.00 (K)", "b − truth: RMS 0.50 (K)"} <= set(names)
    errors = [axis for axis in figure.axes if "RMS" in axis.get_title(loc="left")]
    limits = {axis.collections[0].get_clim() for axis in errors}
    assert len(limits) == 1
    assert limits.pop()[1] == pytest.approx(2.0, rel=1e-4)


def test_data_set_figures_hold_every_run(runs):
    axis = drift_figure(runs).axes[0]
    assert len(axis.lines) == 2 * (3 + 1)
    thick = [line for line in axis.lines if line.get_linewidth() > 2.0]
    expected = np.mean([run.truth_mean[:, 0] for run in runs], axis=0) - 273.15
    assert thick[0].get_ydata() == pytest.approx(expected)
    dots = run_figure({"train": runs, "test": runs[:1], "validation": []}).axes[0]
    assert [tick.get_text() for tick in dots.get_yticklabels()] == ["train (3)", "test (1)"]
    assert dots.lines[0].get_xdata() == pytest.approx([run.rmse[0] for run in runs])


def test_sky_has_a_panel_a_variable():
    layout = Layout.of(GRID, ("gust", "tcc", "vis"))
    sky = State(torch.rand(1, *layout.shape, generator=torch.Generator().manual_seed(0)), layout, NOON)
    assert len(titles(sky_figure(sky, STATIC))) == 3


def check_page(path: Path, *headings: str) -> str:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert "<script" not in text
    assert 'src="http' not in text
    for heading in headings:
        assert f"<h2>{heading}</h2>" in text
    return text


def test_comparison_page_is_whole(judgement, spectra, tmp_path):
    extra = PageSection("Exchangeability", text=("A detector <cannot> tell.",))
    page = ComparisonPage(
        judgement,
        "default",
        sweeps=(Sweep("stations", {"default": 100.0, "30 stations": 30.0}),),
        spectra=spectra,
        sections=(extra,),
        degraded=("one run failed",),
    )
    text = check_page(
        comparison_page(tmp_path / "comparison.html", HEAD, page),
        "Less than normal",
        "Result",
        "Scores over the grid",
        "Scores at withheld stations, truth",
        "Scores at withheld stations, reports",
        "Is the difference more than chance?",
        "Uncertainty",
        "Roughness",
        "Sensitivity",
        "Is any variable worse?",
        "Exchangeability",
        "Cost",
        "What was run",
    )
    assert "A &lt;comparison&gt;" in text
    assert "A detector &lt;cannot&gt; tell." in text
    assert "One case" not in text  # no maps were given
    assert "Many places together" not in text  # no joint scores were taken
    assert "Members&#x27; variance by octave" in text
    assert f"{judgement.ratio('ensemble', setting='default', place='withheld'):.3f}" in text
    assert text.count("<figure>") == 2 + 3 + 4 + 2 + 2


def test_data_set_page_is_whole(runs, tmp_path):
    leads = lead_errors(weather(6, 0, TWO), {3: weather(6, 1, TWO)}, run="train/000")
    chart = Picture(b"\x89PNG", "Weather at noon.")
    page = DataSetPage({"train": runs, "test": runs[:1]}, STATIC, "train/001", weather=(chart,), leads=leads)
    text = check_page(
        data_set_page(tmp_path / "data.html", HEAD, page), "Weather", "Background error", "Spectra", "Does it drift?"
    )
    assert "Weather at noon." in text
    assert "of run train/001 alone" in text
    assert "All values are finite." in text
    assert text.count("<figure>") == 1 + 4 + 2 + 1 + 1
