"""Verification by folds: every station scored by an analysis that has not seen it, for several splits."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from rtma_diffda.experiments.case import Case
from rtma_diffda.experiments.cross_validation import cross_validate
from rtma_diffda.experiments.methods import MethodSettings, build_method
from rtma_diffda.experiments.progress import progress
from rtma_diffda.experiments.reporting import Verification
from rtma_diffda.interfaces import AssimilationProblem, PointMethod
from rtma_diffda.observations.flags import Flag
from rtma_diffda.observations.withholding import block_folds, random_station_folds
from rtma_diffda.verification.bootstrap import BlockBootstrap


@dataclass(frozen=True)
class FoldSettings:
    """Which splits.

    Attributes:
        folds: number of folds of every split.
        seeds: of random splits by station.
        spatial_block_degrees: size of the blocks of one more split by whole blocks; None for none.
        progress: show a bar on a terminal.
    """

    folds: int
    seeds: tuple[int, ...]
    spatial_block_degrees: float | None
    progress: bool = True


def verify_by_folds(case: Case, method: MethodSettings, settings: FoldSettings) -> dict[str, Verification]:
    """Scores of each split, by the split in words.

    The data are those that pass every test that needs no background; a background check is made inside, on the training
    side only, so that gross departures are scored like all others.
    """
    observations = case.observations.select((case.observations.flags & ~np.int32(Flag.BACKGROUND)) == 0)
    problem = AssimilationProblem(
        case.background, observations.with_flags(np.zeros(len(observations))), case.operator, case.window
    )

    def method_for(training: AssimilationProblem) -> PointMethod:
        return build_method(method, [training], case.static).method

    splits = _splits(problem, settings)
    bootstrap = BlockBootstrap(block_degrees=settings.spatial_block_degrees or 2.0)
    verified = {}
    for label, folds in progress(list(splits.items()), "splits", shown=settings.progress):
        pairs = cross_validate(problem, folds, method_for).rename(
            columns={"analysis": method.name, "analysis_error_std": f"{method.name}_error_std"}
        )
        verified[label] = Verification.of(pairs, set(pairs["station"]), bootstrap)
    return verified


def mean_over_splits(verified: dict[str, Verification]) -> pd.DataFrame:
    """RMSE of every variable and source, mean and spread over the random splits."""
    random = [v.scores for label, v in verified.items() if "random" in label]
    scores = pd.concat(random).groupby(["variable", "source"], sort=False)["rmse"]
    return scores.agg(["mean", "min", "max"]).reset_index()


def _splits(problem: AssimilationProblem, settings: FoldSettings) -> dict[str, np.ndarray]:
    stations = problem.observations.station
    splits = {
        f"{settings.folds} random folds of stations, seed {seed}": random_station_folds(
            stations, folds=settings.folds, seed=seed
        )
        for seed in settings.seeds
    }
    if settings.spatial_block_degrees:
        latitude, longitude = (c.numpy() for c in (problem.observations.latitude, problem.observations.longitude))
        degrees = settings.spatial_block_degrees
        label = f"{settings.folds} folds of {degrees:g}° blocks"
        splits[label] = block_folds(
            latitude, longitude, block_degrees=degrees, folds=settings.folds, seed=settings.seeds[0]
        )
    return splits
