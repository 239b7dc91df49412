"""A real day through ``rtma-diffda cycle``: 24 hourly HRRR fields over south-west Idaho, from GRIB2 and METAR text.

    python validation/hrrr_idaho.py DIR [--output OUT] [--stations 60]

DIR has the GRIB2 files (1-hour forecasts, 41 × 78 points of 3 km, winds along the grid). The region is the files' own
grid, with their earth radius and terrain. The background of each hour is the field of the hour before, the truth is the
field of the hour, and stations at made-up places report that truth, with errors, as METAR text. A quarter of them is
withheld from all cycles. What is shown is that files of an operational model go through the same command as everything
else, and what an hour-old field plus reports is worth; the stations, and so the scores, are simulated.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

from rtma_diffda.experiments.analyse import ControlSettings
from rtma_diffda.experiments.cycle import run_cycles
from rtma_diffda.experiments.cycle_settings import (
    BackgroundSettings,
    CycleMethodSettings,
    CycleSettings,
    ReportSettings,
    WithholdingSettings,
)
from rtma_diffda.experiments.simulated_spool import write_reports
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.region import Region, load_region
from rtma_diffda.io.archive import Archive
from rtma_diffda.io.background import load_background
from rtma_diffda.io.gridded import find_fields, load_field
from rtma_diffda.io.static_fields import load_static_fields
from rtma_diffda.observations.simulated_errors import ERROR_STD, ReportErrors
from rtma_diffda.observations.simulated_reports import simulate_reports
from rtma_diffda.observations.simulated_sites import simulated_network
from rtma_diffda.verification.display import aligned_text, display_difference

HOUR = np.timedelta64(1, "h")
FIRST, TUNING = 3, 3
"""The second field is the first with an hour-old background; cycles begin three hours later, tuned on those between."""
VARIABLES = ("t2m", "d2m", "u10m", "v10m", "sp")


def write_region(file: Path, output: Path) -> Region:
    """A region file of the GRIB file's own grid, terrain and land."""
    grid = load_field(next(field for field in find_fields(file) if field.variable == "t2m")).grid
    words = dict(part.removeprefix("+").split("=") for part in grid.projection.split() if "=" in part)
    content = {
        "name": "idaho",
        "title": "South-west Idaho (HRRR, 3 km)",
        "projection": {key: words[key] if key == "proj" else float(words[key])
                       for key in ("proj", "lat_1", "lat_2", "lat_0", "lon_0", "a", "b")},
        "grid": {"nx": grid.nx, "ny": grid.ny, "dx": grid.dx, "dy": grid.dy,
                 "first_point": {"latitude": float(grid.latitude()[0, 0]), "longitude": float(grid.longitude()[0, 0])}},
        "static": {"orog": str(file.resolve()), "lsm": str(file.resolve())},
        "variables": list(VARIABLES),
    }  # fmt: skip
    path = output / "idaho.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_region(str(path))


def truths(files: list[Path], region: Region) -> list[State]:
    """The field of each file, as it is."""
    static, layout = load_static_fields(region), Layout.of(region.grid, region.variables)
    return [
        load_background(file, layout=layout, static=static, valid_time=find_fields(file)[0].valid_time).state
        for file in files
    ]


def write_reports_of(states: list[State], region: Region, output: Path, *, stations: int) -> Path:
    """METAR text of every hour in ``output/spool``, and the table of the stations; returns the table's path."""
    static, generator = load_static_fields(region), torch.Generator().manual_seed(1)
    network = simulated_network(region.grid, static, count=stations, generator=generator)
    table = output / "stations.csv"
    network[["station", "latitude", "longitude", "elevation"]].to_csv(table, index=False)
    for state in states:
        reports = simulate_reports(state, network, static=static, errors=ReportErrors(), generator=generator)
        write_reports(output / "spool", reports, state.valid_time)
    return table


def settings_of(directory: Path, output: Path, table: Path, times: np.ndarray) -> CycleSettings:
    """Hourly cycles; the background of each is the field of the hour before."""
    return CycleSettings(
        region=str(output / "idaho.yaml"),
        background=BackgroundSettings(str(directory / "*.grib2"), shift_minutes=60.0),
        start=times[1] + FIRST * HOUR,
        end=times[-1],
        interval_minutes=60.0,
        observations=ReportSettings((str(output / "spool"),), str(table), arrival="ignored"),
        method=CycleMethodSettings(tuning_hours=TUNING),
        quality_control=ControlSettings(errors=dict(ERROR_STD)),
        verification=WithholdingSettings(0.25, 0.2),
        output=str(output / "run"),
        progress=False,
    )


def grid_table(states: list[State], archive: Archive, settings: CycleSettings) -> str:
    """Root mean square errors over the grid of the hour-old field and of the analysis, over all cycles."""
    by_time = {state.valid_time: state for state in states}
    squares: dict[str, list[np.ndarray]] = {"hour-old field": [], "analysis": []}
    for time in settings.streams()[0].times(settings.start, settings.end):
        truth, names = by_time[time].values[0], by_time[time].layout.names
        analysis = archive.state(time)
        rows = [analysis.layout.index(name) for name in names]
        for what, values in (
            ("hour-old field", by_time[time - HOUR].values[0]),
            ("analysis", analysis.values[0, rows]),
        ):
            squares[what].append((values - truth).double().square().mean(dim=(1, 2)).numpy())
    found = {what: np.sqrt(np.mean(parts, axis=0)) for what, parts in squares.items()}
    rows = [
        [name, *(f"{float(display_difference(name, errors[i : i + 1])[0][0]):.2f}" for errors in found.values()),
         f"{found['analysis'][i] / found['hour-old field'][i]:.2f}"]
        for i, name in enumerate(VARIABLES)
    ]  # fmt: skip
    return aligned_text(["RMSE over the grid", *found, "ratio"], rows, text_columns=1)


def main() -> int:
    """Write region and reports, cycle, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--output", type=Path, default=Path("outputs/hrrr_idaho"))
    parser.add_argument("--stations", type=int, default=60)
    given = parser.parse_args()
    files = sorted(given.directory.glob("*.grib2"))
    if len(files) < FIRST + TUNING:
        print(f"{given.directory} holds {len(files)} GRIB2 files; expected the 24 of a day")
        return 3
    given.output.mkdir(parents=True, exist_ok=True)
    region = write_region(files[0], given.output)
    states = truths(files, region)
    table = write_reports_of(states, region, given.output, stations=given.stations)
    settings = settings_of(given.directory, given.output, table, np.array([state.valid_time for state in states]))
    summary = run_cycles(settings)
    print(summary.text)
    print(f"\n{grid_table(states, Archive.open(given.output / 'run' / 'archive', create=False), settings)}")
    made = pd.Series(summary.degraded)
    print(f"\n{len(files)} files read, {'all cycles complete' if made.empty else '; '.join(made)}")
    return 0 if made.empty else 4


if __name__ == "__main__":
    raise SystemExit(main())
