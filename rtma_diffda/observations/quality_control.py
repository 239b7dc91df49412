"""Quality control: tests that mark data and never delete or change them.

The order is operational practice: the report by itself (range, consistency), then lists, region and window, then one
report a station, then the background. Each test adds one bit (``flags.Flag``); a datum with any bit is not used, and
every bit stays readable in the feedback.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from rtma_diffda.errors import UsageError
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.observations.flags import Flag
from rtma_diffda.observations.table import Observations, add_flag
from rtma_diffda.times import Window
from rtma_diffda.variables import VARIABLES

DEW_POINT_EXCESS = 0.6
"""K by which a dew point may exceed the temperature: both are rounded, whole-degree reports by half a degree each."""

GUST_DEFICIT = 0.6
"""m/s by which a gust may fall short of the speed: one knot of rounding."""


def flag_range(table: pd.DataFrame) -> pd.DataFrame:
    """Mark values outside the valid range of their variable (RANGE) and values that are not finite (MISSING)."""
    lowest = table["variable"].map({name: v.valid_range[0] for name, v in VARIABLES.items()}).to_numpy(float)
    highest = table["variable"].map({name: v.valid_range[1] for name, v in VARIABLES.items()}).to_numpy(float)
    value = table["value"].to_numpy(float)
    marked = add_flag(table, (value < lowest) | (value > highest), Flag.RANGE)
    return add_flag(marked, ~np.isfinite(value), Flag.MISSING)


def flag_consistency(table: pd.DataFrame) -> pd.DataFrame:
    """Mark both data of a pair that contradict each other: dew point above temperature, gust below mean speed.

    Pairs are data of one station, time and report type; which of the two is wrong cannot be told from the pair, so both
    get the bit, unless the other is already out of range, which settles it.
    """
    excess = _contradictions(table, above="d2m", below="t2m", tolerance=DEW_POINT_EXCESS)
    deficit = _contradictions(table, above="ws10m", below="gust", tolerance=GUST_DEFICIT)
    return add_flag(table, excess | deficit, Flag.CONSISTENCY)


def _contradictions(table: pd.DataFrame, *, above: str, below: str, tolerance: float) -> np.ndarray:
    """True on the rows of ``above`` and ``below`` where above − below > tolerance, both within their ranges."""
    sound = (table["flags"].to_numpy() & (Flag.RANGE | Flag.MISSING)) == 0
    variables = table["variable"].to_numpy()
    upper, lower = np.flatnonzero(sound & (variables == above)), np.flatnonzero(sound & (variables == below))
    keys = ["station", "valid_time", "report_type"]
    pairs = table.iloc[upper][[*keys, "value"]].assign(row=upper).merge(
        table.iloc[lower][[*keys, "value"]].assign(row=lower), on=keys, suffixes=("_above", "_below")
    )  # fmt: skip
    wrong = pairs[pairs["value_above"] - pairs["value_below"] > tolerance]
    result = np.zeros(len(table), bool)
    result[wrong["row_above"]] = result[wrong["row_below"]] = True
    return result


def flag_whole_winds(table: pd.DataFrame) -> pd.DataFrame:
    """Give all data of one wind (speed, direction, components of one station and time) the marks of any of them.

    They are one measurement: a speed that is out of range, contradicts its gust or is rejected spoils its components.
    """
    wind = np.flatnonzero(table["variable"].isin(_WIND).to_numpy())
    flags = table["flags"].to_numpy().copy()
    flags[wind] = _joined_flags(flags[wind], _codes(table.iloc[wind]))
    return table.assign(flags=flags)


_WIND = ("ws10m", "wd10m", "u10m", "v10m")


def _codes(rows: pd.DataFrame) -> np.ndarray:
    """(n,) one number for each station and time."""
    return rows.groupby(["station", "valid_time"], sort=False, dropna=False).ngroup().to_numpy()


def _joined_flags(flags: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Every row's flags together with those of all rows of its code (n,)."""
    joined = np.zeros(codes.max(initial=-1) + 1, np.int32)
    np.bitwise_or.at(joined, codes, flags)
    return joined[codes]


