"""A method that works on an accelerator: the problem goes there, the analysis comes back."""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.state import State
from rtma_diffda.interfaces import Analysis, AnalysisMethod, AssimilationProblem


@dataclass(frozen=True)
class OnDevice:
    """An ``AnalysisMethod``.

    Attributes:
        method: whose own tensors are on ``device``.
        device: where it works.
    """

    method: AnalysisMethod
    device: torch.device

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        """See ``AnalysisMethod``. Numbers are drawn on the CPU, where the generator is."""
        there = self.method.analyse(problem_on(problem, self.device), generator=generator)
        home = problem.background.values.device
        error = None if there.error_std is None else there.error_std.to(home)
        return replace(there, state=_state_on(there.state, home), problem=problem, error_std=error)


def problem_on(problem: AssimilationProblem, device: torch.device) -> AssimilationProblem:
    """The same problem with its tensors on a device."""
    return replace(
        problem,
        background=_state_on(problem.background, device),
        observations=_tensors_on(problem.observations, device),
        history=tuple(_state_on(state, device) for state in problem.history),
        boundary=_boundary_on(problem.boundary, device),
    )


def _state_on(state: State, device: torch.device) -> State:
    return state.with_values(state.values.to(device))


def _boundary_on(boundary: Boundary | None, device: torch.device) -> Boundary | None:
    if boundary is None:
        return None
    return replace(boundary, states=tuple(_state_on(state, device) for state in boundary.states))


def _tensors_on(value: Any, device: torch.device) -> Any:
    """A frozen dataclass with its tensors moved."""
    parts = {part.name: getattr(value, part.name) for part in fields(value)}
    return replace(value, **{name: part.to(device) for name, part in parts.items() if isinstance(part, Tensor)})
