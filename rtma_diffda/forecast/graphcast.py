"""``GraphCastForecast``: the weather of the globe six hours on, by GraphCast: a ``ForecastModel``.

It begins with two states, six hours apart, and needs no boundary and no draws. Members are computed together. Longer
forecasts are ``forecast.steps.roll_out``. Reference: Lam et al. (2023), Science 382, arXiv 2212.12794.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.forecast.graphcast_network import (
    HISTORY,
    TIME_STEP,
    GlobalAnswer,
    GlobalFrames,
    GraphCastForecastNetwork,
)
from rtma_diffda.forecast.steps import required_history


@dataclass(frozen=True)
class GraphCastForecast:
    """A ``ForecastModel``.

    Attributes:
        network: trained, in evaluation mode, on the device where steps are computed.
        time_step: of GraphCast.
        history_length: two states.
    """

    network: GraphCastForecastNetwork
    time_step: np.timedelta64 = TIME_STEP
    history_length: int = HISTORY

    @property
    def layout(self) -> Layout:
        """Of the states: the prognostic channels."""
        return self.network.layout

    @property
    def device(self) -> torch.device:
        """Where steps are computed; states are given and returned wherever the history is."""
        return self.network.change_std.device

    def step(
        self, history: Sequence[State], boundary: Boundary | None = None, *, generator: torch.Generator | None = None
    ) -> State:
        """The state six hours after the last of ``history``; boundary and generator are not looked at.

        Raises:
            InputError: the history is too short, of another layout, not six hours apart, or not finite.
        """
        return self.step_with_diagnostics(history)[0]

    def step_with_diagnostics(self, history: Sequence[State]) -> tuple[State, State | None]:
        """The state six hours on, and what is answered besides (precipitation of the operational model), if anything.

        Raises:
            InputError: as ``step``.
        """
        earlier, later = required_history(history, HISTORY, layout=self.layout, time_step=TIME_STEP)
        time, home = later.valid_time + TIME_STEP, later.values
        answer = self._answer(earlier.values, later.values, np.atleast_1d(later.valid_time))
        state = State(answer.state.to(home), self.layout, time)
        if not self.network.diagnostic_keys:
            return state, None
        return state, State(answer.diagnostics.to(home), self.network.diagnostic_layout, time)

    def advance(self, earlier: Tensor, later: Tensor, valid_times: np.ndarray) -> Tensor:
        """States (member, channel, y, x) six hours on, of members with times of their own, on the model's device.

        Args:
            earlier, later: (member, channel, y, x) SI: six hours before, and at, the initial time.
            valid_times: (member,) datetime64: of ``later``.
        """
        return self._answer(earlier, later, valid_times).state

    def _answer(self, earlier: Tensor, later: Tensor, valid_times: np.ndarray) -> GlobalAnswer:
        """Differentiable in the states where they ask for it."""
        there = [values.to(self.device, torch.float32) for values in (earlier, later)]
        with torch.set_grad_enabled(torch.is_grad_enabled() and any(values.requires_grad for values in there)):
            return self.network(GlobalFrames(*there, valid_times))
