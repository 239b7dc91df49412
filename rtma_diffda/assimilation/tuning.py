"""Tuning: the parameters of B and R, from innovations alone.

θ is minimised over in its logarithms by L-BFGS, first by maximum likelihood; then, where the criterion says so, by the
leave-one-out or left-out-folds error (``criteria``), which measure what verification measures, but not the scale of A:
a common factor then makes the mean square of the standardised leave-one-out errors 1. A weak pull toward the start
(half a unit of log-likelihood for a factor e^freedom) keeps nearly linear structure functions from letting length and
variance grow together for ever. Large sets are tuned on a random part of the data, drawn with a fixed seed.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.assimilation.correlation import BackgroundError, covariance
from rtma_diffda.assimilation.criteria import CostAndGradients, left_out_cost, negative_log_likelihood
from rtma_diffda.assimilation.places import Surroundings, with_background
from rtma_diffda.assimilation.posterior import Evidence
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import AssimilationProblem

logger = logging.getLogger(__name__)

TUNABLE = (
    "std",
    "horizontal_length",
    "vertical_length",
    "background_length",
    "bias_std",
    "height_drift_std",
    "background_drift_std",
)
"""Parameters of ``BackgroundError`` that are tuned where the start has them (not None, not 0)."""

CRITERIA = ("likelihood", "leave_one_out", "folds")


@dataclass(frozen=True)
class TuningSettings:
    """How to tune.

    Attributes:
        criterion: one of ``CRITERIA``.
        freedom: standard deviation of ln θ around its start.
        iterations: of L-BFGS, at most, for each criterion.
        most_data: more data than this, over all times, are tuned on a random part; a time keeps at least 100.
        gross_limit: departures beyond this many robust standard deviations (1.4826 × median) are left out.
        folds: number of folds of the criterion ``folds``.
        seed: of the random part and of the folds.
    """

    criterion: str = "leave_one_out"
    freedom: float = 0.5
    iterations: int = 20
    most_data: int = 500
    gross_limit: float = 5.0
    folds: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.criterion not in CRITERIA:
            raise UsageError(f"unknown criterion '{self.criterion}'; known are {', '.join(CRITERIA)}")


@dataclass(frozen=True)
class TunedParameters:
    """What tuning chose, and among what.

    Attributes:
        background_error: B.
        observation_error_factor: what the data's ``error_std`` is multiplied with.
        loo_rms: leave-one-out RMS (SI) of the choice over the data it was tuned on.
        tried: (description, leave-one-out RMS) of every start, tuned.
        chosen: which of them this is.
        used: data it was tuned on: at most a random part of those offered.
        left_out: gross departures among those offered.
    """

    background_error: BackgroundError
    observation_error_factor: float
    loo_rms: float
    tried: tuple[tuple[str, float], ...]
    chosen: int
    used: int
    left_out: int

    def describe(self) -> str:
        """The choice in words."""
        chosen = _describe(self.background_error, self.observation_error_factor)
        return f"{chosen}; leave-one-out RMS {self.loo_rms:.4g} over {self.used} data ({self.left_out} gross left out)"


def tune(
    times: Sequence[Evidence], starts: Sequence[BackgroundError], settings: TuningSettings | None = None
) -> TunedParameters:
    """Tune every start and choose the one with the smallest leave-one-out RMS.

    Args:
        times: places, error variances and innovations (1, n) of the data of one analysis time or of several, whose
            errors count as independent of each other's.
        starts: parameters to begin from; which terms B has, and its function, are each start's own.
        settings: criterion and limits.

    Raises:
        InputError: fewer than ten usable data.
    """
    settings = settings or TuningSettings()
    kept = ~gross_departures(torch.cat([evidence.innovations[0] for evidence in times]), settings.gross_limit)
    rows = [torch.nonzero(part)[:, 0] for part in kept.split([len(evidence.places) for evidence in times])]
    if int(kept.sum()) < 10:
        raise InputError(f"tuning needs at least ten data; {int(kept.sum())} of {len(kept)} are usable")
    most = max(settings.most_data // len(times), 100)
    parts = [e.select(_random_part(r, most, settings.seed)) for e, r in zip(times, rows, strict=True) if len(r)]
    used = sum(len(part.places) for part in parts)
    results = [_tune_one(parts, start, settings) for start in starts]
    chosen = min(range(len(results)), key=lambda i: results[i][2])
    best = results[chosen]
    tried = tuple((_describe(error, factor), rms) for error, factor, rms in results)
    logger.info("tuned on %d data: %s, leave-one-out RMS %.4g", used, _describe(*best[:2]), best[2])
    return TunedParameters(*best, tried, chosen, used, int((~kept).sum()))


def gross_departures(innovations: Tensor, limit: float) -> Tensor:
    """True (n,) where an innovation is further than ``limit`` robust standard deviations from the median."""
    departure = (innovations - innovations.median()).abs()
    return departure > limit * 1.4826 * departure.median()


def leave_one_out_errors(error: BackgroundError, factor: float, evidence: Evidence) -> Tensor:
    """e (n,): datum minus the analysis of all other data there, as departures from the background."""
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(_matrix(error, torch.tensor(factor).log(), evidence)))
    return (inverse @ evidence.innovations[0]) / inverse.diagonal()


def _random_part(rows: Tensor, most: int, seed: int) -> Tensor:
    if len(rows) <= most:
        return rows
    chosen = np.random.default_rng(seed).permutation(len(rows))[:most]
    return rows[torch.from_numpy(np.sort(chosen))]


def _tune_one(
    times: Sequence[Evidence], start: BackgroundError, settings: TuningSettings
) -> tuple[BackgroundError, float, float]:
    """One start tuned: B, the factor of R, and the leave-one-out RMS."""
    names = [name for name in TUNABLE if getattr(start, name) is not None and float(getattr(start, name)) > 0]
    origin = torch.tensor([float(getattr(start, name)) for name in names] + [1.0], dtype=torch.float64).log()
    groups = [_groups(len(evidence.places), settings) for evidence in times]

    def matrices(theta: Tensor) -> list[Tensor]:
        error = _with_parameters(start, names, theta)
        return [_matrix(error, theta[-1], evidence) for evidence in times]

    innovations = [evidence.innovations[0] for evidence in times]
    theta = _minimise(matrices, lambda matrices_: negative_log_likelihood(matrices_, innovations), origin, settings)
    if settings.criterion != "likelihood":
        theta = _minimise(matrices, lambda matrices_: left_out_cost(matrices_, innovations, groups), theta, settings)
    theta = _rescaled(theta, names, list(zip(matrices(theta), innovations, strict=True)))
    error, factor = _as_numbers(_with_parameters(start, names, theta), names), float(theta[-1].exp())
    errors = torch.cat([leave_one_out_errors(error, factor, evidence) for evidence in times])
    return error, factor, float(errors.square().mean().sqrt())


def _as_numbers(error: BackgroundError, names: Sequence[str]) -> BackgroundError:
    return replace(error, **{name: float(getattr(error, name)) for name in names})


def _matrix(error: BackgroundError, log_factor: Tensor, evidence: Evidence) -> Tensor:
    """A = B + f² R, (n, n)."""
    return covariance(error, evidence.places, evidence.places) + torch.diag(
        evidence.error_variance * (2.0 * log_factor).exp()
    )


def _with_parameters(start: BackgroundError, names: Sequence[str], theta: Tensor) -> BackgroundError:
    return replace(start, **{name: theta[i].exp() for i, name in enumerate(names)})


def _minimise(
    matrices: Callable[[Tensor], list[Tensor]],
    cost: Callable[[Sequence[Tensor]], CostAndGradients],
    begin: Tensor,
    settings: TuningSettings,
) -> Tensor:
    """L-BFGS on ``cost`` of the matrices A(θ) plus the pull toward ``begin``; returns the best θ seen."""
    theta = begin.clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        [theta], max_iter=settings.iterations, tolerance_change=1e-3, tolerance_grad=1e-2, line_search_fn="strong_wolfe"
    )
    best = [float("inf"), begin.clone()]

    def closure() -> Tensor:
        optimiser.zero_grad()
        pull = 0.5 * ((theta - begin) / settings.freedom).square().sum()
        built = matrices(theta)
        value, gradients = cost([A.detach() for A in built])
        torch.autograd.backward([pull, *built], [torch.ones_like(pull), *gradients])
        total = value + pull.detach()
        if float(total) < best[0]:
            best[:] = [float(total), theta.detach().clone()]
        return total

    try:
        optimiser.step(closure)
    except torch.linalg.LinAlgError as error:  # a far step of the line search; what was found before it stands
        logger.debug("tuning ends early: %s", error)
    return best[1]


def _groups(count: int, settings: TuningSettings) -> Tensor | None:
    """Fold (n,) of every datum; None where each is left out by itself."""
    if settings.criterion != "folds":
        return None
    return torch.from_numpy(np.random.default_rng(settings.seed).permutation(count) % settings.folds)


def _rescaled(theta: Tensor, names: Sequence[str], systems: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """θ with all variances multiplied by the mean square of the standardised leave-one-out errors."""
    inverses = [(torch.cholesky_inverse(torch.linalg.cholesky(A)), d) for A, d in systems]
    mean_square = torch.cat([(inverse @ d).square() / inverse.diagonal() for inverse, d in inverses]).mean()
    scales = [name == "std" or name.endswith("_std") for name in names] + [True]
    return theta + torch.tensor(scales).to(theta) * 0.5 * mean_square.log()


def _describe(error: BackgroundError, factor: float) -> str:
    terms = {name: getattr(error, name) for name in TUNABLE if getattr(error, name)}
    return f"{error.function} " + " ".join(f"{k}={float(v):.3g}" for k, v in terms.items()) + f" error×{factor:.3g}"


def tune_problems(
    problems: Sequence[AssimilationProblem],
    static: StaticFields,
    starts: Mapping[str, Sequence[BackgroundError]],
    settings: TuningSettings | None = None,
) -> dict[str, TunedParameters]:
    """Tune every variable that has starts, from the innovations of the first member at all the times.

    Args:
        problems: one a time, of one layout.
        static: terrain and land on their grid.
        starts: {variable: where to begin}.
        settings: criterion and limits.

    Raises:
        InputError: a variable has fewer than ten usable data.
    """
    surroundings = [Surroundings(problem, static) for problem in problems]
    channels = {name: i for i, name in enumerate(problems[0].background.layout.names) if name in starts}
    return {
        name: tune([innovation_evidence(around, channel) for around in surroundings], starts[name], settings)
        for name, channel in channels.items()
    }


def innovation_evidence(surroundings: Surroundings, channel: int) -> Evidence:
    """The data of one channel of a problem with their innovations from its first member, (1, n)."""
    data = surroundings.problem.observations.of_channel(channel)
    places, background = surroundings.of_data(data, channel)
    innovations = data.value - (background + surroundings.reference(channel))
    return Evidence(with_background(places, background[0]), data.error_std**2, innovations[:1])
