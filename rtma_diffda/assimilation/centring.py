"""Centring an ensemble on the analysis of another method, wholly or in part.

    x_i ← x_i + w (x_c − x̄)

A regression network's analysis x_c has learned the mean; the ensemble's own mean x̄ has another network's errors, and
the sampling error of its few members. The best of their combinations has by variable the weight

    w = Σ (x_c − x̄)(x_t − x̄) / Σ (x_c − x̄)²

over all points of validation cases. w = 1 leaves nothing of x̄, w = 0 nothing of x_c. Deviations stay as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rtma_diffda.errors import UsageError


@dataclass(frozen=True)
class Centring:
    """w by variable, 0 … 1; 1 where not named."""

    weight: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wrong = {name: value for name, value in self.weight.items() if not 0.0 <= value <= 1.0}
        if wrong:
            raise UsageError(f"weights of a centre must be 0 … 1; found {wrong}")

    def __call__(self, members: Tensor, centre: Tensor, names: tuple[str, ...]) -> Tensor:
        """Members (…, member, channel, y, x) of variables ``names``, moved towards ``centre`` (…, channel, y, x)."""
        w = torch.tensor([self.weight.get(name, 1.0) for name in names], dtype=members.dtype, device=members.device)
        offset = centre.to(members).unsqueeze(-4) - members.mean(dim=-4, keepdim=True)
        return members + w[:, None, None] * offset


@dataclass(frozen=True)
class CentringSums:
    """What w is made of, of one case or of several added up.

    Attributes:
        product, square: (channel,) Σ (x_c − x̄)(x_t − x̄) and Σ (x_c − x̄)².
    """

    product: Tensor
    square: Tensor

    @classmethod
    def of(cls, members: Tensor, centre: Tensor, truth: Tensor) -> "CentringSums":
        """Of members (member, channel, y, x), and of centre and truth (channel, y, x)."""
        mean = members.double().mean(dim=0)
        offset = centre.double() - mean
        return cls((offset * (truth.double() - mean)).sum(dim=(1, 2)), offset.square().sum(dim=(1, 2)))

    def __add__(self, other: "CentringSums") -> "CentringSums":
        return CentringSums(self.product + other.product, self.square + other.square)

    def centring(self, names: tuple[str, ...]) -> Centring:
        """w of these sums; 1 where centre and mean never differ."""
        weights = torch.where(self.square > 0.0, self.product / self.square.clamp_min(1e-300), 1.0).clamp(0.0, 1.0)
        return Centring(dict(zip(names, weights.tolist(), strict=True)))
