"""Graphs and maps of the experiments of DiffDA: what is drawn is what the tables say, in shown units."""

import numpy as np
import pandas as pd
import pytest

from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.verification.global_errors import ALL
from rtma_diffda.verification.reports.diffda_figures import (
    Styles,
    ablation_figure,
    channel_display,
    channel_title,
    columns_figure,
    cycles_figure,
    dots_figure,
    lost_figure,
)
from rtma_diffda.verification.reports.global_maps import ErrorRow, error_maps

CHANNELS = ["z500", "q850", ALL]
STYLES = Styles({"oi": "optimal interpolation", "default": "default, 30 calls"})


def table_of(columns, **more):
    rows = [
        {"method": method, "columns": count, "channel": channel, "rmse": 2.0 / count + i, "low": 1.0 / count + i,
         "high": 3.0 / count + i}
        for i, method in enumerate(STYLES.titles) for count in columns for channel in CHANNELS
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**more)


def line_of(axis, label):
    (line,) = [line for line in axis.get_lines() if line.get_label() == label]
    return np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)


@pytest.mark.parametrize(
    ("label", "title", "display"),
    [
        ("z500", "Z 500 hPa", (1.0, "m²/s²")),
        ("q850", "Q 850 hPa", (1000.0, "g/kg")),
        ("t850", "T 850 hPa", (1.0, "K")),
        ("w700", "ω 700 hPa", (1.0, "Pa/s")),
        ("t2m", "T 2 m", (1.0, "K")),
        ("msl", "Sea-level pressure", (0.01, "hPa")),
        ("u10m", "U 10 m", (1.0, "m/s")),
        (ALL, "mean over all channels", (1.0, "")),
    ],
)
def test_channels_have_titles_and_units(label, title, display):
    assert channel_title(label) == title and channel_display(label) == pytest.approx(display)


def test_error_against_columns_is_drawn_in_shown_units():
    forecasts = pd.DataFrame([(lead, c, 0.02 * lead) for lead in (6, 12, 48) for c in CHANNELS],
                             columns=["lead_hours", "channel", "rmse"])  # fmt: skip
    table = table_of((10, 20, 40))
    figure = columns_figure(table, forecasts, STYLES, channels=CHANNELS, singles=table[table["method"] == "default"])
    axes = figure.axes
    x, y = line_of(axes[1], "optimal interpolation")
    assert x.tolist() == [10, 20, 40] and y == pytest.approx([200.0, 100.0, 50.0])
    assert axes[0].get_xscale() == axes[0].get_yscale() == "log"
    assert axes[1].get_ylabel() == "RMSE (g/kg)" and axes[2].get_ylabel() == "error / background's"
    texts = [text.get_text() for text in axes[2].texts]
    assert "background" in texts and "12 h" in texts
    assert any(line.get_linestyle() == ":" for line in axes[0].get_lines())
    assert {text.get_text() for text in figure.legends[0].get_texts()} == set(STYLES.titles.values())


def test_lead_times_that_would_overlap_are_left_out():
    forecasts = pd.DataFrame([(lead, "z500", rmse) for lead, rmse in ((6, 1.0), (12, 1.001), (48, 3.0))],
                             columns=["lead_hours", "channel", "rmse"])  # fmt: skip
    table = table_of((1, 10, 100))
    figure = columns_figure(table, forecasts, STYLES, channels=["z500"], singles=table[:0])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "6 h" in texts and "12 h" not in texts


def test_lead_time_beyond_what_is_known_is_an_open_mark_at_the_edge():
    table = table_of((10, 20), lost=[np.inf, 30.0] * 6, low=[20.0] * 12, high=[np.inf] * 12)
    table.loc[table["method"] == "oi", "lost"] = -np.inf
    figure = lost_figure(table, STYLES, channels=["z500"], most=48.0)
    _, y = line_of(figure.axes[0], "optimal interpolation")
    assert y.tolist() == [0.0, 0.0]
    hollow = [line for line in figure.axes[0].get_lines() if line.get_markerfacecolor() == "white"]
    assert sorted(len(line.get_xdata()) for line in hollow) == [1, 2]


def test_cycles_are_drawn_over_days_and_ablations_over_their_setting():
    table = table_of((1, 4, 8)).rename(columns={"columns": "cycle"})
    table["rmse"] = 1.0 + table["cycle"]
    figure = cycles_figure(table, STYLES, channels=CHANNELS, step_hours=6.0, relative_to="something")
    x, y = line_of(figure.axes[0], "optimal interpolation")
    assert x.tolist() == [0.25, 1.0, 2.0] and y.tolist() == [2.0, 5.0, 9.0]
    own = table_of((1, 2)).rename(columns={"columns": "value"})
    figure = ablation_figure(own, STYLES, channels=CHANNELS, along="value", label="σ (cells)")
    assert figure.axes[0].get_xlabel() == "σ (cells)" and figure.axes[0].get_ylim()[0] == 0.0
    assert line_of(figure.axes[0], "default, 30 calls")[1] == pytest.approx([3.0, 2.0])


def test_dots_stand_in_the_line_of_their_method():
    table = pd.concat([table_of((1,), kind=kind) for kind in ("north", "south")])
    figure = dots_figure(table, STYLES.titles, channels=["z500"], kinds={"north": "the north", "south": "the south"})
    axis = figure.axes[0]
    assert [text.get_text() for text in axis.get_yticklabels()] == list(STYLES.titles.values())
    drawn = axis.containers[0].lines[0].get_xdata(), axis.containers[0].lines[0].get_ydata()
    assert drawn[0] == pytest.approx([2.0, 3.0]) and np.rint(np.asarray(drawn[1], float)).tolist() == [0.0, 1.0]


def test_maps_state_the_rmse_by_area_and_show_columns_where_they_were_seen():
    grid = LatLonGrid(np.array([-60.0, 0.0, 60.0]), np.arange(4) * 90.0, periodic=True)
    truth = np.full(grid.shape, 280.0)
    error = np.array([0.0, 2.0, 0.0])[:, None] * np.ones(4)  # the equator's row is half of the globe
    row = ErrorRow("t2m", truth, {"background": truth + error, "analysis": truth + 0.5 * error})
    figure = error_maps(
        row,
        StaticFields(grid, None, np.array([[0.0] * 4, [1.0] * 4, [0.0] * 4])),
        latitude=np.array([0.0, 60.0]),
        longitude=np.array([270.0, 90.0]),
        observed=["analysis"],
    )
    first, second = figure.axes[:2]
    assert first.get_title(loc="left") == "background: RMSE 1.41 K"
    assert second.get_title(loc="left") == "analysis: RMSE 0.707 K"
    assert [len(axis.collections) for axis in (first, second)] == [2, 3]  # field, coast, and the dots
    np.testing.assert_allclose(second.collections[-1].get_offsets(), [[-90.0, 0.0], [90.0, 60.0]])
    assert "error of T 2 m (K)" in [axis.get_ylabel() for axis in figure.axes]
