"""Pages of the experiments of DiffDA on a toy globe: what tables say is what results say, and every part is there."""

import numpy as np
import pandas as pd
import pytest
import torch
from diffda_world import LAYOUT, STEP, ToyMethod, toy_bench, toy_recipe

from rtma_diffda.experiments.diffda_ablations import ablations_page, forms
from rtma_diffda.experiments.diffda_autoregressive import FIXED, FREE, Autoregressive, run_autoregressive
from rtma_diffda.experiments.diffda_bench import BACKGROUND, FORECAST, ObservingPlan
from rtma_diffda.experiments.diffda_forecast_pages import cycles_page, lead_time_page, published_forecasts
from rtma_diffda.experiments.diffda_lead_time import LeadTime, run_lead_time
from rtma_diffda.experiments.diffda_locations import locations_of, made_up_locations
from rtma_diffda.experiments.diffda_report import Report
from rtma_diffda.experiments.diffda_settings import (
    ABLATIONS,
    AUTOREGRESSIVE,
    LEAD_TIME,
    REAL_LOCATIONS,
    SINGLE_STEP,
    AblationSettings,
    DiffdaSettings,
    RepaintSettings,
)
from rtma_diffda.experiments.diffda_single_step import SingleStep, drawn_case, hours, run_single_step
from rtma_diffda.experiments.diffda_step_pages import locations_page, published_tables, single_step_page
from rtma_diffda.experiments.diffda_tables import (
    analysis_scores,
    equal_leads,
    hours_text,
    not_worse,
    significant,
    spread_over_error,
)
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.observations.columns import ColumnPlaces
from rtma_diffda.verification.global_errors import ALL, AREA, MEAN, SINGLE, SPREAD

LEAD = hours((48,))[0]


def ensemble(**more):
    return toy_recipe("ensemble", ToyMethod(noise=0.1), members=3, **more)


def report_of(bench, exercise, tmp_path, **more):
    settings = DiffdaSettings(exercise, output=str(tmp_path / "out"), progress=False, **more)
    settings.directory.mkdir(parents=True)
    return Report(settings, bench, "A title", "A story.", "3 cases")


def test_the_page_of_single_steps_says_what_was_found(tmp_path):
    bench = toy_bench(tmp_path, toy_recipe(), ensemble(), toy_recipe("diffda_full", cases=1, columns=(16,)))
    times = bench.world.spread_times(3, before=bench.world.reach(LEAD), after=0 * STEP)
    step = SingleStep(times, (4, 16), LEAD, hours((6, 24)), 16)
    rows = run_single_step(bench, step)
    report = report_of(bench, SINGLE_STEP, tmp_path)
    single_step_page(report, rows, drawn_case(bench, step))
    summary = report.finish()
    page = summary.files["report"].read_text()
    scores = analysis_scores(rows).set_index(["method", "columns", "lead_hours", "channel"])
    assert f"{scores.loc[('oi', 16, -1.0, ALL), 'ratio']:.2f} [" in page and "made up" in page
    full = scores.loc[("diffda_full", 16, -1.0, "t2m")]
    assert full["cases"] == 1 and "The published recipe in full" in page
    for name in ("error by columns", "error by columns unweighted", "maps t2m", "maps z500", "table of scores"):
        assert summary.files[name].stat().st_size > 0
    assert "OI" in summary.text and "Channels, of 2, that are no worse than the background" in summary.text
    table = pd.read_csv(summary.files["table of scores"])
    assert {MEAN, SINGLE} == set(table["product"]) and AREA in set(table["weighting"])
    assert set(table.loc[table["product"] == SINGLE, "method"]) == {"ensemble"}


def test_the_page_of_lead_time(tmp_path):
    bench = toy_bench(tmp_path, toy_recipe(), ensemble())
    times = bench.world.spread_times(3, before=bench.world.reach(hours((96,))[0]), after=LEAD)
    rows = run_lead_time(bench, LeadTime(times, (4, 16), LEAD, LEAD, hours((48, 60, 72, 84, 96))))
    report = report_of(bench, LEAD_TIME, tmp_path)
    lead_time_page(report, rows)
    summary = report.finish()
    assert "Without any analysis 48 h are lost." in summary.text
    assert "The same of forecasts from single members" in summary.text
    assert summary.files["lead time lost"].stat().st_size > 0
    lost = pd.read_csv(summary.files["table of lead time lost"])
    assert set(lost["channel"]) == {*LAYOUT.names, ALL} and set(lost["method"]) == {BACKGROUND, "oi", "ensemble"}


