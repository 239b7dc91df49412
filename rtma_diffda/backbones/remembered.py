"""``Remembered``: a tensor that follows from weights alone, kept between calls until the weights change."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


class Remembered:
    """One tensor: kept while no weight asks for a gradient, made anew for other or updated weights, or a precision."""

    def __init__(self) -> None:
        self._kept: tuple[tuple[object, ...], Tensor] | None = None
        self._of: tuple[Tensor, ...] = ()  # holds memory of the weights, so that no other can take its address

    def __call__(self, weights: Iterable[Tensor], make: Callable[[], Tensor]) -> Tensor:
        """What ``make`` returns, which depends on ``weights`` alone."""
        weights = tuple(weights)
        learning = torch.is_grad_enabled() and any(weight.requires_grad for weight in weights)
        if learning or any(weight.is_inference() for weight in weights):
            self.forget()
            return make()
        made_of = _identity(weights)
        if self._kept is None or self._kept[0] != made_of:
            self._kept, self._of = (made_of, make()), tuple(weight.detach() for weight in weights)
        return self._kept[1]

    def forget(self) -> None:
        """Keep nothing, where weights may have been changed behind autograd's back."""
        self._kept, self._of = None, ()


def _identity(weights: tuple[Tensor, ...]) -> tuple[object, ...]:
    """Changes whenever one of the weights, its device or the precision of the computation does."""
    device = weights[0].device.type
    precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weights[0].dtype
    places = ((weight.data_ptr(), weight._version) for weight in weights)
    return (precision, torch.is_inference_mode_enabled(), *places)
