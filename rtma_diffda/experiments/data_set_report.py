"""The report of a simulated data set: its weather, how wrong its backgrounds are, and whether it drifts."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from rtma_diffda import __version__
from rtma_diffda.experiments.data_set import DataSetDesign
from rtma_diffda.experiments.osse_cases import ObservingSettings, RunIdentity
from rtma_diffda.io.simulation_store import SPLITS, SimulatedRun, read_run, stored_runs
from rtma_diffda.verification.data_set_statistics import RunStatistics, background_table, lead_errors
from rtma_diffda.verification.display import aligned_text
from rtma_diffda.verification.reports.data_set_page import (
    BACKGROUND_HEADER,
    DataSetPage,
    background_rows,
    data_set_page,
)
from rtma_diffda.verification.reports.page import PageHead
from rtma_diffda.verification.reports.report import Picture
from rtma_diffda.verification.reports.weather_maps import StationPlaces, sky_figure, weather_figure

_SHOWN_HOURS = (4, 10, 15, 20)
"""Of the example: before dawn, morning, afternoon, evening."""


def write_data_set_report(design: DataSetDesign, seed: int, observing: ObservingSettings) -> tuple[str, Path]:
    """Write the page of a data set; returns the table for the terminal, and where the page is."""
    path = design.path(seed)
    split, number = next((s, 0) for s in ("test", "validation", "train") if stored_runs(path, s))
    example = read_run(design.run_path(seed, split, number))
    by_split = {name: [_statistics(run) for run in _runs(path, name)] for name in SPLITS if stored_runs(path, name)}
    leads = [
        lead_errors(run.truth, run.lagged, run=run.name)
        for name in by_split
        if name != "train"
        for run in _runs(path, name)
        if run.lagged
    ]
    page = DataSetPage(
        runs_by_split=by_split,
        static=example.static,
        example=example.name,
        weather=_weather(example, RunIdentity(seed, split, number), observing),
        leads=pd.concat(leads, ignore_index=True) if leads else None,
    )
    report = data_set_page(path / "report.html", _head(design, seed, by_split), page)
    return _text(by_split), report


def _runs(path: Path, split: str) -> Sequence[SimulatedRun]:
    return [read_run(run) for run in stored_runs(path, split)]


def _statistics(run: SimulatedRun) -> RunStatistics:
    return RunStatistics.of(run.truth, run.background, run=run.name)


def _weather(run: SimulatedRun, identity: RunIdentity, observing: ObservingSettings) -> tuple[Picture, ...]:
    """Truth, background and difference at several hours with the stations, and the sky of one."""
    network = identity.network(run.static, observing)
    everyone = pd.concat([network.stations, network.withheld])
    withheld = np.arange(len(everyone)) >= len(network.stations)
    places = StationPlaces(everyone["latitude"].to_numpy(), everyone["longitude"].to_numpy(), withheld)
    hours = (run.times - run.times.astype("datetime64[D]")) // np.timedelta64(1, "h")
    shown = [int(np.flatnonzero(hours == hour)[0]) for hour in _SHOWN_HOURS if (hours == hour).any()] or [0]
    pictures = [
        Picture.of(
            weather_figure(
                run.truth.state(i), run.background.state(i), run.static, stations=places, place=f"run {run.name}"
            ),
            f"Run {run.name} at {hours[i]:02d} UTC: truth, background, and background minus truth.",
        )
        for i in shown
    ]
    if run.sky is not None:
        sky = sky_figure(run.sky.state(shown[-1]), run.static, place=f"run {run.name}")
        pictures.append(
            Picture.of(sky, f"Gust, cloud, visibility and ceiling of the truth at {hours[shown[-1]]:02d} UTC.")
        )
    return tuple(pictures)


def _head(design: DataSetDesign, seed: int, by_split: Mapping[str, Sequence[RunStatistics]]) -> PageHead:
    grid = design.place.grid
    counts = ", ".join(f"{len(runs)} {split}" for split, runs in by_split.items())
    summary = (
        f"Simulated weather over {grid.ny} × {grid.nx} points of {grid.dx / 1000:g} km: {counts} runs of "
        f"{design.hours} hours, each with its own terrain, date and noise. The background is an imperfect twin of the "
        "truth: other parameters, another terrain in detail, other noise of the same kind."
    )
    return PageHead(
        title=f"Data set {design.name}, seed {seed}",
        summary=summary,
        created=np.datetime64(datetime.now(UTC).replace(tzinfo=None), "s"),
        provenance={"software": f"rtma_diffda {__version__}", **design.description(seed)},
    )


def _text(by_split: Mapping[str, Sequence[RunStatistics]]) -> str:
    parts = []
    for split, runs in by_split.items():
        rows = list(background_rows(background_table(runs)))
        parts.append(f"Background error of {split} runs:\n{aligned_text(BACKGROUND_HEADER, rows, text_columns=1)}")
    return "\n\n".join(parts)
