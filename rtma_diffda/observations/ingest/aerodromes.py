"""Aerodromes of a region on the real earth: places at which METAR reports could be made."""

import numpy as np
import pandas as pd

from rtma_diffda.errors import InputError
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.observations.ingest.stations import StationTable, load_stations


def aerodromes(grid: ProjectedGrid, stations: StationTable | None = None) -> pd.DataFrame:
    """Aerodromes of known height within the hull of a grid's points.

    Args:
        grid: of a region on the real earth.
        stations: where aerodromes are; by default those with a four-letter ICAO code in the package ``airportsdata``,
            reporting or not.

    Returns:
        station, latitude, longitude (degrees, −180 … 180) and elevation (m above sea level), by name.

    Raises:
        InputError: there is none, or no table is given and the package is not installed.
    """
    table = (load_stations() if stations is None else stations).table
    latitude, longitude = table["latitude"].to_numpy(float), table["longitude"].to_numpy(float)
    inside = grid.contains(latitude, longitude) & np.isfinite(table["elevation"].to_numpy(float))
    found = table.loc[inside, ["latitude", "longitude", "elevation"]].sort_index().rename_axis("station").reset_index()
    if not len(found):
        raise InputError(f"none of {len(table)} aerodromes lies on the grid of {grid.ny} × {grid.nx} points")
    return found
