"""Every source's estimate of the test fields of an exercise, from the same observations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from rtma_diffda.experiments.exercise_baselines import LagCovariance, kriging, linear_interpolation
from rtma_diffda.experiments.exercise_fields import Exercise, ExerciseFields
from rtma_diffda.experiments.exercise_network import FieldReconstruction
from rtma_diffda.experiments.progress import progress
from rtma_diffda.experiments.sparse_observations import SparseObservations

NETWORK = "U-Net"
BACKGROUND = "background"
CLIMATE = "mean of training"
_VORTICITY = 4
_BATCH = 32

Case = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""Observed values and observed_mask (channel, y, x), and the background (wanted, y, x) or None."""


@dataclass(frozen=True)
class TestCases:
    """What is scored.

    Attributes:
        fields: the test fields in their window.
        observations: of them.
        estimates: {source: (member, wanted, y, x)}.
    """

    __test__ = False  # no class of tests

    fields: ExerciseFields
    observations: SparseObservations
    estimates: Mapping[str, np.ndarray]


def estimate_test_fields(
    exercise: Exercise, network: FieldReconstruction, *, generator: torch.Generator, shown: bool
) -> TestCases:
    """Observe the test fields once, and let the network and the baselines estimate them.

    Args:
        exercise: its training fields give the baselines their covariances.
        network: trained.
        generator: of sites and errors.
        shown: whether a progress bar is wanted.
    """
    fields = exercise.test.window(exercise.size)
    observations = exercise.plan.observe(fields.truth, generator=generator)
    members = range(len(fields))
    values, observed_masks = observations.values.double().numpy(), observations.observed_mask.numpy()
    backgrounds = [None] * len(fields) if fields.background is None else fields.background.double().numpy()
    cases: list[Case] = [(values[i], observed_masks[i], backgrounds[i]) for i in members]
    baselines = _with_background(exercise) if exercise.has_background else _without_background(exercise)
    estimates = {
        name: np.stack([baseline(*case) for case in progress(cases, name, shown=shown)])
        for name, baseline in baselines.items()
    }
    estimates[NETWORK] = _network_estimates(network, fields, observations)
    return TestCases(fields, observations, estimates)


def _network_estimates(
    network: FieldReconstruction, fields: ExerciseFields, observations: SparseObservations
) -> np.ndarray:
    network.eval()
    parts = []
    with torch.no_grad():
        for rows in torch.arange(len(fields)).split(_BATCH):
            seen = SparseObservations(observations.values[rows], observations.observed_mask[rows])
            parts.append(network(seen, None if fields.background is None else fields.background[rows]))
    return torch.cat(parts).double().numpy()


def _with_background(exercise: Exercise) -> dict[str, Callable[..., np.ndarray]]:
    truth, background = exercise.training.truth.double().numpy(), exercise.training.background.double().numpy()
    mean = truth.mean(axis=(0, 2, 3), keepdims=True)[0]
    of_truth, of_error = (
        LagCovariance.estimated(part, periodic=exercise.is_periodic) for part in (truth - mean, background - truth)
    )
    error_std = np.array(exercise.plan.error_std)

    def linear(values: np.ndarray, observed_mask: np.ndarray, _: np.ndarray) -> np.ndarray:
        return linear_interpolation(values[0], observed_mask[0])[None]

    def krige(values: np.ndarray, observed_mask: np.ndarray, _: np.ndarray) -> np.ndarray:
        return mean + kriging(values - mean, observed_mask, of_truth, error_std=error_std)

    def optimal(values: np.ndarray, observed_mask: np.ndarray, known: np.ndarray) -> np.ndarray:
        return known + kriging(values - known, observed_mask, of_error, error_std=error_std)

    return {
        BACKGROUND: lambda values, observed_mask, known: known,
        "linear interpolation": linear,
        "kriging of observations": krige,
        "optimal interpolation": optimal,
    }


def _without_background(exercise: Exercise) -> dict[str, Callable[..., np.ndarray]]:
    truth, wanted = exercise.training.truth.double().numpy(), exercise.wanted
    mean = truth.mean(axis=(0, 2, 3), keepdims=True)[0]
    covariance = LagCovariance.estimated(truth - mean, periodic=exercise.is_periodic)
    error_std = np.array(exercise.plan.error_std)

    def linear(values: np.ndarray, observed_mask: np.ndarray, _: None) -> np.ndarray:
        return np.stack([linear_interpolation(values[i], observed_mask[i]) for i in range(wanted)])

    def kriged(channels: list[int], law: LagCovariance) -> Callable[..., np.ndarray]:
        chosen = law.of(channels)

        def estimate(values: np.ndarray, observed_mask: np.ndarray, _: None) -> np.ndarray:
            departures, seen = (values - mean)[channels], observed_mask[channels]
            return mean[:wanted] + kriging(departures, seen, chosen, error_std=error_std[channels])[:wanted]

        return estimate

    base = list(range(wanted))
    return {
        CLIMATE: lambda values, observed_mask, _: np.broadcast_to(mean[:wanted], values[:wanted].shape),
        "linear interpolation": linear,
        "kriging": kriged(base, covariance.univariate()),
        "cokriging of h, u, v": kriged(base, covariance),
        "cokriging with vorticity": kriged([*base, _VORTICITY], covariance),
    }
