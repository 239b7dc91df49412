"""The exponential moving average of weights: after update n = 1, 2, …

    a ← a + (1 − d)(w − a),    d = 2^(−1/h),    h = min(half-life, ramp · n).

The average is what is validated and kept: it scores as a much slower learning rate would.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def decay_at(update: int, *, half_life: float, ramp: float) -> float:
    """d after ``update`` = 1, 2, … updates."""
    return 0.5 ** (1 / min(half_life, ramp * update))


class MovingAverage:
    """The average of a model's trained parameters; everything else (buffers, frozen weights) is the model's own."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.values = {name: weight.detach().clone() for name, weight in self._weights.items()}

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Move the average towards the present weights: a ← a + (1 − decay)(w − a)."""
        for name, weight in self._weights.items():
            self.values[name].lerp_(weight, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the average as its weights inside the body, and its own again after it."""
        own = {name: weight.detach().clone() for name, weight in self._weights.items()}
        self._put(self.values)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, values: dict[str, Tensor]) -> None:
        for name, weight in self._weights.items():
            weight.copy_(values[name])
