"""What reading a file of reports gives: the table, and an account of everything that was found in the file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from rtma_diffda.observations.table import as_table, empty_table

REJECTED_COLUMNS = ("source", "station", "reason", "text")
"""A rejected report: its file, its station where known, why it was rejected (a short phrase) and its text."""


@dataclass(frozen=True)
class IngestResult:
    """Observations and the account of their reading; reports_found = read + duplicates + rejected.

    Attributes:
        table: the observation table (``observations.table.COLUMNS``); flagged data are in it, with their flags.
        reports_found: all that looked like a report.
        reports_read: those that gave at least one row, or that say NIL.
        duplicates: repeats of a report already read, and reports that a correction replaced.
        repaired: {what was repaired, in words: how many reports}.
        rejected: one row a report that gave nothing, with ``REJECTED_COLUMNS``.
    """

    table: pd.DataFrame = field(default_factory=empty_table)
    reports_found: int = 0
    reports_read: int = 0
    duplicates: int = 0
    repaired: Mapping[str, int] = field(default_factory=dict)
    rejected: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(REJECTED_COLUMNS)))


def combine(results: Iterable[IngestResult]) -> IngestResult:
    """One result of several files."""
    results = list(results)
    tables = [result.table for result in results if len(result.table)]
    rejected = [result.rejected for result in results if len(result.rejected)]
    repaired: dict[str, int] = {}
    for result in results:
        for kind, count in result.repaired.items():
            repaired[kind] = repaired.get(kind, 0) + count
    return IngestResult(
        table=as_table(pd.concat(tables, ignore_index=True)) if tables else empty_table(),
        reports_found=sum(result.reports_found for result in results),
        reports_read=sum(result.reports_read for result in results),
        duplicates=sum(result.duplicates for result in results),
        repaired=repaired,
        rejected=pd.concat(rejected, ignore_index=True) if rejected else IngestResult().rejected,
    )
