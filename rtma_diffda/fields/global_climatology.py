"""What the weather of the globe is at a time of the year and of the day, as a few numbers a point.

    c(t) = c₀ + c₁ cos 2πy(t) + c₂ sin 2πy(t) + d(hour of t),

y being the progress of the year (``fields.global_forcings``), and d the mean departure from the rest at each hour of
the day, linear between the hours that there are.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.fields.global_forcings import year_progress
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State

_DAY_HOURS = 24.0


class Climatology(Protocol):
    """A state for every time."""

    @property
    def layout(self) -> Layout:
        """Of the states."""

    def state(self, valid_time: np.datetime64) -> State:
        """The climatological state at a time: one member, float32."""


@dataclass(frozen=True)
class HarmonicClimatology:
    """A ``Climatology``.

    Attributes:
        layout: of the states.
        harmonics: (3, channel, y, x) c₀, c₁ and c₂, SI.
        hours: (hour,) of the day, increasing, 0 … 24.
        departures: (hour, channel, y, x) d, SI.
    """

    layout: Layout
    harmonics: Tensor = field(repr=False)
    hours: np.ndarray = field(repr=False)
    departures: Tensor = field(repr=False)

    def __post_init__(self) -> None:
        for name, count in (("harmonics", 3), ("departures", len(self.hours))):
            found, expected = tuple(getattr(self, name).shape), (count, *self.layout.shape)
            if found != expected:
                raise InputError(f"{name} of a climatology have shape {found}; expected {expected}")

    def state(self, valid_time: np.datetime64) -> State:
        """See ``Climatology``."""
        time = np.datetime64(valid_time, "ns")
        angle = 2.0 * np.pi * float(year_progress(np.atleast_1d(time))[0])
        mean, cosine, sine = self.harmonics
        values = mean + np.cos(angle) * cosine + np.sin(angle) * sine + self._departure(time)
        return State(values[None].float(), self.layout, time)

    def _departure(self, time: np.datetime64) -> Tensor:
        hour = float((time - time.astype("datetime64[D]")) / np.timedelta64(1, "h"))
        hours = np.append(self.hours, self.hours[0] + _DAY_HOURS)
        hour = hour if hour >= hours[0] else hour + _DAY_HOURS
        before = int(np.searchsorted(hours, hour, side="right")) - 1
        if hours[before] == hour:
            return self.departures[before]
        share = (hour - hours[before]) / (hours[before + 1] - hours[before])
        return torch.lerp(self.departures[before], self.departures[(before + 1) % len(self.hours)], share)
