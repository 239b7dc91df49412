"""``Pairs``: truths and their backgrounds at several independent times and places, as training takes them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout

_TENSORS = ("truth", "background", "orography", "land_fraction", "large_scale")


@dataclass(frozen=True)
class Pairs:
    """A batch of what a network learns from. Each member has its own time, and may have its own terrain.

    Attributes:
        truth, background: (member, channel, y, x) SI.
        orography: (member, y, x) m.
        land_fraction: (member, y, x) 0 … 1.
        valid_time: (member,) datetime64[ns].
        run: (member,) int64; members of one independent run share their number.
        layout: grid and channels of truth and background.
        large_scale: (member, channel, y, x) SI: states of a global run at the same times, on the region
            (``fields.global_on_region``); None where they are not there.
    """

    truth: Tensor
    background: Tensor
    orography: Tensor
    land_fraction: Tensor
    valid_time: np.ndarray
    run: np.ndarray
    layout: Layout
    large_scale: Tensor | None = None

    def __post_init__(self) -> None:
        members, expected = len(self.valid_time), self.layout.shape
        if self.truth.shape != (members, *expected) or self.background.shape != self.truth.shape:
            raise InputError(
                f"pairs of shape {tuple(self.truth.shape)} and {tuple(self.background.shape)}; expected "
                f"{(members, *expected)}"
            )
        if self.large_scale is not None and self.large_scale.shape != self.truth.shape:
            raise InputError(
                f"a large scale of shape {tuple(self.large_scale.shape)} with pairs of {tuple(self.truth.shape)}"
            )
        if self.orography.shape != (members, *expected[1:]) or self.land_fraction.shape != self.orography.shape:
            raise InputError(
                f"terrain of shape {tuple(self.orography.shape)} and land of shape {tuple(self.land_fraction.shape)} "
                f"with pairs; expected {(members, *expected[1:])}"
            )

    def __len__(self) -> int:
        return len(self.valid_time)

    def select(self, members: np.ndarray | Tensor | slice) -> "Pairs":
        """The members of an index array (m,)."""
        rows = members if isinstance(members, slice) else np.asarray(members)
        tensors = rows if isinstance(rows, slice) else torch.from_numpy(rows)
        return replace(
            self,
            truth=self.truth[tensors],
            background=self.background[tensors],
            orography=self.orography[tensors],
            land_fraction=self.land_fraction[tensors],
            valid_time=self.valid_time[rows],
            run=self.run[rows],
            large_scale=None if self.large_scale is None else self.large_scale[tensors],
        )

    def to(self, device: torch.device | str) -> "Pairs":
        """The same on another device."""
        moved = {name: value.to(device) for name in _TENSORS if (value := getattr(self, name)) is not None}
        return replace(self, **moved)

    @classmethod
    def joined(cls, parts: Sequence["Pairs"]) -> "Pairs":
        """All members of several batches of one layout, in order.

        Raises:
            InputError: no parts, or parts of different layouts.
        """
        forced = {part.large_scale is not None for part in parts}
        if not parts or any(part.layout != parts[0].layout for part in parts) or len(forced) > 1:
            raise InputError(
                f"{len(parts)} batches of pairs cannot be joined: they must be some, of one layout, and all with a "
                "large scale or none"
            )
        tensors = _TENSORS if forced == {True} else _TENSORS[:-1]
        arrays = ("valid_time", "run")
        return cls(
            **{name: torch.cat([getattr(part, name) for part in parts]) for name in tensors},
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in arrays},
            layout=parts[0].layout,
        )
