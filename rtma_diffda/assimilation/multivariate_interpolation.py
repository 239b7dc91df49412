"""Multivariate optimal interpolation: every variable is analysed from the data of all.

    x_a = x_b + B Hᵀ (H B Hᵀ + R)⁻¹ (y − H(x_b)),    σ_a² = diag(B − B Hᵀ (H B Hᵀ + R)⁻¹ H B)

with the covariance of ``multivariate_error``: localised sample correlations between variables, and within each also
the univariate model. All data are used everywhere. References: Gandin (1963); Daley (1991), chapter 5.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from rtma_diffda.assimilation.correlation import Places
from rtma_diffda.assimilation.joint_data import JointData, at_data, own_correlations
from rtma_diffda.assimilation.multivariate_error import MultivariateError, joint_covariance, joint_variance
from rtma_diffda.assimilation.places import Surroundings, with_background
from rtma_diffda.errors import InputError
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import Analysis, AssimilationProblem, PointAnalysis
from rtma_diffda.observations.table import Observations

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _System:
    """A = B_oo + R of some members that share B, solved.

    Attributes:
        places: of each channel's data, with the background that B looks at.
        triangle: (n, n) Cholesky factor of A.
        weights: (n, member) A⁻¹ d.
    """

    places: tuple[Places, ...]
    triangle: Tensor
    weights: Tensor


@dataclass(frozen=True)
class MultivariateInterpolation:
    """Optimal interpolation of all variables together.

    Attributes:
        static: terrain and land on the analysis grid.
        background_error: B of all channels of the problems.
        observation_error_factors: {variable: what ``error_std`` of its data is multiplied with}; 1 where not named.
        error_std_factors: {variable: what the stated analysis error is multiplied with}; 1 where not named.
        dtype: of the arithmetic between data and grid; the system of the data is solved in float64.
    """

    static: StaticFields
    background_error: MultivariateError
    observation_error_factors: Mapping[str, float] = field(default_factory=dict)
    error_std_factors: Mapping[str, float] = field(default_factory=dict)
    dtype: torch.dtype = torch.float32

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        """The analysis on the grid, with the standard deviation of its error; no random numbers are drawn.

        Raises:
            InputError: B is of other channels or of another grid spacing, or is singular.
        """
        layout, joint = problem.background.layout, self._joint(problem)
        correlations = [self._with_grid(joint, channel) for channel in range(len(layout.names))]
        systems = list(self._systems(joint, correlations))
        surroundings, values = Surroundings(problem, self.static), problem.background.values.clone()
        error_std = torch.empty(layout.shape, dtype=torch.float64)
        for channel in range(len(layout.names)):
            places, background = surroundings.of_grid(channel)
            rho = correlations[channel]
            increment, spread = self._posterior(systems, (channel, places, background), rho, torch.ones(len(places)))
            values[:, channel] += increment.reshape(values[:, channel].shape).to(values)
            error_std[channel] = self._stated(spread, layout.names[channel]).reshape(layout.grid.shape)
        state = problem.background.with_values(values)
        return Analysis(state, problem, error_std.to(values), self._diagnostics(joint, systems))

    def analyse_at(self, problem: AssimilationProblem, targets: Observations) -> PointAnalysis:
        """The analysis in the space of ``targets``: H(x_b) there plus the increment at their own height and surface.

        Raises:
            InputError: B is of other channels or of another grid spacing, or a target lies outside the grid.
        """
        layout, joint = problem.background.layout, self._joint(problem)
        correlations = [self._with_grid(joint, channel) for channel in range(len(layout.names))]
        systems, surroundings = list(self._systems(joint, correlations)), Surroundings(problem, self.static)
        mean = problem.operator(problem.background.values.double(), targets)
        error_std = torch.empty(len(targets), dtype=torch.float64)
        for channel in targets.channel.unique().tolist():
            rows, wanted = targets.channel == channel, targets.of_channel(channel)
            places, background = surroundings.of_data(wanted, channel)
            rho = [at_data(part, layout, wanted) for part in correlations[channel]]
            own = own_correlations(self.background_error.sampled, layout, wanted)
            increment, spread = self._posterior(systems, (channel, places, background), rho, own)
            mean[:, rows] += increment
            error_std[rows] = self._stated(spread, layout.names[channel])
        return PointAnalysis(mean, error_std)

    def _joint(self, problem: AssimilationProblem) -> JointData:
        self.background_error.sampled.require_grid(problem.background.layout)
        return JointData.of(problem, self.static, self.observation_error_factors)

    def _with_grid(self, joint: JointData, channel: int) -> list[Tensor]:
        sampled = self.background_error.sampled
        return joint.correlations_with_grid(replace(sampled, table=sampled.table.to(self.dtype)), channel)

    def _systems(self, joint: JointData, correlations: list[list[Tensor]]) -> Iterator[_System]:
        """One for all members, or one each where B looks at their values."""
        members = len(joint.innovations)
        single = self.background_error.depends_on_background
        between = [
            [at_data(part, joint.layout, data).double() for part in rho]
            for rho, data in zip(correlations, joint.observations, strict=True)
        ]
        for rows in [slice(i, i + 1) for i in range(members)] if single else [slice(0, members)]:
            yield _solved(self.background_error, joint.members(rows), between)

    def _posterior(
        self, systems: list[_System], target: tuple[int, Places, Tensor], rho: list[Tensor], own: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Increment (member, p) and variance (p,), mean over systems, of one channel at places with a background."""
        channel, places, background = target
        increments, spreads = [], []
        for i, system in enumerate(systems):
            origin = places.position.mean(dim=0)
            seen = with_background(places, background[i]).relative_to(origin, self.dtype)
            data = [part.relative_to(origin, self.dtype) for part in system.places]
            B_op = joint_covariance(self.background_error, data, channel, seen, rho)
            increments.append(system.weights.to(self.dtype).T @ B_op)
            explained = torch.linalg.solve_triangular(system.triangle.to(self.dtype).T, B_op.T, upper=True, left=False)
            prior = joint_variance(self.background_error, channel, seen, own.to(self.dtype))
            spreads.append((prior - explained.square().sum(dim=1)).clamp_min(0.0))
        return torch.cat(increments).double(), torch.stack(spreads).mean(dim=0).double()

    def _stated(self, spread: Tensor, name: str) -> Tensor:
        return spread.sqrt() * self.error_std_factors.get(name, 1.0)

    def _diagnostics(self, joint: JointData, systems: list[_System]) -> dict[str, float]:
        weights = torch.cat([system.weights for system in systems], dim=1)
        chi_square = float((joint.innovations.T * weights).sum()) / max(weights.numel(), 1)
        logger.info("%d data, chi-square per datum %.2f", len(joint), chi_square)
        counts = {
            f"{name}_observations": float(len(data))
            for name, data in zip(joint.layout.names, joint.observations, strict=True)
        }
        return {"chi_square_per_observation": chi_square, **counts}


def _solved(error: MultivariateError, joint: JointData, between: list[list[Tensor]]) -> _System:
    """Factor and weights; ``between`` holds, for each channel, ρ between every channel's data and its own.

    Raises:
        InputError: A is not positive definite.
    """
    places = joint.seen_places()
    A = torch.cat(
        [joint_covariance(error, places, channel, places[channel], rho) for channel, rho in enumerate(between)], dim=1
    )
    A.diagonal().add_(joint.error_variance)
    triangle, failed = torch.linalg.cholesky_ex(0.5 * (A + A.T))
    if failed:
        raise InputError(f"the covariance of {len(A)} data is not positive definite at row {int(failed)}")
    return _System(places, triangle, torch.cholesky_solve(joint.innovations.T.contiguous(), triangle))
