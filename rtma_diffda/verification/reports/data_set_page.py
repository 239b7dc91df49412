"""The page of a data set: what its weather looks like, how wrong its backgrounds are, and whether it drifts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.verification.data_set_statistics import (
    RunStatistics,
    background_spectra,
    background_table,
    drift_table,
)
from rtma_diffda.verification.display import display_difference, format_number, title_of
from rtma_diffda.verification.reports.data_set_figures import (
    bias_map_figure,
    drift_figure,
    error_map_figure,
    lead_figure,
    run_figure,
    without_terrain,
)
from rtma_diffda.verification.reports.page import PageHead, PageSection, write_page
from rtma_diffda.verification.reports.report import Picture
from rtma_diffda.verification.reports.spectra_figures import background_spectra_figure
from rtma_diffda.verification.reports.tables import Table

BACKGROUND_HEADER = ("variable", "RMSE", "bias", "least run", "largest run", "worst run", "std of the truth", "runs")
DRIFT_HEADER = ("variable", "change of the mean", "its std over runs", "std over the area, end / beginning")


@dataclass(frozen=True)
class DataSetPage:
    """What goes on the page besides its head.

    Attributes:
        runs_by_split: {``train``, ``validation``, ``test``: statistics of the runs}; background errors are of all.
        static: terrain of the example run.
        example: its name; it is among the runs.
        weather: pictures of its hours, from ``weather_maps.weather_figure``.
        leads: from ``data_set_statistics.lead_errors``, runs put together; None without lagged forecasts.
        sections: further sections, at the end: the test of exchangeability, say.
    """

    runs_by_split: Mapping[str, Sequence[RunStatistics]]
    static: StaticFields
    example: str
    weather: tuple[Picture, ...] = ()
    leads: pd.DataFrame | None = None
    sections: tuple[PageSection, ...] = ()

    @property
    def runs(self) -> list[RunStatistics]:
        """All runs."""
        return [run for runs in self.runs_by_split.values() for run in runs]


def data_set_page(path: Path, head: PageHead, page: DataSetPage) -> Path:
    """Write the page of a data set as one HTML file; returns its path.

    Raises:
        InputError: there are no runs, or it cannot be written there.
    """
    sections = [
        PageSection("Weather", pictures=page.weather, remark=_WEATHER_REMARK),
        _background(page),
        _spectra(page),
        _drift(page),
        *page.sections,
    ]
    return write_page(path, head, sections)


def background_rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """Rows of ``data_set_statistics.background_table`` in display units; columns as in ``BACKGROUND_HEADER``."""
    rows = []
    for row in table.to_dict("records"):
        scale, unit = display_difference(row["variable"], 1.0)
        numbers = (format_number(row[name] * scale) for name in ("rmse", "bias", "least_rmse", "largest_rmse"))
        title = f"{title_of(row['variable'])} ({unit})"
        rows.append((title, *numbers, row["worst_run"], format_number(row["truth_std"] * scale), f"{row['runs']:,}"))
    return rows


def drift_rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """Rows of ``data_set_statistics.drift_table`` in display units; columns as in ``DRIFT_HEADER``."""
    rows = []
    for row in table.to_dict("records"):
        scale, unit = display_difference(row["variable"], 1.0)
        numbers = (format_number(row[name] * scale) for name in ("mean_change", "std_change"))
        rows.append((f"{title_of(row['variable'])} ({unit})", *numbers, format_number(row["std_ratio"])))
    return rows


_WEATHER_REMARK = (
    "Simulated weather, not real. Isobars (white, hPa): pressure reduced to sea level. Barbs: half 5, full 10, pennant "
    "50 knots. Black line: coast; thin grey lines: terrain. Dots: stations; diamonds: stations that no method sees."
)


def _background(page: DataSetPage) -> PageSection:
    tables = tuple(
        (
            f"{split.capitalize()} runs",
            Table(BACKGROUND_HEADER, background_rows(background_table(runs)), minor={5, 6, 7}),
        )
        for split, runs in page.runs_by_split.items()
        if runs
    )
    pictures = [
        *_error_maps(
            page.runs,
            without_terrain(page.static),
            "over all runs. Every run has its own terrain, so what "
            "is seen here is the frame: even in the middle, other at the rim",
        ),
        *_error_maps(
            [run for run in page.runs if run.run == page.example],
            page.static,
            f"of run {page.example} "
            "alone, over its terrain: where the coarse model's valleys, ridges and coast are wrong",
        ),
        Picture.of(
            run_figure(page.runs_by_split),
            "Root mean square error of the background by run; the bar is the median. Splits should look alike, and no "
            "run stand apart.",
        ),
    ]
    if page.leads is not None and not page.leads.empty:
        caption = "Error of forecasts by lead time; thin lines are single runs."
        pictures.append(Picture.of(lead_figure(page.leads), caption))
    return PageSection("Background error", tables=tables, pictures=tuple(pictures), remark=_finite_remark(page.runs))


def _error_maps(runs: Sequence[RunStatistics], static: StaticFields, whose: str) -> list[Picture]:
    """Two pictures; none without runs."""
    if not runs:
        return []
    return [
        Picture.of(
            error_map_figure(runs, static), f"Root mean square error of the background at every point, {whose}."
        ),
        Picture.of(bias_map_figure(runs, static), "Mean error of the background, as above."),
    ]


def _spectra(page: DataSetPage) -> PageSection:
    caption = (
        "Variance by wavelength of the truth, of the background and of its error, and coherence of truth and "
        "background (dotted). Where the error's variance is twice the truth's the background knows nothing of these "
        "waves; a background with less variance than the truth is too smooth and gives itself away."
    )
    picture = Picture.of(background_spectra_figure(background_spectra(page.runs)), caption)
    return PageSection("Spectra", pictures=(picture,))


def _drift(page: DataSetPage) -> PageSection:
    table = Table(DRIFT_HEADER, drift_rows(drift_table(page.runs)))
    caption = (
        "Means over the area by hour of the run, all runs (thin) and their mean (thick). Single runs go their own ways "
        "with the large-scale weather; their mean should show the day's course and no trend."
    )
    remark = (
        "From the beginning to the end of a run: whole days where it has two, otherwise its first and last quarter, "
        "which then hold some of the day's course."
    )
    pictures = (Picture.of(drift_figure(page.runs), caption),)
    return PageSection("Does it drift?", tables=(("", table),), pictures=pictures, remark=remark)


def _finite_remark(runs: Sequence[RunStatistics]) -> str:
    bad = int(np.sum([run.not_finite for run in runs]))
    return f"{bad:,} values of truth and background are not finite." if bad else "All values are finite."