def test_the_page_of_cycles(tmp_path):
    bench = toy_bench(tmp_path, toy_recipe(), ensemble())
    starts = bench.world.spread_times(2, before=bench.world.reach(LEAD), after=16 * STEP)
    run = Autoregressive(starts, 16, 16, (FREE, FIXED), LEAD)
    report = report_of(bench, AUTOREGRESSIVE, tmp_path)
    cycles_page(report, run_autoregressive(bench, run), step_hours=6.0, lead_hours=48.0)
    summary = report.finish()
    assert (
        "no sequence blows up" in summary.text
        and "Do errors build up? Cycles 8 to 15" in summary.files["report"].read_text()
    )
    assert {"error by cycle free", "error by cycle fixed"} <= set(summary.files)
    scores = pd.read_csv(summary.files["table of scores"], keep_default_na=False)
    first = scores[(scores["method"] == FORECAST) & (scores["cycle"] == 0) & (scores["channel"] == ALL)]
    assert first["rmse"].tolist() == [1.0]


def test_the_page_of_locations(tmp_path):
    places = ColumnPlaces(np.repeat([11.25, 33.75, -33.75], 4), np.tile([0.0, 90.0, 180.0, 270.0], 3))
    bench = toy_bench(tmp_path, toy_recipe(), plan=ObservingPlan(locations=places))
    times = bench.world.spread_times(3, before=bench.world.reach(LEAD), after=0 * STEP)
    step = SingleStep(times, (0, 12), LEAD, (), 0)
    rows = run_single_step(bench, step)
    report = report_of(bench, REAL_LOCATIONS, tmp_path)
    locations_page(report, rows, drawn_case(bench, step), count=12, source="a list")
    summary = report.finish()
    page = summary.files["report"].read_text()
    assert "Observed: a list" in page and "Observed: 12 columns drawn" in page and "north of 20°N" in page


def test_the_page_of_ablations_has_every_form_where_it_belongs(tmp_path):
    settings, repaint = AblationSettings(blur=(0.5, 1.5), passes=(1, 3)), RepaintSettings(4, 2, 2)
    distinct = {form.name: form for form in forms(settings, repaint)}
    errors = {name: 0.01 * (1 + i) for i, name in enumerate(distinct)}
    bench = toy_bench(tmp_path, *(toy_recipe(name, ToyMethod(error=error)) for name, error in errors.items()))
    times = bench.world.spread_times(1, before=bench.world.reach(LEAD), after=0 * STEP)
    rows = run_single_step(bench, SingleStep(times, (16,), LEAD))
    report = report_of(bench, ABLATIONS, tmp_path, ablation=settings, repaint=repaint)
    ablations_page(report, rows)
    summary = report.finish()
    table = pd.read_csv(summary.files["table of scores"])
    assert table.groupby("ablation")["method"].nunique().to_dict() == {"blur": 2, "passes": 2, "form": 7}
    soft = table[(table["method"] == "newer release") & (table["value"] == 1.5) & (table["channel"] == "t2m")]
    same = table[(table["method"] == "as shortened") & (table["channel"] == "t2m")]
    assert soft["rmse"].tolist() == same["rmse"].tolist()  # the same form in two ablations
    assert "residual not clipped" in summary.text and {"ablation blur", "ablation passes"} <= set(summary.files)


