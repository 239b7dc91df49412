"""Tuning of the multivariate covariance on truth, as ``truth_tuning`` does it for each variable alone.

With the stacked errors ρ_i of all variables at their places, and the mean square errors m_i of univariate optimal
interpolation there,

    J(θ) = ½ log (1/K) Σ_i (1 / (N m_i)) Σ ρ_i²,

K variables with N places each: a mean square ratio to the univariate analysis, so that no variable counts more than
another. θ: standard deviations s_i and lengths l_i of the sampled part, its land–sea factor, and for each variable a
factor of its univariate part and one of its observation error. The localisation is the best of a few lengths.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rtma_diffda.assimilation.correlation import BackgroundError, Places
from rtma_diffda.assimilation.descent import descend
from rtma_diffda.assimilation.joint_data import JointData, at_data
from rtma_diffda.assimilation.multivariate_error import MultivariateError, joint_covariance, joint_variance
from rtma_diffda.assimilation.places import Surroundings, with_background
from rtma_diffda.assimilation.sample_covariance import LagCorrelations, localised
from rtma_diffda.assimilation.truth_cases import TruthCase, drawn_points
from rtma_diffda.assimilation.truth_tuning import TruthTuned, from_background, mean_square
from rtma_diffda.errors import InputError

logger = logging.getLogger(__name__)

_SAMPLED_SHARE = 0.5
"""Variance of the sampled part at the start, as a share of the univariate one's, which keeps the rest."""


@dataclass(frozen=True)
class MultivariateTuningSettings:
    """How to tune.

    Attributes:
        localisations: lengths (m) to choose from, in shares of the region's extent.
        points: grid points of each case.
        screening: iterations of L-BFGS for every localisation,
        screening_share: on every so manyth case.
        iterations: of L-BFGS, at most, for the best of them.
        seed: of the points.
    """

    localisations: tuple[float, ...] = (0.5, 1.0, 2.0)
    points: int = 150
    screening: int = 6
    screening_share: int = 3
    iterations: int = 25
    seed: int = 0


@dataclass(frozen=True)
class MultivariateTuned:
    """What tuning chose.

    Attributes:
        background_error: B of all variables.
        observation_error_factors: {variable: what ``error_std`` of its data is multiplied with}.
        error_std_factors: {variable: what makes the stated analysis error right}.
        rmse: {variable: of the analysis at the places it was tuned on}, SI.
        univariate_rmse: the same of the univariate analysis.
        tried: (localisation length in m, J after the screening) of every localisation.
    """

    background_error: MultivariateError
    observation_error_factors: Mapping[str, float]
    error_std_factors: Mapping[str, float]
    rmse: Mapping[str, float]
    univariate_rmse: Mapping[str, float]
    tried: tuple[tuple[float, float], ...]

    def describe(self) -> str:
        """The choice in words."""
        error = self.background_error
        parts = [
            f"{name}: sampled std={float(error.std[name]):.3g} "
            f"vertical_length={float(error.vertical_length[name]):.3g} "
            f"univariate std={float(error.univariate[name].std):.3g} "
            f"error×{self.observation_error_factors[name]:.3g}; RMSE {rmse:.4g}, univariate "
            f"{self.univariate_rmse[name]:.4g}"
            for name, rmse in self.rmse.items()
        ]
        chosen = min(self.tried, key=lambda found: found[1])[0]
        return "\n".join([f"localised at {chosen / 1e3:.0f} km, land–sea {float(error.land_sea_factor):.2f}", *parts])


@dataclass(frozen=True)
class _JointDepartures:
    """One case: its data, and for each channel the places and departures that the analysis should find.

    Attributes:
        joint: the data, with the background of the first member in ``data``.
        data: places of each channel's data.
        points: (p,) grid points.
        targets: p places a channel.
        departures: (channel, p) SI.
    """

    joint: JointData
    data: tuple[Places, ...]
    points: Tensor
    targets: tuple[Places, ...]
    departures: Tensor


@dataclass(frozen=True)
class _Parameters:
    """θ of a given univariate model and sampled correlations."""

    univariate: Mapping[str, TruthTuned]
    sampled: LagCorrelations

    def start(self) -> Tensor:
        """θ at the start: half of the variance sampled, lengths 500 m, factor 0.8, nothing else changed."""
        count = len(self.sampled.names)
        std = [float(found.background_error.std) * _SAMPLED_SHARE**0.5 for found in self.univariate.values()]
        share = [0.5 * torch.tensor(1.0 - _SAMPLED_SHARE).log()] * count
        factor = [found.observation_error_factor for found in self.univariate.values()]
        positive = torch.tensor([*std, *([500.0] * count), *factor], dtype=torch.float64).log()
        return torch.cat([positive, torch.tensor([*share, 1.4], dtype=torch.float64)])

    def build(self, theta: Tensor) -> tuple[MultivariateError, dict[str, Tensor]]:
        """B, and the factors of the observation errors."""
        names = self.sampled.names
        std, length, factor, share = (dict(zip(names, part, strict=True)) for part in theta[:-1].exp().chunk(4))
        univariate = {name: _scaled(found.background_error, share[name]) for name, found in self.univariate.items()}
        return MultivariateError(self.sampled, std, length, theta[-1].sigmoid(), univariate), factor


