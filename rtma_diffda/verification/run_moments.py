"""Scores over many cases, and how far they may move by chance: sums by run, and runs drawn with replacement.

The hours of one run share its weather, so runs, not cases, are independent. From the sums S_r of what is averaged (n,
n · mse, …) over the cases of run r, scores over any draw of runs follow:

    T = Σ_r c_r S_r,    rmse = √(T_mse / T_n),    spread/skill = √(T_spread² / T_mse),    …

with c_r = 1 for the scores themselves, and c_r = how often run r was drawn for their intervals. All methods and
variables share the draws, so that their ratios and differences are paired.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.times import DAY
from rtma_diffda.verification.bootstrap import BlockBootstrap, percentile_interval, resampled_means

LOGGER = logging.getLogger(__name__)

AVERAGED = (
    "bias",
    "mse",
    "crps",
    "spread_variance",
    "within_1",
    "within_2",
    "laplacian_truth",
    "laplacian_mean",
    "laplacian_members",
    "energy",
    "variogram",
)
"""Columns of case scores that are means over n places, or are taken for such: one joint score weighs by its places."""

SCORES = (
    "bias",
    "rmse",
    "crps",
    "spread_skill",
    "within_1",
    "within_2",
    "roughness_mean",
    "roughness_members",
    "energy",
    "variogram",
)
"""What follows from their sums: SI, or without unit. ``roughness`` is the Laplacian's amplitude over the truth's."""


@dataclass(frozen=True)
class RunBootstrap:
    """How intervals over runs are made: percentiles of scores over resampled runs.

    Attributes:
        iterations: number of resamplings.
        confidence: share of the resamplings inside the interval.
        seed: of the draws.
    """

    iterations: int = 2000
    confidence: float = 0.95
    seed: int = 0

    @property
    def draws(self) -> BlockBootstrap:
        """The same for the functions of ``bootstrap``, which are handed the runs as blocks."""
        return BlockBootstrap(None, DAY, self.iterations, self.confidence, self.seed)

    def describe(self) -> str:
        """The method in words, for tables and reports."""
        return f"{100 * self.confidence:g} % intervals by {self.iterations:,} resamplings of whole runs"


@dataclass(frozen=True)
class RunMoments:
    """Sums by run for the methods of one setting at one kind of place.

    Attributes:
        runs, methods, variables: what the axes are, in order of appearance.
        sums: (run, method, variable, 1 + len(AVERAGED)): n, then n times each of ``AVERAGED``.
        cases: number of analyses that every method made.
        missing: number that some method lacks; they count for none.
    """

    runs: tuple[str, ...]
    methods: tuple[str, ...]
    variables: tuple[str, ...]
    sums: np.ndarray
    cases: int
    missing: int

    @classmethod
    def of(cls, cases: pd.DataFrame) -> "RunMoments":
        """From rows of ``case_scores.case_table`` of one setting and one kind of place.

        Raises:
            InputError: more than one setting or kind of place, a case that stands twice, or none that all methods have.
        """
        for name in ("setting", "place"):
            if len(cases[name].unique()) != 1:
                raise InputError(f"moments are of one {name}; found {sorted(cases[name].unique())}")
        complete, missing = _complete_cases(cases)
        runs, methods, variables = (tuple(complete[name].unique().tolist()) for name in ("run", "method", "variable"))
        sums = np.zeros((len(runs), len(methods), len(variables), 1 + len(AVERAGED)))
        places = tuple(
            pd.Index(labels).get_indexer(complete[name])
            for name, labels in (("run", runs), ("method", methods), ("variable", variables))
        )
        n = complete["n"].to_numpy(float)[:, None]
        np.add.at(sums, places, n * np.column_stack([np.ones(len(n)), complete[list(AVERAGED)].to_numpy(float)]))
        count = complete[["run", "valid_time"]].drop_duplicates().shape[0]
        return cls(runs, methods, variables, sums, count, missing)

    @cached_property
    def counts(self) -> np.ndarray:
        """Number of places (method, variable) over all cases."""
        return self.sums[..., 0].sum(axis=0)

    def sum_of(self, average: str) -> np.ndarray:
        """n times one of ``AVERAGED``, summed over each run: (run, method, variable)."""
        return self.sums[..., 1 + AVERAGED.index(average)]

    def scores(self) -> dict[str, np.ndarray]:
        """``SCORES`` over all runs: (method, variable) each."""
        return _scores_of(self.sums.sum(axis=0))

    def scores_by_run(self) -> dict[str, np.ndarray]:
        """``SCORES`` of each run: (run, method, variable) each."""
        return _scores_of(self.sums)

    def replicates(self, bootstrap: RunBootstrap) -> dict[str, np.ndarray]:
        """``SCORES`` over resampled runs: (iteration, method, variable) each."""
        flat = self.sums.reshape(len(self.runs), -1)
        means = resampled_means(flat, np.arange(len(self.runs)), bootstrap=bootstrap.draws)
        return _scores_of(means.reshape(-1, *self.sums.shape[1:]))

    def row_of(self, method: str) -> int:
        """Position of a method on its axis.

        Raises:
            UsageError: there is no such method.
        """
        if method not in self.methods:
            raise UsageError(f"'{method}' is none of the methods that were scored: {', '.join(self.methods)}")
        return self.methods.index(method)


def interval(replicates: np.ndarray, bootstrap: RunBootstrap, *, runs: int) -> tuple[np.ndarray, np.ndarray]:
    """Low and high end over replicates (iteration, …); NaN where there is one run only, whose draws say nothing."""
    flat = replicates.reshape(len(replicates), -1)
    ends = percentile_interval(flat, bootstrap.draws) if runs > 1 else np.full((2, flat.shape[1]), np.nan)
    return tuple(end.reshape(replicates.shape[1:]) for end in ends)


def ratio_to(values: Mapping[str, np.ndarray], score: str, reference: int) -> np.ndarray:
    """A score of every method over that of the method in row ``reference``: (…, method, variable)."""
    found = values[score]
    below = found[..., reference : reference + 1, :]
    return np.divide(found, below, out=np.full_like(found, np.nan), where=np.broadcast_to(below > 0, found.shape))


def _complete_cases(cases: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The rows of cases and variables that every method has, and how many cases are left out."""
    if cases.duplicated(["method", "run", "valid_time", "variable"]).any():
        raise InputError("a case stands twice in the table of case scores for one method and variable")
    key = ["run", "valid_time", "variable"]
    methods = cases["method"].nunique()
    having = cases.groupby(key)["method"].transform("nunique")
    complete = cases[having == methods]
    missing = len(cases[["run", "valid_time"]].drop_duplicates()) - len(
        complete[["run", "valid_time"]].drop_duplicates()
    )
    if complete.empty:
        raise InputError(f"there is no case that all of {sorted(cases['method'].unique())} have analysed")
    if missing:
        LOGGER.warning("%d cases lack an analysis of some method and are not scored", missing)
    return complete, missing


def _scores_of(sums: np.ndarray) -> dict[str, np.ndarray]:
    """``SCORES`` (…) from sums (…, 1 + len(AVERAGED))."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = dict(zip(AVERAGED, np.moveaxis(sums[..., 1:] / sums[..., :1], -1, 0), strict=True))
        return {
            "bias": mean["bias"],
            "rmse": np.sqrt(mean["mse"]),
            "crps": mean["crps"],
            "spread_skill": np.sqrt(mean["spread_variance"] / mean["mse"]),
            "within_1": mean["within_1"],
            "within_2": mean["within_2"],
            "roughness_mean": np.sqrt(mean["laplacian_mean"] / mean["laplacian_truth"]),
            "roughness_members": np.sqrt(mean["laplacian_members"] / mean["laplacian_truth"]),
            "energy": mean["energy"],
            "variogram": mean["variogram"],
        }
