"""What observations look like to a network: fields on the grid, in units of the background's error s.

Every datum is spread over its four grid points with its bilinear weights w_i. With its innovation d and error r, a
grid point sees the precision p and the weighted innovation q, and the channels are a scalar analysis at that point,

    p = Σ w_i (s/r)²,   q = Σ w_i (s/r)² d/s,        increment = q / (1 + p),   gain = p / (1 + p).

The gain is 0 where nothing was observed, ½ for one datum as uncertain as the background, and 1 for a perfect one: it
tells the density of the data, and their errors relative to the background's. Beside them stands optimal
interpolation's increment over s, and the share of the background's error variance that it says the data explain.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.assimilation.simulated_observing import Reports
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.observations.operators import bilinear_stencil
from rtma_diffda.observations.table import Observations

CHANNELS_A_VARIABLE = 4
"""Scalar increment, gain, interpolated increment, explained share: blocks of one channel a variable, in this order."""
SIGNED_BLOCKS, UNSIGNED_BLOCKS = (0, 2), (1, 3)
"""Blocks that change sign with the wind, and blocks that do not."""

_MOST_PRECISE = 0.01
"""Of s: smaller observation errors count as this."""


@dataclass(frozen=True)
class GridData:
    """Data of several members and channels, in one list, in units of s.

    Attributes:
        field: (n,) which of the fields member × channel, counted in that order, a datum belongs to.
        points, weights: (n, 4) flat indices into (y, x), and bilinear weights.
        innovation, error_std: (n,) over s.
    """

    field: Tensor
    points: Tensor
    weights: Tensor
    innovation: Tensor
    error_std: Tensor

    @classmethod
    def of_reports(cls, reports: Sequence[Reports], scales: Tensor) -> "GridData":
        """The data of one network a member; ``scales`` (channel,) SI."""
        channels, parts = len(scales), []
        for member, report in enumerate(reports):
            n, to_scale = len(report.stations), scales.to(report.innovation)[:, None]
            field = member * channels + torch.arange(channels, device=report.innovation.device).repeat_interleave(n)
            parts.append(
                cls(
                    field,
                    report.stations.points.repeat(channels, 1),
                    report.stations.weights.repeat(channels, 1),
                    (report.innovation / to_scale).flatten(),
                    (report.error_std / to_scale).flatten(),
                )
            )
        names = cls.__dataclass_fields__
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})

    @classmethod
    def of_problem(cls, problem: AssimilationProblem, scales: Tensor) -> "GridData":
        """The same data for every member of the background, with its own innovations; ``scales`` (channel,) SI.

        Raises:
            InputError: a datum lies outside the grid.
        """
        background, data = problem.background, problem.observations
        points, weights = (torch.from_numpy(array) for array in bilinear_stencil(background.layout, data))
        like, members = background.values, background.members
        to_scale = scales.double()[data.channel]
        field = torch.arange(members)[:, None] * len(scales) + data.channel
        innovation = problem.innovations().cpu() / to_scale
        error_std = (data.error_std / to_scale).expand(members, -1)
        return cls(
            field.flatten().to(like.device),
            points.repeat(members, 1).to(like.device),
            weights.repeat(members, 1).to(like.device, torch.float32),
            innovation.flatten().to(like.device, torch.float32),
            error_std.flatten().to(like.device, torch.float32),
        )


def point_channels(data: GridData, shape: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    """Scalar increment over s, and gain, at every grid point; both 0 where nothing was observed.

    Args:
        data: of all members.
        shape: (member, channel, y, x) of the answers.
    """
    points = shape[2] * shape[3]
    precision = data.weights / data.error_std.clamp_min(_MOST_PRECISE).square()[:, None]
    target = (data.field[:, None] * points + data.points).flatten()
    flat = torch.zeros(2, shape[0] * shape[1] * points, dtype=data.weights.dtype, device=data.weights.device)
    added = torch.stack([precision * data.innovation[:, None], precision]).flatten(1)
    weighted, total = flat.index_add_(1, target, added).view(2, *shape)
    return weighted / (1.0 + total), total / (1.0 + total)


def in_fixed_order(problem: AssimilationProblem) -> AssimilationProblem:
    """The same problem with its data sorted, so that float32 sums do not depend on the order they came in."""
    data: Observations = problem.observations
    columns = (data.value, data.error_std, data.elevation, data.longitude, data.latitude, data.channel)
    order = np.lexsort([column.cpu().numpy() for column in columns])
    return replace(problem, observations=data.select(order))
