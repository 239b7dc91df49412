"""Claim: an hour of the world's METARs is read, repaired and range-checked in ≤ 0.8 × the time of MetPy's own reader.

    python validation/benchmarks/metar_ingest.py FILE --stations FOLDER --time 2019-07-01T12:00 --vs metpy

Both read the same file in the same process, in turn, three times each; the best CPU and wall times count; imports,
station tables and one warm-up on a few reports are left out for both. MetPy gets its look-up from the tables in FOLDER
(it would download them otherwise). Ours runs with its word cache cleared, gives the observation table and ends with
the range and consistency checks. Exit status 0 only if the ratio of wall times is within the limit and nothing is lost:
each report with a value that MetPy returns must be in ours, by station and time.
"""

import argparse
import sys
import tempfile
import time
from collections import ChainMap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import metpy.io
import numpy as np
import pandas as pd
from metpy.io import station_data

from rtma_diffda.observations.ingest.metar_groups import groups_of
from rtma_diffda.observations.ingest.metar_table import read_metar
from rtma_diffda.observations.ingest.result import IngestResult
from rtma_diffda.observations.ingest.stations import StationTable, load_stations
from rtma_diffda.observations.quality_control import flag_consistency, flag_range
from rtma_diffda.times import parse_time

LIMIT = 0.8
TURNS = 3
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
WARM_UP = (
    "KDEN 011153Z 18005KT 10SM FEW100 20/10 A3000 RMK AO2 SLP100 T02000100\nEGLL 011150Z 18005MPS CAVOK 20/10 Q1013\n"
)
VALUES = ["wind_speed", "visibility", "air_temperature", "dew_point_temperature", "altimeter"]


@dataclass(frozen=True)
class Timed:
    """Best times (s) of a reader, and what it gave in its last turn."""

    wall: float
    cpu: float
    result: object


def main() -> int:
    parser = argparse.ArgumentParser(description="METAR ingest against MetPy's own reader")
    parser.add_argument("file", nargs="?", type=Path, default=SHARED / "metar_hour" / "metar_20190701_1200.txt")
    parser.add_argument("--stations", type=Path, default=SHARED / "station_tables")
    parser.add_argument("--time", default="2019-07-01T12:00")
    parser.add_argument("--vs", choices=["metpy"], default="metpy", help="the peer (there is one)")
    arguments = parser.parse_args()
    reference = parse_time(arguments.time)
    stations = load_stations(arguments.stations)
    give_metpy_tables(arguments.stations)
    ours, theirs = in_turns(
        lambda path: read_ours(path, stations, reference),
        lambda path: read_metpy(path, reference),
        arguments.file,
    )
    return report(ours, theirs)


def give_metpy_tables(folder: Path) -> None:
    """Put the tables of a folder into MetPy's look-up, in its own order and read by its own readers."""
    readers = {
        "sfstns.tbl": station_data._read_station_table,
        "master.txt": station_data._read_master_text_file,
        "stations.txt": station_data._read_station_text_file,
    }
    tables = [dict(read(str(folder / name))) for name, read in readers.items() if (folder / name).is_file()]
    metpy.io.station_info.tables = ChainMap(*tables)


def read_ours(path: Path, stations: StationTable, reference: np.datetime64) -> IngestResult:
    groups_of.cache_clear()  # nothing may be left from the turn before
    result = read_metar(path, stations=stations, reference_time=reference)
    table = flag_consistency(flag_range(result.table))
    return IngestResult(
        table, result.reports_found, result.reports_read, result.duplicates, result.repaired, result.rejected
    )


def read_metpy(path: Path, reference: np.datetime64) -> pd.DataFrame:
    day = pd.Timestamp(reference)
    return metpy.io.parse_metar_file(str(path), year=day.year, month=day.month)


def in_turns(ours: Callable[[Path], object], theirs: Callable[[Path], object], path: Path) -> tuple[Timed, Timed]:
    with tempfile.TemporaryDirectory() as folder:
        few = Path(folder) / "few.txt"
        few.write_text(WARM_UP, encoding="ascii")
        ours(few), theirs(few)
    turns = [(timed(ours, path), timed(theirs, path)) for _ in range(TURNS)]
    return tuple(
        Timed(min(turn[i].wall for turn in turns), min(turn[i].cpu for turn in turns), turns[-1][i].result)
        for i in range(2)
    )


def timed(read: Callable[[Path], object], path: Path) -> Timed:
    wall, cpu = time.perf_counter(), time.process_time()
    result = read(path)
    return Timed(time.perf_counter() - wall, time.process_time() - cpu, result)


def report(ours: Timed, theirs: Timed) -> int:
    ingest, frame = ours.result, theirs.result
    with_value = frame[frame[VALUES].notna().any(axis=1)]
    lost = missing(with_value, ingest.table)
    known = frame.loc[frame["latitude"].notna(), "station_id"].nunique()
    print(f"{'reader':<10}{'wall s':>8}{'CPU s':>8}{'reports':>9}{'stations':>10}{'data':>9}")
    print(f"{'ours':<10}{ours.wall:>8.3f}{ours.cpu:>8.3f}{reports(ingest):>9}{ingest.table['station'].nunique():>10}"
          f"{len(ingest.table):>9}")  # fmt: skip
    print(f"{'MetPy':<10}{theirs.wall:>8.3f}{theirs.cpu:>8.3f}{len(with_value):>9}{known:>10}")
    print(f"found {ingest.reports_found} = read {ingest.reports_read} (NIL among them) "
          f"+ duplicates {ingest.duplicates} + rejected {len(ingest.rejected)}")  # fmt: skip
    for why, count in ingest.rejected["reason"].value_counts().items():
        print(f"  rejected, {why}: {count}")
    for repair, count in ingest.repaired.items():
        print(f"  {repair}: {count}")
    flagged = ingest.table[ingest.table["flags"] != 0]
    print(f"flagged data: {len(flagged)}; MetPy reports without any value, not counted: {len(frame) - len(with_value)}")
    for station, when in lost:
        print(f"  lost: {station} {when}")
    ratio = ours.wall / theirs.wall
    balanced = ingest.reports_found == ingest.reports_read + ingest.duplicates + len(ingest.rejected)
    passed = ratio <= LIMIT and not lost and balanced
    print(f"metar_ingest: {'passed' if passed else 'FAILED'}, ratio {ratio:.2f} of MetPy's time (limit {LIMIT}), "
          f"{len(lost)} reports lost")  # fmt: skip
    return 0 if passed else 1


def reports(ingest: IngestResult) -> int:
    return len(ingest.table[["station", "valid_time"]].drop_duplicates())


def missing(frame: pd.DataFrame, table: pd.DataFrame) -> list[tuple[str, pd.Timestamp]]:
    """Reports of MetPy (station, time) that are not in our table."""
    ours = set(zip(table["station"], table["valid_time"], strict=True))
    return [key for key in zip(frame["station_id"], frame["date_time"], strict=True) if key not in ours]


if __name__ == "__main__":
    sys.exit(main())
