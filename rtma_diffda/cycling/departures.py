"""What a cycle's feedback says: numbers of data, O − B and O − A of those used and of those withheld."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rtma_diffda.observations.flags import Flag


@dataclass(frozen=True)
class Departures:
    """Departures of one variable.

    Attributes:
        used, withheld: numbers of data.
        ombg, oman: root mean squares of O − B and O − A over the data used, SI; NaN where there are none.
        withheld_ombg, withheld_oman: likewise over the data withheld.
    """

    used: int
    withheld: int
    ombg: float
    oman: float
    withheld_ombg: float
    withheld_oman: float


def departures_of(feedback: pd.DataFrame) -> dict[str, Departures]:
    """By variable, in order of appearance; variables without a datum used or withheld are left out.

    Data without departures, of variables that are reported and not analysed, do not count.
    """
    found = {}
    compared = feedback[np.isfinite(feedback["ombg"])]
    for name, rows in compared.groupby("variable", sort=False):
        used, withheld = rows[rows["flags"] == 0], rows[rows["flags"] == int(Flag.WITHHELD)]
        if len(used) or len(withheld):
            found[str(name)] = Departures(
                len(used),
                len(withheld),
                *(_rms(part[column]) for part in (used, withheld) for column in ("ombg", "oman")),
            )
    return found


def in_provenance(departures: Mapping[str, Departures]) -> dict[str, float]:
    """As single numbers with names, for the metadata of a product."""
    return {
        f"{name}_{what}": value
        for name, found in departures.items()
        for what, value in vars(found).items()
        if np.isfinite(value)
    }


def _rms(values: pd.Series) -> float:
    known = values.to_numpy(float)
    known = known[np.isfinite(known)]
    return float(np.sqrt(np.mean(known**2))) if known.size else float("nan")
