"""``GlobalWorld``: what experiments on the globe are made of: a truth, a forecast model, how much weather changes.

Forecasts from the truth serve as backgrounds and as what analyses are measured by. Those that several experiments need
are kept on the disk, by initial time and lead time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.experiments.diffda_store import ResultStore
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.forecast.steps import forecast_states
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import ForecastModel
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.times import format_time
from rtma_diffda.verification.global_errors import cell_weights, mean_squared_errors

HOUR = np.timedelta64(1, "h")


class TrueStates(Protocol):
    """True states by valid time, such as ``io.weatherbench.GlobalArchive``."""

    layout: Layout
    valid_times: np.ndarray
    static: StaticFields

    def state(self, valid_time: np.datetime64) -> State:
        """The state at a valid time: one member."""


@dataclass(frozen=True, eq=False)
class GlobalWorld:
    """A truth and a forecast model of it.

    Attributes:
        archive: the truth, of the model's channels.
        model: forecasts.
        change_std: (channel,) SI, standard deviation of 6-hour changes.
        store: for forecasts; its identity is that of truth and model.
        source: what truth and model are, in words.
    """

    archive: TrueStates
    model: ForecastModel
    change_std: Tensor
    store: ResultStore = field(repr=False)
    source: str = ""

    @property
    def layout(self) -> Layout:
        """Of all states."""
        return self.model.layout

    @property
    def time_step(self) -> np.timedelta64:
        """Of the forecast model."""
        return self.model.time_step

    @cached_property
    def operator(self) -> BilinearOperator:
        """H: bilinear, without corrections for height."""
        return BilinearOperator(self.layout, self.archive.static, {})

    @cached_property
    def weights(self) -> Mapping[str, np.ndarray]:
        """Of the cells, for scores."""
        return cell_weights(self.layout.grid)

    def truth(self, valid_time: np.datetime64) -> State:
        """The true state."""
        return self.archive.state(valid_time)

    def errors(self, estimate: State) -> dict[str, dict[str, list[float]]]:
        """Mean squared errors of a state, as of ``global_errors.mean_squared_errors``."""
        estimate = estimate.with_values(estimate.values.cpu())
        return mean_squared_errors(estimate, self.truth(estimate.valid_time), self.weights)

    def forecast(self, valid_time: np.datetime64, lead: np.timedelta64) -> State:
        """The forecast from the truth of ``lead`` before; from the disk if it is there."""
        key = ("forecast", format_time(valid_time), float(lead / HOUR))
        kept = self.store.arrays(key)
        if kept is not None:
            return State(torch.from_numpy(kept["values"]), self.layout, valid_time)
        state = self.fresh_forecast(valid_time, lead)
        self.store.put_arrays(key, {"values": state.values.cpu().numpy()})
        return state

    def fresh_forecast(self, valid_time: np.datetime64, lead: np.timedelta64) -> State:
        """As ``forecast``, made anew and not kept."""
        start = valid_time - lead
        history = [self.truth(start - k * self.time_step) for k in reversed(range(self.model.history_length))]
        return self.forecast_from(history, lead)

    def forecast_from(self, history: Sequence[State], lead: np.timedelta64) -> State:
        """The state ``lead`` after the last of a history."""
        return forecast_states(self.model, history, None, steps=self.steps(lead))[-1]

    def steps(self, lead: np.timedelta64) -> int:
        """Number of model steps in a lead time.

        Raises:
            InputError: it is no multiple of the time step.
        """
        steps, rest = divmod(lead, self.time_step)
        if rest != np.timedelta64(0, "h") or steps < 1:
            raise InputError(
                f"a lead time of {lead / HOUR:g} h is no multiple of the model's {self.time_step / HOUR:g} h"
            )
        return int(steps)

    def reach(self, lead: np.timedelta64) -> np.timedelta64:
        """How long before its valid time a forecast from the truth begins to know of it."""
        return lead + (self.model.history_length - 1) * self.time_step

    def usable_times(self, *, before: np.timedelta64, after: np.timedelta64) -> np.ndarray:
        """Valid times with a true state at every time step from ``before`` before them to ``after`` after them."""
        times, there = self.archive.valid_times, set(self.archive.valid_times.tolist())
        offsets = np.arange(-before // self.time_step, after // self.time_step + 1) * self.time_step.astype("m8[ns]")
        whole = [all(int(other) in there for other in (time + offsets).astype(np.int64)) for time in times]
        return times[np.array(whole, bool)]

    def spread_times(
        self,
        count: int,
        *,
        before: np.timedelta64,
        after: np.timedelta64,
        within: tuple[np.datetime64 | None, np.datetime64 | None] = (None, None),
    ) -> np.ndarray:
        """``count`` of the usable times, as far from each other as they can be.

        Args:
            count: of times.
            before, after: what is needed of the truth around each.
            within: first and last time that may be chosen; None: no limit.

        Raises:
            InputError: there are fewer.
        """
        usable = self.usable_times(before=before, after=after)
        first, last = within
        usable = (
            usable[(usable >= (first or usable[:1])) & (usable <= (last or usable[-1:]))] if len(usable) else usable
        )
        if len(usable) < count:
            raise InputError(
                f"the truth has {len(usable)} times with all states from {before / HOUR:g} h before to "
                f"{after / HOUR:g} h after them; {count} are wanted. Give a longer store, or fewer cases"
            )
        return usable[np.unique(np.linspace(0, len(usable) - 1, count).round().astype(int))]
