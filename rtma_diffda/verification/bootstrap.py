"""Block bootstrap: how far a mean over dependent data may move by chance.

Errors of neighbouring stations and of successive hours go together, so single data must not be resampled. Data are put
in blocks b of space × time, whole blocks are drawn with replacement, as many as there are, and a mean becomes

    m* = Σ_b c_b S_b / Σ_b c_b W_b,

c_b = how often block b was drawn, S_b = Σ w e and W_b = Σ w over its data. Quantities drawn with the same counts are
paired, so ratios of two sources' scores keep the correlation between the sources.

``scores.processing.block_bootstrap`` resamples equal, contiguous blocks along the axes of a full array, from numpy's
global generator. Stations are neither equally many in each block nor on an axis, and our draws take a seed; hence sums
by block here, which also never build the resampled data.

Reference: Gilleland (2020), J. Atmos. Oceanic Technol. 37, 2117–2134, doi:10.1175/JTECH-D-20-0069.1.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from rtma_diffda.errors import UsageError
from rtma_diffda.observations.withholding import lattice_blocks
from rtma_diffda.times import DAY

_COUNTS_AT_ONCE = 4_000_000
"""Counts c_b held in memory together: 32 MB."""


@dataclass(frozen=True)
class BlockBootstrap:
    """How intervals are made: percentiles of scores over resampled blocks.

    Attributes:
        block_degrees: extent of a block in latitude and in longitude; None: the whole area is one.
        period: extent of a block in time; None: all times are one.
        iterations: number of resamplings.
        confidence: share of the resamplings inside the interval.
        seed: of the draws.
    """

    block_degrees: float | None = 1.0
    period: np.timedelta64 | None = DAY
    iterations: int = 1000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.block_degrees is None and self.period is None:
            raise UsageError("a block bootstrap needs blocks in space, in time, or in both")
        if not 0.0 < self.confidence < 1.0 or self.iterations < 1:
            raise UsageError(
                f"a bootstrap needs 0 < confidence < 1 and at least one iteration; found confidence "
                f"{self.confidence} and {self.iterations} iterations"
            )

    def describe(self) -> str:
        """The method in words, for tables and reports."""
        space = "" if self.block_degrees is None else f"{self.block_degrees:g}° blocks of stations"
        time = "" if self.period is None else f"periods of {_in_words(self.period)}"
        blocks = " × ".join(filter(None, (space, time)))
        return f"{100 * self.confidence:g} % intervals by {self.iterations:,} resamplings of {blocks}"


def block_codes(pairs: pd.DataFrame, bootstrap: BlockBootstrap) -> np.ndarray:
    """Block number (n,) of every row, 0 … blocks − 1, from ``latitude``, ``longitude`` and ``valid_time``."""
    labels = np.zeros((len(pairs), 3), np.int64)
    if bootstrap.block_degrees is not None:
        labels[:, :2] = lattice_blocks(pairs["latitude"], pairs["longitude"], block_degrees=bootstrap.block_degrees)
    if bootstrap.period is not None:
        times = pairs["valid_time"].to_numpy("datetime64[ns]").astype(np.int64)
        labels[:, 2] = times // (bootstrap.period // np.timedelta64(1, "ns"))
    return np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)


def resampled_means(
    values: np.ndarray, blocks: np.ndarray, *, bootstrap: BlockBootstrap, weights: np.ndarray | None = None
) -> np.ndarray:
    """Means over resampled blocks: (n, k) values → (iterations, k), all k with the same draws.

    Args:
        values: (n, k) finite numbers.
        blocks: (n,) block number of each row, 0 … blocks − 1, none of them empty.
        bootstrap: how often, and the seed.
        weights: (n,) of the rows; equal where None.
    """
    weights = np.ones(len(values)) if weights is None else weights
    count = int(blocks.max()) + 1
    sums = np.zeros((count, values.shape[1] + 1))
    np.add.at(sums, blocks, weights[:, None] * np.column_stack([values, np.ones(len(values))]))
    rng = np.random.default_rng(bootstrap.seed)
    at_once = max(1, _COUNTS_AT_ONCE // count)
    sizes = [min(at_once, bootstrap.iterations - start) for start in range(0, bootstrap.iterations, at_once)]
    totals = np.concatenate([_draw_counts(rng, size, count) @ sums for size in sizes])
    with np.errstate(invalid="ignore"):
        return totals[:, :-1] / totals[:, -1:]


def percentile_interval(replicates: np.ndarray, bootstrap: BlockBootstrap) -> tuple[np.ndarray, np.ndarray]:
    """Low and high end (k,) over replicates (iterations, k); NaN where no replicate is finite."""
    tail = 0.5 * (1.0 - bootstrap.confidence)
    finite = np.isfinite(replicates).any(axis=0)
    ends = np.full((2, replicates.shape[1]), np.nan)
    if finite.any():
        # numpy's quantile that allows for NaN takes a column at a time, many times as long.
        whole = np.isfinite(replicates).all(axis=0)
        for columns, quantile in ((whole, np.quantile), (finite & ~whole, np.nanquantile)):
            if columns.any():
                ends[:, columns] = quantile(replicates[:, columns], [tail, 1.0 - tail], axis=0)
    return ends[0], ends[1]


def _draw_counts(rng: np.random.Generator, iterations: int, count: int) -> np.ndarray:
    """How often each of ``count`` blocks is drawn in ``count`` draws with replacement: (iterations, count)."""
    drawn = rng.integers(count, size=(iterations, count)) + count * np.arange(iterations)[:, None]
    return np.bincount(drawn.reshape(-1), minlength=iterations * count).reshape(iterations, count).astype(float)


def _in_words(period: np.timedelta64) -> str:
    days, hours = period / DAY, period / np.timedelta64(1, "h")
    number, unit = (days, "day") if days >= 1 else (hours, "hour")
    return f"{number:g} {unit}{'' if number == 1 else 's'}"
