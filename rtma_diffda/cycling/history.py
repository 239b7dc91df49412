"""Earlier analyses. The archive is the only memory; what was made just now stays in RAM, as the archive gives it."""

import logging
from dataclasses import dataclass, field

import numpy as np
import torch

from rtma_diffda.errors import InputError
from rtma_diffda.fields.state import State
from rtma_diffda.io.archive import Archive
from rtma_diffda.times import format_time

_log = logging.getLogger(__name__)
_KEPT = np.timedelta64(3, "h")


@dataclass(frozen=True)
class History:
    """Analyses of one archive by valid time.

    Attributes:
        archive: where they are.
        since: earlier analyses are not those of the archive; None: all are.
        earlier: those before ``since``; None: there are none.
    """

    archive: Archive
    since: np.datetime64 | None = None
    earlier: "History | None" = None
    _recent: dict[np.datetime64, State] = field(default_factory=dict, init=False, repr=False, compare=False)

    def add(self, state: State) -> None:
        """Remember an analysis that goes to the archive; older ones are forgotten."""
        time = state.valid_time.astype("datetime64[ns]")
        self._recent[time] = self._as_stored(state)
        for old in [held for held in self._recent if held < time - _KEPT]:
            del self._recent[old]

    def forget(self, time: np.datetime64) -> None:
        """An analysis did not reach the archive."""
        self._recent.pop(time.astype("datetime64[ns]"), None)

    def at(self, time: np.datetime64) -> State | None:
        """The analysis of a time: its members where they are stored, else its mean; None where there is none."""
        time = time.astype("datetime64[ns]")
        if self.since is not None and time < self.since:
            return None if self.earlier is None else self.earlier.at(time)
        if time in self._recent:
            return self._recent[time]
        try:
            return self.archive.state(time) if self.archive.status(time) in ("complete", "degraded") else None
        except InputError as error:
            _log.warning("the analysis of %s counts as missing: %s", format_time(time), error)
            return None

    def latest(self, before: np.datetime64) -> np.datetime64 | None:
        """Valid time of the newest analysis earlier than ``before``."""
        recent = [time for time in self._recent if time < before]
        stored = self.archive.latest(before)
        newest = max([*recent, *([] if stored is None else [stored])], default=None)
        if newest is not None and (self.since is None or newest >= self.since):
            return newest
        return None if self.earlier is None else self.earlier.latest(min(before, self.since))

    def _as_stored(self, state: State) -> State:
        """Bit by bit what the archive will answer: float32, of all members or of their mean, in its order of channels.

        A runner that is killed and started again thus goes on from the same numbers.
        """
        values = state.values if self.archive.design.members else state.values.mean(dim=0, keepdim=True)
        layout = self.archive.design.layout
        rows = [state.layout.index(name) for name in layout.names]
        stored = values[:, rows].detach().cpu().to(torch.float32)
        return State(stored, layout, state.valid_time.astype("datetime64[ns]"))
