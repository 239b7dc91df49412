"""``describe_regions``: the packaged regions in a table, or one in detail with a picture."""

from pathlib import Path

import numpy as np

from rtma_diffda.geo.region import Region, load_region, region_names
from rtma_diffda.io.static_fields import load_static_fields
from rtma_diffda.verification.reports.canvas import save_png
from rtma_diffda.verification.reports.region_figure import draw_region


def describe_regions(name: str | None, *, output: str | None = None) -> str:
    """One line a packaged region, or the details of ``name``; a picture of it in ``output`` if that is given."""
    if name is None:
        rows = [_line(load_region(known)) for known in region_names()]
        return "\n".join([f"{'region':<14}{'points':>14}{'spacing':>11}  title", *rows])
    region = load_region(name)
    lines = [*_details(region)]
    if output is not None:
        path = Path(output) / f"{region.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(draw_region(region, load_static_fields(region)), path)
        lines.append(f"  picture     {path}")
    return "\n".join(lines)


def _line(region: Region) -> str:
    grid = region.grid
    return f"{region.name:<14}{f'{grid.nx} × {grid.ny}':>14}{grid.dx / 1000:>8.3f} km  {region.title}"


def _details(region: Region) -> list[str]:
    grid = region.grid
    latitude, longitude = grid.latitude(), grid.longitude()
    corners = [(0, 0), (0, -1), (-1, 0), (-1, -1)]
    names = ("south-west", "south-east", "north-west", "north-east")
    places = (f"{name} {latitude[c]:.4f} N {longitude[c]:.4f} E" for name, c in zip(names, corners, strict=True))
    area = np.sum(grid.cell_area()) / 1e6
    static = ", ".join(f"{key}: {value}" for key, value in region.static.items()) or "none"
    return [
        f"{region.name}: {region.title}",
        f"  grid        {grid.nx} × {grid.ny} points, {grid.dx:.3f} × {grid.dy:.3f} m, {area:,.0f} km²",
        f"  projection  {grid.projection}",
        *(f"  corner      {place}" for place in places),
        f"  variables   {', '.join(region.variables)}",
        f"  static      {static}",
    ]
