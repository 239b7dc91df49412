"""``QualityControl``: the tests in their order, as one value that a run is configured with."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd
from torch import Tensor

from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.observations.error_model import ErrorModel
from rtma_diffda.observations.quality_control import (
    BackgroundCheck,
    flag_consistency,
    flag_lists,
    flag_range,
    flag_region,
    flag_repeats,
    flag_whole_winds,
    flag_window,
)
from rtma_diffda.observations.table import Observations
from rtma_diffda.times import Window


@dataclass(frozen=True)
class QualityControl:
    """What a datum must pass before a method sees it.

    Attributes:
        errors: assigns observation errors.
        background_check: against the background; None switches it off.
        reject: stations, or ``station:variable``, never used.
    """

    errors: ErrorModel = field(default_factory=ErrorModel)
    background_check: BackgroundCheck | None = field(default_factory=BackgroundCheck)
    reject: tuple[str, ...] = ()

    def screen(self, table: pd.DataFrame, *, grid: ProjectedGrid, window: Window) -> pd.DataFrame:
        """The table with errors assigned and the marks that need no background: reports, lists, region, repeats."""
        marked = flag_consistency(flag_range(table))
        marked = flag_whole_winds(flag_lists(marked, reject=self.reject))
        marked = flag_region(flag_window(marked, window), grid)
        return flag_repeats(self.errors.assign(marked), window.analysis_time)

    def check_background(
        self, observations: Observations, background: State, operator: Callable[[Tensor, Observations], Tensor]
    ) -> Observations:
        """Observations with the mark of the background check; only data without a mark are looked at."""
        if self.background_check is None:
            return observations
        clear = observations.flags == 0
        candidates = observations.select(clear)
        equivalents = operator(background.values.mean(dim=0, keepdim=True).double(), candidates)[0]
        innovations = (candidates.value - equivalents.cpu()).numpy()
        checked = self.background_check.mark(candidates, background.layout.names, innovations)
        flags = observations.flags.copy()
        flags[clear] = checked.flags
        return observations.with_flags(flags)
