"""``GlobalContext``: what a global denoiser is told besides the noisy residual, normalised and side by side.

    background (channels) | forcings at the analysis time (5) | static fields (2) | lead time (1)

States and static fields are (x − mean) / std, and so is solar radiation; sines and cosines of day and year are as they
are, unless the formulation wants them normalised. Reference: ``diffda.md`` §3.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.assimilation.global_formulation import GlobalFormulation, told_lead
from rtma_diffda.backbones.graphcast.task import FORCINGS, STATICS, Key
from rtma_diffda.diffusion.preconditioning import per_member
from rtma_diffda.fields.global_forcings import global_forcings
from rtma_diffda.fields.global_statistics import GlobalStatistics
from rtma_diffda.geo.grid import LatLonGrid

GRAVITY = 9.80665
"""m s⁻²: from terrain height to surface geopotential."""

Affine = tuple[Tensor, Tensor]
"""Mean and standard deviation (k, 1, 1)."""


@dataclass(frozen=True)
class GlobalContext:
    """Makes contexts, on the device of the background; its own numbers stay on the CPU, so that any process can.

    Attributes:
        grid: of the globe.
        states, forcings, statics: mean and standard deviation; of so many first forcings as are normalised.
    """

    grid: LatLonGrid
    states: Affine = field(repr=False)
    forcings: Affine = field(repr=False)
    statics: Affine = field(repr=False)

    @classmethod
    def of(
        cls, keys: Sequence[Key], grid: LatLonGrid, statistics: GlobalStatistics, formulation: GlobalFormulation
    ) -> "GlobalContext":
        """Of backgrounds with the channels ``keys``."""
        normalised = FORCINGS if formulation.normalised_time else FORCINGS[:1]

        def affine(wanted: Sequence[Key]) -> Affine:
            return statistics.mean_of(wanted)[:, None, None], statistics.std_of(wanted)[:, None, None]

        return cls(grid, affine(keys), affine(_single(normalised)), affine(_single(STATICS)))

    @property
    def blocks(self) -> list[int]:
        """Channels of background, forcings, static fields and lead time."""
        return [len(self.states[0]), len(FORCINGS), len(STATICS), 1]

    def __call__(
        self, background: Tensor, land: tuple[Tensor, Tensor], valid_time: np.ndarray, lead: np.ndarray
    ) -> Tensor:
        """The context (member, context, y, x) float32.

        Args:
            background: (member, channel, y, x) SI.
            land: terrain height (m) and land fraction, (y, x) each.
            valid_time: (member,) datetime64.
            lead: (member,) timedelta64.
        """
        state = _normalised(background.float(), self.states)
        times, known = global_forcings(valid_time, self.grid), len(self.forcings[0])
        forcings = torch.cat([_normalised(times[:, :known], self.forcings), times[:, known:]], dim=1)
        fixed = _normalised(torch.stack([GRAVITY * land[0], land[1]]).to(state), self.statics)
        leads = per_member(told_lead(lead)).to(state).expand(-1, 1, *state.shape[2:])
        return torch.cat([state, forcings.to(state), fixed.expand(len(state), -1, -1, -1), leads], dim=1)


def _normalised(values: Tensor, affine: Affine) -> Tensor:
    mean, std = (part.to(values.device) for part in affine)
    return (values - mean) / std


def _single(names: Sequence[str]) -> list[Key]:
    return [(name, None) for name in names]
