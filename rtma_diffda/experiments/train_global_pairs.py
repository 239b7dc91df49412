"""Forecasts of archives by a global model, stored as the backgrounds that denoisers learn from; resumable.

A forecast valid at t of lead time τ begins with the true states of t − τ − 6 h and t − τ.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.progress import progress
from rtma_diffda.forecast.graphcast import GraphCastForecast
from rtma_diffda.forecast.graphcast_checkpoint import load_graphcast
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.stored_backgrounds import BackgroundsDesign, BackgroundsWriter, StatesByTime

_HOUR = np.timedelta64(1, "h")
AT_ONCE = 16
"""Forecasts that are computed together."""


@dataclass(frozen=True)
class GlobalModel:
    """A forecast model that may be needed.

    Attributes:
        path: of its checkpoint.
        statistics: directory of statistics, for weights without their own.
        device: where it is computed.
    """

    path: Path
    statistics: str | None = None
    device: str = "cpu"

    def load(self, static: StaticFields) -> GraphCastForecast:
        """The model, for states with this terrain and land."""
        own = self.statistics if self.path.suffix == ".npz" else None
        return load_graphcast(self.path, static=static, statistics=own, device=self.device)


@dataclass(frozen=True)
class BackgroundsWanted:
    """Forecasts that shall be there.

    Attributes:
        directory: where they lie.
        truth: the archive that they begin with and are compared with.
        static: terrain and land.
        valid_times: (time,) datetime64[ns], ascending.
        lead: a multiple of 6 hours.
        source: the archive's name.
    """

    directory: Path
    truth: StatesByTime = field(repr=False)
    static: StaticFields = field(repr=False)
    valid_times: np.ndarray = field(repr=False)
    lead: np.timedelta64
    source: str


def times_with_forecasts(valid_times: np.ndarray, wanted: np.ndarray, lead: np.timedelta64) -> np.ndarray:
    """Those of ``wanted`` times that have a truth, and both states that a forecast of that lead time begins with."""
    step = np.timedelta64(6, "h")
    needed = [wanted, wanted - lead, wanted - lead - step]
    return wanted[np.all([np.isin(times, valid_times) for times in needed], axis=0)]


def make_backgrounds(wanted: BackgroundsWanted, model: GlobalModel, *, shown: bool = False) -> int:
    """Make those forecasts that are not there yet; returns how many were made.

    Raises:
        UsageError: the lead time is no multiple of 6 hours, or other forecasts lie there.
        InputError: a forecast is not finite, or the file system refused.
    """
    steps, rest = divmod(wanted.lead, np.timedelta64(6, "h"))
    if rest or steps < 1:
        raise UsageError(f"forecasts are of 6 hours, 12, 18 …; found a lead time of {wanted.lead}")
    if not len(wanted.valid_times):
        raise InputError(
            f"{wanted.source} has no valid time with the states that forecasts of {wanted.lead} begin with"
        )
    forecast = model.load(wanted.static)
    if forecast.layout != wanted.truth.layout:
        raise InputError(f"the model of {model.path} has other channels or another grid than {wanted.source}")
    unit = forecast.network.change_std.flatten().cpu()
    source = f"{model.path.name} on {wanted.source}"
    design = BackgroundsDesign(wanted.truth.layout, wanted.valid_times, wanted.lead, unit, source)
    writer = BackgroundsWriter(wanted.directory, design)
    begun = writer.done
    title = f"{wanted.lead / _HOUR:g}-hour forecasts of {wanted.source}"
    for first in progress(range(begun, len(wanted.valid_times), AT_ONCE), title, shown=shown):
        times = wanted.valid_times[first : first + AT_ONCE]
        writer.append(forecasts_valid_at(times, forecast, wanted.truth, steps=int(steps)), wanted.truth.values(times))
    return writer.done - begun


def forecasts_valid_at(valid_times: np.ndarray, model: GraphCastForecast, truth: StatesByTime, *, steps: int) -> Tensor:
    """Forecasts of so many steps (time, channel, y, x), on the CPU, begun with true states."""
    starts = valid_times - steps * model.time_step
    earlier, later = truth.values(starts - model.time_step), truth.values(starts)
    for step in range(steps):
        earlier, later = later, model.advance(earlier, later, starts + step * model.time_step)
    return later.cpu()
