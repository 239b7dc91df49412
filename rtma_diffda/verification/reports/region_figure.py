"""The picture of a region: its terrain, coast and graticule, and its grid in words."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from rtma_diffda.geo.region import Region
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.verification.reports.canvas import LABEL_SIZE, TICK_SIZE, TITLE_SIZE, colour_bar, new_figure
from rtma_diffda.verification.reports.coastlines import coastlines
from rtma_diffda.verification.reports.maps import draw_graticule, draw_static, panel_height

_SEA = "#c6dbef"
_LAND = LinearSegmentedColormap.from_list("land", ["#f4f1e4", "#d9c79a", "#a9793f", "#5f3b1c", "#2e1a0f"])
_WIDTH = 7.0


def draw_region(region: Region, static: StaticFields) -> Figure:
    """Terrain height over land, sea, coast, meridians and parallels; grid and variables stand below."""
    figure = new_figure(_WIDTH, panel_height(region.grid, _WIDTH) + 0.2, layout="compressed")
    axis = figure.add_subplot()
    _draw_terrain(axis, static)
    draw_graticule(axis, region.grid)
    draw_static(axis, static)
    x, y = region.grid.x / 1e3, region.grid.y / 1e3
    axis.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), aspect="equal")
    axis.set_xlabel(f"x (km)\n{_grid_in_words(region)}", fontsize=LABEL_SIZE)
    axis.set_ylabel("y (km)", fontsize=LABEL_SIZE)
    axis.tick_params(labelsize=TICK_SIZE)
    axis.set_title(f"{region.title} ({region.name})", fontsize=TITLE_SIZE + 1, fontweight="bold", loc="left")
    return figure


def _draw_terrain(axis: Axes, static: StaticFields) -> None:
    axis.set_facecolor("#f7f7f7")
    if static.orography is None and static.land_fraction is None:
        unknown = "terrain is not known" if coastlines(static.grid) else "terrain and coast are not known"
        box = {"facecolor": axis.get_facecolor(), "edgecolor": "none"}
        axis.text(0.5, 0.5, unknown, ha="center", transform=axis.transAxes, fontsize=LABEL_SIZE, bbox=box)
        return
    axis.set_facecolor(_SEA)
    height = np.zeros(static.grid.shape) if static.orography is None else static.orography
    land = np.ma.masked_where(~static.land_mask, height)
    x, y = static.grid.x / 1e3, static.grid.y / 1e3
    mesh = axis.pcolormesh(x, y, land, cmap=_LAND, vmin=0.0, vmax=max(100.0, float(height.max())), shading="nearest")
    if static.orography is not None:
        colour_bar(axis, mesh, label="terrain height (m)")


def _grid_in_words(region: Region) -> str:
    grid = region.grid
    spacing = f"{grid.dx / 1e3:g} km" if grid.dx == grid.dy else f"{grid.dx / 1e3:g} × {grid.dy / 1e3:g} km"
    return f"{grid.nx} × {grid.ny} points, {spacing} apart; variables {', '.join(region.variables)}"
