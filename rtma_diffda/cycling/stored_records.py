"""Records of cycles from what they left: the archive, and the journal for what an archive cannot know.

The archive is the only memory; it says when an analysis was made, of what, how well it fits its data, and how long the
stages took before it was stored. A journal adds the seconds of storing, and the cycles that gave no analysis.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import numpy as np

from rtma_diffda.cycling.departures import Departures
from rtma_diffda.cycling.record import REFUSED, CycleRecord
from rtma_diffda.errors import InputError
from rtma_diffda.io.archive import Archive
from rtma_diffda.times import format_time

_log = logging.getLogger(__name__)
_SECONDS = "seconds_"


def stored_records(archive: Archive, times: Sequence[np.datetime64]) -> list[CycleRecord]:
    """What the archive says of these analyses; one that cannot be read is logged and left out."""
    found = []
    for time in times:
        try:
            found.append(_record_of(archive, time))
        except (InputError, KeyError, TypeError, ValueError) as error:
            _log.warning("the analysis of %s is left out: %s", format_time(time), error)
    return found


def completed(stored: Sequence[CycleRecord], journal: Sequence[CycleRecord]) -> tuple[CycleRecord, ...]:
    """Records of the archive with the seconds of the journal, and the refused cycles of the journal among them.

    Args:
        stored: from ``stored_records``.
        journal: of the same stream, in the order in which they were written; of several tries the last one counts.

    Returns:
        One record for each analysis time, by time.
    """
    noted = {record.analysis_time: record for record in journal}
    records = {time: record for time, record in noted.items() if record.status == REFUSED}
    for record in stored:
        known = noted.get(record.analysis_time, record)
        records[record.analysis_time] = record if known.status == REFUSED else replace(record, seconds=known.seconds)
    return tuple(records[time] for time in sorted(records))


def _record_of(archive: Archive, time: np.datetime64) -> CycleRecord:
    text = archive.made(time)
    made = text["made"]
    return CycleRecord(
        stream=str(made.get("stream", "")),
        analysis_time=time,
        status=str(text["status"]),
        reasons=tuple(map(str, text["degraded"])),
        finished=archive.created(time),
        first_guess=str(made.get("first_guess", "")),
        method=str(made.get("method", "")),
        global_run=str(made.get("global_run_initial_time", "none")),
        offered=int(made.get("observations_offered", 0)),
        departures=_departures(made, archive.design.layout.names),
        seconds={
            name.removeprefix(_SECONDS).replace("_", " "): float(value)
            for name, value in made.items()
            if name.startswith(_SECONDS)
        },
    )


def _departures(made: Mapping[str, float], variables: Sequence[str]) -> dict[str, Departures]:
    """What ``departures.in_provenance`` wrote; numbers that are not there were NaN."""
    found = {}
    for name in variables:
        numbers = {field.name: made.get(f"{name}_{field.name}", float("nan")) for field in fields(Departures)}
        counts = {what: int(made.get(f"{name}_{what}", 0)) for what in ("used", "withheld")}
        if any(counts.values()):
            found[name] = Departures(**{**numbers, **counts})
    return found
