"""Stations that are not there: made-up networks, and the reports that they would make of a simulated truth.

A report's value is H(x_t) + ε at the station's own height, with ε for instrument and representativeness together. The
state's valid time stands for the few minutes before or after it at which each station reports, so ε covers that too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import map_coordinates
from torch import Tensor

from rtma_diffda.errors import UsageError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.sphere import wrap_longitude
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.geo.wind import speed_and_direction
from rtma_diffda.observations.ingest.stations import StationTable
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.observations.table import Observations

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MARGIN = 3  # grid points between the edge and the nearest station
_SEA_SHARE = 0.04  # chance of a site at sea, relative to low land: platforms and islets
_SITE_HEIGHT_SCALE = 600.0  # m of height over which sites thin out to 1/e
_HEIGHT_STD, _HEIGHT_STD_PER_RELIEF = 5.0, 0.25  # m, and m per m of relief between neighbouring grid points
_LATEST_MINUTE, _DELAYS = 7, (2, 9)  # reporting minute around the slot; minutes until a report is received
_CONDENSATION_RATE = 125.0  # m of cloud base per K of dew point depression
_LOWEST_CLOUD = 30.0  # m; lower clouds are fog

_WITH_ERROR = ("t2m", "d2m", "u10m", "v10m", "sp")
_AT_NEAREST_POINT = ("tcc", "vis", "ceil")

ERROR_STD: Mapping[str, float] = {"t2m": 0.7, "d2m": 1.0, "u10m": 0.9, "v10m": 0.9, "sp": 35.0}
"""SI; the errors of the feasibility study's network."""


@dataclass(frozen=True)
class ReportErrors:
    """How reports differ from the truth.

    Attributes:
        error_std: SI standard deviation by variable; variables not named have none.
        gross_error_rate: share of reports in which one of temperature, dew point, wind and pressure is off by 8 to 16
            of its standard deviations, either way.
    """

    error_std: Mapping[str, float] = field(default_factory=lambda: dict(ERROR_STD))
    gross_error_rate: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.gross_error_rate <= 1.0 or any(not std >= 0.0 for std in self.error_std.values()):
            raise UsageError(
                f"errors of reports need standard deviations ≥ 0 and a gross error rate of 0 … 1; found "
                f"{dict(self.error_std)} and {self.gross_error_rate}"
            )


