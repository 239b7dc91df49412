"""Errors of global states, by channel: of the mean of the members and of a single one, weighted by area and not.

With members x_i (i = 1 … M), their mean x̄, the truth y, and weights w of the cells that add up to 1,

    mean:    Σ w (x̄ − y)²          of the mean of the members
    single:  1/M Σ_i Σ w (x_i − y)²  of a single member, on average
    spread:  (M + 1)/M · 1/(M − 1) Σ_i Σ w (x_i − x̄)²   what ``mean`` is on average where the members are honest.

Global means are weighted by the area of the cells. ``PLAIN`` weights all grid points alike, as DiffDA's published
figures do: a third of the points of a latitude–longitude grid lie poleward of 60°, on an eighth of the globe, so that
it is another number. RMSE over cases is √(mean MSE); the *relative* RMSE is the mean over channels of RMSE over the
background's in the same cases. Intervals come from resampling whole cases, the same for all methods.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.verification.bootstrap import BlockBootstrap, percentile_interval, resampled_means

MEAN, SINGLE, SPREAD = "mean", "single", "spread"
"""Products of an ensemble."""

AREA, PLAIN, NORTH, TROPICS, SOUTH = "area", "plain", "north", "tropics", "south"
"""Weightings: the globe by area and by points; three belts by area, parted at 20°."""

ALL = "all"
"""In the place of a channel: the relative RMSE."""

_TROPICS = 20.0
_LOW, _HIGH = ({"rmse": name, "ratio": f"ratio_{name}"} for name in ("low", "high"))


def cell_weights(grid: LatLonGrid) -> dict[str, np.ndarray]:
    """Weights (y, x) that add up to 1, by name of the weighting; belts that hold no row are left out."""
    area, latitude = grid.cell_area(), grid.latitude()
    belts = {
        AREA: np.ones_like(area, bool),
        NORTH: latitude > _TROPICS,
        TROPICS: np.abs(latitude) <= _TROPICS,
        SOUTH: latitude < -_TROPICS,
    }
    weights = {name: np.where(inside, area, 0.0) for name, inside in belts.items() if inside.any()}
    weights[PLAIN] = np.ones_like(area)
    return {name: values / values.sum() for name, values in weights.items()}


def mean_squared_errors(
    estimate: State, truth: State, weights: Mapping[str, np.ndarray]
) -> dict[str, dict[str, list[float]]]:
    """{product: {weighting: (channel,) SI²}}; of one member ``MEAN`` alone.

    Args:
        estimate: of any number of members.
        truth: one member, same layout and valid time.
        weights: from ``cell_weights``.

    Raises:
        InputError: they are of different layouts or times.
    """
    if estimate.layout.names != truth.layout.names or estimate.valid_time != truth.valid_time:
        raise InputError(f"a state of {estimate.valid_time} cannot be scored against a truth of {truth.valid_time}")
    errors = estimate.values.double() - truth.values.double()
    mean = errors.mean(dim=0)
    found = {MEAN: _weighted(mean.square(), weights)}
    if estimate.members > 1:
        found[SINGLE] = _weighted(errors.square().mean(dim=0), weights)
        honest = (estimate.members + 1) / estimate.members
        found[SPREAD] = _weighted(honest * errors.var(dim=0, correction=1), weights)
    return found


def _weighted(squares: Tensor, weights: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
    values = squares.cpu().numpy()
    return {name: np.tensordot(values, weight, axes=2).tolist() for name, weight in weights.items()}


def score_rows(
    errors: Mapping[str, Mapping[str, Sequence[float]]], names: Sequence[str], **label: object
) -> Iterator[dict[str, object]]:
    """One row a product, weighting and channel: ``label``, ``product``, ``weighting``, ``channel``, ``mse`` (SI²)."""
    for product, by_weighting in errors.items():
        for weighting, values in by_weighting.items():
            for name, value in zip(names, values, strict=True):
                yield {**label, "product": product, "weighting": weighting, "channel": name, "mse": value}


@dataclass(frozen=True)
class Summary:
    """How rows of ``score_rows`` become a table.

    Attributes:
        groups: the columns that tell one line of the table from another, such as method and number of observations.
        reference: of the relative RMSE: the columns among ``groups``, and their values, of the background's rows.
        shared: columns among ``groups`` that a row and its reference have in common, such as the cycle.
        bootstrap: how intervals are made; cases are resampled as a whole.
    """

    groups: tuple[str, ...]
    reference: Mapping[str, object]
    shared: tuple[str, ...] = ()
    bootstrap: BlockBootstrap = BlockBootstrap(iterations=1000)  # noqa: RUF009 - frozen

    def table(self, rows: pd.DataFrame) -> pd.DataFrame:
        """RMSE by group and channel, and for the channel ``ALL`` the relative RMSE, over all cases that a group has.

        Args:
            rows: of one product and weighting each; ``case``, the columns of ``groups``, ``channel``, ``mse``.

        Returns:
            The columns of ``groups``, ``channel``, ``rmse``, ``low``, ``high``, ``ratio`` to the reference in the same
            cases with ``ratio_low`` and ``ratio_high``, and ``cases``.
        """
        found = self.measured(rows)
        low, high = found.interval(self.bootstrap)
        parts = [
            found.groups.assign(
                channel=name,
                cases=found.cases,
                **{what: part[i, :, k] for i, end in enumerate(("rmse", "ratio")) for what, part in
                   ((end, found.values), (_LOW[end], low), (_HIGH[end], high))},
            )
            for k, name in enumerate(found.channels)
        ]  # fmt: skip
        return pd.concat(parts, ignore_index=True)

    def measured(self, rows: pd.DataFrame) -> "Measured":
        """The same as arrays, with what resampling the cases gives."""
        cube = _Cube.of(rows, self.groups)
        shape = cube.values.shape
        flat = np.concatenate([cube.values.reshape(shape[0], -1), self._known(cube).reshape(shape[0], -1)], axis=1)
        available = np.isfinite(flat)
        stacked = np.concatenate([np.where(available, flat, 0.0), available], axis=1)
        resampled = resampled_means(stacked, np.arange(shape[0]), bootstrap=self.bootstrap)
        return Measured(
            groups=cube.groups,
            channels=(*cube.channels, ALL),
            cases=np.isfinite(cube.values).all(axis=2).sum(axis=0),
            values=_ratios(stacked.mean(axis=0, keepdims=True), shape[1:])[0],
            replicates=_ratios(resampled, shape[1:]),
        )

    def _known(self, cube: "_Cube") -> np.ndarray:
        """The reference of every group, in the cases that the group has itself: (case, group, channel)."""
        place = {tuple(row): i for i, row in enumerate(cube.groups.itertuples(index=False, name=None))}
        known = np.full_like(cube.values, np.nan)
        for i, row in enumerate(cube.groups.to_dict("records")):
            wanted = {**self.reference, **{name: row[name] for name in self.shared}}
            j = place.get(tuple(wanted[name] for name in self.groups))
            if j is not None:
                known[:, i] = np.where(np.isfinite(cube.values[:, i]), cube.values[:, j], np.nan)
        return known


@dataclass(frozen=True)
class Measured:
    """RMSE and ratios of groups of rows.

    Attributes:
        groups: one row a group.
        channels: labels, ``ALL`` last.
        cases: (group,) how many each has.
        values: (2, group, channel): RMSE, and its ratio to the reference.
        replicates: (iteration, 2, group, channel) of resampled cases.
    """

    groups: pd.DataFrame
    channels: tuple[str, ...]
    cases: np.ndarray
    values: np.ndarray
    replicates: np.ndarray

    def interval(self, bootstrap: BlockBootstrap) -> tuple[np.ndarray, np.ndarray]:
        """Low and high ends, like ``values``."""
        ends = percentile_interval(self.replicates.reshape(len(self.replicates), -1), bootstrap)
        low, high = (end.reshape(self.values.shape) for end in ends)
        return low, high


@dataclass(frozen=True)
class _Cube:
    """MSE by case, group and channel; NaN where a group lacks a case."""

    values: np.ndarray
    groups: pd.DataFrame
    channels: tuple[str, ...]

    @classmethod
    def of(cls, rows: pd.DataFrame, groups: Sequence[str]) -> "_Cube":
        if rows.duplicated(["case", *groups, "channel"]).any():
            raise InputError("rows of several products or weightings cannot be averaged together; choose one of each")
        labels = rows[list(groups)].drop_duplicates().reset_index(drop=True)
        number = labels.assign(_group=np.arange(len(labels)))
        group = rows[list(groups)].merge(number, on=list(groups), how="left")["_group"].to_numpy()
        case, cases = pd.factorize(rows["case"])
        channel, channels = pd.factorize(rows["channel"])
        values = np.full((len(cases), len(labels), len(channels)), np.nan)
        values[case, group, channel] = rows["mse"].to_numpy(float)
        return cls(values, labels, tuple(map(str, channels)))


def _ratios(means: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """RMSE and its ratio to the reference, with means over channels as the last: (iteration, 2, group, channel + 1).

    Args:
        means: (iteration, 4 × group × channel) of MSE and the reference's, 0 where missing, and of 1 where there.
        shape: (group, channel).
    """
    sums = means.reshape(-1, 4, *shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        mse, known = sums[:, 0] / sums[:, 2], sums[:, 1] / sums[:, 3]
        rmse, ratio = np.sqrt(mse), np.sqrt(mse / known)
    mean_ratio = ratio.mean(axis=2, keepdims=True)
    return np.stack([np.concatenate([part, mean_ratio], axis=2) for part in (rmse, ratio)], axis=1)


def equal_lead(error: float, leads: np.ndarray, errors: np.ndarray) -> float:
    """The lead (h) at which a forecast's error has grown to ``error``: linear between leads, errors made to grow.

    Args:
        error: of what is compared.
        leads: (k,) h, increasing.
        errors: (k,) of the forecast at these leads.

    Returns:
        The lead; −inf below the first error, +inf above the last.
    """
    grown = np.maximum.accumulate(errors)
    if error < grown[0]:
        return -np.inf
    if error > grown[-1]:
        return np.inf
    last = int(np.searchsorted(grown, error, side="right"))
    if last == len(grown):
        return float(leads[-1])
    share = (error - grown[last - 1]) / (grown[last] - grown[last - 1])
    return float(leads[last - 1] + share * (leads[last] - leads[last - 1]))
