"""A day of cycles over the demonstration region, cycled and not: what observations of earlier cycles are worth.

    python validation/cycling.py [--output OUT] [--modes uncycled,mean,members,alone] [--seed 1] [--checkpoint DIR]

96 cycles of simulated weather from METAR text, some of it late, through ``rtma-diffda cycle``: the same world, stations
and withheld stations for every mode.

    free       a forecast from the first analysis, by the limited-area model, without observations
    uncycled   every background as given
    change     the first guess is the given background with what the analysis before knew better
    mean       likewise, and the limited-area model carries that on; the mean is cycled
    members    likewise, every member by itself
    alone      the first guess is a limited-area forecast from the analyses alone, drawn a little to the background

Errors are over the whole grid against the truth, in units of the given background's error over the day, all variables
together; and at withheld stations. Promised: the ratio of cycled to uncycled does not grow with time, spread over skill
stays within 0.8 and 1.25, and the better one is the default.
"""

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rtma_diffda.cli.configuration import compose_settings
from rtma_diffda.experiments.cycle import run_cycles
from rtma_diffda.experiments.cycle_report import spread_skill
from rtma_diffda.experiments.cycle_settings import CycleSettings, GuessSettings, LateSettings
from rtma_diffda.experiments.cycle_world import with_world, world_of
from rtma_diffda.experiments.forecast_models import packaged_forecast
from rtma_diffda.experiments.simulated_world import SimulatedWorld
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.forecast.forecast_checkpoint import load_forecast
from rtma_diffda.geo.region import load_region
from rtma_diffda.io.archive import Archive
from rtma_diffda.io.global_runs import GlobalRunFiles
from rtma_diffda.io.static_fields import load_static_fields
from rtma_diffda.verification.display import aligned_text

PART = np.timedelta64(4, "h")
HOUR = np.timedelta64(1, "h")
MODES = {
    "uncycled": GuessSettings(),
    "change": GuessSettings("background_change"),
    "mean": GuessSettings("forecast"),
    "members": GuessSettings("forecast", members=True),
    "alone": GuessSettings("forecast_alone"),
}


@dataclass(frozen=True)
class Day:
    """The settings that all modes share, and their world."""

    settings: CycleSettings
    world: SimulatedWorld

    @property
    def times(self) -> np.ndarray:
        """Of the cycles."""
        return self.settings.streams()[0].times(self.settings.start, self.settings.end)

    def truth(self, when: np.datetime64) -> State:
        """The truth of a time."""
        return self.world.truth[int(np.searchsorted(self.world.times, when))]


def the_day(output: Path, seed: int, end: str) -> Day:
    """The packaged experiment's day, in a world of its own seed."""
    composed = compose_settings("cycle", ["experiment=demo_day", f"end={end}"])
    composed.pop("log")
    settings = CycleSettings.from_mapping(composed)
    world = replace(settings.world, seed=seed)
    settings = replace(settings, data=str(output), world=world, seed=seed, page=False, progress=False)
    return Day(settings, world_of(settings))


def run_mode(day: Day, mode: str, output: Path, checkpoint: str | None) -> tuple[Archive, float]:
    """Cycle; returns the archive and the seconds that it took."""
    chosen = MODES[mode]
    method = replace(day.settings.method, checkpoint=checkpoint if chosen.cycled else None, tuning_hours=0)
    settings = replace(
        day.settings,
        first_guess=chosen,
        method=method,
        output=str(output / mode),
        urma=LateSettings(mode == "uncycled"),
    )
    began = time.perf_counter()
    summary = run_cycles(settings)
    seconds = time.perf_counter() - began
    print(f"\n=== {mode}, {seconds:.0f} s\n{summary.text}", flush=True)
    return Archive.open(output / mode / "archive", create=False), seconds


