"""``GraphCastLoss``: what GraphCast is trained on. With e the error of the network's normalised answer,

    L = Σ_v λ_v L_v,        L_v = mean over levels, latitudes and longitudes of  w_lat w_level e²,

one number a member; the weights are those of ``fields.global_weights``. Variables that the batch lacks are left out.
Reference: Lam et al. (2023), arXiv 2212.12794, eq. 19; ``losses.py`` of the published code.
"""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from rtma_diffda.errors import UsageError
from rtma_diffda.fields.global_layout import Key
from rtma_diffda.fields.global_weights import channel_weights, latitude_weights, variable_weights
from rtma_diffda.geo.grid import LatLonGrid


class GraphCastLoss:
    """The loss of some channels on a grid.

    Args:
        keys: published name and level of each channel.
        grid: of the globe.
    """

    def __init__(self, keys: Sequence[Key], grid: LatLonGrid) -> None:
        self.keys, self._rows = tuple(keys), latitude_weights(grid)[:, None]
        self.names = tuple(dict.fromkeys(name for name, _ in self.keys))

    def by_variable(self, error: Tensor) -> Tensor:
        """L_v: (member, variable), in the order of ``names``.

        Args:
            error: (member, channel, y, x), normalised.
        """
        if error.shape[1] != len(self.keys):
            raise UsageError(f"errors of {error.shape[1]} channels; the loss is of {len(self.keys)}")
        by_channel = (error.square() * self._rows.to(error)).mean(dim=(2, 3))
        return (by_channel[:, :, None] * self._shares.to(error)).sum(dim=1)  # a product would be rounded by autocast

    def total(self, by_variable: Tensor) -> Tensor:
        """L: (member,), from what ``by_variable`` gives."""
        return (by_variable * self._weights.to(by_variable)).sum(dim=1)

    @cached_property
    def _shares(self) -> Tensor:
        """(channel, variable): w_level over the number of the variable's levels."""
        own = channel_weights(self.keys) / variable_weights(self.keys)
        belongs = [[name == variable for variable in self.names] for name, _ in self.keys]
        return own[:, None] * torch.tensor(belongs)

    @cached_property
    def _weights(self) -> Tensor:
        """(variable,) λ."""
        return variable_weights([(name, None) for name in self.names])
