"""Where simulated stations stand: made-up sites tied to terrain, or real aerodromes, ranked so that networks nest.

A site's chance is that of its grid cell: exp(−z / 600 m) on land of height z, a 25th of low land's at sea. Stations
stand off the grid points and at their own heights, which differ from the model's terrain the more the rougher it is. A
*ranked* network holds its stations in the order of their draw: its first n are the network of n stations, whatever n.
Withheld stations are drawn from the same distribution, before the others and so independent of their number, and keep
one grid cell free between themselves and every station that is used.

Each place gets a fixed number of draws, one row of random numbers: a longer network repeats a shorter one's bits.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import map_coordinates
from torch import Tensor

from rtma_diffda.errors import UsageError
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.sphere import wrap_longitude
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.observations.ingest.stations import StationTable
from rtma_diffda.observations.simulated_errors import REPORTED, normal_quantile

BIAS_COLUMNS: Mapping[str, str] = {name: f"bias_{name}" for name in REPORTED}
"""{variable: network column} of each station's own constant error, in standard deviations."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MARGIN = 3  # grid points between the edge and the nearest station
SEA_SHARE = 0.04  # chance of a site at sea, relative to low land: platforms and islets
SITE_HEIGHT_SCALE = 600.0  # m of height over which sites thin out to 1/e
HEIGHT_STD, HEIGHT_STD_PER_RELIEF = 5.0, 0.25  # m, and m per m of relief between neighbouring grid points
_LATEST_MINUTE, _DELAYS = 7, (2, 9)  # reporting minute around the slot; minutes until a report is received
_APART = 1  # grid cells kept free between withheld stations and others
_DRAWS = 5 + len(REPORTED)  # random numbers a station: place (2), height, minute, delay, constant errors


@dataclass(frozen=True)
class RankedNetwork:
    """Stations in order of rank, and others that no method sees.

    Attributes:
        stations: columns as of ``simulated_network``, best rank first.
        withheld: likewise, from the same distribution; no place in common with ``stations``.
    """

    stations: pd.DataFrame
    withheld: pd.DataFrame

    def __len__(self) -> int:
        return len(self.stations)

    def first(self, count: int) -> pd.DataFrame:
        """The network of ``count`` stations; it contains every smaller one.

        Raises:
            UsageError: more stations than there are, or none.
        """
        if not 0 < count <= len(self.stations):
            raise UsageError(f"a ranked network of {len(self.stations)} stations has no network of {count}")
        return self.stations.iloc[:count]


def simulated_network(
    grid: ProjectedGrid, static: StaticFields, *, count: int, generator: torch.Generator
) -> pd.DataFrame:
    """Places of ``count`` stations, mostly on low land and never near the edge, no two in one grid cell.

    Returns:
        One row a station, by name: station (X and three letters, which no aerodrome has), latitude, longitude
        (degrees), elevation (m; the terrain's, and a difference that grows with its relief), reporting_minute (−7 … 7,
        around every 15-minute slot), delay_minutes (from observation to reception) and ``BIAS_COLUMNS``.

    Raises:
        UsageError: more stations than grid cells inside the margin, or than identifiers.
    """
    network = ranked_network(grid, static, count=count, withheld=0, generator=generator)
    return network.stations.sort_values("station", ignore_index=True)


def ranked_network(
    grid: ProjectedGrid, static: StaticFields, *, count: int, withheld: int, generator: torch.Generator
) -> RankedNetwork:
    """A network whose first n stations are the network of n, with withheld ones apart.

    Args:
        grid: where; no station stands within 3 points of its edge.
        static: terrain and land of that grid.
        count: of stations that may be used.
        withheld: of stations kept from every method.
        generator: the same one gives the same stations, whatever ``count``.

    Raises:
        UsageError: they do not fit on the grid.
    """
    weights = _site_weights(grid, static).reshape(-1)
    possible = int((weights > 0).sum())
    wanted = min(count + withheld * (2 * _APART + 1) ** 2, possible)
    if not 0 < count + withheld <= min(possible, len(_LETTERS) ** 3):
        raise UsageError(f"a network of {count + withheld} stations does not fit on {grid.ny} × {grid.nx} points")
    cells = torch.multinomial(weights, wanted, generator=generator).numpy()
    cells = np.stack(np.divmod(cells, grid.nx))
    numbers = torch.randperm(len(_LETTERS) ** 3, generator=generator).numpy()
    draws = torch.rand(wanted, _DRAWS, generator=generator, dtype=torch.float64).numpy()
    rows = np.concatenate(_split(cells, withheld, count))
    names = [_identifier(number) for number in numbers[rows]]
    sites = _sites(static, names, cells[:, rows], draws[rows])
    return RankedNetwork(_renumbered(sites.iloc[withheld:]), _renumbered(sites.iloc[:withheld]))


