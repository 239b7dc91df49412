"""Withholding: which stations are kept from the analysis, so that it can be verified against them.

A station is withheld with all its reports or not at all. Splitting by report instead lets an analysis see the station
that it is scored at: on real wind pairs that flattered the vector RMS by 0.2 – 0.4 m/s. Stations also stand close
together, so whole blocks of a latitude–longitude lattice are withheld rather than single stations: a withheld station
then has no twin next door. Folds do the same for every station in turn (cross-validation).

Reference: De Pondeca et al. (2011), Wea. Forecasting 26, 593–612 (cross-validation of the RTMA).
"""

from collections.abc import Collection
from hashlib import sha256

import numpy as np
import pandas as pd

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.sphere import wrap_longitude
from rtma_diffda.observations.flags import Flag
from rtma_diffda.observations.table import Observations, add_flag


def random_station_folds(stations: np.ndarray, *, folds: int, seed: int) -> np.ndarray:
    """Fold number of every row; all rows of a station share its fold.

    The i-th distinct station, in order of first appearance, gets element i of ``permutation(number of stations) %
    folds`` from numpy's default generator, so that published splits can be repeated.

    Args:
        stations: (n,) station identifiers.
        folds: number of folds.
        seed: of the generator.

    Returns:
        (n,) int64, 0 … folds − 1.

    Raises:
        UsageError: fewer than two folds, or more folds than stations.
    """
    codes, distinct = pd.factorize(np.asarray(stations, dtype=object))
    return _shuffled_folds(len(distinct), folds, seed, "stations")[codes]


def block_folds(
    latitude: np.ndarray, longitude: np.ndarray, *, block_degrees: float, folds: int, seed: int
) -> np.ndarray:
    """Fold number of every row; all rows within a block of ``block_degrees`` share its fold.

    Blocks are ordered from south-west to north-east before they are shuffled, so the order of rows does not matter.

    Args:
        latitude, longitude: (n,) degrees.
        block_degrees: extent of a block in latitude and in longitude.
        folds: number of folds.
        seed: of the generator.

    Returns:
        (n,) int64, 0 … folds − 1.

    Raises:
        InputError: a position is not finite.
        UsageError: fewer than two folds, or more folds than blocks.
    """
    blocks = lattice_blocks(latitude, longitude, block_degrees=block_degrees)
    distinct, codes = np.unique(blocks, axis=0, return_inverse=True)
    return _shuffled_folds(len(distinct), folds, seed, "blocks")[codes.reshape(-1)]


def lattice_blocks(latitude: np.ndarray, longitude: np.ndarray, *, block_degrees: float) -> np.ndarray:
    """Row and column (n, 2), int64, of each position's block in a fixed latitude–longitude lattice.

    Raises:
        InputError: a position is not finite.
        UsageError: the extent of a block is not positive.
    """
    if not block_degrees > 0:
        raise UsageError(f"blocks need a positive extent; found {block_degrees} degrees")
    positions = np.stack([np.asarray(latitude, float), wrap_longitude(longitude)], axis=1)
    bad = ~np.isfinite(positions).all(axis=1)
    if bad.any():
        raise InputError(f"{bad.sum()} of {len(bad)} positions are not finite, the first in row {np.argmax(bad)}")
    return np.floor(positions / block_degrees).astype(np.int64)


def withheld_stations(table: pd.DataFrame, *, fraction: float, block_degrees: float, seed: int) -> tuple[str, ...]:
    """Stations to withhold, drawn once in whole blocks.

    Every block draws a ticket from a generator seeded by (seed, row, column): a block's luck depends neither on the
    order of rows nor on which other stations report. Blocks with the lowest tickets are withheld, as many as bring the
    number of stations nearest to the fraction asked for; at least one block is withheld, and one is left.

    Args:
        table: with columns ``station``, ``latitude``, ``longitude``; rows without position are passed over. A station
            that moves is placed by the medians of its positions.
        fraction: of the stations, between 0 and 1.
        block_degrees: extent of a block in latitude and in longitude.
        seed: of the draw.

    Returns:
        Station identifiers, sorted.

    Raises:
        UsageError: the fraction is not between 0 and 1.
        InputError: all stations lie in one block.
    """
    if not 0.0 < fraction < 1.0:
        raise UsageError(f"the fraction of stations to withhold lies between 0 and 1; found {fraction}")
    columns = ["station", "latitude", "longitude"]
    places = table[columns].dropna().assign(longitude=lambda rows: wrap_longitude(rows["longitude"]))
    places = places.groupby("station", sort=True).median()
    blocks = lattice_blocks(places["latitude"], places["longitude"], block_degrees=block_degrees)
    distinct, codes, sizes = np.unique(blocks, axis=0, return_inverse=True, return_counts=True)
    if len(distinct) < 2:
        raise InputError(
            f"{len(places)} stations lie in {len(distinct)} block of {block_degrees:g}°; withholding needs two blocks "
            "at least: choose smaller blocks"
        )
    order = np.argsort(_tickets(distinct, seed), kind="stable")
    reached = np.cumsum(sizes[order])[:-1]
    count = 1 + int(np.argmin(np.abs(reached - fraction * len(places))))
    chosen = np.isin(codes.reshape(-1), order[:count])
    return tuple(sorted(map(str, places.index[chosen])))


def withhold(observations: Observations, stations: Collection[str]) -> Observations:
    """The same data with ``Flag.WITHHELD`` on all rows of the stations; other flags stay."""
    return observations.with_flag(pd.Index(observations.station).isin(list(stations)), Flag.WITHHELD)


def withhold_in_table(table: pd.DataFrame, stations: Collection[str]) -> pd.DataFrame:
    """A copy of the observation table with ``Flag.WITHHELD`` on all rows of the stations; other flags stay."""
    return add_flag(table, table["station"].isin(list(stations)).to_numpy(), Flag.WITHHELD)


def withheld_list_id(stations: Collection[str]) -> str:
    """Twelve hexadecimal digits that name a list of stations, whatever its order; stands beside every score."""
    return sha256("\n".join(sorted(set(map(str, stations)))).encode()).hexdigest()[:12]


def _shuffled_folds(count: int, folds: int, seed: int, what: str) -> np.ndarray:
    if not 2 <= folds <= count:
        raise UsageError(f"{count} {what} can be split into 2 to {count} folds; found {folds}")
    return np.random.default_rng(seed).permutation(count) % folds


def _tickets(blocks: np.ndarray, seed: int) -> np.ndarray:
    """One number in 0 … 1 for each block (row, column); seeds are unsigned, hence the offset."""
    offset = 1 << 32
    return np.array([np.random.default_rng([seed, row + offset, column + offset]).random() for row, column in blocks])
