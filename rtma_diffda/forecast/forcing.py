"""``Forcing``: everything around the states of a limited area that a forecast is given: land, time, and boundary.

The boundary is a series of states of a coarser global run that covers the region and its surroundings, each at its own
model's terrain.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.departures import TYPICAL_DEPARTURES, at_sea_level
from rtma_diffda.fields.landscape import Landscape
from rtma_diffda.fields.sequences import Sequences


@dataclass(frozen=True)
class BoundarySeries:
    """The global run around the members of a batch.

    Attributes:
        values: (member, time, channel, point) SI.
        orography, land_fraction: (member, point) m and 0 … 1, of the global model.
        times: (member, time) datetime64[ns], increasing.
        known: (member,) bool; False: the member does without.
    """

    values: Tensor
    orography: Tensor
    land_fraction: Tensor
    times: np.ndarray
    known: Tensor

    @classmethod
    def of_sequences(cls, batch: Sequences, known: Tensor | None = None) -> "BoundarySeries":
        """The boundary of a training batch; all members' is known unless ``known`` (member,) says otherwise."""
        everyone = torch.ones(len(batch), dtype=torch.bool, device=batch.boundary.device)
        return cls(
            batch.boundary.flatten(3),
            batch.boundary_orography.flatten(1),
            batch.boundary_land_fraction.flatten(1),
            batch.boundary_times,
            everyone if known is None else known.to(everyone.device),
        )

    @classmethod
    def of_boundary(cls, boundary: Boundary, *, names: Sequence[str], members: int) -> "BoundarySeries":
        """A boundary for forecasts of so many members; its own members are as many, or one for all.

        Args:
            boundary: with terrain and land, and at least the variables ``names``, which are picked in order.
            names: of the channels wanted.
            members: of the forecasts.

        Raises:
            InputError: the boundary lacks a variable, terrain or land, has another number of members, or values that
                are not finite.
        """
        static = boundary.static
        if static is None or static.orography is None or static.land_fraction is None:
            raise InputError(f"terrain and land of the model behind the boundary {boundary.name} are not known")
        values = torch.stack([_picked(state.values, state.layout.names, names) for state in boundary.states], dim=1)
        if len(values) not in (1, members):
            raise InputError(f"the boundary {boundary.name} has {len(values)} members for forecasts of {members}")
        if not bool(torch.isfinite(values).all()):
            count = int((~torch.isfinite(values)).sum())
            raise InputError(f"the boundary {boundary.name} has {count} values that are not finite")
        fields = (torch.from_numpy(np.asarray(f, np.float32)) for f in (static.orography, static.land_fraction))
        return cls(
            values.flatten(3).expand(members, *values.shape[1:3], -1),
            *(field.to(values).reshape(1, -1).expand(members, -1) for field in fields),
            np.broadcast_to(boundary.valid_times, (members, len(boundary.states))),
            torch.ones(members, dtype=torch.bool, device=values.device),
        )

    def at_points(self, index: Tensor) -> "BoundarySeries":
        """Some of the points, by their flat positions (node,).

        Raises:
            InputError: the boundary has no such point.
        """
        if int(index.max()) >= self.values.shape[-1]:
            raise InputError(
                f"the boundary has {self.values.shape[-1]} points; point {int(index.max())} is asked for: it is on "
                "another grid than expected"
            )
        parts = ("values", "orography", "land_fraction")
        return replace(self, **{name: getattr(self, name)[..., index.to(self.values.device)] for name in parts})

    def departures(self, reference: Tensor, names: Sequence[str]) -> Tensor:
        """The series at sea level, less the region's reference, over typical sizes.

        Args:
            reference: (member, channel) SI at sea level; 0 for winds.
            names: of the channels.

        Returns:
            (member, time, channel, point), of the order of 1.
        """
        level = self.at_sea_level(names) - reference[:, None, :, None].to(self.values)
        sizes = torch.tensor([TYPICAL_DEPARTURES.get(name, 1.0) for name in names]).to(level)
        return level / sizes[:, None]

    def at_sea_level(self, names: Sequence[str]) -> Tensor:
        """The series as it would be at sea level: (member, time, channel, point) SI."""
        height = self.orography[:, None]
        return torch.stack([at_sea_level(self.values[:, :, i], height, name) for i, name in enumerate(names)], dim=2)

    def moved(self, rows: np.ndarray) -> "BoundarySeries":
        """The same times with the states of other ones, rows (time,): what a boundary out of order would be."""
        return replace(self, values=self.values[:, torch.from_numpy(rows)])


@dataclass(frozen=True)
class Forcing:
    """What surrounds the states of a batch.

    Attributes:
        landscape: terrain and land of the members.
        boundary: of the members; None: none has any.
    """

    landscape: Landscape
    boundary: BoundarySeries | None

    @classmethod
    def of_sequences(cls, batch: Sequences, known: Tensor | None = None) -> "Forcing":
        """Of a training batch; ``known`` (member,) tells whose boundary is used."""
        landscape = Landscape(batch.orography, batch.land_fraction)
        return cls(landscape, BoundarySeries.of_sequences(batch, known))


def _picked(values: Tensor, names: Sequence[str], wanted: Sequence[str]) -> Tensor:
    missing = sorted(set(wanted) - set(names))
    if missing:
        raise InputError(f"the boundary lacks {', '.join(missing)}; it has {', '.join(names)}")
    return values[:, [names.index(name) for name in wanted]]
