"""Tuning on truth: the parameters of B and R that make the smallest analysis error, where a simulation knows it.

Learned methods are trained on the gridded truth of simulated runs, and so the baselines beside them may be tuned on it.
With A = B_oo + R, w = A⁻¹ d and the departures δ that the analysis should find at p places,

    J(θ) = ½ log (1/N) Σ ρ²,   ρ = B_po w − δ,

    ∂(Σ ρ²)/∂B_po = 2 ρ wᵀ,    ∂(Σ ρ²)/∂A = −(v wᵀ + w vᵀ),   v = A⁻¹ B_op ρ,

summed over cases. The gradients in the matrices are written out and go on through the covariance by automatic
differentiation; L-BFGS minimises over the logarithms of θ (the logit of the land–sea factor). The best of several
starts, among them every correlation function, is chosen. The analysis does not change when B and R are multiplied by
one number: that number is set last, so that the stated error variance is right, Σ ρ²/σ_a² = N.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rtma_diffda.assimilation.correlation import CORRELATION_FUNCTIONS, BackgroundError, covariance
from rtma_diffda.assimilation.defaults import default_background_error, default_structures
from rtma_diffda.assimilation.descent import descend
from rtma_diffda.assimilation.posterior import ExactSolver
from rtma_diffda.assimilation.truth_cases import (
    KnownDepartures,
    Reading,
    TruthCase,
    drawn_points,
    from_background,
    from_mean_of_data,
)
from rtma_diffda.assimilation.tuning import TUNABLE
from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TruthTuningSettings:
    """How to tune.

    Attributes:
        points: grid points of each case.
        screening: iterations of L-BFGS that every start gets,
        screening_share: on every so manyth case.
        finalists: how many of the starts go on after the screening; the best of each correlation function do first.
        iterations: of L-BFGS, at most, for each finalist.
        seed: of the points.
    """

    points: int = 300
    screening: int = 6
    screening_share: int = 3
    finalists: int = 3
    iterations: int = 40
    seed: int = 0


@dataclass(frozen=True)
class TruthTuned:
    """What tuning chose, and among what.

    Attributes:
        background_error: B.
        observation_error_factor: what the data's ``error_std`` is multiplied with.
        rmse: of the analysis at the places it was tuned on (SI).
        reference_rmse: of the background (or of the mean of the data) at the same places.
        tried: (description, RMSE) of every start: of the finalists tuned, of the others screened.
    """

    background_error: BackgroundError
    observation_error_factor: float
    rmse: float
    reference_rmse: float
    tried: tuple[tuple[str, float], ...]

    def describe(self) -> str:
        """The choice in words."""
        chosen = _describe(self.background_error, self.observation_error_factor)
        return f"{chosen}; RMSE {self.rmse:.4g} against the truth, {self.reference_rmse:.4g} without analysis"


def tune_on_truth(
    cases: Sequence[TruthCase],
    starts: Mapping[str, Sequence[BackgroundError]],
    settings: TruthTuningSettings | None = None,
) -> dict[str, TruthTuned]:
    """Tune optimal interpolation's B and R of every variable that has starts.

    Args:
        cases: of validation runs: several terrains, networks and times, of one set of channels.
        starts: {variable: where to begin}; which terms B has, and its function, are each start's own.
        settings: places and limits.

    Raises:
        InputError: there are no cases.
    """
    return _tune_variables(cases, starts, from_background, settings)


def tune_structures_on_truth(
    cases: Sequence[TruthCase],
    starts: Mapping[str, Sequence[BackgroundError]],
    settings: TruthTuningSettings | None = None,
) -> dict[str, TruthTuned]:
    """Tune observation interpolation's C and R of every variable that has starts; otherwise as ``tune_on_truth``."""
    return _tune_variables(cases, starts, from_mean_of_data, settings)


def truth_starts(layout: Layout) -> dict[str, tuple[BackgroundError, ...]]:
    """Starts for B by variable: every correlation function, once with all terms and once with distance and height."""
    return {name: tuple(_forms(default_background_error(name, layout.grid))) for name in layout.names}


