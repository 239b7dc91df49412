"""An ensemble that is carried from cycle to cycle: each member of the background gets an analysis of its own.

The first time, from a single background, all members are drawn on it. Later the spread is that of backgrounds and
sampling together. Calibration multiplies the error that is stated, not the members: those go on to the next cycle, and
would be inflated again there (with the factors of a single background's ensemble they blew up within six hours).
"""

from dataclasses import dataclass, field, replace

import torch

from rtma_diffda.assimilation.diffusion import DiffusionAssimilation
from rtma_diffda.assimilation.spread_calibration import SpreadCalibration, spread
from rtma_diffda.errors import UsageError
from rtma_diffda.interfaces import Analysis, AssimilationProblem


@dataclass(frozen=True)
class CarriedEnsemble:
    """An ``AnalysisMethod``.

    Attributes:
        method: draws the analyses.
        members: of the ensemble.
        calibration: of the stated error once it is carried.
    """

    method: DiffusionAssimilation
    members: int
    calibration: SpreadCalibration = field(default_factory=SpreadCalibration)

    def __post_init__(self) -> None:
        if self.members < 2:
            raise UsageError(f"an ensemble that is carried needs two members or more; found {self.members}")

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        """The ensemble; ``members`` of them whatever the background has.

        Raises:
            UsageError: the background's members do not divide them.
        """
        found = problem.background.members
        if found == 1:
            return replace(self.method, members=self.members).analyse(problem, generator=generator)
        if self.members % found:
            raise UsageError(f"{self.members} members cannot be drawn evenly on a background of {found}")
        analysis = replace(self.method, members=self.members // found).analyse(problem, generator=generator)
        calibrated = self.calibration(analysis.state.values, problem.background.layout.names)
        return replace(analysis, error_std=spread(calibrated))
