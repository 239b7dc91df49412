"""The ground under a batch of runs: terrain, land and position on the periodic extension of each run's region.

The region is continued by a margin on all sides. Across the margin the fields run from their mirror image at one edge
to the mirror image at the opposite one, so that the extended plane is smooth and doubly periodic.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.dynamics.slab.transport import gradient
from rtma_diffda.errors import UsageError
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.static_fields import StaticFields

EARTH_ROTATION = 7.292e-5
_LEAST_CORIOLIS = 4e-5
_FLOOR_SHARE, _HIGHEST_FLOOR = 0.6, 900.0


@dataclass(frozen=True)
class SlabLandscape:
    """Attributes:
    terrain: (run, y, x) height (m) on the extended grid.
    land: (run, y, x) land fraction, 0 … 1.
    floor: (run, y, x) height (m) of the ground that the slab's flow feels: part of the terrain, since air flows around
        steep hills and lies still in valleys, and never near the slab's top.
    slope_x, slope_y: (run, y, x) uphill, m/m.
    valley_depth: (run, y, x) m below the mean of the surroundings, negative on ridges.
    coriolis, latitude, longitude: (run,): f (1/s) and degrees, of the middle of the region.
    spacing: m.
    margin: points that the extended grid has beyond the region on every side.
    """

    terrain: Tensor
    land: Tensor
    floor: Tensor
    slope_x: Tensor
    slope_y: Tensor
    valley_depth: Tensor
    coriolis: Tensor
    latitude: Tensor
    longitude: Tensor
    spacing: float
    margin: int

    @classmethod
    def of(cls, terrain: Tensor, land: Tensor, *, position: "Position", margin: int) -> "SlabLandscape":
        """From periodic terrain and land (run, y, x)."""
        slope_x, slope_y = gradient(terrain, position.spacing)
        valley_depth = periodic_low_pass(terrain, 20e3 / position.spacing) - terrain
        place = (position.coriolis, position.latitude, position.longitude)
        place = tuple(values.to(terrain) for values in place)
        floor = _HIGHEST_FLOOR * torch.tanh(_FLOOR_SHARE * periodic_low_pass(terrain, 1.0) / _HIGHEST_FLOOR)
        return cls(terrain, land, floor, slope_x, slope_y, valley_depth, *place, position.spacing, margin)

    @classmethod
    def of_regions(
        cls, statics: Sequence[StaticFields], margin: int, *, device: torch.device | str = "cpu"
    ) -> "SlabLandscape":
        """From the static fields of regions of one shape and spacing, one a run; float32."""
        terrain = torch.stack([periodic_extension(_field(s.orography, s, 0.0), margin) for s in statics])
        land = torch.stack([periodic_extension(_field(s.land_fraction, s, 1.0), margin) for s in statics])
        terrain, land = terrain.float().to(device), land.float().to(device)
        return cls.of(terrain, land, position=Position.of([s.grid for s in statics]), margin=margin)

    def select(self, runs: Tensor) -> "SlabLandscape":
        """The landscape of the runs with these indices (n,); an index may repeat."""
        fields = (self.terrain, self.land, self.floor, self.slope_x, self.slope_y, self.valley_depth)
        place = (self.coriolis, self.latitude, self.longitude)
        return SlabLandscape(*(v[runs] for v in (*fields, *place)), self.spacing, self.margin)

    def with_terrains(self, models: Sequence[Sequence[Tensor]]) -> "SlabLandscape":
        """These runs once for every model, each on that model's terrain (y, x); models one after the other."""
        place = (self.coriolis, self.latitude, self.longitude)
        position = Position(*(torch.cat([values] * len(models)) for values in place), self.spacing)
        terrain = torch.stack([ground for model in models for ground in model])
        return SlabLandscape.of(terrain, torch.cat([self.land] * len(models)), position=position, margin=self.margin)

    def static_of(self, run: int, region: StaticFields) -> StaticFields:
        """Terrain and land of one run on the extended grid, which ``region`` is the middle of."""
        grid, m = region.grid, self.margin
        size = {"nx": grid.nx + 2 * m, "ny": grid.ny + 2 * m, "x0": grid.x0 - m * grid.dx, "y0": grid.y0 - m * grid.dy}
        fields = (values[run].cpu().numpy() for values in (self.terrain, self.land))
        return StaticFields(replace(grid, **size), *fields, source=region.source)

    def cut(self, fields: Tensor) -> Tensor:
        """The region's part of ``fields`` (..., y, x) on the extended grid."""
        m = self.margin
        return fields[..., m : fields.shape[-2] - m, m : fields.shape[-1] - m]


