"""Times that names of files state, such as ``metar_20190701_1200.txt`` and ``20260615T2015Z.csv``."""

import re
from pathlib import Path

import numpy as np

from rtma_diffda.errors import UsageError
from rtma_diffda.times import parse_time

_TIME = re.compile(r"(?<!\d)((?:19|20)\d{6})[_T-]?(\d{2})(\d{2})?(?!\d)")


def time_in_name(path: Path) -> np.datetime64 | None:
    """The first time that the name states, to the hour or minute, as UTC; None where it states none."""
    for day, hour, minute in _TIME.findall(path.name):
        try:
            return parse_time(f"{day[:4]}-{day[4:6]}-{day[6:]}T{hour}:{minute or '00'}")
        except UsageError:
            continue
    return None
