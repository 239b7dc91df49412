"""Live cycling on an accelerated clock, with a feed of reports that is late, out of order, repeated and interrupted.

    python validation/live_hour.py [--output OUT] [--factor 24] [--hours 24]

A day passes in an hour (``--factor 24``). Bulletins of the simulated day are put into the spool when they would arrive:
7 % of the reports 20 minutes to 3 hours late, so after newer ones; every twentieth bulletin comes twice; from 10:00 to
10:40 nothing comes, and then everything at once; a bulletin at noon is garbage. Live cycles run beside the feed, with a
re-analysis of each hour 3 hours later. Afterwards every analysis is asked which reports it used, and whether these are
those that had arrived by its cut-off.
"""

import argparse
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rtma_diffda.cli.configuration import compose_settings
from rtma_diffda.cycling.clock import Clock
from rtma_diffda.cycling.runner import Outcome
from rtma_diffda.experiments.cycle import Watch, latency_text, outcome_of
from rtma_diffda.experiments.cycle_settings import CycleSettings, LateSettings, LiveSettings
from rtma_diffda.experiments.cycle_systems import build_run
from rtma_diffda.experiments.cycle_world import with_world, world_of
from rtma_diffda.times import compact_time

OUTAGE = (np.timedelta64(600, "m"), np.timedelta64(640, "m"))
GARBAGE = np.timedelta64(720, "m")
MINUTE = np.timedelta64(1, "m")


@dataclass(frozen=True)
class Delivery:
    """A bulletin and when it comes."""

    due: np.datetime64
    name: str
    content: bytes


def deliveries(bulletins: tuple[Path, ...], start: np.datetime64) -> list[Delivery]:
    """The feed of a day, in the order in which it comes."""
    found = []
    for number, path in enumerate(bulletins):
        due = np.datetime64(path.stat().st_mtime_ns, "ns")
        if OUTAGE[0] <= due - start < OUTAGE[1]:
            due = start + OUTAGE[1]
        content = path.read_bytes()
        found.append(Delivery(due, path.name, content))
        if number % 20 == 0:
            found.append(Delivery(due + 30 * MINUTE, f"repeat_{path.name}", content))
    noise = bytes(np.random.default_rng(1).integers(0, 256, 4000, dtype=np.uint8))
    found.append(Delivery(start + GARBAGE, f"metar_{compact_time(start + GARBAGE).rstrip('Z')}_x.txt", noise))
    return sorted(found, key=lambda one: one.due)


def feed(spool: Path, coming: list[Delivery], clock: Clock, stop: threading.Event) -> None:
    """Put every bulletin into the spool when it is due, by a rename."""
    spool.mkdir(parents=True, exist_ok=True)
    for one in coming:
        while clock.now() < one.due:
            if stop.is_set():
                return
            clock.sleep(min(one.due - clock.now(), 2 * MINUTE))
        temporary = spool / f".{one.name}.part"
        temporary.write_bytes(one.content)
        temporary.rename(spool / one.name)


def arrived_late(output: Path, stream: str, cutoff: np.timedelta64, arrivals: pd.DataFrame, times: np.ndarray) -> list:
    """Analyses that used a bulletin which came after their cut-off (there must be none); name and time of each."""
    directory = output if stream == "ru" else output / stream
    wrong = []
    for when in times:
        path = directory / "feedback" / f"{compact_time(when)}.parquet"
        if path.exists():
            sources = set(pd.read_parquet(path, columns=["source"])["source"].map(lambda text: Path(text).name))
            late = arrivals[arrivals["name"].isin(sources) & (arrivals["due"] > when + cutoff)]
            wrong += [(when, name) for name in late["name"]]
    return wrong


def main() -> int:
    """Feed, cycle, and look at what was used."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("outputs/live_hour"))
    parser.add_argument("--data", type=Path, default=None, help="where the simulated world is, or shall be")
    parser.add_argument("--factor", type=float, default=24.0)
    parser.add_argument("--hours", type=float, default=24.0)
    given = parser.parse_args()
    composed = compose_settings("cycle", ["experiment=demo_day"])
    composed.pop("log")
    day = replace(CycleSettings.from_mapping(composed), data=str(given.data or given.output))
    world, end = world_of(day), day.start + np.timedelta64(round(60 * given.hours) - 15, "m")
    settings = replace(
        with_world(day),
        world=replace(day.world, make=False),
        observations=replace(with_world(day).observations, path=(str(given.output / "spool"),), cutoff_minutes=18.0),
        clock=LiveSettings(clock_start=day.start, clock_factor=given.factor, poll_seconds=1.0),
        method=replace(day.method, tuning_hours=0),
        verification=replace(day.verification, stations=tuple(_every_fourth(world.station_table))),
        urma=LateSettings(run=True, cutoff_hours=3.0),
        live=True,
        end=end,
        output=str(given.output / "run"),
        progress=False,
    )
    torch.set_num_threads(1)
    run = build_run(settings)
    coming, stop = deliveries(world.bulletins, day.start), threading.Event()
    feeder = threading.Thread(target=feed, args=(given.output / "spool", coming, run.clock, stop), daemon=True)
    feeder.start()
    with Watch.over(run) as watch:
        outcome = outcome_of(run, watch)
    stop.set()
    return told(outcome, given.output / "run", settings, coming)


def _every_fourth(table: Path) -> list[str]:
    return sorted(pd.read_csv(table)["station"].astype(str))[::4]


def told(outcome: Outcome, output: Path, settings: CycleSettings, coming: list[Delivery]) -> int:
    """Print what happened; 0 where all analyses are there and none used what had not come."""
    arrivals = pd.DataFrame([(one.name, one.due) for one in coming], columns=["name", "due"])
    ok = True
    for stream in settings.streams():
        times = stream.times(settings.start, settings.end)
        records = [record for record in outcome.records if record.stream == stream.name]
        made = [record for record in records if record.status != "refused"]
        lags = np.array([float((record.lag - stream.cutoff) / MINUTE) for record in made])
        wrong = arrived_late(output, stream.name, stream.cutoff, arrivals, times)
        ok &= len(made) == len(times) and not wrong
        print(f"\n{stream.name}: {len(made)} of {len(times)} analyses; {sum(r.status == 'degraded' for r in made)} "
              f"degraded; finished {np.median(lags):.1f} min (median), {lags.max():.1f} min (most) of the clock after "
              f"their cut-off; {len(wrong)} used what had not come; data used, median "
              f"{np.median([r.used for r in made]):.0f}")  # fmt: skip
        reasons = pd.Series([reason for record in records for reason in record.reasons], dtype=object).value_counts()
        for reason, count in reasons.items():
            print(f"  {count} × {reason}")
        print(latency_text(records))
    print(f"\n{'as promised' if ok else 'NOT as promised'}")
    return 0 if ok else 1


if __name__ == "__main__":
    raise SystemExit(main())
