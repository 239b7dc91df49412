"""The spool of simulated stations: METAR bulletins as text, one file a time, or one for each quarter-hour of arrival.

    spool/metar_20260615T2000.txt          reports around 20:00 UTC; with late reports, those received by 20:00
    spool/metar_20260615T2000_a0045.txt    those of them received from 20:30 to 20:45

A file that holds part of the reports has the modification time at which the last of its reports was received.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rtma_diffda.io.atomic import explain_failures, write_bytes, write_file
from rtma_diffda.observations.metar_writer import write_metar
from rtma_diffda.times import SLOT, compact_time

LATE_SHARE = 0.07
"""Of the reports, where some are late; the others are received after the station's usual minutes."""

LATE_MINUTES = (20, 180)
"""Least and greatest delay of a late report."""


def with_late_ones(reports: Sequence[pd.DataFrame], *, generator: torch.Generator) -> list[pd.DataFrame]:
    """The same reports, of which some are received late.

    Args:
        reports: those of each time, as ``simulate_reports`` returns them, of one network.
        generator: two numbers are drawn for each time and station.
    """
    late, delay = torch.rand(2, len(reports), len(reports[0]), generator=generator, dtype=torch.float64).numpy()
    least, greatest = LATE_MINUTES
    minutes = (least + np.floor(delay * (greatest - least + 1))).astype("timedelta64[m]")
    return [
        frame.assign(received_time=frame["received_time"].mask(late[i] < LATE_SHARE, frame["valid_time"] + minutes[i]))
        for i, frame in enumerate(reports)
    ]


def write_reports(spool: Path, reports: pd.DataFrame, valid_time: np.datetime64) -> Path:
    """Write the bulletins of one time as one file; returns its path."""
    path = _in_spool(spool, valid_time, "")
    return write_bytes(path, write_metar(reports).encode("ascii"))


def write_reports_by_arrival(spool: Path, reports: pd.DataFrame, valid_time: np.datetime64) -> list[Path]:
    """Write the bulletins of one time as a file for each quarter-hour of arrival; returns the paths, first ones first.

    Reports received before the valid time are in the file of those received by then.
    """
    delay = reports["received_time"].to_numpy("datetime64[ns]") - valid_time
    quarters = np.maximum(-(-delay // SLOT), 0)
    return [_write_received(spool, rows, valid_time, int(quarter)) for quarter, rows in reports.groupby(quarters)]


def _write_received(spool: Path, reports: pd.DataFrame, valid_time: np.datetime64, quarter: int) -> Path:
    hours, minutes = divmod(15 * quarter, 60)
    content, received = write_metar(reports).encode("ascii"), pd.Timestamp(reports["received_time"].max()).value

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)
        os.utime(temporary, ns=(received, received))

    return write_file(_in_spool(spool, valid_time, f"_a{hours:02d}{minutes:02d}" if quarter else ""), write)


def _in_spool(spool: Path, valid_time: np.datetime64, suffix: str) -> Path:
    with explain_failures(f"directory {spool}"):
        spool.mkdir(parents=True, exist_ok=True)
    return spool / f"metar_{compact_time(valid_time).rstrip('Z')}{suffix}.txt"
