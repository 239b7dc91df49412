"""Observation interpolation: the observations themselves spread over the region, without a background.

Kriging of the values y about their mean ȳ, with a covariance C of the field itself and a linear trend in height whose
coefficient the data determine (universal kriging; the trend is part of C, as in ``correlation``):

    x_a = ȳ + C_po (C_oo + R)⁻¹ (y − ȳ)

It is what one can do with stations alone, and the yardstick for what a background adds. Reference: Cressie (1993),
Statistics for Spatial Data, section 3.4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rtma_diffda.assimilation.correlation import BackgroundError, Places
from rtma_diffda.assimilation.places import Surroundings
from rtma_diffda.assimilation.posterior import AutomaticSolver, Evidence, Posterior, Solver
from rtma_diffda.assimilation.tuning import TunedParameters, TuningSettings, tune
from rtma_diffda.errors import UsageError
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import Analysis, AssimilationProblem, PointAnalysis
from rtma_diffda.observations.table import Observations


@dataclass(frozen=True)
class ObservationInterpolation:
    """Kriging of observed values, one variable at a time.

    Attributes:
        static: terrain and land on the analysis grid.
        structures: C by variable, in the form of a background error that does not look at the background.
        observation_error_factors: {variable: what ``error_std`` of its data is multiplied with}; 1 where not named.
        solver: exact, local, or automatic.
    """

    static: StaticFields
    structures: Mapping[str, BackgroundError]
    observation_error_factors: Mapping[str, float] = field(default_factory=dict)
    solver: Solver = field(default_factory=AutomaticSolver)

    def __post_init__(self) -> None:
        for name, structure in self.structures.items():
            if structure.depends_on_background:
                raise UsageError(f"the structure of '{name}' looks at the background, which is not used here")

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        """The interpolated observations on the grid; the background stands where a variable has no datum at all.

        Raises:
            UsageError: a channel has no structure.
        """
        values, error_std = problem.background.values.clone(), torch.zeros(problem.background.layout.shape)
        surroundings, diagnostics, degraded = Surroundings(problem, self.static), {}, []
        for channel, name in enumerate(problem.background.layout.names):
            targets, _ = surroundings.of_grid(channel)
            found = self._posterior(surroundings, channel, targets)
            if found is None:
                degraded.append(f"{name}: no observation to interpolate; equals the background")
                error_std[channel] = float("nan")
                continue
            mean, posterior = found
            shape = problem.background.layout.grid.shape
            values[:, channel] = (mean + posterior.increment).reshape(1, *shape).to(values)
            error_std[channel] = posterior.variance.sqrt().reshape(shape)
            diagnostics[f"{name}_observations"] = float((problem.observations.channel == channel).sum())
            diagnostics[f"{name}_chi_square_per_observation"] = posterior.chi_square
        state = problem.background.with_values(values)
        return Analysis(state, problem, error_std.to(values), diagnostics, tuple(degraded))

    def analyse_at(self, problem: AssimilationProblem, targets: Observations) -> PointAnalysis:
        """The interpolated observations at ``targets``; H(x_b) where a variable has no datum at all.

        Raises:
            UsageError: a channel of the targets has no structure.
        """
        surroundings = Surroundings(problem, self.static)
        mean = problem.operator(problem.background.values.double(), targets)
        error_std = torch.full((len(targets),), float("nan"), dtype=torch.float64)
        for channel in targets.channel.unique().tolist():
            rows = targets.channel == channel
            places, _ = surroundings.of_data(targets.of_channel(channel), channel)
            found = self._posterior(surroundings, channel, places)
            if found is not None:
                mean[:, rows] = found[0] + found[1].increment
                error_std[rows] = found[1].variance.sqrt()
        return PointAnalysis(mean, error_std)

    def _posterior(self, surroundings: Surroundings, channel: int, targets: Places) -> tuple[Tensor, Posterior] | None:
        """Mean of the data and posterior of the departure from it; None without data."""
        name = surroundings.problem.background.layout.names[channel]
        if name not in self.structures:
            raise UsageError(f"no structure for '{name}'; there are some for {sorted(self.structures)}")
        if not bool((surroundings.problem.observations.channel == channel).any()):
            return None
        mean, evidence = departures_from_mean(surroundings, channel)
        factor = self.observation_error_factors.get(name, 1.0)
        evidence = Evidence(evidence.places, evidence.error_variance * factor**2, evidence.innovations)
        return mean, self.solver.solve(self.structures[name], evidence, targets)


def departures_from_mean(surroundings: Surroundings, channel: int) -> tuple[Tensor, Evidence]:
    """ȳ and the data of one channel as departures (1, n) from it."""
    data = surroundings.problem.observations.of_channel(channel)
    places, _ = surroundings.of_data(data, channel)
    mean = data.value.mean()
    return mean, Evidence(places, data.error_std**2, (data.value - mean)[None])


def tune_structures(
    problems: Sequence[AssimilationProblem],
    static: StaticFields,
    starts: Mapping[str, Sequence[BackgroundError]],
    settings: TuningSettings | None = None,
) -> dict[str, TunedParameters]:
    """Tune C of every variable that has starts, as ``tuning.tune_problems`` tunes B.

    Raises:
        InputError: a variable has fewer than ten usable data.
    """
    surroundings = [Surroundings(problem, static) for problem in problems]
    channels = {name: i for i, name in enumerate(problems[0].background.layout.names) if name in starts}
    tuned = {}
    for name, channel in channels.items():
        observed = [around for around in surroundings if len(around.problem.observations.of_channel(channel))]
        tuned[name] = tune([departures_from_mean(around, channel)[1] for around in observed], starts[name], settings)
    return tuned
