"""How a network is told its noise level: features of ¼ ln σ, and layers that begin at zero.

A layer that begins at zero leaves what it is added to as it was: an untrained network does not look at its noise level.
References: Karras et al. (2022), arXiv 2206.00364 (¼ ln σ); Perez et al. (2018) (scales and shifts from features).
"""

from typing import TypeVar

import torch
from torch import Tensor, nn

_Layer = TypeVar("_Layer", bound=nn.Module)
_FREQUENCIES = 16
_LOWEST_FREQUENCY, _HIGHEST_FREQUENCY = 0.25, 16.0  # cycles per unit of ¼ ln σ, which spans about 2 from 0.01 to 100


class NoiseLevelEmbedding(nn.Module):
    """Sines and cosines of ¼ ln σ, and two layers: (member,) → (member, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        frequencies = torch.logspace(0, 1, _FREQUENCIES, base=_HIGHEST_FREQUENCY / _LOWEST_FREQUENCY)
        self.register_buffer("frequencies", _LOWEST_FREQUENCY * frequencies, persistent=False)
        self.layers = nn.Sequential(nn.Linear(2 * _FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())

    def forward(self, sigma: Tensor) -> Tensor:
        angle = 2.0 * torch.pi * (0.25 * sigma.log())[:, None] * self.frequencies
        return self.layers(torch.cat([angle.sin(), angle.cos()], dim=1))


def zeroed(layer: _Layer) -> _Layer:
    """The layer, with all its parameters 0."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
