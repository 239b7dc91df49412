"""The feedback of many cycles, read from the files beside an archive."""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from rtma_diffda.cycling.publication import Publisher
from rtma_diffda.errors import InputError
from rtma_diffda.io.tables import read_table
from rtma_diffda.observations.flags import Flag

_log = logging.getLogger(__name__)


def feedback_of(publisher: Publisher, times: Sequence[np.datetime64]) -> pd.DataFrame:
    """The feedback of these analyses one after the other, with a column ``analysis_time``.

    One file that is missing or damaged is logged and left out; empty where there is none.
    """
    found = []
    for time in times:
        path = publisher.feedback_path(time)
        try:
            found.append(read_table(path).assign(analysis_time=time))
        except (InputError, OSError, ValueError) as error:
            _log.warning("feedback %s cannot be read and is left out: %s", path, error)
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def withheld_pairs_of(feedback: pd.DataFrame, source: str) -> pd.DataFrame:
    """Matched pairs at withheld stations, as ``verification.matching`` makes them: observed, background, ``source``."""
    rows = feedback[feedback["flags"] == int(Flag.WITHHELD)]
    kept = rows[np.isfinite(rows["ombg"]) & np.isfinite(rows["oman"])]
    pairs = kept[["station", "network", "variable", "valid_time", "latitude", "longitude", "elevation"]].assign(
        observed=kept["value"],
        error_std=kept["error_std"],
        background=kept["value"] - kept["ombg"],
        analysis_time=kept["analysis_time"],
    )
    pairs[source] = kept["value"] - kept["oman"]
    if "analysis_error_std" in kept:
        pairs[f"{source}_error_std"] = kept["analysis_error_std"]
    return pairs.reset_index(drop=True)
