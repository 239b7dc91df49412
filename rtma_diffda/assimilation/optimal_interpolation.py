"""Optimal interpolation: the best linear analysis for a given background-error covariance.

    x_a = x_b + B Hᵀ (H B Hᵀ + R)⁻¹ (y − H(x_b))

Each variable is analysed by itself, from its own data. B is evaluated between the places of the data and the places of
the analysis, each at its own height and surface, so that B Hᵀ needs no grid and the same formula answers at grid
points (``analyse``) and at stations (``analyse_at``). References: Gandin (1963); Daley (1991), chapter 4.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rtma_diffda.assimilation.correlation import BackgroundError, Places, variance
from rtma_diffda.assimilation.places import Surroundings, with_background
from rtma_diffda.assimilation.posterior import AutomaticSolver, Evidence, Posterior, Solver
from rtma_diffda.errors import UsageError
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import Analysis, AssimilationProblem, PointAnalysis
from rtma_diffda.observations.table import Observations

logger = logging.getLogger(__name__)

NO_TERRAIN = "no terrain is known: grid points were analysed at the mean height of the stations"


@dataclass(frozen=True)
class OptimalInterpolation:
    """Optimal interpolation, one variable at a time. A bounded datum (visibility beyond 10 km) counts as its bound.

    Attributes:
        static: terrain and land on the analysis grid.
        background_errors: B by variable; every channel that is analysed needs one.
        observation_error_factors: {variable: what ``error_std`` of its data is multiplied with}; 1 where not named.
        solver: exact, local, or automatic.
    """

    static: StaticFields
    background_errors: Mapping[str, BackgroundError]
    observation_error_factors: Mapping[str, float] = field(default_factory=dict)
    solver: Solver = field(default_factory=AutomaticSolver)

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        """The analysis on the grid, with the standard deviation of its error; no random numbers are drawn.

        Raises:
            UsageError: a channel has no background error.
        """
        values, error_std = problem.background.values.clone(), torch.empty(problem.background.layout.shape)
        diagnostics: dict[str, float] = {}
        surroundings = Surroundings(problem, self.static)
        for channel, name in enumerate(problem.background.layout.names):
            targets, background = surroundings.of_grid(channel)
            posterior = self._posterior(surroundings, channel, targets, background)
            values[:, channel] += posterior.increment.reshape(values[:, channel].shape).to(values)
            error_std[channel] = posterior.variance.sqrt().reshape(error_std[channel].shape)
            diagnostics |= self._diagnostics(name, channel, problem, posterior)
        state = problem.background.with_values(values)
        return Analysis(state, problem, error_std.to(values), diagnostics, self._shortcomings(problem))

    def analyse_at(self, problem: AssimilationProblem, targets: Observations) -> PointAnalysis:
        """The analysis in the space of ``targets``: H(x_b) there plus the increment at their own height and surface.

        Raises:
            UsageError: a channel of the targets has no background error.
            InputError: a target lies outside the grid.
        """
        surroundings = Surroundings(problem, self.static)
        mean = problem.operator(problem.background.values.double(), targets)
        error_std = torch.empty(len(targets), dtype=torch.float64)
        for channel in targets.channel.unique().tolist():
            rows = targets.channel == channel
            places, background = surroundings.of_data(targets.of_channel(channel), channel)
            posterior = self._posterior(surroundings, channel, places, background)
            mean[:, rows] += posterior.increment
            error_std[rows] = posterior.variance.sqrt()
        return PointAnalysis(mean, error_std)

    def _posterior(self, surroundings: Surroundings, channel: int, targets: Places, background: Tensor) -> Posterior:
        """The posterior of one channel at ``targets`` with background values (member, p).

        Members share one solve unless B looks at their values; the error variance is then their mean.
        """
        problem, error = surroundings.problem, self._error_of(surroundings.problem, channel)
        data = problem.observations.of_channel(channel)
        if not len(data):
            return _without_data(error, targets, background)
        places, equivalents = surroundings.of_data(data, channel)
        error_variance = (data.error_std * self.observation_error_factors.get(self._name(problem, channel), 1.0)) ** 2
        innovations = data.value - (equivalents + surroundings.reference(channel))
        if not error.depends_on_background:
            return self.solver.solve(error, Evidence(places, error_variance, innovations), targets)
        parts = [
            self.solver.solve(
                error,
                Evidence(with_background(places, equivalents[i]), error_variance, innovations[i : i + 1]),
                with_background(targets, background[i]),
            )
            for i in range(problem.background.members)
        ]
        return _combine(parts)

    def _error_of(self, problem: AssimilationProblem, channel: int) -> BackgroundError:
        name = self._name(problem, channel)
        if name not in self.background_errors:
            raise UsageError(f"no background error for '{name}'; there are some for {sorted(self.background_errors)}")
        return self.background_errors[name]

    def _name(self, problem: AssimilationProblem, channel: int) -> str:
        return problem.background.layout.names[channel]

    def _shortcomings(self, problem: AssimilationProblem) -> tuple[str, ...]:
        errors = [self.background_errors[name] for name in problem.background.layout.names]
        looks_at_height = any(e.vertical_length is not None or float(e.height_drift_std) > 0 for e in errors)
        return (NO_TERRAIN,) if looks_at_height and self.static.orography is None else ()

    def _diagnostics(
        self, name: str, channel: int, problem: AssimilationProblem, posterior: Posterior
    ) -> dict[str, float]:
        count = int((problem.observations.channel == channel).sum())
        increment_rms = float(posterior.increment.square().mean().sqrt())
        logger.info("%s: %d data, chi-square per datum %.2f, increment RMS %.3g", name, count, posterior.chi_square,
                    increment_rms)  # fmt: skip
        return {
            f"{name}_observations": float(count),
            f"{name}_chi_square_per_observation": posterior.chi_square,
            f"{name}_increment_rms": increment_rms,
        }


def _without_data(error: BackgroundError, targets: Places, background: Tensor) -> Posterior:
    """The background itself, with B's own variance."""
    spread = [variance(error, with_background(targets, values)) for values in background]
    return Posterior(torch.zeros_like(background), torch.stack(spread).mean(dim=0), 0.0)


def _combine(parts: list[Posterior]) -> Posterior:
    """One posterior of members that were solved one by one."""
    return Posterior(
        torch.cat([part.increment for part in parts]),
        torch.stack([part.variance for part in parts]).mean(dim=0),
        sum(part.chi_square for part in parts) / len(parts),
    )
