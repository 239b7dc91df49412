"""Where data and grid points lie, as the background-error covariance sees them.

Height: the station's own; where it is unknown, the terrain there. Surface: ships and buoys lie on water, land networks
on land; any other datum is on the surface of the nearest grid point. Where no terrain is known, places of unknown
height count as lying at the mean height of the data: no height difference is then made up for them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.assimilation.correlation import Places
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.observations.operators import bilinear_stencil
from rtma_diffda.observations.table import Observations

NETWORK_ON_LAND: Mapping[str, bool] = {"metar": True, "synop": True, "mesonet": True, "ship": False, "buoy": False}
"""Surface of the networks that leave no doubt about it."""


@dataclass(frozen=True)
class Surroundings:
    """Turns data and grid points of one problem into ``Places``; all members share them except for the background.

    Attributes:
        problem: whose grid, background and data.
        static: terrain and land on the same grid.
    """

    problem: AssimilationProblem
    static: StaticFields

    @cached_property
    def _mean_height(self) -> float:
        heights = self.problem.observations.elevation
        known = heights[torch.isfinite(heights)]
        return float(known.mean()) if len(known) else 0.0

    def of_grid(self, channel: int) -> tuple[Places, Tensor]:
        """All grid points in row-major order, and the background there less its mean: (member, p)."""
        layout = self.problem.background.layout
        x, y = np.meshgrid(layout.grid.x, layout.grid.y)
        position = torch.from_numpy(np.stack([x.ravel(), y.ravel()], axis=1))
        if self.static.orography is None:
            height = torch.full((len(position),), self._mean_height, dtype=torch.float64)
        else:
            height = torch.from_numpy(self.static.orography.reshape(-1).astype(np.float64))
        land = torch.from_numpy(self.static.land_mask.reshape(-1))
        values = self.problem.background.values[:, channel].double().flatten(1)
        return Places(position, height, land, torch.zeros_like(height)), values - self.reference(channel)

    def of_data(self, data: Observations, channel: int) -> tuple[Places, Tensor]:
        """The places of ``data`` (all of one channel), and H(x_b) there less the grid's mean background: (member, n).

        Raises:
            InputError: a datum lies outside the grid.
        """
        background = self.problem.background
        x, y = background.layout.grid.project(data.latitude.cpu().numpy(), data.longitude.cpu().numpy())
        position = torch.from_numpy(np.stack([x, y], axis=1))
        equivalents = self.problem.operator(background.values.double(), data)
        height, land = self._height_and_surface(data)
        return Places(position, height, land, torch.zeros_like(height)), equivalents - self.reference(channel)

    def reference(self, channel: int) -> Tensor:
        """(member, 1): mean of the background over the grid."""
        return self.problem.background.values[:, channel].double().mean(dim=(1, 2))[:, None]

    def _height_and_surface(self, data: Observations) -> tuple[Tensor, Tensor]:
        points, weights = bilinear_stencil(self.problem.background.layout, data)
        elevation = data.elevation.double()
        if self.static.orography is None:
            terrain = torch.full_like(elevation, self._mean_height)
        else:
            terrain = torch.from_numpy((self.static.orography.reshape(-1)[points] * weights).sum(axis=1))
        height = torch.where(torch.isfinite(elevation), elevation, terrain)
        nearest = points[np.arange(len(points)), weights.argmax(axis=1)]
        beneath = self.static.land_mask.reshape(-1)[nearest]
        land = [
            NETWORK_ON_LAND.get(str(name).lower(), bool(under))
            for name, under in zip(data.network, beneath, strict=True)
        ]
        return height, torch.tensor(land, dtype=torch.bool)


def with_background(places: Places, background: Tensor) -> Places:
    """The same places with one member's background values (n,)."""
    return replace(places, background=background)
