"""Calibrated ensembles: members moved along the line to their mean until their spread is that of the mean's error.

    x_i ← x̄ + f (x_i − x̄),        f² = Σ (x̄ − x_t)² / Σ (M + 1)/M s²,

one f a variable, s² the variance over the M members, both sums over all points of validation cases. The factor
(M + 1)/M makes the comparison fair to a mean of few members (Fortin et al. 2014, doi:10.1175/JHM-D-14-0008.1). f leaves
the mean, and the ratio of the members' spectra to each other, as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rtma_diffda.errors import InputError, UsageError


@dataclass(frozen=True)
class SpreadCalibration:
    """f by variable; 1 where not named."""

    factor: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wrong = {name: value for name, value in self.factor.items() if not 0.0 < value < float("inf")}
        if wrong:
            raise UsageError(f"factors of a spread must be positive; found {wrong}")

    def __call__(self, members: Tensor, names: tuple[str, ...]) -> Tensor:
        """Members (…, member, channel, y, x) of variables ``names`` with their deviations multiplied."""
        f = torch.tensor([self.factor.get(name, 1.0) for name in names], dtype=members.dtype, device=members.device)
        mean = members.mean(dim=-4, keepdim=True)
        return mean + f[:, None, None] * (members - mean)


def spread(members: Tensor) -> Tensor:
    """What the mean's error should be, √((M + 1)/M) s: (member, channel, y, x) → (channel, y, x).

    Raises:
        UsageError: one member has no spread.
    """
    count = len(members)
    if count < 2:
        raise UsageError("a spread needs two members or more")
    return members.std(dim=0) * ((count + 1) / count) ** 0.5


@dataclass(frozen=True)
class SpreadSums:
    """What f is made of, of one case or of several added up.

    Attributes:
        squared_error, spread_variance: (channel,) sums over points.
    """

    squared_error: Tensor
    spread_variance: Tensor

    @classmethod
    def of(cls, members: Tensor, truth: Tensor) -> "SpreadSums":
        """Of members (member, channel, y, x) and the truth (channel, y, x)."""
        error = (members.mean(dim=0) - truth).double()
        return cls(error.square().sum(dim=(1, 2)), spread(members.double()).square().sum(dim=(1, 2)))

    def __add__(self, other: "SpreadSums") -> "SpreadSums":
        return SpreadSums(self.squared_error + other.squared_error, self.spread_variance + other.spread_variance)

    def calibration(self, names: tuple[str, ...]) -> SpreadCalibration:
        """f of these sums.

        Raises:
            InputError: a variable has no error or no spread, or one that is not finite.
        """
        factor = (self.squared_error / self.spread_variance).sqrt().tolist()
        if not all(0.0 < value < float("inf") for value in factor):
            raise InputError(f"spreads of {names} cannot be calibrated: factors {factor}")
        return SpreadCalibration(dict(zip(names, factor, strict=True)))
