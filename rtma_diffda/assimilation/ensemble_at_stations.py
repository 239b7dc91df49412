"""A diffusion ensemble about an interpolation, on the grid and at stations.

    x_a(station) = x_r(station) + H (x̄ − x_r)

x_r is an interpolation that knows the station's own height; the ensemble's mean x̄ lives on the grid. Where the network
adds nothing, or the ensemble is centred on x_r, stations get x_r itself, as exact there as it is by itself. One real
hour has no truth to calibrate a spread on: the members get, over the grid, the spread that x_r states of its error.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import torch

from rtma_diffda.assimilation.diffusion import DiffusionAssimilation
from rtma_diffda.assimilation.spread_calibration import SpreadCalibration, spread
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import Analysis, AnalysisMethod, AssimilationProblem, PointAnalysis, PointMethod
from rtma_diffda.observations.table import Observations


class Reference(AnalysisMethod, PointMethod, Protocol):
    """What analyses the grid and stations alike, and states its error; a dataclass with a field ``static``."""


@dataclass(frozen=True)
class EnsembleAtStations:
    """The ensemble with its reference, for backgrounds of one member.

    Attributes:
        static: terrain and land; both parts are moved to it.
        diffusion: draws the ensemble.
        reference: x_r; the ensemble may be centred on it.
        seed: of the ensemble that stations are evaluated from.
    """

    static: StaticFields
    diffusion: DiffusionAssimilation
    reference: Reference
    seed: int = 0

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        """The ensemble on the grid, with the spread that the reference states."""
        drawn = replace(self.diffusion, static=self.static).analyse(problem, generator=generator)
        stated = replace(self.reference, static=self.static).analyse(problem, generator=torch.Generator()).error_std
        members, names = drawn.state.values, problem.background.layout.names
        found = spread(members).double().square().mean(dim=(1, 2))
        factor = (stated.double().square().mean(dim=(1, 2)) / found).sqrt().tolist()
        members = SpreadCalibration(dict(zip(names, factor, strict=True)))(members, names)
        diagnostics = drawn.diagnostics | {f"{name}_spread_factor": f for name, f in zip(names, factor, strict=True)}
        state = problem.background.with_values(members)
        return replace(drawn, state=state, error_std=spread(members), diagnostics=diagnostics)

    def analyse_at(self, problem: AssimilationProblem, targets: Observations) -> PointAnalysis:
        """Its mean at the targets, at their own heights; the stated error is the reference's.

        Raises:
            InputError: a target lies outside the grid.
        """
        reference = replace(self.reference, static=self.static)
        if self.diffusion.centre is self.reference:  # the mean is the reference's: nothing need be drawn
            return reference.analyse_at(problem, targets)
        diffusion = replace(self.diffusion, static=self.static)
        ensemble = diffusion.analyse(problem, generator=torch.Generator().manual_seed(self.seed)).state.values
        on_grid = reference.analyse(problem, generator=torch.Generator()).state.values
        added = ensemble.double().mean(dim=0, keepdim=True) - on_grid.double()
        there = reference.analyse_at(problem, targets)
        return PointAnalysis(there.mean + problem.operator.tangent(added, targets), there.error_std)