def structure_starts(layout: Layout) -> dict[str, tuple[BackgroundError, ...]]:
    """Starts for the covariance of the fields themselves: every correlation function."""
    return {
        name: tuple(replace(structure, function=function) for function in CORRELATION_FUNCTIONS)
        for name, structure in default_structures(layout).items()
    }


def mean_square(error: BackgroundError, factor: float, parts: Sequence[KnownDepartures]) -> float:
    """(1/N) Σ ρ² over all places of all parts, for given parameters."""
    total = sum(float(_errors(*_matrices(error, factor, part), part)[0].square().sum()) for part in parts)
    return total / sum(len(part.departures) for part in parts)


def readings(
    cases: Sequence[TruthCase], name: str, reading: Reading, settings: TruthTuningSettings
) -> list[KnownDepartures]:
    """What one variable is tuned on."""
    points = drawn_points(cases, settings.points, settings.seed)
    return [reading(case, case.truth.layout.index(name), at) for case, at in zip(cases, points, strict=True)]


def tune_departures(
    parts: Sequence[KnownDepartures], starts: Sequence[BackgroundError], settings: TruthTuningSettings | None = None
) -> TruthTuned:
    """Tune on known departures of one variable.

    Raises:
        InputError: no parts or no starts.
    """
    settings = settings or TruthTuningSettings()
    if not parts or not starts:
        raise InputError(f"tuning on truth needs cases and starts; found {len(parts)} and {len(starts)}")
    few = parts[:: settings.screening_share]
    screened = [_descend(few, start, settings.screening) for start in starts]
    screened = _best_of_each_function_first(sorted(screened, key=lambda found: found[1]))
    finalists = [_descend(parts, error, settings.iterations) for error, _ in screened[: settings.finalists]]
    best, mse = min(finalists, key=lambda found: found[1])
    scale = _variance_scale(best, parts) ** 0.5
    best = replace(best, **{name: getattr(best, name) * scale for name in _standard_deviations(best)})
    others = [(error, mean_square(error, 1.0, parts)) for error, _ in screened[settings.finalists :]]
    tried = tuple((_describe(error, 1.0), found**0.5) for error, found in [*finalists, *others])
    reference = torch.cat([part.departures for part in parts]).square().mean().sqrt()
    return TruthTuned(best, scale, mse**0.5, float(reference), tried)


def _tune_variables(
    cases: Sequence[TruthCase],
    starts: Mapping[str, Sequence[BackgroundError]],
    reading: Reading,
    settings: TruthTuningSettings | None,
) -> dict[str, TruthTuned]:
    settings, tuned = settings or TruthTuningSettings(), {}
    for name, begin in starts.items():
        tuned[name] = tune_departures(readings(cases, name, reading, settings), begin, settings)
        logger.info("%s tuned on %d cases: %s", name, len(cases), tuned[name].describe())
    return tuned


def _forms(default: BackgroundError) -> list[BackgroundError]:
    """The starts of one variable around its default."""
    std, length = float(default.std), 0.6 * float(default.horizontal_length)
    shares = {"gaussian": 1.0, "soar": 0.5, "exponential": 1.0}
    forms = []
    for function, share in shares.items():
        spare = BackgroundError(std, share * length, 500.0, land_sea_factor=0.8, function=function)
        drift = 0.2 * std / 500.0
        forms += [spare, replace(spare, background_length=5.0 * std, bias_std=0.3 * std, height_drift_std=drift)]
    return forms


def _best_of_each_function_first(screened: list[tuple[BackgroundError, float]]) -> list[tuple[BackgroundError, float]]:
    """Sorted starts in another order: the best of every correlation function, then the others, each part sorted."""
    first = {error.function: i for i, (error, _) in reversed(list(enumerate(screened)))}
    leading = sorted(first.values())
    return [screened[i] for i in leading] + [found for i, found in enumerate(screened) if i not in leading]