@dataclass(frozen=True)
class Position:
    """Where runs are: Coriolis parameter (1/s), latitude and longitude (degrees), each (run,), and the spacing (m)."""

    coriolis: Tensor
    latitude: Tensor
    longitude: Tensor
    spacing: float

    @classmethod
    def of(cls, grids: Sequence[ProjectedGrid]) -> "Position":
        """Of the middle of each region.

        Raises:
            UsageError: grids of several shapes or spacings, or cells that are not square.
        """
        found = {(*grid.shape, round(grid.dx, 3), round(grid.dy, 3)) for grid in grids}
        if len(found) != 1 or grids[0].dx != grids[0].dy:
            raise UsageError(f"a batch of runs needs one grid shape of square cells; found (ny, nx, dx, dy) {found}")
        latitude = torch.tensor([float(grid.latitude().mean()) for grid in grids], dtype=torch.float64)
        longitude = torch.tensor([_middle_longitude(grid) for grid in grids], dtype=torch.float64)
        f = 2.0 * EARTH_ROTATION * torch.sin(torch.deg2rad(latitude))
        # near the equator no geostrophic wind exists: f is kept away from 0
        f = torch.copysign(f.abs().clamp(min=_LEAST_CORIOLIS), f)
        return cls(f, latitude, longitude, float(grids[0].dx))


def periodic_extension(field: np.ndarray, margin: int) -> Tensor:
    """``field`` (y, x) with ``margin`` more points on every side, smooth and doubly periodic; float64."""
    extended = np.asarray(field, np.float64)
    for axis in (0, 1):
        extended = _extend_along(extended, margin, axis)
    return torch.from_numpy(extended)


def _extend_along(field: np.ndarray, margin: int, axis: int) -> np.ndarray:
    """The gap of 2 × margin points between an edge and the opposite one blends the two mirror images."""
    if margin == 0:
        return field
    width = [(0, 0), (0, 0)]
    width[axis] = (2 * margin, 2 * margin)
    before, _, after = np.split(
        np.pad(field, width, mode="symmetric"), [2 * margin, 2 * margin + field.shape[axis]], axis
    )
    ramp = 0.5 - 0.5 * np.cos(np.pi * np.arange(1, 2 * margin + 1) / (2 * margin + 1))
    ramp = ramp.reshape(-1, 1) if axis == 0 else ramp
    end_of_gap, start_of_gap = np.split((1.0 - ramp) * after + ramp * before, 2, axis)[::-1]
    return np.concatenate([end_of_gap, field, start_of_gap], axis)


def periodic_low_pass(fields: Tensor, width: float) -> Tensor:
    """``fields`` (..., y, x) smoothed on the periodic plane by a Gaussian of standard deviation ``width`` points."""
    return torch.fft.irfft2(torch.fft.rfft2(fields) * gaussian_response(fields, width), s=fields.shape[-2:])


def gaussian_response(fields: Tensor, width: float) -> Tensor:
    """Response (ky, kx) of a Gaussian of standard deviation ``width`` points to ``torch.fft.rfft2`` of ``fields``."""
    ky = 2.0 * torch.pi * torch.fft.fftfreq(fields.shape[-2], device=fields.device, dtype=fields.dtype)
    kx = 2.0 * torch.pi * torch.fft.rfftfreq(fields.shape[-1], device=fields.device, dtype=fields.dtype)
    return torch.exp(-0.5 * width**2 * (ky[:, None] ** 2 + kx[None, :] ** 2))


def _middle_longitude(grid: ProjectedGrid) -> float:
    return float(grid.longitude()[grid.ny // 2, grid.nx // 2])


def _field(values: np.ndarray | None, static: StaticFields, default: float) -> np.ndarray:
    return np.full(static.grid.shape, default) if values is None else values