def tune_multivariate(
    cases: Sequence[TruthCase],
    correlations: LagCorrelations,
    univariate: Mapping[str, TruthTuned],
    settings: MultivariateTuningSettings | None = None,
) -> MultivariateTuned:
    """Tune B of all variables, beginning at tuned univariate parameters.

    Args:
        cases: of validation runs.
        correlations: sampled from training runs; not localised yet.
        univariate: of all channels, in any order.
        settings: places and limits.

    Raises:
        InputError: no cases, or a channel without univariate parameters.
    """
    settings, names = settings or MultivariateTuningSettings(), correlations.names
    if not cases or set(names) - set(univariate):
        raise InputError(f"multivariate tuning of {names} needs cases and each variable's own parameters")
    univariate = {name: univariate[name] for name in names}
    parts = [_read(c, at) for c, at in zip(cases, drawn_points(cases, settings.points, settings.seed), strict=True)]
    own = _univariate_mean_squares(cases, univariate, settings)
    grid = cases[0].truth.layout.grid
    extent = min(grid.nx * grid.dx, grid.ny * grid.dy)
    few, screened = parts[:: settings.screening_share], []
    for share in settings.localisations:
        model = _Parameters(univariate, localised(correlations, share * extent))
        screened.append((share * extent, model, *_descend(few, model, model.start(), own, settings.screening)))
        logger.info("multivariate covariance localised at %.0f km: J = %.4f", share * extent / 1e3, screened[-1][3])
    _, model, begin, _ = min(screened, key=lambda found: found[3])
    theta, _ = _descend(parts, model, begin, own, settings.iterations)
    return _tuned(parts, model, theta, own, tuple((length, cost) for length, _, _, cost in screened))


def _read(case: TruthCase, points: Tensor) -> _JointDepartures:
    joint = JointData.of(case.problem, case.static).members(slice(0, 1))
    surroundings, targets = Surroundings(case.problem, case.static), []
    for channel in range(len(joint.layout.names)):
        places, background = surroundings.of_grid(channel)
        targets.append(with_background(places, background[0]).select(points))
    departures = case.background_departures().flatten(1)[:, points]
    return _JointDepartures(joint, joint.seen_places(), points, tuple(targets), departures)


def _univariate_mean_squares(
    cases: Sequence[TruthCase], univariate: Mapping[str, TruthTuned], settings: MultivariateTuningSettings
) -> Tensor:
    """m (channel,) of the univariate analyses at the same places."""
    points = drawn_points(cases, settings.points, settings.seed)
    return torch.tensor(
        [
            mean_square(
                found.background_error,
                found.observation_error_factor,
                [from_background(case, channel, at) for case, at in zip(cases, points, strict=True)],
            )
            for channel, found in enumerate(univariate.values())
        ],
        dtype=torch.float64,
    )


def _correlations(part: _JointDepartures, sampled: LagCorrelations) -> list[list[Tensor]]:
    """For each channel ρ between every channel's data and its own data, then its targets: (n_j, n_i + p) each."""
    found, single = [], replace(sampled, table=sampled.table.float())
    for channel, data in enumerate(part.joint.observations):
        grid = part.joint.correlations_with_grid(single, channel)
        found.append(
            [torch.cat([at_data(rho, part.joint.layout, data), rho[:, part.points]], dim=1).double() for rho in grid]
        )
    return found


def _descend(
    parts: Sequence[_JointDepartures], model: _Parameters, begin: Tensor, own: Tensor, iterations: int
) -> tuple[Tensor, float]:
    """θ after some iterations of L-BFGS, and J there."""
    correlations = [_correlations(part, model.sampled) for part in parts]

    def cost_and_gradient(theta: Tensor) -> tuple[Tensor, Tensor]:
        theta = theta.clone().requires_grad_(True)
        ratios = [_backward(part, rho, model, theta, own) for part, rho in zip(parts, correlations, strict=True)]
        total = torch.stack(ratios).sum()
        return 0.5 * (total / len(parts)).log(), theta.grad / (2.0 * total)

    return descend(begin, cost_and_gradient, iterations=iterations)


