"""Small global states and stores in WeatherBench 2's layout."""

from pathlib import Path

import numpy as np
import torch
import xarray as xr

from rtma_diffda.backbones.graphcast.backbone import GraphCastBackbone
from rtma_diffda.backbones.graphcast.settings import GraphCastSettings
from rtma_diffda.backbones.graphcast.task import FORCINGS, STATICS, GraphCastTask
from rtma_diffda.fields.global_layout import Key, global_grid
from rtma_diffda.fields.global_statistics import GlobalStatistics
from rtma_diffda.fields.state import State
from rtma_diffda.forecast.graphcast_network import GraphCastForecastNetwork
from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.geo.static_fields import StaticFields

SIX_HOURS = np.timedelta64(6, "h")
FIRST = np.datetime64("2016-03-01T00:00", "ns")
LEVELS = (500, 850)
SURFACE = ("10m_u_component_of_wind", "10m_v_component_of_wind", "2m_temperature", "mean_sea_level_pressure")
UPPER_AIR = ("geopotential", "specific_humidity", "temperature", "u_component_of_wind", "v_component_of_wind")
SIZES = {
    "10m_u_component_of_wind": (0.0, 5.0),
    "10m_v_component_of_wind": (0.0, 4.0),
    "2m_temperature": (285.0, 10.0),
    "mean_sea_level_pressure": (101000.0, 800.0),
    "total_precipitation_6hr": (6e-4, 2e-4),
    "geopotential": (50000.0, 2000.0),
    "specific_humidity": (4e-3, 1e-3),
    "temperature": (260.0, 8.0),
    "u_component_of_wind": (8.0, 9.0),
    "v_component_of_wind": (0.0, 7.0),
    "vertical_velocity": (0.0, 0.2),
}


def small_globe(ny: int = 8, nx: int = 16) -> LatLonGrid:
    """Equal steps, no row on a pole."""
    return global_grid(-90.0 + (np.arange(ny) + 0.5) * 180.0 / ny, np.arange(nx) * 360.0 / nx)


def small_task(*, diagnostic_precipitation: bool = False) -> GraphCastTask:
    """The task of ``global_dataset``'s variables; precipitation is answered, but no input, where asked for."""
    extra = ("total_precipitation_6hr",) if diagnostic_precipitation else ()
    return GraphCastTask.of((*SURFACE, *extra), UPPER_AIR, levels=LEVELS, precipitation_input=False)


def small_statistics() -> GlobalStatistics:
    """Of every variable: the sizes of ``global_dataset``; changes of half that."""
    keys: list[Key] = [(name, level) for name in SIZES for level in (LEVELS if name in UPPER_AIR else (None,))]
    fixed = {"toa_incident_solar_radiation": (1.1e6, 1.4e6), "geopotential_at_surface": (3e3, 8e3)}
    sizes = {key: SIZES[key[0]] for key in keys}
    sizes |= {(name, None): fixed.get(name, (0.1, 0.7)) for name in (*FORCINGS, *STATICS)}
    return GlobalStatistics(
        {key: mean for key, (mean, _) in sizes.items()},
        {key: std for key, (_, std) in sizes.items()},
        {key: 0.5 * std for key, (_, std) in sizes.items()},
    )


def small_static(grid: LatLonGrid | None = None, *, seed: int = 0) -> StaticFields:
    """Terrain up to 900 m and land, at random."""
    grid, rng = grid or small_globe(), np.random.default_rng(seed)
    return StaticFields(grid, rng.uniform(0.0, 900.0, grid.shape), rng.uniform(0.0, 1.0, grid.shape), source="random")


def small_network(*, seed: int = 0, task: GraphCastTask | None = None, **changes) -> GraphCastForecastNetwork:
    """A forecast network with random weights."""
    torch.manual_seed(seed)
    backbone = GraphCastBackbone(GraphCastSettings(1, 8, 2), task or small_task(), small_globe())
    return GraphCastForecastNetwork(backbone, small_statistics(), small_static(), **changes)


def small_history(members: int = 1, *, seed: int = 0, count: int = 2) -> tuple[State, ...]:
    """States of the small network, six hours apart."""
    network, generator = small_network(), torch.Generator().manual_seed(seed)
    shape = (members, *network.layout.shape)
    noise = (torch.randn(shape, generator=generator) for _ in range(count))
    mean, std = network.states_mean, network.states_std
    return tuple(State(mean + std * z, network.layout, FIRST + k * SIX_HOURS) for k, z in enumerate(noise))


def global_dataset(
    *, times: int = 6, grid: LatLonGrid | None = None, levels=LEVELS, precipitation: bool = False, seed: int = 0
) -> xr.Dataset:
    """Random states in the canonical order, with terrain and land: smooth in nothing, of realistic size."""
    grid, rng = grid or small_globe(), np.random.default_rng(seed)
    extra = ("total_precipitation_6hr",) if precipitation else ()
    single, upper = ("time", "latitude", "longitude"), ("time", "level", "latitude", "longitude")
    data = {}
    for name in (*SURFACE, *extra, *UPPER_AIR):
        dims, shape = (upper, (times, len(levels))) if name in UPPER_AIR else (single, (times,))
        mean, std = SIZES[name]
        data[name] = (dims, (mean + std * rng.standard_normal((*shape, *grid.shape))).astype(np.float32))
    data["geopotential_at_surface"] = (single[1:], rng.uniform(0.0, 9000.0, grid.shape).astype(np.float32))
    data["land_sea_mask"] = (single[1:], rng.uniform(0.0, 1.0, grid.shape).astype(np.float32))
    data["sea_surface_temperature"] = (single, np.full((times, *grid.shape), np.nan, np.float32))
    coords = {
        "time": FIRST + np.arange(times) * SIX_HOURS,
        "level": np.array(levels, np.int32),
        "latitude": grid.latitudes.astype(np.float32),
        "longitude": grid.longitudes.astype(np.float32),
    }
    return xr.Dataset(data, coords)


def write_store(path: Path, dataset: xr.Dataset | None = None, *, as_published: str = "64x32") -> Path:
    """A Zarr store with dimensions in one of the orders that WeatherBench 2 has published.

    Args:
        path: of the store.
        dataset: canonical; ``global_dataset()`` where None.
        as_published: ``64x32`` (…, longitude, latitude), or ``1440x721`` (…, latitude, longitude) from north to south;
            the dataset's own else.
    """
    dataset = global_dataset() if dataset is None else dataset
    if as_published == "64x32":
        dataset = dataset.transpose(..., "longitude", "latitude")
    elif as_published == "1440x721":
        dataset = dataset.isel(latitude=slice(None, None, -1))
    dataset.chunk({"time": 1}).to_zarr(path, mode="w", zarr_format=2, consolidated=True)
    return path
