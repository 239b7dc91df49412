"""Observations at a few cells of gridded quantities, as channels of a network: values there, 0 elsewhere."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rtma_diffda.errors import InputError, UsageError


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

    def filled(self, values: Tensor) -> Tensor:
        """Every cell with what ``values`` hold at the nearest site of its channel (Voronoi cells).

        A network sees the whole field in any neighbourhood then, and learns in a fraction of the time that a channel
        of zeros with rare values takes. Ties go to the first site.

        Args:
            values: (member, channel, y, x), read where observed.

        Raises:
            InputError: a channel whose members have different numbers of sites, or none.

        References:
            Fukami et al. (2021): Global field reconstruction from sparse sensors with Voronoi tessellation-assisted
            deep learning, Nature Machine Intelligence 3.
        """
        channels = [_nearest(values[:, channel], self.observed_mask[:, channel]) for channel in range(values.shape[1])]
        return torch.stack(channels, dim=1)


def _nearest(values: Tensor, observed_mask: Tensor) -> Tensor:
    """One channel (member, y, x) filled from its nearest sites."""
    members, ny, nx = values.shape
    count = int(observed_mask[0].sum())
    if count == 0 or not bool((observed_mask.sum(dim=(1, 2)) == count).all()):
        raise InputError(f"{count} sites in one member of a channel; every member needs the same number, at least one")
    sites = observed_mask.flatten(1).nonzero()[:, 1].reshape(members, count)
    rows, columns = (torch.arange(n, device=values.device, dtype=torch.float32)[:, None] for n in (ny, nx))
    from_row = (rows - (sites // nx)[:, None, :]).square()
    from_column = (columns - (sites % nx)[:, None, :]).square()
    nearest = (from_row[:, :, None, :] + from_column[:, None, :, :]).argmin(dim=-1)
    return values.flatten(1).gather(1, sites.gather(1, nearest.flatten(1))).reshape(values.shape)
