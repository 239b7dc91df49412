"""A network that forecasts a limited area, and its loss. With σ and μ of one-step differences,

    x(t + Δ) = x(t) + σ · f(x(t), x(t − Δ), land, sun, boundary around t + Δ) + μ,

after which the dew point is at most the temperature. The loss is the squared error in units of σ, weighted by variable,
averaged over points, members and the steps of the roll-out; each further step starts from the network's own states.
Now and then a member of a training batch is without its boundary, so that the network knows what to do then.
References: Oskarsson et al. (2023), arXiv 2309.17370; Adamov et al. (2025), arXiv 2504.09340.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rtma_diffda.errors import UsageError
from rtma_diffda.fields.sequences import Sequences
from rtma_diffda.forecast.forcing import Forcing
from rtma_diffda.forecast.forecast_inputs import ForecastEncoding, RegionWeights, StatePair
from rtma_diffda.geo.grid import ProjectedGrid

HISTORY = 2
"""States that a forecast begins with."""


@dataclass(frozen=True)
class ForecastTraining:
    """What the loss weighs and draws.

    Attributes:
        weights: of the variables, by name; 1 where not named.
        without_boundary: share of the members that do without their boundary.
    """

    weights: Mapping[str, float] | None = None
    without_boundary: float = 0.05

    def __post_init__(self) -> None:
        if not 0.0 <= self.without_boundary < 1.0:
            raise UsageError(f"the share of members without boundary is {self.without_boundary}; it must be 0 … 1")

    def weight(self, names: tuple[str, ...]) -> Tensor:
        """(channel,) with mean 1."""
        found = torch.tensor([(self.weights or {}).get(name, 1.0) for name in names])
        return found / found.mean()


class ForecastNetwork(nn.Module):
    """The network and its loss.

    Args:
        encoding: how its inputs are made.
        network: (member, point channel, y, x) and ``boundary`` (member, node, node channel) → (member, channel, y, x).
        grid: of the region.
        nodes: (node,) flat positions of the boundary nodes in the boundary's grid; None for a network without.
        weights: from the boundary's grid to the region's; needed where the encoding interpolates.
        training: what the loss weighs and draws.
    """

    def __init__(
        self,
        encoding: ForecastEncoding,
        network: nn.Module,
        grid: ProjectedGrid,
        *,
        nodes: Tensor | None = None,
        weights: RegionWeights | None = None,
        training: ForecastTraining | None = None,
    ) -> None:
        super().__init__()
        self.encoding, self.network, self.grid = encoding, network, grid
        self.weights, self.training_settings = weights, training or ForecastTraining()
        self.register_buffer("nodes", nodes, persistent=False)

    def forward(self, pair: StatePair, forcing: Forcing) -> Tensor:
        """x(t + Δ): (member, channel, y, x) SI."""
        with torch.autocast(pair.current.device.type, enabled=False):  # pressures need float32
            points = self.encoding.points(pair, forcing, self.grid, self.weights)
            nodes = None if self.nodes is None else self.encoding.nodes(pair, forcing, self.nodes)
        change = self.network(points, boundary=nodes).to(pair.current)
        mean, std = self.encoding.difference(pair.current)
        return within_validity(pair.current + std * change + mean, self.encoding.names)

    def rollout(self, pair: StatePair, forcing: Forcing, steps: int) -> Iterator[Tensor]:
        """States (member, channel, y, x) after 1, 2, …, ``steps`` steps.

        Activations of all steps but the last are computed again in a backward pass rather than kept.
        """
        for step in range(steps):
            if torch.is_grad_enabled() and step < steps - 1:
                values = checkpoint(self, pair, forcing, use_reentrant=False)
            else:
                values = self(pair, forcing)
            yield values
            pair = pair.followed_by(values, self.encoding.time_step)

    def loss(self, batch: Sequences, *, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        """Mean over the batch's targets; see the module.

        Returns:
            The loss, and for the log the root mean square error in units of σ by variable (``rmse_t2m`` …), at the last
            of the steps.
        """
        share = self.training_settings.without_boundary if self.training else 0.0
        known = torch.rand(len(batch), generator=generator) >= share
        forcing = Forcing.of_sequences(batch, known)
        pair = StatePair(batch.states[:, 0], batch.states[:, 1], batch.valid_times[:, 1])
        targets = batch.states[:, HISTORY:]
        std = self.encoding.difference(pair.current)[1]
        weight = self.training_settings.weight(self.encoding.names).to(pair.current)
        total, rmse = pair.current.new_zeros(()), pair.current.new_zeros(len(weight))
        for step, values in enumerate(self.rollout(pair, forcing, targets.shape[1])):
            by_variable = ((values - targets[:, step]) / std).square().mean(dim=(0, 2, 3))
            total = total + (weight * by_variable).mean() / targets.shape[1]
            rmse = by_variable.detach().sqrt()
        return total, {f"rmse_{n}": size for n, size in zip(self.encoding.names, rmse.tolist(), strict=True)}


def within_validity(values: Tensor, names: tuple[str, ...]) -> Tensor:
    """Values (member, channel, y, x) with the dew point at most the temperature."""
    if not {"t2m", "d2m"} <= set(names):
        return values
    t, d = names.index("t2m"), names.index("d2m")
    capped = torch.minimum(values[:, d], values[:, t])
    return torch.cat([values[:, :d], capped[:, None], values[:, d + 1 :]], dim=1)