def free_run(day: Day, archive: Archive) -> dict[np.datetime64, State]:
    """Hourly states of a forecast that begins with the first analyses of a run and sees no observation after them."""
    region = load_region(day.settings.region)
    static, layout = load_static_fields(region), Layout.of(region.grid, region.variables)
    model = load_forecast(packaged_forecast(), static, variables=layout.names)
    runs = GlobalRunFiles(
        path=with_world(day.settings).global_runs.path,
        layout=Layout.of(model.place.boundary_grid, layout.names),
        latency=np.timedelta64(0, "h"),
    )
    start = day.times[0]
    states = [archive.state(start + k * HOUR).mean() for k in range(2)]
    made = {}
    for when in np.arange(start + 2 * HOUR, day.times[-1] - HOUR, HOUR):  # the last run reaches two hours further
        need = model.need(when - HOUR, 1)
        boundary = runs.bracketing(need, available_at=start + HOUR, before=start + HOUR)
        states = [states[1], model.step(states, boundary)]
        made[when] = states[1]
    return made


def scaled_error(state: State, truth: State, scale: np.ndarray) -> float:
    """Root mean square over points and variables, each variable by its scale."""
    rows = [state.layout.index(name) for name in truth.layout.names]
    squared = (state.values.mean(dim=0)[rows] - truth.values[0]).double().square().mean(dim=(1, 2)).numpy()
    return float(np.sqrt(np.mean(squared / scale**2)))


def background_scale(day: Day, archive: Archive) -> np.ndarray:
    """The given background's error over the day, by variable."""
    squares = []
    for when in day.times:
        truth = day.truth(when)
        names = truth.layout.names
        dataset = archive.read(when, tuple(f"{name}_background" for name in names))
        given = np.stack([dataset[f"{name}_background"].values for name in names])
        squares.append(((given - truth.values[0].numpy()) ** 2).mean(axis=(1, 2)))
    return np.sqrt(np.mean(squares, axis=0))


