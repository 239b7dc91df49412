"""``FlatGradient``: all gradients of a model in one vector, with a few figures behind them.

One vector is cleared, measured, clipped and summed over processes by one operation each, and the figures (loss, clocks,
a wish to stop) travel with it, so that all processes take the same decision at the same update.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rtma_diffda.errors import UsageError


class FlatGradient:
    """The gradients of ``weights`` as views of one vector, to which backward passes add.

    Attributes:
        vector: (n + figures,): gradients, then figures; what processes add up.
        figures: (figures,): the tail of ``vector``.
    """

    def __init__(self, weights: Sequence[Tensor], *, figures: int) -> None:
        if len({(weight.dtype, weight.device) for weight in weights}) != 1:
            raise UsageError("a model to be trained needs weights that require gradients, of one dtype on one device")
        count = sum(weight.numel() for weight in weights)
        self.vector = torch.zeros(count + figures, dtype=weights[0].dtype, device=weights[0].device)
        self.figures = self.vector[count:]
        self._gradients = self.vector[:count]
        offset = 0
        for weight in weights:  # with the strides of the weight, which fused optimisers ask for
            weight.grad = self.vector.as_strided(weight.shape, weight.stride(), offset)
            offset += weight.numel()

    def clear(self) -> None:
        """Set everything to zero."""
        self.vector.zero_()

    def norm(self) -> float:
        """The length of the gradient; not finite where any of it is not."""
        return float(self._gradients.norm())

    def clip(self, norm: float, limit: float) -> None:
        """Shorten a gradient of length ``norm`` to ``limit`` if it is longer."""
        if norm > limit:
            self._gradients.mul_(limit / norm)

    def cut(self, limit: float) -> None:
        """Bound the modulus of every element by ``limit``."""
        self._gradients.clamp_(-limit, limit)
