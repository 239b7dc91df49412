"""The contracts: what flows between packages, and what each kind of part promises. The file to read first.

An analysis combines a background x_b with observations y = H(x) + ε, ε ~ N(0, R). (x_b, y, H, R) is the *problem*,
the same value for every method; what a method adds (B, a learned prior, a forecast model) is in its constructor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.fields.boundary import Boundary, BoundaryNeed
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.observations.operators import SparseRows
from rtma_diffda.observations.table import Observations
from rtma_diffda.times import Window


class ObservationOperator(Protocol):
    """H: from a state to observation space; differentiable in its first argument."""

    def __call__(self, values: Tensor, observations: Observations) -> Tensor:
        """Model equivalents (member, n) of the data, from values (member, channel, y, x)."""

    def tangent(self, values: Tensor, observations: Observations) -> Tensor:
        """The linear part: perturbations (member, channel, y, x) → (member, n)."""

    def adjoint(self, departures: Tensor, observations: Observations) -> Tensor:
        """The transpose of ``tangent``: (member, n) → (member, channel, y, x)."""

    def rows(self, observations: Observations) -> SparseRows | None:
        """The tangent as a few grid points a datum; None where it is none, or depends on the state."""


@dataclass(frozen=True)
class AssimilationProblem:
    """Everything that a method may know. The truth is not in it.

    Attributes:
        background: x_b.
        observations: y and R: inside the window, and only rows whose flags are clear.
        operator: H.
        window: start, analysis time, end, data cut-off.
        history: earlier analyses, oldest first.
        boundary: global states bracketing the window; None where no model needs them.
    """

    background: State
    observations: Observations
    operator: ObservationOperator
    window: Window
    history: tuple[State, ...] = ()
    boundary: Boundary | None = None

    def __post_init__(self) -> None:
        if self.background.valid_time != self.window.analysis_time:
            raise InputError(
                f"background is valid at {self.background.valid_time}, not at the analysis time "
                f"{self.window.analysis_time}"
            )
        if (self.observations.flags != 0).any():
            raise InputError("a problem takes observations with clear flags only; call observations.used() first")
        if not bool((torch.isfinite(self.observations.value) & (self.observations.error_std > 0)).all()):
            raise InputError("every observation needs a finite value and a positive error_std")
        self.background.require_finite("background")

    def innovations(self) -> Tensor:
        """y − H(x_b): (member, n), float64."""
        return departures(self.background, self.observations, self.operator)


@dataclass(frozen=True)
class Analysis:
    """What a method returns; increment, innovations and residuals follow from it.

    Attributes:
        state: x_a.
        problem: what it was made from.
        error_std: (channel, y, x) SI: optimal interpolation's posterior, or an ensemble's calibrated spread.
        diagnostics: named numbers for the log and the archive.
        degraded: reasons, in words, why this is less than the method normally gives; empty when it is not.
    """

    state: State
    problem: AssimilationProblem
    error_std: Tensor | None = None
    diagnostics: Mapping[str, float] = field(default_factory=dict)
    degraded: tuple[str, ...] = ()

    def increment(self) -> Tensor:
        """x_a − x_b: (member, channel, y, x)."""
        return self.state.values - self.problem.background.values

    def residuals(self) -> Tensor:
        """y − H(x_a) of the data that were used: (member, n), float64."""
        return departures(self.state, self.problem.observations, self.problem.operator)


@dataclass(frozen=True)
class PointAnalysis:
    """An analysis at places that need not be grid points.

    Attributes:
        mean: (member, n) SI: the analysis in the space of the data asked for.
        error_std: (n,) SI, without the error of any report there; None where the method states none.
    """

    mean: Tensor
    error_std: Tensor | None = None


class AnalysisMethod(Protocol):
    """Makes an analysis from a problem."""

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        """The analysis. Members, layout and valid time are the background's; without observations a linear method
        returns the background. The order of observations does not matter; the same generator gives the same bits."""


class PointMethod(Protocol):
    """A method that can also be evaluated at stations, each at its own height, without a grid between."""

    def analyse_at(self, problem: AssimilationProblem, targets: Observations) -> PointAnalysis:
        """The analysis at the positions, heights and channels of ``targets``; their values are not looked at."""


class Trainable(Protocol):
    """Anything that can be trained: a ``torch.nn.Module`` that owns its loss, and so all that it needs of a batch."""

    def loss(self, batch: Any, *, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        """What to minimise (0-d, differentiable) and named figures for the log.

        Args:
            batch: whatever the model was made for, such as ``fields.pairs.Pairs``.
            generator: for everything that the loss draws: noise levels, networks of stations, errors.
        """


class PreparedTrainable(Trainable, Protocol):
    """A ``Trainable`` that makes all its draws beforehand, on the CPU, so that other processes can do it ahead of time.

    Its ``loss`` is ``prepared_loss`` of what ``prepare`` returns.
    """

    def prepare(self, batch: Any, *, generator: torch.Generator) -> Any:
        """What is drawn for a batch, and everything that needs no weights; it has ``to(device)``, as tensors have."""

    def prepared_loss(self, examples: Any) -> tuple[Tensor, Mapping[str, float]]:
        """As ``loss``, of what was prepared; draws nothing."""


class ForecastModel(Protocol):
    """Steps states forward in time."""

    layout: Layout
    time_step: np.timedelta64
    history_length: int

    def step(self, history: Sequence[State], boundary: Boundary | None, *, generator: torch.Generator | None) -> State:
        """The state one ``time_step`` after the last of ``history``."""


class BoundarySource(Protocol):
    """Where boundaries come from: the runs of a global model."""

    def bracketing(
        self, need: BoundaryNeed, *, available_at: np.datetime64, before: np.datetime64 | None = None
    ) -> Boundary:
        """The states needed, of the newest run that had arrived by ``available_at`` and is strictly older than
        ``before`` (the start of a forecast, the time of an analysis; ``available_at`` where None); of an older run
        where that one does not reach. ``need`` is ``fields.boundary.surrounding(times)``, or what a model's boundary
        window needs for its targets. Raises ``InputError``, with a sentence, where no run serves."""


class Denoiser(Protocol):
    """E[x | noisy, context]."""

    def __call__(self, noisy: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        """Denoised values, like noisy (member, channel, y, x); noise level sigma (member,)."""


class Conditioning(Protocol):
    """How observations enter sampling; the identity gives the prior."""

    def denoise(self, denoiser: Denoiser, noisy: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        """The denoiser's answer, informed by the observations (guidance)."""

    def replace(self, noisy: Tensor, sigma: Tensor, generator: torch.Generator) -> Tensor:
        """The noisy state with what is known put in (replacement)."""


def departures(state: State, observations: Observations, operator: ObservationOperator) -> Tensor:
    """y − H(x): (member, n), float64, for data of the state's channels."""
    return observations.value.to(state.values.device) - operator(state.values.double(), observations)
