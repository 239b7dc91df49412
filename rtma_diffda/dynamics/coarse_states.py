"""Large-scale states for nesting: the block average of a run's extended domain, with errors of their own.

A coarse cell is the mean of n × n cells, its terrain their mean terrain. The errors are smooth random fields that decay
over hours, those of dew point partly those of temperature.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rtma_diffda.dynamics.random_fields import RandomFieldModel, random_series
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.geo.wind import convergence

_ERRORS = RandomFieldModel(70e3, np.timedelta64(6, "h"), smoothness=2.0)
ERROR_STD: Mapping[str, float] = {"t2m": 0.8, "d2m": 0.9, "u10m": 0.9, "v10m": 0.9, "sp": 35.0}
"""SI standard deviation of the large-scale states' own errors."""
_SHARED_BY_DEW_POINT = 0.6


@dataclass(frozen=True)
class CoarseStates:
    """Attributes:
    layout: channels on the coarse grid, which reaches beyond the region on every side.
    static: coarse terrain and land.
    times: (time,).
    values: (time, channel, y, x) SI, float32, winds earth-relative.
    """

    layout: Layout
    static: StaticFields
    times: np.ndarray
    values: Tensor


def coarse_states(
    fields: Tensor,
    extended: StaticFields,
    times: np.ndarray,
    *,
    coarsening: int,
    names: tuple[str, ...],
    generator: torch.Generator,
) -> CoarseStates:
    """The coarse states of one run.

    Args:
        fields: (time, channel, y, x) on the extended grid, winds along the grid's axes.
        extended: terrain and land there.
        times: (time,) of the fields.
        coarsening: n; points that fill no whole cell are left out at the edges.
        names: of the channels.
        generator: for the errors.
    """
    grid, rows, columns = _coarse_grid(extended.grid, coarsening)
    values = functional.avg_pool2d(fields[..., rows, columns], coarsening).double()
    static = StaticFields(
        grid,
        *(
            functional.avg_pool2d(torch.from_numpy(field[rows, columns])[None], coarsening)[0].numpy()
            for field in (extended.orography, extended.land_fraction)
        ),
        source=f"mean of {coarsening} × {coarsening} cells of: {extended.source}",
    )
    layout = Layout.of(grid, names)
    values = with_earth_relative_wind(values, layout) + _errors(layout, times, generator)
    t, d = layout.index("t2m"), layout.index("d2m")
    values[:, d] = torch.minimum(values[:, d], values[:, t])
    return CoarseStates(layout, static, times, values.float())


def with_earth_relative_wind(values: Tensor, layout: Layout) -> Tensor:
    """Values (time, channel, y, x) with wind along the grid's axes turned to east and north."""
    grid, values = layout.grid, values.clone()
    gamma = torch.from_numpy(convergence(grid.projection, grid.latitude(), grid.longitude())).to(values)
    i, j = layout.index("u10m"), layout.index("v10m")
    u, v = values[:, i].clone(), values[:, j].clone()
    values[:, i] = u * torch.cos(gamma) + v * torch.sin(gamma)
    values[:, j] = v * torch.cos(gamma) - u * torch.sin(gamma)
    return values


def _errors(layout: Layout, times: np.ndarray, generator: torch.Generator) -> Tensor:
    fields = random_series(layout.grid, times, _ERRORS, count=len(layout.names), generator=generator)
    t, d = layout.index("t2m"), layout.index("d2m")
    share = _SHARED_BY_DEW_POINT
    fields[:, d] = share * fields[:, t] + (1.0 - share**2) ** 0.5 * fields[:, d]
    return fields * torch.tensor([ERROR_STD[name] for name in layout.names], dtype=torch.float64)[:, None, None]


def _coarse_grid(grid: ProjectedGrid, coarsening: int) -> tuple[ProjectedGrid, slice, slice]:
    """The coarse grid, and the rows and columns of the fine one that fill its cells."""
    ny, nx = grid.ny // coarsening, grid.nx // coarsening
    top, left = (grid.ny - ny * coarsening) // 2, (grid.nx - nx * coarsening) // 2
    middle = 0.5 * (coarsening - 1)
    coarse = ProjectedGrid(
        grid.projection,
        nx,
        ny,
        grid.dx * coarsening,
        grid.dy * coarsening,
        grid.x0 + (left + middle) * grid.dx,
        grid.y0 + (top + middle) * grid.dy,
    )
    return coarse, slice(top, top + ny * coarsening), slice(left, left + nx * coarsening)
