"""Locations of stations for columns: those of a file, or a made-up network as uneven as real ones.

DiffDA's repository has 1,944 locations (``obs_coords.csv``): four fifths north of the equator, most of them on land.
The made-up network has that unevenness, on any grid, and is written as such a file before it is used.
"""

from pathlib import Path

import numpy as np
import torch

from rtma_diffda.experiments.diffda_bench import generator_of
from rtma_diffda.experiments.diffda_settings import DiffdaSettings
from rtma_diffda.experiments.global_world import GlobalWorld
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.atomic import write_bytes
from rtma_diffda.observations.columns import ColumnPlaces
from rtma_diffda.observations.ingest.column_locations import read_column_places

_NORTH = 0.8
"""Share of the stations north of the equator; 1,563 of 1,944 in the published file."""
_SEA = 0.12
"""How likely a place at sea has a station, over one on land of the same area."""
_SHARE = 0.03
"""Stations over grid points; few enough to leave gaps."""


def locations_of(settings: DiffdaSettings, world: GlobalWorld) -> tuple[ColumnPlaces, str]:
    """The distinct grid points next to the locations, and what they are in words.

    Raises:
        InputError: the file is missing or not understood.
    """
    grid = world.layout.grid
    if settings.locations is not None:
        places = read_column_places(settings.locations)
        return places.on_points(grid).distinct(), f"the locations of {Path(settings.locations).name}"
    count = max(4, round(_SHARE * grid.ny * grid.nx))
    made_up = made_up_locations(world.archive.static, count, generator=generator_of(settings.seed, "locations"))
    path = write_bytes(settings.directory / "made_up_locations.csv", _as_csv(made_up).encode())
    return read_column_places(path).on_points(grid).distinct(), f"{path.name}, a made-up network of land and the north"


def made_up_locations(static: StaticFields, count: int, *, generator: torch.Generator) -> ColumnPlaces:
    """``count`` different grid points, mostly on land, four fifths of them north of the equator.

    Args:
        static: the grid, with land where known.
        count: of stations.
        generator: of the draw.
    """
    grid = static.grid
    weights = grid.cell_area() * np.where(static.land_mask, 1.0, _SEA)
    northern = grid.latitude() > 0
    chosen = []
    for inside, number in ((northern, round(_NORTH * count)), (~northern, count - round(_NORTH * count))):
        shares = torch.from_numpy(np.where(inside, weights, 0.0).reshape(-1))
        chosen.append(torch.multinomial(shares, number, replacement=False, generator=generator).numpy())
    points = np.concatenate(chosen)
    return ColumnPlaces(grid.latitude().reshape(-1)[points], grid.longitude().reshape(-1)[points])


def _as_csv(places: ColumnPlaces) -> str:
    lines = [f"{x:.4f},{y:.4f}" for x, y in zip(places.longitude, places.latitude, strict=True)]
    return "\n".join(["X,Y", *lines]) + "\n"
