"""Cases with a known truth whose background error is drawn from a given Gaussian covariance."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.assimilation.correlation import BackgroundError, covariance
from rtma_diffda.assimilation.places import Surroundings, with_background
from rtma_diffda.assimilation.truth_cases import TruthCase
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import ProjectedGrid, transformer
from rtma_diffda.geo.static_fields import StaticFields, ridge_and_coast
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.observations.table import Observations
from rtma_diffda.times import Window

NOON = np.datetime64("2026-01-01T12:00", "ns")
GRID = ProjectedGrid(
    "+proj=lcc +lat_1=45 +lat_2=45 +lat_0=45 +lon_0=10 +R=6371200 +units=m", 20, 18, 1e4, 1e4, -1e5, -9e4
)
STATIC = ridge_and_coast(GRID)


def gaussian_fields(error: BackgroundError, layout: Layout, count: int, rng: np.random.Generator) -> Tensor:
    """(count, y, x) errors of one variable, of a covariance that does not look at the background."""
    blank = State(torch.zeros(1, *layout.shape, dtype=torch.float64), layout, NOON)
    nothing = stations(layout, 0, rng)
    places, _ = Surroundings(problem_of(blank, nothing, STATIC), STATIC).of_grid(0)
    places = with_background(places, torch.zeros(len(places), dtype=torch.float64))
    B = covariance(error, places, places)
    B.diagonal().add_(1e-8 * float(error.std) ** 2)
    drawn = torch.linalg.cholesky(B) @ torch.from_numpy(rng.normal(size=(len(places), count)))
    return drawn.T.reshape(count, *layout.grid.shape)


def cases_of(
    errors: Tensor, layout: Layout, *, stations_each: int, error_std: float | Sequence[float], seed: int
) -> list[TruthCase]:
    """One case for each field of errors (case, channel, y, x): truth = background + error, observed with noise.

    ``error_std`` is that of the noise, of all channels or of each.
    """
    rng, by_channel = np.random.default_rng(seed), torch.as_tensor(error_std, dtype=torch.float64)
    cases = []
    for error in errors:
        background = State(torch.from_numpy(280.0 + rng.normal(0, 2, (1, *layout.shape))), layout, NOON)
        truth = background.with_values(background.values + error)
        observations = stations(layout, stations_each, rng)
        exact = BilinearOperator(layout, STATIC)(truth.values, observations)[0]
        std = by_channel.expand(len(layout.names))[observations.channel]
        noisy = exact + std * torch.from_numpy(rng.normal(size=len(observations)))
        observed = replace(observations, value=noisy, error_std=std)
        cases.append(TruthCase(problem_of(background, observed, STATIC), truth, STATIC))
    return cases


def stations(layout: Layout, count: int, rng: np.random.Generator) -> Observations:
    """``count`` stations off the grid points, each with a datum of every channel, at the height of the terrain."""
    grid, channels = layout.grid, len(layout.names)
    x = grid.x[0] + grid.dx * rng.uniform(0.5, grid.nx - 1.5, count)
    y = grid.y[0] + grid.dy * rng.uniform(0.5, grid.ny - 1.5, count)
    longitude, latitude = transformer(grid.projection).transform(x, y, direction="INVERSE")
    n = count * channels
    return Observations(
        value=torch.full((n,), 280.0, dtype=torch.float64),
        error_std=torch.ones(n, dtype=torch.float64),
        latitude=torch.from_numpy(np.tile(latitude, channels)),
        longitude=torch.from_numpy(np.tile(longitude, channels)),
        elevation=torch.full((n,), torch.nan, dtype=torch.float64),
        channel=torch.arange(channels).repeat_interleave(count),
        valid_time=np.full(n, NOON),
        station=np.tile(np.array([f"S{i}" for i in range(count)], dtype=object), channels),
        network=np.full(n, "unknown", dtype=object),
        flags=np.zeros(n, np.int32),
        bound=np.zeros(n, np.int8),
    )


def problem_of(background: State, observations: Observations, static: StaticFields) -> AssimilationProblem:
    """The problem of these parts."""
    window = Window.around(NOON, np.timedelta64(30, "m"))
    return AssimilationProblem(background, observations, BilinearOperator(background.layout, static), window)


def grid_rmse(method: object, cases: Sequence[TruthCase]) -> float:
    """RMSE of the first channel's analyses over all points of all cases."""
    squares = [
        (method.analyse(case.problem, generator=torch.Generator()).state.values - case.truth.values)[0, 0].square()
        for case in cases
    ]
    return float(torch.stack(squares).mean().sqrt())
