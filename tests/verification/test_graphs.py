"""Graphs of scores and departures: bars as long as the scores, intervals, every source once, nothing lost."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from rtma_diffda.verification.bootstrap import BlockBootstrap
from rtma_diffda.verification.reports.canvas import png_bytes
from rtma_diffda.verification.reports.departures import departure_histograms, standardised_histogram, withheld_scatter
from rtma_diffda.verification.reports.score_figures import rmse_series, score_bars, score_figure
from rtma_diffda.verification.scores import rmse_by_time, score_table


@pytest.fixture(scope="module")
def scores(case) -> pd.DataFrame:
    return score_table(case.pairs, bootstrap=BlockBootstrap(block_degrees=0.25, iterations=200))


def test_bars_are_as_long_as_the_scores(scores):
    axis = score_bars(scores, "t2m")
    rows = scores[scores["variable"] == "t2m"]
    assert [bar.get_width() for bar in axis.patches] == pytest.approx(rows["rmse"].tolist())
    assert [label.get_text() for label in axis.get_yticklabels()] == ["background", "kriging"]
    assert axis.get_xlabel() == "RMSE (K)"
    assert axis.get_xlim()[1] > rows["rmse_high"].max()


def test_bars_without_intervals_are_still_drawn(case):
    scores = score_table(case.pairs, bootstrap=BlockBootstrap(block_degrees=None))
    assert png_bytes(score_bars(scores, "t2m").figure)


def test_one_panel_a_variable(scores):
    titles = [axis.get_title(loc="left").split(",")[0] for axis in score_figure(scores).axes]
    assert titles == ["2 m temperature", "10 m eastward wind", "10 m northward wind", "10 m wind vector"]


def test_histograms_hold_every_departure(case):
    axis = departure_histograms(case.pairs, "t2m")
    count = (case.pairs["variable"] == "t2m").sum()
    mean = (case.pairs["observed"] - case.pairs["background"])[case.pairs["variable"] == "t2m"].mean()
    steps = [patch for patch in axis.patches if not patch.get_fill()]
    assert len(steps) == 2
    for patch in steps:  # the outline's heights at the left edges of the bins
        vertices = patch.get_path().vertices
        heights = [y for (x0, y0), (x1, y) in pairwise(vertices) if y == y0 and x1 > x0]
        assert sum(heights) == count
    assert f"background: mean {mean:+.2f}" in axis.get_legend().get_texts()[0].get_text()


def test_scatter_and_calibration_are_drawn(case):
    axis = withheld_scatter(case.pairs, "t2m")
    assert [len(points.get_offsets()) for points in axis.collections] == [30, 30]
    assert axis.get_xlim() == axis.get_ylim()
    assert "N(0, 1)" in standardised_histogram(case.pairs, "t2m", "kriging").get_legend().get_texts()[1].get_text()


def test_series_has_a_line_a_source(case):
    times = [case.pairs.assign(valid_time=case.pairs["valid_time"] + np.timedelta64(i, "h")) for i in range(3)]
    axis = rmse_series(rmse_by_time(pd.concat(times), "t2m"), "t2m")
    assert [line.get_label() for line in axis.lines] == ["background", "kriging"]
    assert axis.lines[0].get_ydata() == pytest.approx([axis.lines[0].get_ydata()[0]] * 3)
    assert axis.get_ylim()[0] == 0.0


def test_nothing_to_draw_is_no_error(case, scores):
    nothing = case.pairs[:0]
    axes = (
        departure_histograms(nothing, "t2m"),
        withheld_scatter(nothing, "t2m"),
        standardised_histogram(nothing, "t2m", "kriging"),
        score_bars(scores[:0], "t2m"),
        rmse_series(rmse_by_time(nothing, "t2m"), "t2m"),
    )
    assert all(png_bytes(axis.figure) for axis in axes)
    assert png_bytes(score_figure(scores[:0]))
