"""Verification by folds: every station scored by an analysis that has not seen it, for several splits."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from rtma_diffda.cycling.case import Case
from rtma_diffda.experiments.cross_validation import cross_validate
from rtma_diffda.experiments.methods import MethodSettings, build_method
from rtma_diffda.experiments.progress import progress
from rtma_diffda.experiments.reporting import Verification
from rtma_diffda.interfaces import AssimilationProblem, PointMethod
from rtma_diffda.observations.flags import Flag
from rtma_diffda.observations.quality_control import BackgroundCheck
from rtma_diffda.observations.withholding import block_folds, random_station_folds
from rtma_diffda.verification.bootstrap import BlockBootstrap


@dataclass(frozen=True)
class FoldSettings:
    """Which splits.

    Attributes:
        folds: number of folds of every split.
        seeds: of random splits by station.
        spatial_block_degrees: size of the blocks of one more split by whole blocks; None for none.
        check: background check of the training data; None for none.
        progress: show a bar on a terminal.
    """

    folds: int
    seeds: tuple[int, ...]
    spatial_block_degrees: float | None
    check: BackgroundCheck | None = field(default_factory=BackgroundCheck)
    progress: bool = True


def verify_by_folds(case: Case, method: MethodSettings, settings: FoldSettings) -> dict[str, Verification]:
    """Scores of each split, by the split in words.

    What a datum says does not decide whether it is scored: data that contradict their report or the background are
    kept from the training side only. Left out are values that are none, or beyond anything possible on Earth.
    """
    problem, suspect = scored_problem(case)

    def method_for(training: AssimilationProblem) -> PointMethod:
        return build_method(method, [training], case.static).method

    splits = _splits(problem, settings)
    bootstrap = BlockBootstrap(block_degrees=settings.spatial_block_degrees or 2.0)
    verified = {}
    for label, folds in progress(list(splits.items()), "splits", shown=settings.progress):
        pairs = cross_validate(problem, folds, method_for, check=settings.check, suspect=suspect).rename(
            columns={"analysis": method.name, "analysis_error_std": f"{method.name}_error_std"}
        )
        verified[label] = Verification.of(pairs, set(pairs["station"]), bootstrap)
    return verified


def scored_problem(case: Case) -> tuple[AssimilationProblem, np.ndarray]:
    """All data to be scored, as a problem, and (n,) True where no training side may use them."""
    doubtful = np.int32(Flag.CONSISTENCY | Flag.BACKGROUND)
    observations = case.observations.select((case.observations.flags & ~doubtful) == 0)
    suspect = (observations.flags & np.int32(Flag.CONSISTENCY)) != 0
    clear = observations.with_flags(np.zeros(len(observations)))
    return AssimilationProblem(case.background, clear, case.operator, case.window, boundary=case.boundary), suspect


def fold_summary(verified: Mapping[str, Verification]) -> str:
    """RMSE (SI) by kind of split, variable and source as a table: mean, lowest and highest over the seeds."""
    folds = {label: v for label, v in verified.items() if ", seed " in label}
    rows = [v.scores.assign(split=label.rpartition(", seed ")[0]) for label, v in folds.items()]
    grouped = pd.concat(rows).groupby(["split", "variable", "source"], sort=False)["rmse"]
    return grouped.agg(["mean", "min", "max", "count"]).round(3).reset_index().to_string(index=False)


def _splits(problem: AssimilationProblem, settings: FoldSettings) -> dict[str, np.ndarray]:
    stations = problem.observations.station
    splits = {
        f"{settings.folds} random folds of stations, seed {seed}": random_station_folds(
            stations, folds=settings.folds, seed=seed
        )
        for seed in settings.seeds
    }
    if not settings.spatial_block_degrees:
        return splits
    latitude, longitude = (c.cpu().numpy() for c in (problem.observations.latitude, problem.observations.longitude))
    degrees = settings.spatial_block_degrees
    return splits | {
        f"{settings.folds} folds of {degrees:g}° blocks, seed {seed}": block_folds(
            latitude, longitude, block_degrees=degrees, folds=settings.folds, seed=seed
        )
        for seed in settings.seeds
    }
