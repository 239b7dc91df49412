"""``GlobalToBoundary``: states of the globe as the boundary states of a region: near-surface, on the boundary grid."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.global_runs import require_reached
from rtma_diffda.io.member_fields import regridded
from rtma_diffda.io.near_surface import near_surface
from rtma_diffda.io.region_regrid import RegionRegrid
from rtma_diffda.io.source_field import SourceField
from rtma_diffda.times import format_time


@dataclass(frozen=True)
class GlobalToBoundary:
    """Attributes:
    layout: the boundary grid, and the variables wanted.
    global_static: terrain and land of the global model, on the grid of its states.
    source: name of the global model, for messages.
    """

    layout: Layout
    global_static: StaticFields = field(repr=False)
    source: str

    def __call__(self, state: State) -> State:
        """A state of the globe on the boundary grid, of as many members.

        Raises:
            InputError: it lacks a variable wanted, or has values that are not finite.
        """
        state.require_finite(f"{self.source} at {format_time(state.valid_time)}")
        members = near_surface(state, self.layout.names, self.global_static.orography, self.source)
        on_grid = [regridded(fields, self.layout, self._regrid) for fields in members]
        values = np.stack([np.stack([fields[name] for name in self.layout.names]) for fields in on_grid])
        require_reached(values, self.layout, f"{self.source} at {format_time(state.valid_time)}")
        return State(torch.from_numpy(values.astype(np.float32)), self.layout, state.valid_time)

    @cached_property
    def static(self) -> StaticFields | None:
        """Terrain and land of the global model on the boundary grid; None where neither is known."""
        fields = (self.global_static.orography, self.global_static.land_fraction)
        if all(values is None for values in fields):
            return None
        named = zip(("orog", "lsm"), fields, strict=True)
        terrain, land = (None if values is None else self._on_grid(name, values) for name, values in named)
        return StaticFields(
            self.layout.grid, terrain, None if land is None else np.clip(land, 0.0, 1.0), source=self.source
        )

    def _on_grid(self, name: str, values: np.ndarray) -> np.ndarray:
        return self._regrid(SourceField(name, np.asarray(values, float), self.global_static.grid, None))

    @cached_property
    def _regrid(self) -> RegionRegrid:
        return RegionRegrid(self.layout.grid)
