"""Cross-validation: every station predicted by an analysis that has not seen it.

For each fold, a method is made from the other folds' data and evaluated at the fold's stations, each at its own height.
Whatever a method is told, it is told inside ``method_for``, which receives the training problem and nothing else:
parameters chosen there have not seen the withheld stations either (nested cross-validation). The background check marks
training data only; withheld data are scored whatever they say, gross departures included.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from rtma_diffda.errors import InputError
from rtma_diffda.interfaces import AssimilationProblem, PointMethod
from rtma_diffda.observations.quality_control import BackgroundCheck
from rtma_diffda.observations.table import Observations
from rtma_diffda.verification.matching import matched_pairs

logger = logging.getLogger(__name__)


def cross_validate(
    problem: AssimilationProblem,
    folds: np.ndarray,
    method_for: Callable[[AssimilationProblem], PointMethod],
    *,
    check: BackgroundCheck | None = None,
    suspect: np.ndarray | None = None,
) -> pd.DataFrame:
    """Matched pairs of every datum with the background and with an analysis that has not seen its fold.

    Args:
        problem: all the data, those that fail the background check included.
        folds: (n,) fold of every datum of ``problem.observations``; all data of a station must share theirs.
        method_for: makes the method of one fold from its training problem.
        check: the background check of the training data; None for none.
        suspect: (n,) True for data that no training side may use, though they are scored like all others.

    Returns:
        ``matched_pairs`` with the sources ``background`` and ``analysis`` and the column ``fold``, in the order of the
        observations.

    Raises:
        InputError: folds of another length, fewer than two of them, or a station in more than one.
    """
    observations = problem.observations
    _require_whole_stations(observations, folds)
    trusted = np.ones(len(observations), bool) if check is None else _passing(problem, check)
    if suspect is not None:
        trusted &= ~suspect
    parts = []
    for fold in np.unique(folds):
        training = replace(problem, observations=observations.select(trusted & (folds != fold)))
        withheld = observations.select(folds == fold)
        parts.append(_pairs(problem, withheld, method_for(training), training).assign(fold=int(fold)))
        logger.info("fold %s: %d data from %d", fold, len(withheld), len(training.observations))
    order = np.argsort(np.concatenate([np.flatnonzero(folds == fold) for fold in np.unique(folds)]))
    return pd.concat(parts, ignore_index=True).iloc[order].reset_index(drop=True)


def _pairs(
    problem: AssimilationProblem, withheld: Observations, method: PointMethod, training: AssimilationProblem
) -> pd.DataFrame:
    """Pairs of the withheld data of one fold."""
    found = method.analyse_at(training, withheld)
    background = problem.operator(problem.background.values.double(), withheld)
    errors = {} if found.error_std is None else {"analysis": found.error_std}
    sources = {"background": background, "analysis": found.mean}
    return matched_pairs(withheld, sources, layout=problem.background.layout, error_stds=errors)


def _passing(problem: AssimilationProblem, check: BackgroundCheck) -> np.ndarray:
    """True (n,) where a datum passes the background check."""
    innovations = problem.innovations().mean(dim=0).cpu().numpy()
    checked = check.mark(problem.observations, problem.background.layout.names, innovations)
    return checked.flags == 0


def _require_whole_stations(observations: Observations, folds: np.ndarray) -> None:
    if folds.shape != (len(observations),) or len(np.unique(folds)) < 2:
        raise InputError(
            f"cross-validation of {len(observations)} data needs as many fold numbers and at least two folds; found "
            f"{folds.shape[0]} numbers of {len(np.unique(folds))} folds"
        )
    pairs = pd.DataFrame({"station": observations.station, "fold": folds}).drop_duplicates()
    repeated = pairs["station"][pairs["station"].duplicated()]
    if len(repeated):
        raise InputError(f"station {repeated.iloc[0]} is in more than one fold: its analysis would have seen it")
