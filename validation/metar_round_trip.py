"""Claim: METAR text of simulated stations, read and screened like real reports, gives back what was put in.

    python validation/metar_round_trip.py [--runs 3] [--stations 150] [--seed 1]

Nature runs over random landscapes, every other one made 35 K colder, report every 3 hours through a network of
stations. Three figures are made of it:

1. Reports without errors: the difference of every value that comes back from the truth at the station's own place,
   height and time, against what the code keeps: tenths of a degree, whole knots and tens of degrees, hundredths of an
   inch cut down (so that pressures are low by 17 Pa on average, never by more than 33.9 Pa), reportable miles, hundreds
   of feet. Expected: no value beyond.
2. Reports received after a cut-off 10 minutes after the analysis time: expected all of them flagged, and no other.
3. Reports with the usual errors, 5 % of them grossly wrong by 8 to 16 or 16 to 32 standard deviations: what part of the
   gross errors quality control flags against the simulated background, with its usual settings and told the errors of
   reports and background, and what part of the sound data it flags too. The smaller ones (a pressure off by 3 to 6 hPa,
   a temperature by 6 to 11 K) do not always stand out from what weather does to a background, and the usual settings,
   which expect larger errors of reports and background, let most of them pass; their figures are stated, without limit.
   Expected of the larger ones, told: ≥ 95 % found, ≤ 0.1 % false alarms.

Visibility is compared up to 10 miles, which in the American code stand for more as well. Exits 0 only if 1, 2 and 3 are
as expected. Takes about half a minute on one core.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rtma_diffda.dynamics.nature_run import NatureSettings, simulate_runs
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.random_terrain import random_terrain
from rtma_diffda.geo.region import load_region
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.observations.flags import Flag
from rtma_diffda.observations.ingest.files import read_observations
from rtma_diffda.observations.metar_sky_groups import FOOT, STATUTE_MILE
from rtma_diffda.observations.metar_writer import HECTOPASCAL_PER_INCH, KNOT, write_metar
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.observations.quality_control import BackgroundCheck
from rtma_diffda.observations.screening import QualityControl
from rtma_diffda.observations.simulated_errors import ReportErrors
from rtma_diffda.observations.simulated_reports import flag_late, simulate_reports
from rtma_diffda.observations.simulated_sites import as_station_table, simulated_network
from rtma_diffda.observations.table import Observations
from rtma_diffda.times import Window

COLDER = 35.0
CUTOFF = np.timedelta64(10, "m")
HALF_WINDOW = np.timedelta64(450, "s")
SKY = ("gust", "tcc", "vis", "ceil")
GROSS = {
    "8 to 16": ReportErrors(gross_error_rate=0.05),
    "16 to 32": ReportErrors(gross_error_rate=0.05, gross_error_size=(16.0, 32.0)),
}
TOLD = BackgroundCheck(background_std=(("t2m", 1.5), ("d2m", 2.0), ("u10m", 1.2), ("v10m", 1.2), ("sp", 50.0)))
FEWEST_FOUND, MOST_FALSE = 0.95, 0.001
MOST_SEEN = 10 * STATUTE_MILE
ROUNDING = 1e-6
"""Of floating point, in the unit of the quantity."""


@dataclass(frozen=True)
class Case:
    """One time of one run: what stations see, what the analysis would start from, where stations stand."""

    truth: State
    background: State
    static: StaticFields
    network: pd.DataFrame


def cases(runs: int, stations: int, seed: int) -> Iterator[Case]:
    """Every third hour of each run."""
    grid = load_region("osse_small").grid
    times = np.datetime64("2026-06-11T00:00", "ns") + np.arange(0, 24, 3) * np.timedelta64(1, "h")
    for number in range(runs):
        terrain, weather, network = (generator(seed, number, stream) for stream in range(3))
        static = random_terrain(grid, generator=terrain)
        run = simulate_runs([static], times, NatureSettings(), generators=[weather])[0]
        shift = torch.tensor([COLDER if name in ("t2m", "d2m") else 0.0 for name in run.layout.names])
        shift = (number % 2) * shift[:, None, None]
        places = simulated_network(grid, static, count=stations, generator=network)
        for i, time in enumerate(times):
            truth = torch.cat([run.truth[i] - shift, run.sky[i]])[None]
            yield Case(
                State(truth, Layout.of(grid, (*run.layout.names, *SKY)), time),
                State((run.background[i] - shift)[None], run.layout, time),
                static,
                places,
            )


def generator(*numbers: int) -> torch.Generator:
    """A generator of its own for every combination of numbers."""
    words = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0] >> np.uint64(1)))


def read_back(case: Case, reports: pd.DataFrame, control: QualityControl) -> pd.DataFrame:
    """The screened table that comes of the reports' text."""
    time = case.truth.valid_time
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "metar.txt"
        path.write_text(write_metar(reports), encoding="ascii")
        table = read_observations(path, reference_time=time, stations=as_station_table(case.network)).table
    return control.screen(table, grid=case.static.grid, window=Window.around(time, HALF_WINDOW))


