"""``GlobalExamples``: training examples of a global denoiser, with everything drawn."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class GlobalExamples:
    """What a loss is computed from.

    Attributes:
        context: (member, context, y, x) that the network is told.
        clean: (member, channel, y, x) r.
        sigma: (member,) noise levels.
        noise: (member, channel, y, x) ε.
        unseen_noise: (member, y, x) that the answer for precipitation is taught; None: nothing.
    """

    context: Tensor
    clean: Tensor
    sigma: Tensor
    noise: Tensor
    unseen_noise: Tensor | None = None

    def to(self, device: torch.device | str) -> "GlobalExamples":
        """The same on another device."""
        return replace(self, **{name: v.to(device) for name, v in vars(self).items() if v is not None})
