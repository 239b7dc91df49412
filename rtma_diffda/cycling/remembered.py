"""Backgrounds read ahead of time: a ``BackgroundSource`` that remembers its last answers."""

import contextlib
import threading
from dataclasses import dataclass, field

import numpy as np

from rtma_diffda.cycling.first_guess import BackgroundSource
from rtma_diffda.cycling.reading import ONE_READER
from rtma_diffda.errors import InputError
from rtma_diffda.io.background import Background
from rtma_diffda.times import Window

_KEPT = 6


@dataclass(frozen=True)
class RememberedBackgrounds:
    """Attributes:
    source: asked once for each time and availability, as long as the answer is remembered.
    """

    source: BackgroundSource
    _answers: dict[tuple[np.datetime64, np.datetime64], Background | InputError] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def at(self, valid_time: np.datetime64, *, available_at: np.datetime64) -> Background:
        """See ``BackgroundSource``."""
        with self._lock:  # a reader ahead and the cycle at work ask the same files
            key = (valid_time, available_at)
            if key not in self._answers:
                self._answers[key] = self._asked(valid_time, available_at)
                for old in list(self._answers)[:-_KEPT]:
                    del self._answers[old]
            answer = self._answers[key]
        if isinstance(answer, InputError):
            raise answer
        return answer

    def look_ahead(self, window: Window) -> None:
        """Read the background of an analysis; a failure is told when it is wanted."""
        with contextlib.suppress(InputError):
            self.at(window.analysis_time, available_at=window.cutoff)

    def _asked(self, valid_time: np.datetime64, available_at: np.datetime64) -> Background | InputError:
        try:
            with ONE_READER:
                return self.source.at(valid_time, available_at=available_at)
        except InputError as error:
            return InputError(str(error))  # without traceback, which would keep files open
