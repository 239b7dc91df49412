"""``ChannelKriging``: observation channels filled between their sites, each by kriging of its own, inside a network.

With departures d (in units of their standard deviation) at the sites of a channel, its correlation ρ as a function of
the lag, and error variance r,

    x̂ = ρ_xo (ρ_oo + r I)⁻¹ d,

so a channel fades to 0, nothing known, far from all sites. A network that sees such channels need not learn to
interpolate; it learns what one quantity says of another.
"""

import torch
from torch import Tensor, nn

from rtma_diffda.errors import InputError
from rtma_diffda.experiments.exercise_baselines import LagCovariance


class ChannelKriging(nn.Module):
    """Fills the channels of sparse observations.

    Args:
        correlation: of the departures that are given, by lag; only that of each channel with itself is used.
        error_variance: (channel,) of the observations, in the same units.
    """

    def __init__(self, correlation: LagCovariance, error_variance: Tensor) -> None:
        super().__init__()
        own = torch.from_numpy(correlation.values.diagonal().transpose(2, 0, 1).copy())
        self.register_buffer("correlation", own, persistent=False)
        self.register_buffer("error_variance", error_variance.double(), persistent=False)

    def forward(self, departures: Tensor, observed_mask: Tensor) -> Tensor:
        """Every cell of (member, channel, y, x) from the departures at the sites.

        Raises:
            InputError: a channel whose members have different numbers of sites.
        """
        weights = torch.stack(
            [self._weights(departures[:, k], observed_mask[:, k], k) for k in range(departures.shape[1])], dim=1
        )
        shape = self.correlation.shape[-2:]
        product = torch.fft.rfft2(self.correlation) * torch.fft.rfft2(weights, s=shape)
        filled = torch.fft.irfft2(product, s=shape)
        return filled[..., : departures.shape[-2], : departures.shape[-1]].to(departures)

    def _weights(self, departures: Tensor, observed_mask: Tensor, channel: int) -> Tensor:
        """(ρ_oo + r I)⁻¹ d on the grid, 0 away from sites, for one channel (member, y, x)."""
        members, ny, nx = departures.shape
        counts = observed_mask.sum(dim=(1, 2))
        if not bool((counts == counts[0]).all()):
            raise InputError(f"{counts.tolist()} sites in the members of a channel; kriging needs equal numbers")
        sites = observed_mask.flatten(1).nonzero()[:, 1].reshape(members, -1)
        row, column = sites // nx, sites % nx
        rows = (row[:, :, None] - row[:, None, :]) % self.correlation.shape[-2]
        columns = (column[:, :, None] - column[:, None, :]) % self.correlation.shape[-1]
        among = self.correlation[channel][rows, columns]
        among = among + self.error_variance[channel] * torch.eye(sites.shape[1]).to(among)
        seen = departures.flatten(1).gather(1, sites).double()
        solved = torch.cholesky_solve(seen[:, :, None], torch.linalg.cholesky(among))[:, :, 0]
        return (
            torch.zeros_like(departures, dtype=torch.float64)
            .flatten(1)
            .scatter(1, sites, solved)
            .reshape(members, ny, nx)
        )