def flag_lists(table: pd.DataFrame, *, reject: tuple[str, ...]) -> pd.DataFrame:
    """Mark stations of a reject list; an entry is a station, or ``station:variable``."""
    stations = table["station"].astype(str)
    rejected = stations.isin(reject) | (stations + ":" + table["variable"].astype(str)).isin(reject)
    return add_flag(table, rejected.to_numpy(bool), Flag.BLOCKLISTED)


def flag_region(table: pd.DataFrame, grid: ProjectedGrid) -> pd.DataFrame:
    """Mark data without a position (NO_POSITION) and data outside the hull of the grid's points (OUTSIDE_REGION)."""
    latitude, longitude = table["latitude"].to_numpy(float), table["longitude"].to_numpy(float)
    placed = np.isfinite(latitude) & np.isfinite(longitude)
    inside = np.zeros(len(table), bool)
    inside[placed] = grid.contains(latitude[placed], longitude[placed])
    return add_flag(add_flag(table, ~placed, Flag.NO_POSITION), placed & ~inside, Flag.OUTSIDE_REGION)


def flag_window(table: pd.DataFrame, window: Window) -> pd.DataFrame:
    """Mark data observed outside the window."""
    return add_flag(table, ~window.contains(table["valid_time"].to_numpy("datetime64[ns]")), Flag.OUTSIDE_WINDOW)


def flag_repeats(table: pd.DataFrame, analysis_time: np.datetime64) -> pd.DataFrame:
    """Keep one datum a station and variable: the one nearest the analysis time, the later of two as near (RTMA-RU).

    Only data without a flag compete, so that a bad special report does not displace a good routine one.
    """
    competing = np.flatnonzero(table["flags"].to_numpy() == 0)
    rows = table.iloc[competing]
    times = rows["valid_time"].to_numpy("datetime64[ns]")
    order = pd.DataFrame(
        {
            "station": rows["station"].to_numpy(),
            "variable": rows["variable"].to_numpy(),
            "distance": np.abs(times - analysis_time).astype(np.int64),
            "age": -times.astype(np.int64),
            "row": competing,
        }
    ).sort_values(["distance", "age", "row"], kind="stable")
    repeats = np.zeros(len(table), bool)
    repeats[order.loc[order.duplicated(["station", "variable"]), "row"]] = True
    return add_flag(table, repeats, Flag.DUPLICATE)


@dataclass(frozen=True)
class BackgroundCheck:
    """Mark |y − H(x_b)| > limit · (error_std² + background_std²)^½ (Ingleby and Lorenc 1993; GSI's gross check).

    Attributes:
        limit: in standard deviations of the innovation.
        background_std: {variable: std} SI; variables not named are not checked.
    """

    limit: float = 5.0
    background_std: tuple[tuple[str, float], ...] = (
        ("t2m", 2.0), ("d2m", 2.0), ("u10m", 2.0), ("v10m", 2.0), ("sp", 150.0), ("msl", 150.0), ("gust", 4.0),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not self.limit > 0:
            raise UsageError(f"the background check's limit is {self.limit}; it must be positive")

    def mark(self, observations: Observations, names: tuple[str, ...], innovations: np.ndarray) -> Observations:
        """Observations with the bit BACKGROUND added.

        Args:
            observations: (n) rows.
            names: channel names of the layout.
            innovations: (n,) y − H(x_b), SI.
        """
        stated = dict(self.background_std)
        spread = np.array([stated.get(name, np.inf) for name in names])[observations.channel.cpu().numpy()]
        error = np.nan_to_num(observations.error_std.cpu().numpy(), nan=0.0)
        gross = np.abs(innovations) > self.limit * np.hypot(error, spread)
        return observations.with_flag(_whole_vectors(gross, observations, names), Flag.BACKGROUND)


def _whole_vectors(marked: np.ndarray, observations: Observations, names: tuple[str, ...]) -> np.ndarray:
    """Marks (n,) spread over both components of a wind: one of them alone would be half of a bad report."""
    variables = np.array(names, dtype=object)[observations.channel.cpu().numpy()]
    wind = np.flatnonzero(np.isin(variables, ["u10m", "v10m"]))
    keys = pd.DataFrame({"station": observations.station[wind], "valid_time": observations.valid_time[wind]})
    spread = marked.copy()
    spread[wind] = _joined_flags(marked[wind].astype(np.int32), _codes(keys)) != 0
    return spread
