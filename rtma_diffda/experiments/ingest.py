"""``run_ingest``: files of reports to an observation table, and the account of everything that was in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rtma_diffda.experiments.settings import as_texts, as_time, settings_from
from rtma_diffda.io.tables import write_table
from rtma_diffda.observations.flags import Flag
from rtma_diffda.observations.ingest.files import read_observations
from rtma_diffda.observations.ingest.name_times import time_in_name
from rtma_diffda.observations.ingest.result import IngestResult
from rtma_diffda.observations.ingest.stations import load_stations
from rtma_diffda.observations.quality_control import flag_consistency, flag_range
from rtma_diffda.times import format_time
from rtma_diffda.verification.account import observation_account


@dataclass(frozen=True)
class IngestSettings:
    """What to read.

    Attributes:
        observations: files or directories: METAR text, SYNOP BUFR, CSV, parquet.
        time: about when the reports were made; from the file names where None.
        stations: station table for METAR text; aerodromes of the world (``airportsdata``) where None.
        output: directory for ``observations.parquet`` and ``rejected.parquet``; nothing is written where None.
    """

    observations: tuple[str, ...]
    time: np.datetime64 | None = None
    stations: str | None = None
    output: str | None = None

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "IngestSettings":
        """Settings from a composed configuration."""
        given = dict(values)
        given["observations"] = as_texts(given["observations"], "observations")
        if given.get("time") is not None:
            given["time"] = as_time(given["time"])
        return settings_from(cls, given)


@dataclass(frozen=True)
class IngestRun:
    """The result and its account in words."""

    result: IngestResult
    text: str


def run_ingest(settings: IngestSettings) -> IngestRun:
    """Read, check by themselves (range, consistency), account for, and optionally store the reports.

    Raises:
        InputError: nothing could be read, or METAR text comes without a time and none is in the file names.
    """
    time = settings.time if settings.time is not None else time_in_names(settings.observations)
    result = read_observations(settings.observations, reference_time=time, stations=load_stations(settings.stations))
    table = flag_consistency(flag_range(result.table))
    lines = [*account_in_words(result, table)]
    if settings.output is not None:
        lines += _store(Path(settings.output), table, result.rejected)
    return IngestRun(result, "\n".join(lines))


def time_in_names(paths: tuple[str, ...]) -> np.datetime64 | None:
    """The time that the first file name states, such as ``metar_20190701_1200.txt``; None where none does."""
    for path in map(Path, paths):
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        found = next((time for time in map(time_in_name, files) if time is not None), None)
        if found is not None:
            return found
    return None


def account_in_words(result: IngestResult, table: pd.DataFrame) -> list[str]:
    """What was read, repaired, rejected and why, one line a fact."""
    flags = table["flags"].to_numpy()
    unplaced = table.loc[(flags & Flag.NO_POSITION) != 0, "station"].nunique()
    lines = [
        f"reports: {result.reports_found} found = {result.reports_read} read + {result.duplicates} repeats + "
        f"{len(result.rejected)} rejected",
        f"stations: {table['station'].nunique()}, of which {unplaced} are in no station table (flag no_position)",
        f"data: {len(table)}, of which {int((flags == 0).sum())} without a flag",
    ]
    if len(table):
        times = table["valid_time"].to_numpy("datetime64[ns]")
        lines.append(f"times: {format_time(times.min())} to {format_time(times.max())}")
    lines += ["repaired:", *_counts(result.repaired)] if result.repaired else ["repaired: nothing"]
    reasons = result.rejected["reason"].value_counts().to_dict()
    lines += ["rejected:", *_counts(reasons)] if reasons else ["rejected: nothing"]
    lines += ["data by variable:", observation_account(table).to_string(index=False)]
    gross = table[(flags & Flag.RANGE) != 0]
    if len(gross):
        lines.append("out of range:")
        lines += [f"  {row.station} {row.variable} = {row.value:.2f} (SI)" for row in gross.head(20).itertuples()]
        lines += [f"  … and {len(gross) - 20} more"] if len(gross) > 20 else []
    return lines


def _counts(counts: Mapping[str, int]) -> list[str]:
    return [f"  {count:>6}  {what}" for what, count in sorted(counts.items(), key=lambda item: -item[1])]


def _store(directory: Path, table: pd.DataFrame, rejected: pd.DataFrame) -> list[str]:
    directory.mkdir(parents=True, exist_ok=True)
    write_table(directory / "observations.parquet", table)
    write_table(directory / "rejected.parquet", rejected.astype(str))
    return [f"written: {directory / 'observations.parquet'}, {directory / 'rejected.parquet'}"]
