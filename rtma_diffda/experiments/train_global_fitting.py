"""What is fitted to the residuals of global forecasts: their size, and the covariance of what a denoiser leaves."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.assimilation.graphcast_denoiser import GraphCastDenoiser
from rtma_diffda.assimilation.sphere_covariance import SphereCovariance
from rtma_diffda.assimilation.sphere_fitting import fit_sphere_covariance
from rtma_diffda.assimilation.sphere_mixtures import SphereFitting
from rtma_diffda.errors import InputError
from rtma_diffda.fields.global_pairs import GlobalPairs
from rtma_diffda.training.batches import Batches

_HOUR = np.timedelta64(1, "h")
_MOST_NOISE = 30.0
"""Noise level at which nothing is seen of r."""
_AT_ONCE = 16
_MEMBERS = 512
_FEWEST = 8


def mean_squares(data: Batches, leads: Sequence[int]) -> dict[float, Tensor]:
    """{hours: (channel,) mean square of truth − background} over up to 512 pairs of each lead time, by area.

    Raises:
        InputError: a lead time has no pair.
    """
    sums: dict[float, list[Tensor]] = {float(lead): [] for lead in leads}
    rows = np.linspace(0, len(data) - 1, min(len(data), _MEMBERS * len(leads))).round().astype(np.int64)
    for first in range(0, len(rows), _AT_ONCE):
        batch = data.select(rows[first : first + _AT_ONCE])
        area = torch.from_numpy(batch.layout.grid.cell_area())
        squares = (batch.truth - batch.background).double().square()
        means = (squares * (area / area.mean())).mean(dim=(2, 3))
        for mean, lead in zip(means, batch.lead / _HOUR, strict=True):
            sums[float(lead)].append(mean)
    lacking = [hours for hours, found in sums.items() if not found]
    if lacking:
        raise InputError(f"there are no pairs of lead time {', '.join(f'{hours:g}' for hours in lacking)} h")
    return {hours: torch.stack(found).mean(dim=0) for hours, found in sums.items()}


def fitted_covariances(
    denoiser: GraphCastDenoiser, pairs: GlobalPairs, fitting: SphereFitting
) -> dict[float, SphereCovariance]:
    """Of truth − E[truth | background], for each lead time of which there are eight pairs or more.

    E[truth | background] is the denoiser's answer to noise alone. A network that answers ε cannot give it: its error is
    multiplied by the noise level; its covariance is that of truth − background.

    Args:
        denoiser: trained.
        pairs: that it has not learned from.
        fitting: what covariances are tried.
    """
    found = {}
    for lead in np.unique(pairs.lead):
        own = pairs.select(np.flatnonzero(pairs.lead == lead))
        if len(own) >= _FEWEST:
            errors = (own.truth - own.background) - denoiser.scale.of(lead) * expected_residuals(denoiser, own)
            found[float(lead / _HOUR)] = fit_sphere_covariance(
                errors, own.layout.grid, denoiser.scale.of(lead).flatten(), fitting
            )
    return found


@torch.no_grad()
def expected_residuals(denoiser: GraphCastDenoiser, pairs: GlobalPairs) -> Tensor:
    """E[r | background] (member, channel, y, x) in units of s, on the CPU; 0 of the ε formulation."""
    if denoiser.formulation.preconditioning == "epsilon":
        return torch.zeros_like(pairs.truth)
    generator, parts = torch.Generator().manual_seed(0), []
    device = next(denoiser.parameters()).device
    for first in range(0, len(pairs), _AT_ONCE):
        batch = pairs.select(np.arange(first, min(first + _AT_ONCE, len(pairs))))
        context = denoiser.context_of_pairs(batch).to(device)
        noise = torch.randn(batch.truth.shape, generator=generator).to(device)
        sigma = torch.full((len(batch),), _MOST_NOISE, device=device)
        parts.append(denoiser(_MOST_NOISE * noise, sigma, context).cpu())
    return torch.cat(parts)
