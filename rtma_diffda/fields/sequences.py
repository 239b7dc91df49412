"""``Sequences``: states that follow each other, and the coarser states around them, as forecast models learn from them.

A member is a history and the states to forecast, one time step apart, with the states of the global run that bracket
them. Members have their own times and may have their own terrain.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout

_TENSORS = ("states", "boundary", "orography", "land_fraction", "boundary_orography", "boundary_land_fraction")
_ARRAYS = ("valid_times", "boundary_times", "run")


@dataclass(frozen=True)
class Sequences:
    """A batch of what a limited-area forecast model learns from.

    Attributes:
        states: (member, time, channel, y, x) SI: history, then targets.
        boundary: (member, boundary time, channel, boundary y, boundary x) SI.
        orography: (member, y, x) m.
        land_fraction: (member, y, x) 0 … 1.
        boundary_orography, boundary_land_fraction: (member, boundary y, boundary x), of the boundary's own model.
        valid_times: (member, time) datetime64[ns], of the states.
        boundary_times: (member, boundary time) datetime64[ns], increasing.
        run: (member,) int64; members of one independent run share their number.
        layout: grid and channels of the states.
        boundary_layout: grid and channels of the boundary.
    """

    states: Tensor
    boundary: Tensor
    orography: Tensor
    land_fraction: Tensor
    boundary_orography: Tensor
    boundary_land_fraction: Tensor
    valid_times: np.ndarray
    boundary_times: np.ndarray
    run: np.ndarray
    layout: Layout
    boundary_layout: Layout

    def __post_init__(self) -> None:
        members = len(self.run)
        inner, outer = self.layout.shape, self.boundary_layout.shape
        expected = {
            "states": (members, self.valid_times.shape[-1], *inner),
            "boundary": (members, self.boundary_times.shape[-1], *outer),
            "orography": (members, *inner[1:]),
            "land_fraction": (members, *inner[1:]),
            "boundary_orography": (members, *outer[1:]),
            "boundary_land_fraction": (members, *outer[1:]),
            "valid_times": (members, self.valid_times.shape[-1]),
            "boundary_times": (members, self.boundary_times.shape[-1]),
        }
        for name, shape in expected.items():
            if (found := tuple(getattr(self, name).shape)) != shape:
                raise InputError(f"{name} of a batch of sequences has shape {found}; expected {shape}")

    def __len__(self) -> int:
        return len(self.run)

    def select(self, members: np.ndarray | Tensor | slice) -> "Sequences":
        """The members of an index array (m,)."""
        rows = members if isinstance(members, slice) else np.asarray(members)
        tensors = rows if isinstance(rows, slice) else torch.from_numpy(rows)
        chosen = {name: getattr(self, name)[tensors] for name in _TENSORS}
        return replace(self, **chosen, **{name: getattr(self, name)[rows] for name in _ARRAYS})

    def to(self, device: torch.device | str) -> "Sequences":
        """The same on another device."""
        return replace(self, **{name: getattr(self, name).to(device) for name in _TENSORS})

    @classmethod
    def joined(cls, parts: Sequence["Sequences"]) -> "Sequences":
        """All members of several batches of one layout, in order.

        Raises:
            InputError: no parts, or parts of different layouts.
        """
        if not parts or any(
            (part.layout, part.boundary_layout) != (parts[0].layout, parts[0].boundary_layout) for part in parts
        ):
            raise InputError(
                f"{len(parts)} batches of sequences cannot be joined: they must be some, and of one layout"
            )
        return cls(
            **{name: torch.cat([getattr(part, name) for part in parts]) for name in _TENSORS},
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS},
            layout=parts[0].layout,
            boundary_layout=parts[0].boundary_layout,
        )