def _descend(
    parts: Sequence[KnownDepartures], start: BackgroundError, iterations: int
) -> tuple[BackgroundError, float]:
    """The start after some iterations of L-BFGS, and its mean square error."""
    names = _tunable(start)
    begin = torch.tensor([_unbounded(name, float(getattr(start, name))) for name in names], dtype=torch.float64)
    theta, _ = descend(begin, lambda at: _cost_and_gradient(parts, start, names, at), iterations=iterations)
    found = _with_parameters(start, names, theta)
    found = replace(found, **{name: float(getattr(found, name)) for name in names})
    return found, mean_square(found, 1.0, parts)


def _cost_and_gradient(
    parts: Sequence[KnownDepartures], start: BackgroundError, names: Sequence[str], theta: Tensor
) -> tuple[Tensor, Tensor]:
    """J (0-d) and its gradient in θ."""
    theta = theta.clone().requires_grad_(True)
    error, total = _with_parameters(start, names, theta), torch.zeros((), dtype=torch.float64)
    matrices, gradients = [], []
    for part in parts:
        A, B_po = _matrices(error, 1.0, part)
        rho, w, triangle = _errors(A.detach(), B_po.detach(), part)
        v = torch.cholesky_solve((B_po.detach().T @ rho)[:, None], triangle)[:, 0]
        total = total + rho.square().sum()
        matrices += [A, B_po]
        gradients += [-(v[:, None] * w + w[:, None] * v), 2.0 * rho[:, None] * w]
    torch.autograd.backward(matrices, gradients)
    return 0.5 * (total / sum(len(part.departures) for part in parts)).log(), theta.grad / (2.0 * total)


def _matrices(error: BackgroundError, factor: float, part: KnownDepartures) -> tuple[Tensor, Tensor]:
    """A = B_oo + f² R (n, n) and B_po (p, n)."""
    data, n = part.evidence.places, len(part.evidence.places)
    both = covariance(error, data.joined(part.targets), data)
    return both[:n] + torch.diag(factor**2 * part.evidence.error_variance), both[n:]


def _errors(A: Tensor, B_po: Tensor, part: KnownDepartures) -> tuple[Tensor, Tensor, Tensor]:
    """ρ (p,), w (n,), and the Cholesky factor of A."""
    triangle = torch.linalg.cholesky(A)
    w = torch.cholesky_solve(part.evidence.innovations[0][:, None], triangle)[:, 0]
    return B_po @ w - part.departures, w, triangle


def _variance_scale(error: BackgroundError, parts: Sequence[KnownDepartures]) -> float:
    """Mean of ρ²/σ_a²: what B and R are to be multiplied with."""
    ratios = []
    for part in parts:
        posterior = ExactSolver().solve(error, part.evidence, part.targets)
        ratios.append((posterior.increment[0] - part.departures).square() / posterior.variance)
    return float(torch.cat(ratios).mean())


def _tunable(start: BackgroundError) -> list[str]:
    """The parameters that a start has: lengths that are given, standard deviations above 0, a factor below 1."""
    names = [name for name in TUNABLE if getattr(start, name) is not None and float(getattr(start, name)) > 0]
    return names + (["land_sea_factor"] if 0.0 < float(start.land_sea_factor) < 1.0 else [])


def _standard_deviations(error: BackgroundError) -> list[str]:
    return [name for name in _tunable(error) if name == "std" or name.endswith("_std")]


def _unbounded(name: str, value: float) -> float:
    """The logarithm; of the land–sea factor the logit."""
    number = torch.tensor(value, dtype=torch.float64)
    return float(torch.logit(number) if name == "land_sea_factor" else number.log())


def _with_parameters(start: BackgroundError, names: Sequence[str], theta: Tensor) -> BackgroundError:
    """The inverse of ``_unbounded`` for all parameters."""
    values = {
        name: torch.sigmoid(theta[i]) if name == "land_sea_factor" else theta[i].exp() for i, name in enumerate(names)
    }
    return replace(start, **values)


def _describe(error: BackgroundError, factor: float) -> str:
    terms = {name: getattr(error, name) for name in (*TUNABLE, "land_sea_factor") if getattr(error, name)}
    return f"{error.function} " + " ".join(f"{k}={float(v):.3g}" for k, v in terms.items()) + f" error×{factor:.3g}"
