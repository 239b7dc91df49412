"""The terrain that a model of the atmosphere feels: the map's, smoothed, with what was lost put back elsewhere.

With S the response of a Gaussian low-pass of width L, a model's terrain is S z + d(x + ξ), d = √(1 − S²) z: detail
moved by a few grid cells, whose phases no longer agree with those of S z, so that the spectrum is that of z at every
wave number. A model on it has mountains of the right size and place, and valleys and hills of the right number and
shape, but not where they are. Nature gets such a terrain as well as its twin, each its own: when the twin's alone was
unlike the map, a network learned to recognise it (AUC 0.76 of a detector trained on 160 runs).
"""

import torch
from torch import Tensor

from rtma_diffda.dynamics.slab.landscape import gaussian_response

_SHIFTS = [(y, x) for y in range(-3, 4) for x in range(-3, 4) if 4 <= y * y + x * x <= 9]
"""Displacements ξ (grid cells) of 2 to 3 cells, in all directions."""

_STRENGTH = 1.08
"""Moved detail is this much stronger, for what it loses where it is moved out to sea."""


def model_terrain(terrain: Tensor, width: float, *, generator: torch.Generator) -> Tensor:
    """A model's version of periodic ``terrain`` (y, x), in m, nowhere below the sea.

    Args:
        terrain: of the map.
        width: L, in grid points; 0 returns the terrain as it is.
        generator: for the displacement.
    """
    if width == 0.0:
        return terrain
    response = gaussian_response(terrain, width)
    spectrum = torch.fft.rfft2(terrain)
    smooth = torch.fft.irfft2(spectrum * response, s=terrain.shape)
    detail = torch.fft.irfft2(spectrum * torch.sqrt(1.0 - response**2), s=terrain.shape)
    shift = _SHIFTS[int(torch.randint(len(_SHIFTS), (1,), generator=generator))]
    return (smooth + _STRENGTH * torch.roll(detail, shift, (0, 1))).clamp(min=0.0)
