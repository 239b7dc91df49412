"""Interpolation of the observations alone on the globe, without a background: the baseline of DiffDA's study.

    x_a(p) = c(p) + f(p; y − H(c)),    f linear in the data (``diffusion.conditioning.spread_innovations``)

The older release interpolates values linearly in space (``Linear``, no c); the newer one interpolates departures from a
climatology c by kriging. Kriging needs some c, as f falls to 0 away from data; without a climatology the mean of the
channel's data takes its place. Where no datum is near enough c stands.

References: Huang et al. (2024), arXiv 2401.05932; ``diffda.md`` §4.3, 7.4.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.diffusion.conditioning.replacement import one_a_cell
from rtma_diffda.diffusion.conditioning.spread_innovations import (
    GridPlaces,
    Interpolation,
    Kriging,
    ObservedPoints,
    on_sphere,
    spread_innovations,
)
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.interfaces import Analysis, AssimilationProblem
from rtma_diffda.observations.table import Observations

Climatology = Callable[[np.datetime64], State]
"""The climatology's state (one member) at a valid time, of the layout of the problems."""


@dataclass(frozen=True)
class SphereInterpolation:
    """The method.

    Attributes:
        interpolation: ``Linear`` or ``Kriging``.
        climatology: c; None: 0 for linear interpolation, which needs none, and the mean of the data for others.
    """

    interpolation: Interpolation = field(default_factory=Kriging)
    climatology: Climatology | None = None

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        """The interpolated observations, the same for all members; no random numbers are drawn.

        Channels without data are the climatology's, or, for want of one, the background's, and the analysis says so.
        """
        background, data = problem.background, problem.observations
        reference = self._reference(problem)
        observed = points_on_sphere(data, data.value - problem.operator(reference.values.double().cpu(), data)[0])
        fields = reference.values[0].double().cpu()
        if len(data):
            places = grid_places(background.layout.grid)
            averaged, _ = one_a_cell(observed, places)
            fields = fields + spread_innovations(self.interpolation, averaged, places, channels=len(fields))
        values = fields.to(background.values).expand_as(background.values).clone()
        return Analysis(background.with_values(values), problem, degraded=self._shortcomings(problem))

    def _reference(self, problem: AssimilationProblem) -> State:
        """c of one member; the background's values, members' mean, in channels that know nothing else."""
        background = problem.background.mean()
        if self.climatology is not None:
            return climatology_of(self.climatology, problem)
        values = background.values.clone()
        for channel in problem.observations.channel.unique().tolist():
            values[:, channel] = problem.observations.value[problem.observations.channel == channel].mean().to(values)
        return background.with_values(values)

    def _shortcomings(self, problem: AssimilationProblem) -> tuple[str, ...]:
        seen = set(problem.observations.channel.unique().tolist())
        missing = [name for i, name in enumerate(problem.background.layout.names) if i not in seen]
        stands = "background" if self.climatology is None else "climatology"
        return (f"no observation to interpolate of {', '.join(missing)}; the {stands} stands",) if missing else ()


def climatology_of(climatology: Climatology, problem: AssimilationProblem) -> State:
    """The climatology at the time of a problem, of one member.

    Raises:
        InputError: it is of another layout, or of several members.
    """
    state = climatology(problem.background.valid_time)
    if state.layout != problem.background.layout or state.members != 1:
        raise InputError(
            f"a climatology of {state.members} members and {state.layout.shape} cannot serve fields of "
            f"{problem.background.layout.shape}, or its channels or grid are others"
        )
    return state


def points_on_sphere(data: Observations, value: Tensor) -> ObservedPoints:
    """Data at their places on the sphere, with other values (…, n), on the CPU."""
    position = on_sphere(data.latitude.cpu().numpy(), data.longitude.cpu().numpy())
    return ObservedPoints(data.channel.cpu(), position, value.cpu().double())


def grid_places(grid: LatLonGrid, *, periodic: bool | None = None) -> GridPlaces:
    """Places of a latitude–longitude grid on the sphere; ``periodic``: as the grid has it where None."""
    return GridPlaces.of_latitudes(
        grid.latitudes, grid.longitudes, periodic=grid.periodic if periodic is None else periodic
    )


def tuned_kriging(
    anomalies: Sequence[tuple[ObservedPoints, Tensor]],
    grid: LatLonGrid,
    start: Kriging,
    *,
    lengths: Sequence[float] = (300e3, 600e3, 900e3, 1300e3, 2000e3, 3000e3, 4500e3),
) -> Kriging:
    """Kriging with the length that interpolates known fields best: least area-weighted mean square, channels alike.

    Args:
        anomalies: of training times: what was observed, and the fields (channel, y, x) it was observed in.
        grid: of the fields.
        start: everything but the length; the radius is widened to four lengths where that is more.
        lengths: L tried, m.

    Raises:
        UsageError: nothing to tune on.
    """
    if not anomalies or not lengths:
        raise UsageError("kriging is tuned on one field or more, with one length or more")
    places, area = grid_places(grid), torch.from_numpy(grid.cell_area() / grid.cell_area().sum())
    costs = []
    for length in lengths:
        tried, cost = replace(start, length=length, radius=max(start.radius, 4.0 * length)), 0.0
        for observed, truth in anomalies:
            error = spread_innovations(tried, observed, places, channels=len(truth)) - truth.double()
            share = (error.square() * area).sum(dim=(1, 2)) / (truth.double().square() * area).sum(dim=(1, 2))
            cost += float(share.mean())
        costs.append((cost, tried))
    return min(costs, key=lambda pair: pair[0])[1]
