"""Observations at a few cells of gridded quantities, as channels of a network: values there, 0 elsewhere."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rtma_diffda.errors import UsageError


@dataclass(frozen=True)
class ObservingPlan:
    """What is observed where: groups of quantities that share their sites, drawn anew for every field.

    Attributes:
        groups: channels of each group; every channel stands in one group.
        sites: number of sites of each group.
        error_std: of each channel, in its unit.
    """

    groups: tuple[tuple[int, ...], ...]
    sites: tuple[int, ...]
    error_std: tuple[float, ...]

    def __post_init__(self) -> None:
        channels = sorted(channel for group in self.groups for channel in group)
        if len(self.sites) != len(self.groups) or channels != list(range(len(self.error_std))):
            raise UsageError(
                f"an observing plan of {len(self.groups)} groups {self.groups} with {len(self.sites)} numbers of sites "
                f"and {len(self.error_std)} errors; every channel needs one group and one error, every group its sites"
            )

    def observe(self, truth: Tensor, *, generator: torch.Generator) -> "SparseObservations":
        """Observe fields at random sites with Gaussian errors.

        Args:
            truth: (member, channel, y, x), all quantities.
            generator: of sites and errors, on the CPU.
        """
        observed_mask = torch.zeros(truth.shape, dtype=torch.bool)
        cells = truth.shape[-2] * truth.shape[-1]
        for group, count in zip(self.groups, self.sites, strict=True):
            order = torch.rand(truth.shape[0], cells, generator=generator).argsort(dim=1)
            at_sites = torch.zeros(truth.shape[0], cells, dtype=torch.bool).scatter_(1, order[:, :count], True)
            observed_mask[:, list(group)] = at_sites.reshape(-1, 1, *truth.shape[-2:])
        errors = torch.randn(truth.shape, generator=generator) * torch.tensor(self.error_std)[:, None, None]
        observed_mask, errors = observed_mask.to(truth.device), errors.to(truth)
        return SparseObservations(torch.where(observed_mask, truth + errors, torch.zeros_like(truth)), observed_mask)


@dataclass(frozen=True)
class SparseObservations:
    """Observed values of gridded quantities.

    Attributes:
        values: (member, channel, y, x); 0 where nothing is observed.
        observed_mask: True where something is.
    """

    values: Tensor
    observed_mask: Tensor
