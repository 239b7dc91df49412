"""``Tiles``: overlapping groups of nearby places, each small enough for a Cholesky factor.

Places are cut across the longer side of their box, again and again, into groups of equal size: the cores of the
tiles. To each come the nearest others. All tiles hold equally many places, wherever the stations crowd, so that one
batch serves all.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tiles:
    """Which places each tile holds.

    Attributes:
        places: (tile, size) int64.
        share: (tile, size) float64; the squares of a place's shares add up to 1 over the tiles that hold it.
    """

    places: Tensor
    share: Tensor

    def to(self, device: torch.device) -> "Tiles":
        """On another device."""
        return Tiles(self.places.to(device), self.share.to(device))


def one_tile(count: int) -> Tiles:
    """All places together."""
    return Tiles(torch.arange(count)[None], torch.ones(1, count, dtype=torch.float64))


def lay_tiles(position: Tensor, *, size: int, core: int) -> Tiles:
    """Tiles of ``size`` places of (place, 2), of which at most ``core`` are a tile's own."""
    position = position.double().cpu()
    if len(position) <= size:
        return one_tile(len(position))
    chosen = []
    for rows in _divided(position, torch.arange(len(position)), -(-len(position) // core)):
        south_west, north_east = position[rows].amin(dim=0), position[rows].amax(dim=0)
        outside = (south_west - position).clamp_min(0.0) + (position - north_east).clamp_min(0.0)
        distance = outside.square().sum(dim=1)
        distance[rows] = -1.0
        chosen.append(distance.argsort(stable=True)[:size])
    places = torch.stack(chosen)
    part = (1.0 - torch.arange(size, dtype=torch.float64) / size).repeat(len(places), 1)
    part[:, :core] = 1.0
    total = torch.zeros(len(position), dtype=torch.float64).index_add_(0, places.flatten(), part.flatten())
    return Tiles(places, (part / total[places]).sqrt())


def _divided(position: Tensor, rows: Tensor, parts: int) -> list[Tensor]:
    """``rows`` in as many groups of nearly equal size, by cuts across the longer side."""
    if parts == 1:
        return [rows]
    axis = int((position[rows].amax(dim=0) - position[rows].amin(dim=0)).argmax())
    order = rows[position[rows, axis].argsort(stable=True)]
    cut = len(order) * (parts // 2) // parts
    return _divided(position, order[:cut], parts // 2) + _divided(position, order[cut:], parts - parts // 2)
