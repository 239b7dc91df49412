"""``Boundary``: the global states that bracket an analysis window, for models with boundary forcing."""

from dataclasses import dataclass

import numpy as np

from rtma_diffda.errors import InputError
from rtma_diffda.fields.state import State


@dataclass(frozen=True)
class Boundary:
    """Global states around one window.

    Attributes:
        states: ordered by valid time; past, current, future.
        initial_time: start of the global run that made them; recorded with every product they fed.
        source: name of that run.
    """

    states: tuple[State, ...]
    initial_time: np.datetime64
    source: str

    def __post_init__(self) -> None:
        times = [state.valid_time for state in self.states]
        if not times or times != sorted(set(times)):
            raise InputError("boundary states must be ordered by distinct valid times, and there must be at least one")
