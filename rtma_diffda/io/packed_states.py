"""``PackedStates``: global states in memory as 16-bit integers, each channel between its least and greatest value.

A value is off by at most 1/131070 of its channel's range: 1 mK for temperatures, 0.5 Pa for pressures.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.fields.layout import Layout
from rtma_diffda.io.stored_backgrounds import StatesByTime

_LEVELS = 65535
_BLOCK = 128


@dataclass(frozen=True)
class PackedStates:
    """Global states by valid time.

    Attributes:
        layout: of the states.
        valid_times: (time,) datetime64[ns], increasing.
        packed: (time, channel, y, x) int16: ⌊65535 (x − least) / (greatest − least)⌉ − 32768.
        least, step: (channel, 1, 1) float32 SI: the least value and the distance of neighbouring ones.
    """

    layout: Layout
    valid_times: np.ndarray = field(repr=False)
    packed: Tensor = field(repr=False)
    least: Tensor = field(repr=False)
    step: Tensor = field(repr=False)

    @classmethod
    def of(cls, source: StatesByTime, valid_times: np.ndarray) -> "PackedStates":
        """The states of ``source`` at some of its times, which are read twice."""
        blocks = [valid_times[first : first + _BLOCK] for first in range(0, len(valid_times), _BLOCK)]
        least, greatest = _extremes(source, blocks)
        step = (greatest - least).clamp_min(1e-30) / _LEVELS
        packed = torch.empty((len(valid_times), *source.layout.shape), dtype=torch.int16)
        for number, block in enumerate(blocks):
            places = ((source.values(block).double() - least) / step).round() - 32768
            packed[number * _BLOCK : number * _BLOCK + len(block)] = places.to(torch.int16)
        return cls(source.layout, valid_times, packed, least.float(), step.float())

    def values(self, valid_times: np.ndarray) -> Tensor:
        """See ``StatesByTime``; the times must be among ``valid_times``."""
        rows = torch.from_numpy(np.searchsorted(self.valid_times, valid_times))
        return (self.packed[rows].float() + 32768.0) * self.step + self.least


def _extremes(source: StatesByTime, blocks: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Least and greatest value (channel, 1, 1) float64."""
    found = [torch.aminmax(source.values(block).transpose(0, 1).flatten(1), dim=1) for block in blocks]
    least = torch.stack([one.min for one in found]).amin(dim=0)
    greatest = torch.stack([one.max for one in found]).amax(dim=0)
    return least.double()[:, None, None], greatest.double()[:, None, None]
