"""The background as its own analysis: what every method is measured against."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import Analysis, AssimilationProblem, PointAnalysis
from rtma_diffda.observations.table import Observations


@dataclass(frozen=True)
class BackgroundItself:
    """x_a = x_b; the observations are not looked at.

    Attributes:
        static: terrain and land of the grid; kept because every method has it, not looked at.
        error_std: {variable: SI standard deviation of the background's error}; all variables or none.
    """

    static: StaticFields
    error_std: Mapping[str, float] = field(default_factory=dict)

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        """The background, with its error where that is known."""
        if not self.error_std:
            return Analysis(problem.background, problem)
        layout = problem.background.layout
        by_channel = torch.tensor([self.error_std[name] for name in layout.names])[:, None, None]
        return Analysis(problem.background, problem, by_channel.expand(layout.shape).to(problem.background.values))

    def analyse_at(self, problem: AssimilationProblem, targets: Observations) -> PointAnalysis:
        """H(x_b) at the targets."""
        mean = problem.operator(problem.background.values.double(), targets)
        if not self.error_std:
            return PointAnalysis(mean)
        by_channel = [self.error_std[name] for name in problem.background.layout.names]
        return PointAnalysis(mean, torch.tensor(by_channel, dtype=torch.float64)[targets.channel])
