"""Global states on a region: bilinear, and from the global model's terrain to the region's.

Temperature, dew point and pressure are taken from the one terrain to the other as those of backgrounds are
(``geo.height``); where either terrain is unknown, they stay.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from rtma_diffda.errors import InputError
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.limits import within_limits
from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import Grid
from rtma_diffda.geo.height import at_height
from rtma_diffda.geo.regrid.regridder import Regridder
from rtma_diffda.geo.static_fields import StaticFields


@dataclass(frozen=True)
class GlobalOnRegion:
    """Takes global states to the region.

    Attributes:
        static: the region's grid and terrain.
        global_static: the global model's, on the grid of its states.
    """

    static: StaticFields
    global_static: StaticFields

    def __call__(self, state: State, layout: Layout) -> State:
        """A state of the global grid with the variables of ``layout``, on the region.

        Raises:
            InputError: it lacks a variable, or does not cover the region.
        """
        missing = [name for name in layout.names if name not in state.layout.names]
        if missing:
            raise InputError(f"the global state lacks {', '.join(missing)}; it has {', '.join(state.layout.names)}")
        regridder = _regridder(self.global_static.grid, self.static.grid)
        if not regridder.weights.mapped().all():
            missing = int((~regridder.weights.mapped()).sum())
            raise InputError(f"the global state does not cover {missing} of the region's points")
        height, rise = self._heights(regridder)
        fields = [
            at_height(regridder(state.channel(name).double().cpu().numpy()), name, height=height, rise=rise)
            for name in layout.names
        ]
        values = torch.from_numpy(np.stack(fields, axis=1)).to(state.values)
        return within_limits(State(values, layout, state.valid_time))[0]

    def _heights(self, regridder: Regridder) -> tuple[np.ndarray, np.ndarray]:
        """Height of the global terrain on the region (m), and how far the region's lies above it."""
        if self.static.orography is None or self.global_static.orography is None:
            return np.zeros(self.static.grid.shape), np.zeros(self.static.grid.shape)
        height = regridder(np.asarray(self.global_static.orography, np.float64))
        return height, self.static.orography - height


def global_state(boundary: Boundary, static: StaticFields, layout: Layout, valid_time: np.datetime64) -> State:
    """The global state at a time between those of ``boundary``, linear in time, on the region.

    Args:
        boundary: global states.
        static: the region's grid and terrain.
        layout: of the region.
        valid_time: of the state.

    Raises:
        InputError: they lack a variable, do not cover the region, or do not reach.
    """
    state = boundary.interpolated(valid_time)
    unknown = StaticFields(state.layout.grid, None, None, source="unknown")
    return GlobalOnRegion(static, boundary.static or unknown)(state, layout)


@lru_cache(maxsize=4)
def _regridder(source: Grid, target: Grid) -> Regridder:
    return Regridder.between(source, target, method="bilinear")