def spread_over_skill(day: Day, archive: Archive) -> pd.Series:
    """Stated over true error of the analyses on the grid, by part of the day, variables counting alike."""
    rows = []
    for when in day.times:
        truth = day.truth(when)
        names = truth.layout.names
        dataset = archive.read(when, (*names, *(f"{name}_error" for name in names)))
        for i, name in enumerate(names):
            error = float(((dataset[name].values - truth.values[0, i].numpy()) ** 2).mean())
            rows.append(
                (when.astype("datetime64[ns]"), name, float((dataset[f"{name}_error"].values ** 2).mean()), error)
            )
    frame = pd.DataFrame(rows, columns=["time", "variable", "stated", "found"])
    scale = frame["variable"].map(frame.groupby("variable")["found"].mean())
    frame = frame.assign(stated=frame["stated"] / scale, found=frame["found"] / scale)
    parts = frame.groupby((frame["time"] - frame["time"].min()) // PART)[["stated", "found"]].mean()
    return np.sqrt(parts["stated"] / parts["found"])


def station_error(output: Path, mode: str) -> float:
    """Root mean square departure from withheld reports, every variable by its background's over the same reports."""
    pairs = pd.read_parquet(output / mode / "pairs.parquet")
    reference = pd.read_parquet(output / "uncycled" / "pairs.parquet")
    ratios = []
    for name, rows in pairs.groupby("variable"):
        given = reference[reference["variable"] == name]
        found = (rows["observed"] - rows["diffusion"]).pow(2).mean()
        ratios.append(found / (given["observed"] - given["background"]).pow(2).mean())
    return float(np.sqrt(np.mean(ratios)))


def by_parts(errors: dict[np.datetime64, float], day: Day) -> list[float]:
    """Root mean squares over parts of the day."""
    series = pd.Series(errors)
    parts = (pd.DatetimeIndex(series.index) - pd.Timestamp(day.times[0])) // pd.Timedelta(PART)
    return np.sqrt((series**2).groupby(np.asarray(parts)).mean()).tolist()


def figure_of(errors: dict[str, dict[np.datetime64, float]], path: Path) -> None:
    """Errors against time."""
    figure = Figure(figsize=(8, 4), dpi=110, layout="constrained")
    axis = figure.subplots()
    for mode, found in errors.items():
        axis.plot(list(found), list(found.values()), label=mode, linewidth=1.4)
    axis.set_ylabel("RMSE over the grid / background's over the day")
    axis.set_ylim(0, 1.6)
    axis.grid(alpha=0.3)
    axis.legend(ncols=3, fontsize=8)
    axis.set_title("A day of 15-minute cycles, simulated weather", fontsize=10)
    figure.savefig(path)


def main() -> int:
    """Run the modes and print their table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("outputs/cycling"))
    parser.add_argument("--modes", default="uncycled,change,mean,members,alone")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--end", default="2026-06-15T23:45")
    parser.add_argument("--checkpoint", default=None, help="denoiser of the cycled modes; the packaged one")
    given = parser.parse_args()
    day = the_day(given.output, given.seed, given.end)
    modes = list(dict.fromkeys(["uncycled", *given.modes.split(",")]))
    archives, errors, seconds = {}, {}, {}
    for mode in modes:
        archives[mode], seconds[mode] = run_mode(day, mode, given.output, given.checkpoint)
    scale = background_scale(day, archives["uncycled"])
    for mode, archive in archives.items():
        errors[mode] = {when: scaled_error(archive.state(when), day.truth(when), scale) for when in day.times}
    errors["free"] = {
        when: scaled_error(state, day.truth(when), scale) for when, state in free_run(day, archives["uncycled"]).items()
    }
    figure_of(errors, given.output / "cycling.png")
    return report(day, given.output, errors, archives, seconds)


def report(
    day: Day,
    output: Path,
    errors: dict[str, dict[np.datetime64, float]],
    archives: dict[str, Archive],
    seconds: dict[str, float],
) -> int:
    """Print the tables; 0 where all that is promised holds."""
    parts = {mode: by_parts(found, day) for mode, found in errors.items()}
    head = [f"{4 * i}–{4 * i + 4} h" for i in range(len(parts["uncycled"]))]
    rows = [[mode, *(f"{value:.3f}" for value in values)] for mode, values in parts.items()]
    print("\nRMSE over the grid against the truth, in units of the given background's over the day\n")
    print(aligned_text(["mode", *head], rows, text_columns=1))
    growth, kept = [], True
    for mode in [m for m in parts if m not in ("uncycled", "free")]:
        ratios = [a / b for a, b in zip(parts[mode], parts["uncycled"], strict=True)]
        half = len(ratios) // 2
        trend = np.mean(ratios[half:]) / np.mean(ratios[:half])
        growth.append([mode, *(f"{ratio:.3f}" for ratio in ratios), f"{trend:.3f}"])
        kept &= bool(trend <= 1.05)
    print("\nRatio to uncycled, and of the second half of the day to the first\n")
    print(aligned_text(["mode", *head, "growth"], growth, text_columns=1))
    rows = []
    for mode, archive in archives.items():
        ratios = spread_over_skill(day, archive)
        pairs = pd.read_parquet(output / mode / "pairs.parquet")
        stations = spread_skill(pairs, "diffusion")["all"]
        kept &= bool(ratios.between(0.8, 1.25).all()) or mode not in ("uncycled",)
        rows.append([mode, *(f"{value:.2f}" for value in ratios), f"{stations.min():.2f} … {stations.max():.2f}",
                     f"{station_error(output, mode):.3f}", f"{seconds[mode]:.0f}"])  # fmt: skip
    print("\nStated over true error on the grid; at withheld stations; error there (background = 1); seconds\n")
    print(aligned_text(["mode", *head, "at stations", "error there", "s"], rows, text_columns=1))
    print(f"\nfigure: {output / 'cycling.png'}\n{'as promised' if kept else 'NOT as promised'}")
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
