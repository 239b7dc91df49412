"""Observations: one row a datum, as a table at the edge (pandas) and as tensors inside.

The table is what ingest writes and parquet stores; ``Observations`` is the part of it that concerns one layout.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.observations.flags import Flag

COLUMNS = {
    "station": "str",  # identifier, as the network writes it
    "network": "str",  # metar, synop, mesonet, ship, buoy, …
    "report_type": "str",  # METAR, SPECI, SYNOP, … with AUTO and COR where said
    "variable": "str",  # short name of variables.py
    "value": "float64",  # SI; winds earth-relative
    "error_std": "float64",  # SI; observation error, one standard deviation; NaN until assigned
    "bound": "int8",  # −1: the truth is below the value; +1: above; 0: equal (visibility M1/4SM, P6SM)
    "latitude": "float64",  # degrees
    "longitude": "float64",  # degrees, −180 … 180
    "elevation": "float64",  # m above sea level; NaN where unknown
    "valid_time": "datetime64[ns]",  # when observed, UTC
    "flags": "int32",  # additive bits of flags.py; 0 = used
    "source": "str",  # file that it came from
}
"""Columns of the observation table and their types; order as stored."""


def empty_table() -> pd.DataFrame:
    """A table without rows, with all columns in their types."""
    return pd.DataFrame({name: pd.Series(dtype="object" if kind == "str" else kind) for name, kind in COLUMNS.items()})


def as_table(frame: pd.DataFrame, *, what: str = "observation table") -> pd.DataFrame:
    """Columns in order and in their types, with a fresh index; columns of no concern are dropped.

    ``error_std``, ``bound``, ``flags``, ``elevation``, ``network``, ``report_type`` and ``source`` may be absent.

    Raises:
        InputError: a required column is absent or cannot be read in its type.
    """
    defaults = {"error_std": np.nan, "bound": 0, "flags": 0, "elevation": np.nan}
    defaults |= {"network": "unknown", "report_type": "", "source": ""}
    missing = [name for name in COLUMNS if name not in frame and name not in defaults]
    if missing:
        raise InputError(f"{what} lacks the columns {missing}; found {list(map(str, frame.columns))}")
    filled = frame.assign(**{name: value for name, value in defaults.items() if name not in frame})
    columns = {}
    for name, kind in COLUMNS.items():
        try:
            columns[name] = filled[name].astype("object" if kind == "str" else kind).to_numpy()
        except (ValueError, TypeError) as error:
            raise InputError(f"{what}: column '{name}' cannot be read as {kind}: {error}") from error
    return pd.DataFrame(columns)


def add_flag(table: pd.DataFrame, rows: np.ndarray, flag: Flag) -> pd.DataFrame:
    """A copy of the table with one bit more on the rows where the boolean array ``rows`` (n,) holds."""
    return table.assign(flags=table["flags"].to_numpy() | np.where(rows, np.int32(flag), np.int32(0)))


@dataclass(frozen=True)
class Observations:
    """Data for one layout, one row a datum. Quality control marks rows and never deletes them.

    Attributes:
        value, error_std: (n,) SI, float64; observation and its error, one standard deviation.
        latitude, longitude: (n,) degrees.
        elevation: (n,) m above sea level; NaN where unknown.
        channel: (n,) int64 position in the layout's channels.
        valid_time: (n,) datetime64[ns].
        station, network: (n,) text.
        flags: (n,) int32 additive bits of ``flags.Flag``; 0 = used.
        bound: (n,) int8; −1, 0, +1 as in the table.
    """

    value: Tensor
    error_std: Tensor
    latitude: Tensor
    longitude: Tensor
    elevation: Tensor
    channel: Tensor
    valid_time: np.ndarray
    station: np.ndarray
    network: np.ndarray
    flags: np.ndarray
    bound: np.ndarray

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in self.__dataclass_fields__}
        if len(set(lengths.values())) > 1:
            raise InputError(f"observation columns differ in length: {lengths}")

    def __len__(self) -> int:
        return len(self.value)

    @classmethod
    def from_table(cls, table: pd.DataFrame, layout: Layout) -> "Observations":
        """The rows of a table whose variable is a channel of the layout; other rows are of no concern here."""
        rows = table[table["variable"].isin(layout.names)]
        numeric = {
            name: torch.tensor(rows[name].to_numpy(np.float64))
            for name in ("value", "error_std", "latitude", "longitude", "elevation")
        }
        order = {name: i for i, name in enumerate(layout.names)}
        return cls(
            **numeric,
            channel=torch.tensor(rows["variable"].map(order).to_numpy(np.int64)),
            valid_time=rows["valid_time"].to_numpy("datetime64[ns]"),
            station=rows["station"].to_numpy(),
            network=rows["network"].to_numpy(),
            flags=rows["flags"].to_numpy(np.int32),
            bound=rows["bound"].to_numpy(np.int8),
        )

    def select(self, rows: np.ndarray) -> "Observations":
        """The rows of a boolean (n,) or integer array, in its order."""
        rows = np.asarray(rows)
        index = torch.from_numpy(np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64))
        columns = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return Observations(
            **{
                name: column[index.to(column.device)] if isinstance(column, Tensor) else column[index.numpy()]
                for name, column in columns.items()
            }
        )

    def used(self) -> "Observations":
        """Rows without any flag."""
        return self.select(self.flags == 0)

    def withheld(self) -> "Observations":
        """Rows whose only flag is ``withheld``: good data that no method has seen."""
        return self.select(self.flags == Flag.WITHHELD)

    def of_channel(self, channel: int) -> "Observations":
        """Rows of one channel."""
        return self.select((self.channel == channel).cpu().numpy())

    def with_flag(self, rows: np.ndarray, flag: Flag) -> "Observations":
        """One bit more on the rows where the boolean array ``rows`` (n,) holds."""
        return replace(self, flags=self.flags | np.where(rows, np.int32(flag), np.int32(0)))

    def with_flags(self, flags: np.ndarray) -> "Observations":
        """The same data with other flags (n,)."""
        return replace(self, flags=np.asarray(flags, np.int32))
