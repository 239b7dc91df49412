"""A small made-up case for pictures and reports: a landscape, a truth, a background, stations, a kriged analysis."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter

from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.static_fields import StaticFields, ridge_and_coast
from rtma_diffda.interfaces import Analysis, AssimilationProblem
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.observations.table import Observations
from rtma_diffda.observations.withholding import withheld_stations, withhold
from rtma_diffda.times import Window
from rtma_diffda.verification.matching import matched_pairs

NAMES = ("t2m", "u10m", "v10m")
TIME = np.datetime64("2026-01-01T00:15", "ns")
ERROR_STD = (0.8, 1.0, 1.0)


@dataclass(frozen=True)
class Case:
    """A made-up analysis with the withheld data."""

    static: StaticFields
    layout: Layout
    analysis: Analysis
    withheld: Observations
    pairs: pd.DataFrame


@pytest.fixture(scope="session")
def case() -> Case:
    return make_case()


def make_case(size: int = 64, stations: int = 150, seed: int = 1) -> Case:
    """Deterministic: everything follows from the seed."""
    rng = np.random.default_rng(seed)
    static = ridge_and_coast(_grid(size))
    layout = Layout.of(static.grid, NAMES)
    background, truth = _fields(rng, static)
    observations, operator = _observe(rng, truth, layout, static, stations)
    used = observations.used()
    problem = AssimilationProblem(
        State(background, layout, TIME), used, operator, Window.around(TIME, np.timedelta64(7, "m"))
    )
    at_grid, variance = _krige(problem, static.grid.latitude().ravel(), static.grid.longitude().ravel())
    values = background + torch.from_numpy(at_grid.reshape(1, *layout.shape)).float()
    error_std = torch.from_numpy(np.sqrt(variance).reshape(layout.shape))
    analysis = Analysis(State(values, layout, TIME), problem, error_std)
    withheld = observations.withheld()
    equivalents = {
        name: operator(x.double(), withheld)[0] for name, x in (("background", background), ("kriging", values))
    }
    stated = {"kriging": operator.tangent(error_std[None].double(), withheld)[0]}
    pairs = matched_pairs(withheld, equivalents, layout=layout, error_stds=stated)
    return Case(static, layout, analysis, withheld, pairs)


def _grid(size: int) -> ProjectedGrid:
    projection = "+proj=lcc +lat_0=47 +lat_1=47 +lat_2=47 +lon_0=11 +R=6371200 +units=m"
    half = 0.5 * (size - 1) * 2500.0
    return ProjectedGrid(projection, size, size, 2500.0, 2500.0, -half, -half)


def _smooth(rng: np.random.Generator, shape: tuple[int, int], width: float) -> np.ndarray:
    noise = gaussian_filter(rng.normal(size=shape), width, mode="wrap")
    return noise / noise.std()


def _fields(rng: np.random.Generator, static: StaticFields) -> tuple[torch.Tensor, torch.Tensor]:
    shape = static.grid.shape
    background = np.stack(
        [
            279.0 - 0.0065 * static.orography + 2.0 * (1 - static.land_fraction) + 0.7 * _smooth(rng, shape, 6),
            4.0 + 2.0 * _smooth(rng, shape, 8) - 2.0 * static.land_fraction,
            -1.0 + 2.0 * _smooth(rng, shape, 8),
        ]
    )
    errors = np.stack([scale * _smooth(rng, shape, 7) for scale in (1.8, 1.5, 1.5)])
    return torch.from_numpy(background[None]).float(), torch.from_numpy((background + errors)[None]).float()


def _observe(
    rng: np.random.Generator, truth: torch.Tensor, layout: Layout, static: StaticFields, stations: int
) -> tuple[Observations, BilinearOperator]:
    rows, columns = (rng.uniform(1, size - 2, stations) for size in static.grid.shape)
    near = (rows.round().astype(int), columns.round().astype(int))
    places = pd.DataFrame(
        {
            "station": [f"ST{i:03d}" for i in range(stations)],
            "latitude": static.grid.latitude()[near],
            "longitude": static.grid.longitude()[near],
            "elevation": static.orography[near] + rng.normal(scale=40.0, size=stations),
        }
    )
    table = places.merge(pd.DataFrame({"variable": NAMES, "error_std": ERROR_STD}), how="cross")
    table = table.assign(value=0.0, valid_time=TIME, network="metar", flags=0, bound=0)
    observations = Observations.from_table(table, layout)
    operator = BilinearOperator(layout, static)
    exact = operator(truth.double(), observations)[0]
    noise = torch.from_numpy(rng.normal(size=len(table))) * observations.error_std
    columns = {name: getattr(observations, name) for name in observations.__dataclass_fields__}
    observations = Observations(**columns | {"value": exact + noise})
    return withhold(observations, withheld_stations(table, fraction=0.2, block_degrees=0.15, seed=2)), operator


def _krige(problem: AssimilationProblem, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Increments and variances (channel, point) by plain kriging of the innovations, length 30 km, variance 3."""
    observations = problem.observations
    innovations = problem.innovations()[0].numpy()
    channel = observations.channel.numpy()
    x, y = problem.background.layout.grid.project(latitude, longitude)
    x_o, y_o = problem.background.layout.grid.project(observations.latitude.numpy(), observations.longitude.numpy())
    increments, variances = [], []
    for i in range(len(NAMES)):
        of = channel == i
        places = np.stack([x_o[of], y_o[of]], axis=1)
        among = _covariance(places, places) + np.diag(observations.error_std.numpy()[of] ** 2)
        across = _covariance(np.stack([x, y], axis=1), places)
        gain = np.linalg.solve(among, across.T).T
        increments.append(gain @ innovations[of])
        variances.append(3.0 - (gain * across).sum(axis=1))
    return np.array(increments), np.array(variances)


def _covariance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squared = ((a[:, None] - b[None]) ** 2).sum(axis=2)
    return 3.0 * np.exp(-0.5 * squared / 30e3**2)