def _backward(
    part: _JointDepartures, rho: Sequence[Sequence[Tensor]], model: _Parameters, theta: Tensor, own: Tensor
) -> Tensor:
    """One case's mean square ratio (0-d); its gradient is added to that of ``theta``."""
    A, B_op = _matrices(part, rho, *model.build(theta))
    errors, w, triangle = _errors(A.detach(), B_op.detach(), part)
    weights = 1.0 / (own[:, None] * errors.numel()) * torch.ones_like(errors)
    weighted = (weights * errors).flatten()
    v = torch.cholesky_solve((B_op.detach() @ weighted)[:, None], triangle)[:, 0]
    torch.autograd.backward([A, B_op], [-(v[:, None] * w + w[:, None] * v), 2.0 * w[:, None] * weighted])
    return (weighted * errors.flatten()).sum()


def _matrices(
    part: _JointDepartures, rho: Sequence[Sequence[Tensor]], error: MultivariateError, factors: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """A (n, n) and B_op (n, channel · p)."""
    among, to_targets = [], []
    for channel, correlation in enumerate(rho):
        data = part.data[channel]
        B = joint_covariance(error, part.data, channel, data.joined(part.targets[channel]), correlation)
        among.append(B[:, : len(data)])
        to_targets.append(B[:, len(data) :])
    counts = [len(data) for data in part.data]
    scale = torch.cat([factors[name].expand(n) for name, n in zip(error.sampled.names, counts, strict=True)])
    A = torch.cat(among, dim=1) + torch.diag(scale**2 * part.joint.error_variance)
    return 0.5 * (A + A.T), torch.cat(to_targets, dim=1)


def _errors(A: Tensor, B_op: Tensor, part: _JointDepartures) -> tuple[Tensor, Tensor, Tensor]:
    """ρ (channel, p), w (n,), and the Cholesky factor of A."""
    triangle = torch.linalg.cholesky(A)
    w = torch.cholesky_solve(part.joint.innovations[0][:, None], triangle)[:, 0]
    return (w @ B_op).reshape(part.departures.shape) - part.departures, w, triangle


def _tuned(
    parts: Sequence[_JointDepartures],
    model: _Parameters,
    theta: Tensor,
    own: Tensor,
    tried: tuple[tuple[float, float], ...],
) -> MultivariateTuned:
    """The result, with factors that make the stated variances right."""
    error, factors = _as_numbers(*model.build(theta))
    squares, ratios = [], []
    for part in parts:
        A, B_op = _matrices(part, _correlations(part, model.sampled), error, factors)
        errors, _, triangle = _errors(A, B_op, part)
        explained = torch.linalg.solve_triangular(triangle, B_op, upper=False).square().sum(dim=0)
        ones = torch.ones(len(part.points), dtype=torch.float64)
        prior = torch.stack([joint_variance(error, i, places, ones) for i, places in enumerate(part.targets)])
        squares.append(errors.square().mean(dim=1))
        ratios.append((errors.square() / (prior - explained.reshape(prior.shape))).mean(dim=1))
    names, inflation = model.sampled.names, torch.stack(ratios).mean(dim=0).sqrt().tolist()
    rmse = torch.stack(squares).mean(dim=0).sqrt().tolist()
    return MultivariateTuned(
        error,
        {name: float(value) for name, value in factors.items()},
        dict(zip(names, inflation, strict=True)),
        dict(zip(names, rmse, strict=True)),
        dict(zip(names, own.sqrt().tolist(), strict=True)),
        tried,
    )


def _scaled(error: BackgroundError, factor: Tensor) -> BackgroundError:
    """The same with its variance, drifts included, multiplied by factor²."""
    names = [name for name in ("std", "bias_std", "height_drift_std", "background_drift_std") if getattr(error, name)]
    return replace(error, **{name: getattr(error, name) * factor for name in names})


def _as_numbers(error: MultivariateError, factors: Mapping[str, Tensor]) -> tuple[MultivariateError, dict[str, Tensor]]:
    """Without gradients, and B's parameters as plain numbers."""
    univariate = {
        name: replace(
            own,
            **{key: float(value) for key, value in vars(own).items() if torch.is_tensor(value)},
        )
        for name, own in error.univariate.items()
    }
    numbers = MultivariateError(
        error.sampled,
        {name: float(value) for name, value in error.std.items()},
        {name: float(value) for name, value in error.vertical_length.items()},
        float(error.land_sea_factor),
        univariate,
    )
    return numbers, {name: value.detach() for name, value in factors.items()}
