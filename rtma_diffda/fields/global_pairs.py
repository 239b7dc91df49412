"""``GlobalPairs``: true states of the globe and forecasts of them, at several times, as training takes them."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.static_fields import StaticFields


@dataclass(frozen=True)
class GlobalPairs:
    """A batch of what a global denoiser learns from. Each member has its own time and lead time.

    Attributes:
        truth, background: (member, channel, y, x) SI; the background is a forecast valid at the truth's time.
        orography: (y, x) m.
        land_fraction: (y, x) 0 … 1.
        valid_time: (member,) datetime64[ns].
        lead: (member,) timedelta64 of the forecasts.
        layout: grid and channels of truth and background.
    """

    truth: Tensor
    background: Tensor
    orography: Tensor
    land_fraction: Tensor
    valid_time: np.ndarray
    lead: np.ndarray
    layout: Layout

    def __post_init__(self) -> None:
        members, expected = len(self.valid_time), self.layout.shape
        if self.truth.shape != (members, *expected) or self.background.shape != self.truth.shape:
            raise InputError(
                f"global pairs of shape {tuple(self.truth.shape)} and {tuple(self.background.shape)}; expected "
                f"{(members, *expected)}"
            )
        if self.orography.shape != expected[1:] or self.land_fraction.shape != expected[1:]:
            raise InputError(
                f"terrain of shape {tuple(self.orography.shape)} and land of shape {tuple(self.land_fraction.shape)} "
                f"with global pairs; expected {expected[1:]}"
            )
        if self.lead.shape != (members,) or self.lead.dtype.kind != "m":
            raise InputError(f"global pairs need a lead time for each of {members} members; found {self.lead!r}")

    def __len__(self) -> int:
        return len(self.valid_time)

    def select(self, members: np.ndarray) -> "GlobalPairs":
        """The members of an index array (m,)."""
        rows = np.asarray(members)
        chosen = torch.from_numpy(rows)
        return replace(
            self,
            truth=self.truth[chosen],
            background=self.background[chosen],
            valid_time=self.valid_time[rows],
            lead=self.lead[rows],
        )

    def to(self, device: torch.device | str) -> "GlobalPairs":
        """The same on another device."""
        names = ("truth", "background", "orography", "land_fraction")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


def terrain_and_land(static: StaticFields) -> tuple[Tensor, Tensor]:
    """Terrain height (m) and land fraction as float32 tensors (y, x).

    Raises:
        InputError: one of them is not known.
    """
    if static.orography is None or static.land_fraction is None:
        raise InputError(f"a global model needs terrain and land; '{static.source}' lacks one of them")
    return tuple(torch.from_numpy(np.asarray(f, np.float32)) for f in (static.orography, static.land_fraction))