def simulated_network(
    grid: ProjectedGrid, static: StaticFields, *, count: int, generator: torch.Generator
) -> pd.DataFrame:
    """Places of ``count`` stations, mostly on low land and never near the edge, no two in one grid cell.

    Returns:
        One row a station: station (X and three letters, which no aerodrome has), latitude, longitude (degrees),
        elevation (m; the terrain's, and a difference that grows with its relief), reporting_minute (−7 … 7, around
        every 15-minute slot) and delay_minutes (from observation to reception).

    Raises:
        UsageError: more stations than grid cells inside the margin, or than identifiers.
    """
    weights = _site_weights(grid, static)
    if not 0 < count <= min(int((weights > 0).sum()), len(_LETTERS) ** 3):
        raise UsageError(f"a network of {count} stations does not fit on {grid.ny} × {grid.nx} points")
    cells = torch.multinomial(weights.reshape(-1), count, generator=generator)
    jitter = torch.rand(2, count, generator=generator, dtype=torch.float64) - 0.5
    places = (torch.stack([cells // grid.nx, cells % grid.nx]) + jitter).numpy()
    heights = torch.randn(count, generator=generator, dtype=torch.float64).numpy()
    numbers = torch.randperm(len(_LETTERS) ** 3, generator=generator)[:count].tolist()
    latitude, longitude = _positions(grid, places)
    network = pd.DataFrame(
        {
            "station": [_identifier(number) for number in numbers],
            "latitude": latitude,
            "longitude": longitude,
            "elevation": _site_elevations(static, places, heights),
            "reporting_minute": _whole_numbers(-_LATEST_MINUTE, _LATEST_MINUTE, count, generator),
            "delay_minutes": _whole_numbers(*_DELAYS, count, generator),
        }
    )
    return network.sort_values("station", ignore_index=True)


def as_station_table(network: pd.DataFrame) -> StationTable:
    """The network as ingest knows stations."""
    table = network.set_index("station")[["latitude", "longitude", "elevation"]]
    return StationTable(table.assign(source="simulated network"))


def simulate_reports(
    truth: State,
    network: pd.DataFrame,
    *,
    static: StaticFields,
    errors: ReportErrors,
    generator: torch.Generator,
) -> pd.DataFrame:
    """What every station of the network reports of one state.

    Args:
        truth: one member; t2m, d2m, u10m, v10m and sp, and with them, as far as it has these, gust, tcc, vis and ceil.
        network: of ``simulated_network``.
        static: terrain of the truth's grid.
        errors: how reports differ from the truth.
        generator: for the errors.

    Returns:
        One row a station, as ``metar_writer.write_metar`` takes it: station, latitude, longitude (degrees), elevation
        (m), valid_time, received_time, t2m, d2m (K), u10m, v10m, wind_speed, gust (m/s), wind_direction (degrees), sp
        (Pa), tcc (0 … 1), cloud_base, ceil (m above ground), vis (m); NaN for what the truth does not have.

    Raises:
        UsageError: the truth lacks a variable that every station reports.
        InputError: a station outside the grid.
    """
    exact = _at_stations(truth, network, static)
    observed = _with_errors(exact, errors, generator)
    speed, direction = speed_and_direction(observed["u10m"], observed["v10m"])
    gustiness = exact["gust"] / np.maximum(np.hypot(exact["u10m"], exact["v10m"]), 1e-6)
    minutes = {name: pd.to_timedelta(network[name], unit="min") for name in ("reporting_minute", "delay_minutes")}
    valid_time = np.datetime64(truth.valid_time, "ns") + minutes["reporting_minute"]
    return network[["station", "latitude", "longitude", "elevation"]].assign(
        valid_time=valid_time,
        received_time=valid_time + minutes["delay_minutes"],
        **observed,
        wind_speed=speed,
        wind_direction=direction,
        gust=speed * gustiness,
        cloud_base=np.maximum(_CONDENSATION_RATE * (observed["t2m"] - observed["d2m"]), _LOWEST_CLOUD),
    )


def _site_weights(grid: ProjectedGrid, static: StaticFields) -> Tensor:
    """(y, x): how likely each grid cell is to have a station; 0 within the margin of the edge."""
    land = np.ones(grid.shape) if static.land_fraction is None else static.land_fraction
    terrain = np.zeros(grid.shape) if static.orography is None else static.orography
    weights = np.where(land >= 0.5, np.exp(-np.maximum(terrain, 0.0) / _SITE_HEIGHT_SCALE), _SEA_SHARE)
    inside = np.zeros(grid.shape)
    inside[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] = 1.0
    return torch.from_numpy(weights * inside)


def _positions(grid: ProjectedGrid, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude (degrees, 5 decimals) at fractional (row, column) ``places`` (2, n)."""
    middle = float(grid.longitude()[grid.ny // 2, grid.nx // 2])
    east = wrap_longitude(grid.longitude() - middle)  # no jump within the grid, wherever the date line runs
    longitude = wrap_longitude(map_coordinates(east, places, order=1) + middle)
    return np.round(map_coordinates(grid.latitude(), places, order=1), 5), np.round(longitude, 5)


def _whole_numbers(lowest: int, highest: int, count: int, generator: torch.Generator) -> np.ndarray:
    return torch.randint(lowest, highest + 1, (count,), generator=generator).numpy()


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
    sites = at_site + draws * (_HEIGHT_STD + _HEIGHT_STD_PER_RELIEF * relief)
    return np.round(np.maximum(sites, np.minimum(at_site, 1.0)), 1)


def _at_stations(truth: State, network: pd.DataFrame, static: StaticFields) -> dict[str, np.ndarray]:
    """The truth by variable (n,): H of what varies smoothly, the nearest point's cloud and visibility."""
    missing = [name for name in _WITH_ERROR if name not in truth.layout.names]
    if missing or truth.members != 1:
        raise UsageError(f"stations report one member with {_WITH_ERROR}; {truth.members} found, lacking {missing}")
    smooth = [name for name in (*_WITH_ERROR, "gust") if name in truth.layout.names]
    operator = BilinearOperator(truth.layout, static)
    values = operator(truth.values.double(), _places(truth.layout, network, smooth))[0].reshape(len(smooth), -1)
    result = dict(zip(smooth, values.numpy(), strict=True))
    row, column = truth.layout.grid.fractional_index(network["latitude"], network["longitude"])
    nearest = (np.rint(row).astype(int), np.rint(column).astype(int))
    for name in set(_AT_NEAREST_POINT) & set(truth.layout.names):
        result[name] = truth.channel(name)[0].double().numpy()[nearest]
    unknown = np.full(len(network), np.nan)
    return {name: result.get(name, unknown) for name in (*_WITH_ERROR, "gust", *_AT_NEAREST_POINT)}


def _places(layout: Layout, network: pd.DataFrame, names: list[str]) -> Observations:
    """A datum without a value for each name and station, names outermost."""
    n = len(names) * len(network)
    position = {
        name: torch.tensor(np.tile(network[name].to_numpy(np.float64), len(names)))
        for name in ("latitude", "longitude", "elevation")
    }
    unknown = torch.full((n,), torch.nan, dtype=torch.float64)
    return Observations(
        value=unknown,
        error_std=unknown,
        **position,
        channel=torch.tensor([layout.index(name) for name in names]).repeat_interleave(len(network)),
        valid_time=np.full(n, np.datetime64("NaT", "ns")),
        station=np.tile(network["station"].to_numpy(), len(names)),
        network=np.full(n, "simulated", dtype=object),
        flags=np.zeros(n, np.int32),
        bound=np.zeros(n, np.int8),
    )


def _with_errors(
    exact: Mapping[str, np.ndarray], errors: ReportErrors, generator: torch.Generator
) -> dict[str, np.ndarray]:
    n = len(exact["t2m"])
    noise = torch.randn(len(_WITH_ERROR), n, generator=generator, dtype=torch.float64).numpy()
    std = {name: errors.error_std.get(name, 0.0) for name in _WITH_ERROR}
    observed = dict(exact)
    for name, draws in zip(_WITH_ERROR, noise, strict=True):
        observed[name] = exact[name] + std[name] * draws
    observed["d2m"] = np.minimum(observed["d2m"], observed["t2m"])  # instruments never report supersaturation
    gross = torch.rand(4, n, generator=generator, dtype=torch.float64).numpy()
    concerned = gross[0] < errors.gross_error_rate
    size = np.where(gross[1] < 0.5, -1.0, 1.0) * (8.0 + 8.0 * gross[2])
    choice = np.array(["t2m", "d2m", "u10m", "sp"])[(gross[3] * 4).astype(int)]
    for name in ("t2m", "d2m", "u10m", "sp"):
        observed[name] = observed[name] + np.where(concerned & (choice == name), size * std[name], 0.0)
    return {name: observed[name] for name in (*_WITH_ERROR, *_AT_NEAREST_POINT)}