def test_counts_leads_and_spreads_are_those_worked_out_by_hand():
    def row(method, columns, lead, channel, mse, product=MEAN):
        return {"case": 1, "method": method, "columns": columns, "lead_hours": lead, "channel": channel, "mse": mse,
                "product": product, "weighting": AREA, "seconds": 0.0}  # fmt: skip

    rows = pd.DataFrame([
        *(row(BACKGROUND, -1, -1.0, channel, 16.0) for channel in "ab"),
        *(row(FORECAST, -1, lead, channel, rmse**2) for lead, rmse in ((6.0, 1.0), (48.0, 4.0)) for channel in "ab"),
        row("x", 10, -1.0, "a", 4.0), row("x", 10, -1.0, "b", 25.0),
        row("x", 20, -1.0, "a", 0.25), row("x", 20, -1.0, "b", 16.0),
        row("x", 20, -1.0, "a", 1.0, SPREAD), row("x", 20, -1.0, "b", 4.0, SPREAD),
    ])  # fmt: skip
    scores = analysis_scores(rows)
    counts = not_worse(scores).set_index("columns")
    assert counts["count"].tolist() == [1, 2] and counts["channels"].tolist() == [2, 2]
    assert not_worse(scores, FORECAST, 6.0).set_index("columns")["count"].tolist() == [0, 1]
    leads = equal_leads(scores).set_index(["columns", "channel"])["lead"]
    assert leads[10, "a"] == pytest.approx(20.0) and leads[20, "a"] == pytest.approx(3.0)
    assert leads[10, "b"] == np.inf and leads[20, "b"] == 48.0
    assert spread_over_error(rows)["ratio"].item() == pytest.approx(0.5 * (2.0 + 0.5))


def test_measured_errors_stand_beside_published_ones():
    table = published_tables(
        pd.DataFrame(
            [
                {"method": "diffda", "columns": 10_000, "lead_hours": -1.0, "channel": "z500", "rmse": 84.284},
                {"method": "diffda", "columns": 10_000, "lead_hours": -1.0, "channel": ALL, "rmse": 1.0},
                {"method": FORECAST, "columns": -1, "lead_hours": 24.0, "channel": "z500", "rmse": 48.467},
                {"method": "kriging", "columns": 80, "lead_hours": -1.0, "channel": "z500", "rmse": 1.0},
            ]
        )
    )
    assert table["DiffDA, shortened: unweighted RMSE, SI"].rows == [("z500", "10,000 columns", "84.3", "42.1", "2.00")]
    assert table["Forecasts from the truth: unweighted RMSE, SI"].rows == [("z500", "24 h", "48.5", "48.5", "1.00")]
    assert not table["Interpolation, kriging: unweighted RMSE, SI"].rows

    def rows(*values):
        return pd.DataFrame(values, columns=["case", "method", "columns", "lead_hours", "channel", "mse"])

    found = published_forecasts(
        rows((1, "diffda", 10_000, -1.0, "t2m", 1.44**2)), rows((1, FORECAST, -1, 72.0, "msl", 174.4**2))
    )
    assert [table.rows[0][2:] for table in found.values()] == [("1.44", "1.44", "1.00"), ("174", "174", "1.00")]


@pytest.mark.parametrize(
    ("value", "text"),
    [(123.4, "123"), (1.2345, "1.23"), (0.01234, "0.0123"), (6.05e-8, "6.05e-08"), (np.nan, "–"), (0.0, "0.00")],
)
def test_numbers_have_three_figures(value, text):
    assert significant(value) == text


def test_hours_beyond_what_is_known_say_so():
    assert [hours_text(value, most=48.0) for value in (np.inf, -np.inf, 11.6)] == ["> 48", "≤ 0", "12"]


def test_made_up_locations_are_as_uneven_as_real_ones(tmp_path):
    bench = toy_bench(tmp_path)
    grid = LAYOUT.grid
    land = (np.indices(grid.shape)[1] < 4).astype(float)
    generator = torch.Generator().manual_seed(0)
    places = made_up_locations(StaticFields(grid, None, land), 20, generator=generator)
    assert len(places) == len(places.distinct()) == 20 and (places.latitude > 0).sum() == 16
    on_land = (places.longitude >= 0) & (places.longitude < 90)
    assert on_land.sum() >= 12
    settings = DiffdaSettings(REAL_LOCATIONS, output=str(tmp_path / "out"))
    settings.directory.mkdir(parents=True)
    found, source = locations_of(settings, bench.world)
    assert len(found) == 4 and "made-up" in source and (settings.directory / "made_up_locations.csv").is_file()
    own = tmp_path / "coords.csv"
    own.write_text("X,Y\n10.0,12.0\n11.0,12.5\n-90,40\n")
    found, source = locations_of(DiffdaSettings(REAL_LOCATIONS, locations=str(own)), bench.world)
    assert source == "the locations of coords.csv" and found.latitude.tolist() == [11.25, 33.75]