def allowed(name: str, exact: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest difference (n,) of a value that comes back, from what the code keeps of it."""
    count = np.ones(len(exact))
    if name == "sp":
        return -0.01 * HECTOPASCAL_PER_INCH * 100.0 * count, 0.0 * count
    speed = exact["wind_speed"].to_numpy()
    vector = 0.5 * KNOT + 2.0 * (speed + 0.5 * KNOT) * np.sin(np.deg2rad(2.5))
    feet = exact["ceil"].to_numpy() / FOOT
    miles = exact["vis"].to_numpy() / STATUTE_MILE
    limit = {
        "t2m": 0.05 * count,
        "d2m": 0.05 * count,
        "u10m": vector,
        "v10m": vector,
        "ws10m": 0.5 * KNOT * count,
        "gust": 0.5 * KNOT * count,
        "vis": 0.5 * STATUTE_MILE * np.select([miles <= 2.0, miles <= 3.0], [0.25, 0.5], 1.0),
        "ceil": 0.5 * FOOT * np.select([feet <= 5000.0, feet <= 10000.0], [100.0, 500.0], 1000.0),
    }[name]
    return -limit, limit


COMPARED = ("t2m", "d2m", "ws10m", "u10m", "v10m", "gust", "sp", "vis", "ceil")


def differences(case: Case, table: pd.DataFrame, reports: pd.DataFrame) -> pd.DataFrame:
    """One row a value that comes back: variable, difference, lowest and highest allowed, flags."""
    exact = reports.assign(ws10m=reports["wind_speed"], vis=reports["vis"].clip(upper=MOST_SEEN)).set_index("station")
    frames = []
    for name in COMPARED:
        rows = table[(table["variable"] == name) & (table["bound"] == 0)]
        put_in = exact.loc[rows["station"]]
        lowest, highest = allowed(name, put_in)
        difference = rows["value"].to_numpy() - put_in[name].to_numpy()
        # fog lower than what can be seen through, and a sky told as few clouds, have no ceiling to compare with
        frame = pd.DataFrame({"difference": difference, "lowest": lowest, "highest": highest, "flags": rows["flags"]})
        frames.append(frame.assign(variable=name).dropna(subset="difference"))
    return pd.concat(frames, ignore_index=True)


def precision_figures(found: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    """A row a variable, and whether no value lies beyond what the code keeps and every value is clear."""
    found = found.assign(
        beyond=(found["difference"] < found["lowest"] - ROUNDING) | (found["difference"] > found["highest"] + ROUNDING),
        marked=found["flags"] != 0,
        square=found["difference"] ** 2,
        size=found["difference"].abs(),
        limit=np.maximum(-found["lowest"], found["highest"]),
    )
    groups = found.groupby("variable", sort=False)
    figures = groups.agg(
        values=("size", "size"), mean=("difference", "mean"), rms=("square", "mean"), largest=("size", "max"),
        limit=("limit", "max"), beyond=("beyond", "sum"), flagged=("marked", "sum"),
    )  # fmt: skip
    figures["rms"] = np.sqrt(figures["rms"])
    return figures, not figures[["beyond", "flagged"]].any(axis=None)


def late_figures(case: Case, table: pd.DataFrame, reports: pd.DataFrame) -> tuple[int, int]:
    """How many reports were received too late, and for how many stations the flag says something else."""
    cutoff = case.truth.valid_time + CUTOFF
    late = reports.set_index("station")["received_time"] > cutoff
    marked = (flag_late(table, reports, cutoff)["flags"] & int(Flag.OUTSIDE_WINDOW)) != 0
    flagged = marked.groupby(table["station"]).agg(["all", "any"])
    wrong = (flagged["all"] != late.loc[flagged.index]) | (flagged["any"] != late.loc[flagged.index])
    return int(late.sum()), int(wrong.sum())


def judged(case: Case, control: QualityControl, reports: pd.DataFrame) -> pd.DataFrame:
    """One row a datum of the reported variables: variable, gross (really), partner (of one that is), flagged."""
    layout = case.background.layout
    observations = Observations.from_table(read_back(case, reports, control), layout)
    checked = control.check_background(observations, case.background, BilinearOperator(layout, case.static))
    variable = np.array(layout.names, dtype=object)[checked.channel.numpy()]
    made = reports.set_index("station")["gross_error"].loc[checked.station].to_numpy()
    gross = (made == variable) | ((made == "u10m") & (variable == "v10m"))
    partner = np.isin(made, ["t2m", "d2m"]) & np.isin(variable, ["t2m", "d2m"]) & ~gross
    return pd.DataFrame({"variable": variable, "gross": gross, "partner": partner, "flagged": checked.flags != 0})


def detection_figures(data: pd.DataFrame) -> pd.DataFrame:
    """A row a variable and one for all: gross data, the part found, sound data, the part flagged."""
    rows = {}
    for name, part in [*data.groupby("variable", sort=False), ("all", data)]:
        sound = part[~part["gross"] & ~part["partner"]]
        gross = part[part["gross"]]
        rows[name] = (len(gross), gross["flagged"].mean(), len(sound), sound["flagged"].mean())
    return pd.DataFrame.from_dict(rows, orient="index", columns=["gross", "found", "sound", "false_alarms"])


def main() -> int:
    """Print the three tables; 0 if all is as expected."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--stations", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    found, late, data = [], np.zeros(2, int), []
    for number, case in enumerate(cases(arguments.runs, arguments.stations, arguments.seed)):
        reports = reported(case, ReportErrors(error_std={}), generator(0))
        table = read_back(case, reports, QualityControl())
        found.append(differences(case, table, reports))
        late += late_figures(case, table, reports)
        for size, errors in GROSS.items():
            spoilt = reported(case, errors, generator(arguments.seed, number, 99))
            for name, control in (("usual", QualityControl()), ("told", QualityControl(errors.error_model(), TOLD))):
                data.append(judged(case, control, spoilt).assign(size=size, control=name))
    return report(pd.concat(found), late, pd.concat(data))


def reported(case: Case, errors: ReportErrors, luck: torch.Generator) -> pd.DataFrame:
    """What the stations of a case report."""
    return simulate_reports(case.truth, case.network, static=case.static, errors=errors, generator=luck)


def report(found: pd.DataFrame, late: np.ndarray, data: pd.DataFrame) -> int:
    """Print what was measured; 0 if all is as expected."""
    figures, precise = precision_figures(found)
    print("Differences of values read back from exact reports (SI), and the largest that the code explains:")
    print(figures.to_string(float_format=lambda value: f"{value:.4g}"))
    print(f"\nReports received after the cut-off: {late[0]}; stations flagged otherwise: {late[1]}")
    detection = {key: detection_figures(part) for key, part in data.groupby(["size", "control"], sort=False)}
    for (size, control), table in detection.items():
        print(f"\nGross errors of {size} standard deviations, quality control with settings {control}:")
        print(table.to_string(float_format=lambda value: f"{value:.4f}"))
    told = detection["16 to 32", "told"].loc["all"]
    caught = told["found"] >= FEWEST_FOUND and told["false_alarms"] <= MOST_FALSE
    ok = precise and late[0] > 0 and late[1] == 0 and caught
    beyond, values = int(figures["beyond"].sum()), int(figures["values"].sum())
    print(
        f"\n{'as expected' if ok else 'NOT AS EXPECTED'}: {beyond} of {values} values beyond precision, {late[1]} "
        f"wrong flags of lateness, {100 * told['found']:.1f} % of large gross errors found with "
        f"{100 * told['false_alarms']:.3f} % false alarms"
    )
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
