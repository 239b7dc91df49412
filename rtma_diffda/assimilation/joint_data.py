"""The data of all variables of one problem side by side, as the multivariate covariance sees them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.assimilation.correlation import Places
from rtma_diffda.assimilation.places import Surroundings, with_background
from rtma_diffda.assimilation.sample_covariance import LagCorrelations, columns
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.observations.operators import bilinear_stencil
from rtma_diffda.observations.table import Observations


@dataclass(frozen=True)
class JointData:
    """n data, ordered by channel.

    Attributes:
        layout: of the problem.
        observations: those of each channel.
        places: where those of each channel lie; without background values.
        backgrounds: (member, n_i) of each channel: H(x_b) less the background's mean over the grid.
        innovations: (member, n).
        error_variance: (n,) diagonal of R, SI squared.
    """

    layout: Layout
    observations: tuple[Observations, ...]
    places: tuple[Places, ...]
    backgrounds: tuple[Tensor, ...]
    innovations: Tensor
    error_variance: Tensor

    @classmethod
    def of(
        cls, problem: AssimilationProblem, static: StaticFields, factors: Mapping[str, float] | None = None
    ) -> "JointData":
        """The data of a problem; ``factors`` multiply their ``error_std`` by variable."""
        around, layout = Surroundings(problem, static), problem.background.layout
        data = tuple(problem.observations.of_channel(channel) for channel in range(len(layout.names)))
        located = [around.of_data(part, channel) for channel, part in enumerate(data)]
        innovations = [
            part.value - (equivalents + around.reference(channel))
            for channel, (part, (_, equivalents)) in enumerate(zip(data, located, strict=True))
        ]
        scales = [(factors or {}).get(name, 1.0) for name in layout.names]
        variances = [(scale * part.error_std) ** 2 for scale, part in zip(scales, data, strict=True)]
        places, backgrounds = zip(*located, strict=True)
        return cls(layout, data, places, backgrounds, torch.cat(innovations, dim=1), torch.cat(variances))

    def __len__(self) -> int:
        return len(self.error_variance)

    def members(self, rows: slice) -> "JointData":
        """Some of the members."""
        backgrounds = tuple(values[rows] for values in self.backgrounds)
        return replace(self, backgrounds=backgrounds, innovations=self.innovations[rows])

    def seen_places(self) -> tuple[Places, ...]:
        """The places of each channel with the background of the first member."""
        located = zip(self.places, self.backgrounds, strict=True)
        return tuple(with_background(places, values[0]) for places, values in located)

    def correlations_with_grid(self, correlations: LagCorrelations, channel: int) -> list[Tensor]:
        """ρ between the data of each channel and one channel at all grid points, row-major: (n_i, y · x) each."""
        return [
            columns(correlations, self.layout, channel, part, j).flatten(1) for j, part in enumerate(self.observations)
        ]


def at_data(fields: Tensor, layout: Layout, data: Observations) -> Tensor:
    """Bilinear values (n, m) at m data of fields (n, y · x)."""
    points, weights = bilinear_stencil(layout, data)
    gathered = fields[:, torch.from_numpy(points)]
    return (gathered * torch.from_numpy(weights).to(fields)).sum(dim=-1)


def own_correlations(correlations: LagCorrelations, layout: Layout, data: Observations) -> Tensor:
    """H ρ Hᵀ of each datum with itself, (m,): below 1 between grid points."""
    points, weights = bilinear_stencil(layout, data)
    row, column = np.divmod(points, layout.grid.nx)
    m_y, m_x = correlations.reach
    lag_y, lag_x = row[:, :, None] - row[:, None, :] + m_y, column[:, :, None] - column[:, None, :] + m_x
    channel = data.channel.numpy()[:, None, None]
    rho = correlations.table.double()[channel, channel, lag_y, lag_x]
    w = torch.from_numpy(weights)
    return (w[:, :, None] * rho * w[:, None, :]).sum(dim=(1, 2))
