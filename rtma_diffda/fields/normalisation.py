"""Standardisation of channels: z = (x − mean) / std, with the statistics beside the names they belong to."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from rtma_diffda.errors import UsageError
from rtma_diffda.fields.layout import Layout


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation by channel.

    Attributes:
        names: channel names, in the order of the statistics.
        mean, std: (channel,), SI.
    """

    names: tuple[str, ...]
    mean: Tensor
    std: Tensor

    def __post_init__(self) -> None:
        if self.mean.shape != (len(self.names),) or self.std.shape != self.mean.shape:
            raise UsageError(f"statistics of shape {tuple(self.mean.shape)} for {len(self.names)} channels")
        if not bool((self.std > 0).all()):
            raise UsageError("standard deviations must be positive")

    @classmethod
    def fit(cls, values: Tensor, layout: Layout) -> "Normalisation":
        """Statistics of ``values`` (member, channel, y, x) over members and points."""
        moments = values.double()
        return cls(layout.names, moments.mean(dim=(0, 2, 3)), moments.std(dim=(0, 2, 3)))

    @classmethod
    def from_mapping(cls, statistics: Mapping[str, tuple[float, float]]) -> "Normalisation":
        """From {name: (mean, std)}."""
        pairs = torch.tensor(list(statistics.values()), dtype=torch.float64)
        return cls(tuple(statistics), pairs[:, 0], pairs[:, 1])

    def standardise(self, values: Tensor, layout: Layout) -> Tensor:
        """(x − mean) / std for values (member, channel, y, x); channels are matched by name."""
        mean, std = self._matched(values, layout)
        return (values - mean) / std

    def restore(self, values: Tensor, layout: Layout) -> Tensor:
        """z · std + mean: the inverse of ``standardise``."""
        mean, std = self._matched(values, layout)
        return values * std + mean

    def _matched(self, values: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
        missing = set(layout.names) - set(self.names)
        if missing:
            raise UsageError(f"no statistics for {sorted(missing)}; there are some for {list(self.names)}")
        rows = [self.names.index(name) for name in layout.names]
        mean, std = (statistic[rows].to(values)[:, None, None] for statistic in (self.mean, self.std))
        return mean, std
