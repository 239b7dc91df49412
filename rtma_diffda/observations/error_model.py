"""Observation errors: one standard deviation by network and variable, instrument and representativeness together.

No operational table could be read, so these are starting values of the size that the literature supports (Tyndall,
Horel and de Pondeca 2010 find observation variances of 2 to 3 times the background's for 2 m temperature); methods that
tune the ratio of observation to background variance replace them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from rtma_diffda.errors import UsageError
from rtma_diffda.observations.flags import Flag
from rtma_diffda.observations.table import add_flag
from rtma_diffda.variables import variable

DEFAULT_ERRORS: Mapping[str, Mapping[str, float]] = {
    "metar": {
        "t2m": 1.2, "d2m": 1.5, "u10m": 1.5, "v10m": 1.5, "ws10m": 1.5, "wd10m": 30.0, "gust": 2.5, "sp": 70.0,
        "msl": 60.0, "vis": 2500.0, "ceil": 300.0, "tcc": 0.2,
    },
    "synop": {
        "t2m": 1.2, "d2m": 1.5, "u10m": 1.8, "v10m": 1.8, "ws10m": 1.8, "wd10m": 30.0, "gust": 2.5, "sp": 70.0,
        "msl": 60.0, "vis": 2500.0, "ceil": 300.0, "tcc": 0.2,
    },
    "mesonet": {
        "t2m": 2.0, "d2m": 2.5, "u10m": 2.5, "v10m": 2.5, "ws10m": 2.5, "wd10m": 40.0, "gust": 3.5, "sp": 120.0,
        "msl": 120.0, "vis": 4000.0, "ceil": 500.0, "tcc": 0.3,
    },
}  # fmt: skip
"""SI; degrees for direction. Sources and status: rounding of a whole-degree METAR adds 0.29 K, already inside."""


@dataclass(frozen=True)
class ErrorModel:
    """Assigns ``error_std`` to a table.

    Attributes:
        by_network: {network: {variable: std}}.
        fallback: network whose errors serve networks not named.
    """

    by_network: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: DEFAULT_ERRORS)
    fallback: str = "mesonet"

    def __post_init__(self) -> None:
        if self.fallback not in self.by_network:
            raise UsageError(f"no errors for the fallback network '{self.fallback}'; there are {list(self.by_network)}")
        for network, errors in self.by_network.items():
            for name, value in errors.items():
                variable(name)
                if not value > 0:
                    raise UsageError(f"observation error of {name} from {network} is {value}; it must be positive")

    def assign(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table with ``error_std`` filled where it is NaN; data without a stated error get the flag NO_ERROR."""
        stated = {(n, v): std for n, errors in self.by_network.items() for v, std in errors.items()}
        known = table["network"].isin(list(self.by_network))
        keys = pd.MultiIndex.from_arrays([table["network"].where(known, self.fallback), table["variable"]])
        modelled = pd.Series(stated).reindex(keys).to_numpy(float)
        errors = table["error_std"].to_numpy(float)
        filled = np.where(np.isnan(errors), modelled, errors)
        return add_flag(table.assign(error_std=filled), ~(filled > 0), Flag.NO_ERROR)
