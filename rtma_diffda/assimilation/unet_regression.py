"""U-Net regression: the analysis as a network has learned it, E[truth | background, observations].

    x_a = x_b + x_OI + s f(background, land, time of day, observation channels),

``RegressionNetwork`` holds f and its training; this is the method, and its checkpoint. Without observations in the
encoding it is the learned correction of the background. f is the mean of the network's answers to the same world in
several orientations, each turned back: the average of four lowers the error by about 1 % for four evaluations a member.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from rtma_diffda.assimilation.error_calibration import ErrorCalibration, fit_error_calibration
from rtma_diffda.assimilation.network_inputs import NetworkInputs
from rtma_diffda.assimilation.regression_checkpoint import regression_from_checkpoint
from rtma_diffda.assimilation.regression_network import RegressionNetwork
from rtma_diffda.assimilation.rotation import possible_turns
from rtma_diffda.assimilation.truth_cases import TruthCase
from rtma_diffda.errors import UsageError
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import Analysis, AssimilationProblem, PointAnalysis
from rtma_diffda.io.checkpoint import read_checkpoint
from rtma_diffda.observations.operators import bilinear_stencil
from rtma_diffda.observations.table import Observations

MEMBERS_AT_A_TIME = 16


@dataclass(frozen=True)
class UNetRegression:
    """An analysis by a trained network. Nothing is drawn, and bounded data count as their bounds.

    Attributes:
        static: terrain and land on the analysis grid.
        network: trained; evaluated without gradients, in float32.
        calibration: of its errors; None: no ``error_std`` is stated.
        orientations: in how many ways, turned by right angles, the network sees the problem; no more than there are.
    """

    static: StaticFields
    network: RegressionNetwork
    calibration: ErrorCalibration | None = None
    orientations: int = 4

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        """The analysis on the grid; no random numbers are drawn.

        Raises:
            UsageError: the background has other variables than the network, or another order of them.
            InputError: a datum lies outside the grid.
        """
        background = problem.background
        inputs, reference = self.network.encoding.of_problem(problem, self.static)
        standardised = self._evaluate(inputs)
        increment = standardised.to(background.values) * self.network.encoding.scale(background.values)
        diagnostics = {
            f"{name}_increment_rms": float(increment[:, i].square().mean().sqrt())
            for i, name in enumerate(background.layout.names)
        }
        diagnostics["network_calls"] = float(background.members * len(self._turns(tuple(increment.shape[-2:]))))
        degraded = self.network.encoding.shortcomings(self.static, background.layout.grid.dx)
        state = background.with_values(background.values + increment)
        return Analysis(state, problem, self._error_std(reference.to(background.values)), diagnostics, degraded)

    def analyse_at(self, problem: AssimilationProblem, targets: Observations) -> PointAnalysis:
        """H of the analysis on the grid, at the places and heights of ``targets``, and the bilinear error there.

        Raises:
            InputError: a target lies outside the grid.
        """
        analysis = self.analyse(problem, generator=torch.Generator())
        mean = problem.operator(analysis.state.values.double(), targets)
        if analysis.error_std is None:
            return PointAnalysis(mean)
        points, weights = (torch.from_numpy(part) for part in bilinear_stencil(analysis.state.layout, targets))
        corners = analysis.error_std.double().flatten(1)[targets.channel[:, None], points]
        return PointAnalysis(mean, (corners * weights).sum(dim=1))

    @torch.no_grad()
    def _evaluate(self, inputs: NetworkInputs) -> Tensor:
        """The increments over s, some members at a time."""
        was_training = self.network.training
        self.network.eval()
        turns = self._turns(tuple(inputs.increment.shape[-2:]))
        rows = torch.arange(len(inputs.context)).split(MEMBERS_AT_A_TIME)
        answer = torch.cat([sum(self._turned(inputs.select(part), k) for k in turns) / len(turns) for part in rows])
        self.network.train(was_training)
        return answer

    def _turned(self, inputs: NetworkInputs, turns: int) -> Tensor:
        """The network's answer to the turned world, turned back."""
        encoding = self.network.encoding
        return encoding.turned_fields(self.network(encoding.turned(inputs, turns)), -turns % 4)

    def _turns(self, shape: tuple[int, int]) -> tuple[int, ...]:
        return possible_turns(shape)[: self.orientations]

    def _error_std(self, reference: Tensor) -> Tensor | None:
        """(channel, y, x) SI, from optimal interpolation's."""
        return None if self.calibration is None else self.calibration(reference, self.network.encoding.names)


def calibrated(method: UNetRegression, cases: Sequence[TruthCase]) -> UNetRegression:
    """The method with a calibration of its errors on cases of validation runs, whose networks and densities matter.

    Raises:
        UsageError: no cases.
    """
    if not cases:
        raise UsageError("a calibration needs cases whose truth is known; there are none")
    bare, errors, references = replace(method, calibration=None), [], []
    for case in cases:
        analysis = replace(bare, static=case.static).analyse(case.problem, generator=torch.Generator())
        reference = method.network.encoding.of_problem(case.problem, case.static)[1]
        errors.append(analysis.state.values[:1].double() - case.truth.values.double())
        references.append(reference[None].double())
    names = method.network.encoding.names
    return replace(method, calibration=fit_error_calibration(torch.cat(errors), torch.cat(references), names))


def load_unet_regression(directory: Path, static: StaticFields) -> UNetRegression:
    """The method of a checkpoint directory, for the terrain of ``static``.

    Raises:
        InputError: no checkpoint, a damaged one, or one of another architecture.
    """
    network, calibration = regression_from_checkpoint(read_checkpoint(directory))
    return UNetRegression(static, network, calibration)