def aerodrome_network(
    grid: ProjectedGrid, aerodromes: pd.DataFrame, *, count: int, withheld: int, generator: torch.Generator
) -> RankedNetwork:
    """A ranked network at real places, with real names and heights, one to a grid cell.

    Args:
        grid: of a region on the real earth.
        aerodromes: station, latitude, longitude, elevation, such as ``ingest.aerodromes.aerodromes`` finds.
        count: of stations that may be used.
        withheld: of stations kept from every method.
        generator: for ranks, reporting times and constant errors.

    Raises:
        UsageError: fewer aerodromes than asked for.
    """
    order = torch.randperm(len(aerodromes), generator=generator).numpy()
    draws = torch.rand(len(aerodromes), _DRAWS, generator=generator, dtype=torch.float64).numpy()
    ranked = aerodromes.iloc[order].reset_index(drop=True)
    cells = np.rint(np.stack(grid.fractional_index(ranked["latitude"], ranked["longitude"]))).astype(int)
    size = np.array([[grid.ny], [grid.nx]])
    inside = ((cells >= MARGIN) & (cells < size - MARGIN)).all(axis=0)
    alone = ~pd.DataFrame(cells.T).duplicated().to_numpy()
    usable = np.flatnonzero(inside & alone)
    kept, others = (usable[rows] for rows in _split(cells[:, usable], withheld, count))
    full = pd.concat([ranked[["station", "latitude", "longitude", "elevation"]], _habits(draws)], axis=1)
    return RankedNetwork(_renumbered(full.iloc[others]), _renumbered(full.iloc[kept]))


def as_station_table(network: pd.DataFrame) -> StationTable:
    """The network as ingest knows stations."""
    table = network.set_index("station")[["latitude", "longitude", "elevation"]]
    return StationTable(table.assign(source="simulated network"))


def _split(cells: np.ndarray, withheld: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the withheld among ``cells`` (2, n), the first ones, and of those far enough from them, in order."""
    kept = np.arange(min(withheld, cells.shape[1]))
    distance = np.abs(cells[:, None, :] - cells[:, kept, None]).max(axis=0)
    others = np.flatnonzero((distance > _APART).all(axis=0))[:count]
    others = others[others >= len(kept)]
    if len(kept) < withheld or len(others) < count:
        raise UsageError(
            f"{count} stations and {withheld} withheld ones do not fit: of {cells.shape[1]} places, {len(others)} lie "
            "far enough from those withheld"
        )
    return kept, others


def _sites(static: StaticFields, names: list[str], cells: np.ndarray, draws: np.ndarray) -> pd.DataFrame:
    """Stations called ``names`` in grid cells (2, n), from draws (n, ``_DRAWS``)."""
    places = cells + (draws[:, :2].T - 0.5)
    latitude, longitude = _positions(static.grid, places)
    elevation = _site_elevations(static, places, normal_quantile(draws[:, 2]))
    position = {"station": names, "latitude": latitude, "longitude": longitude, "elevation": elevation}
    return pd.concat([pd.DataFrame(position), _habits(draws)], axis=1)


def _habits(draws: np.ndarray) -> pd.DataFrame:
    """When stations report, and their constant errors, from draws (n, ``_DRAWS``)."""
    minutes = np.floor(draws[:, 3] * (2 * _LATEST_MINUTE + 1)).astype(np.int64) - _LATEST_MINUTE
    delays = _DELAYS[0] + np.floor(draws[:, 4] * (_DELAYS[1] - _DELAYS[0] + 1)).astype(np.int64)
    biases = dict(zip(BIAS_COLUMNS.values(), normal_quantile(draws[:, 5:]).T, strict=True))
    return pd.DataFrame({"reporting_minute": minutes, "delay_minutes": delays, **biases})


def _renumbered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.reset_index(drop=True)


def _site_weights(grid: ProjectedGrid, static: StaticFields) -> Tensor:
    """(y, x): how likely each grid cell is to have a station; 0 within the margin of the edge."""
    land = np.ones(grid.shape) if static.land_fraction is None else static.land_fraction
    terrain = np.zeros(grid.shape) if static.orography is None else static.orography
    weights = np.where(land >= 0.5, np.exp(-np.maximum(terrain, 0.0) / SITE_HEIGHT_SCALE), SEA_SHARE)
    inside = np.zeros(grid.shape)
    inside[MARGIN:-MARGIN, MARGIN:-MARGIN] = 1.0
    return torch.from_numpy(weights * inside)


def _positions(grid: ProjectedGrid, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude (degrees, 5 decimals) at fractional (row, column) ``places`` (2, n)."""
    middle = float(grid.longitude()[grid.ny // 2, grid.nx // 2])
    east = wrap_longitude(grid.longitude() - middle)  # no jump within the grid, wherever the date line runs
    longitude = wrap_longitude(map_coordinates(east, places, order=1) + middle)
    return np.round(map_coordinates(grid.latitude(), places, order=1), 5), np.round(longitude, 5)


def _identifier(number: int) -> str:
    high, low = divmod(number, len(_LETTERS) ** 2)
    return "X" + _LETTERS[high] + "".join(_LETTERS[i] for i in divmod(low, len(_LETTERS)))


def _site_elevations(static: StaticFields, places: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Heights (n,) in m, to 0.1 m: the terrain at fractional (row, column) ``places`` (2, n), and a difference from it.

    The difference is ``draws`` (n,) of unit variance times 5 m and a quarter of the relief there; no site lies lower
    than its terrain or 1 m, whichever is lower.
    """
    shape = static.grid.shape
    terrain = np.zeros(shape) if static.orography is None else np.asarray(static.orography, np.float64)
    at_site, relief = (map_coordinates(f, places, order=1) for f in (terrain, np.hypot(*np.gradient(terrain))))
    sites = at_site + draws * (HEIGHT_STD + HEIGHT_STD_PER_RELIEF * relief)
    return np.round(np.maximum(sites, np.minimum(at_site, 1.0)), 1)
