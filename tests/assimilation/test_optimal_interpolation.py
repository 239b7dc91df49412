"""Optimal interpolation against a solution written out in loops, and the limits that have known answers."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from rtma_diffda.assimilation.correlation import BackgroundError
from rtma_diffda.assimilation.optimal_interpolation import NO_TERRAIN, OptimalInterpolation
from rtma_diffda.assimilation.posterior import ExactSolver, LocalSolver
from rtma_diffda.errors import UsageError
from rtma_diffda.geo.grid import transformer
from rtma_diffda.geo.static_fields import StaticFields

GENERATOR = torch.Generator()
FULL = BackgroundError(
    std=2.0,
    horizontal_length=3e4,
    vertical_length=400.0,
    background_length=6.0,
    land_sea_factor=0.6,
    function="soar",
    elongation=1.7,
    orientation=30.0,
    bias_std=0.8,
    height_drift_std=1e-3,
    background_drift_std=0.1,
)


def brute_force_covariance(error: BackgroundError, a: tuple, b: tuple) -> float:
    """B between two places (x, y, height, land, background), in scalars."""
    dx, dy = a[0] - b[0], a[1] - b[1]
    angle = math.radians(error.orientation)
    along = dx * math.sin(angle) + dy * math.cos(angle)
    across = dx * math.cos(angle) - dy * math.sin(angle)
    r2 = along**2 / (error.horizontal_length**2 * error.elongation)
    r2 += across**2 * error.elongation / error.horizontal_length**2
    r2 += ((a[2] - b[2]) / error.vertical_length) ** 2 + ((a[4] - b[4]) / error.background_length) ** 2
    r = math.sqrt(r2)
    phi = {"gaussian": math.exp(-r2 / 2), "soar": (1 + r) * math.exp(-r), "exponential": math.exp(-r)}[error.function]
    surface = 1.0 if a[3] == b[3] else error.land_sea_factor
    drift = error.bias_std**2 + error.height_drift_std**2 * a[2] * b[2] + error.background_drift_std**2 * a[4] * b[4]
    return surface * (error.std**2 * phi + drift)


def brute_force(problem, static, error: BackgroundError):
    """Analysis (y, x) and error variance (y, x) of a problem of one member and channel, by loops and numpy."""
    grid, observations = problem.background.layout.grid, problem.observations
    field = problem.background.values[0, 0].numpy()
    equivalents = problem.operator(problem.background.values, observations)[0].numpy()
    x, y = grid.project(observations.latitude.numpy(), observations.longitude.numpy())
    data, innovations = [], []
    for i in range(len(observations)):
        row, column = (y[i] - grid.y0) / grid.dy, (x[i] - grid.x0) / grid.dx
        south, west = int(row), int(column)
        a, b = row - south, column - west
        z = static.orography
        terrain = (1 - a) * ((1 - b) * z[south, west] + b * z[south, west + 1])
        terrain += a * ((1 - b) * z[south + 1, west] + b * z[south + 1, west + 1])
        known = float(observations.elevation[i])
        land = {"metar": True, "buoy": False}.get(observations.network[i])
        land = bool(static.land_mask[round(row), round(column)]) if land is None else land
        height = terrain if math.isnan(known) else known
        data.append((x[i], y[i], height, land, equivalents[i] - field.mean()))
        innovations.append(float(observations.value[i]) - equivalents[i])
    A = np.array([[brute_force_covariance(error, p, q) for q in data] for p in data])
    A += np.diag(observations.error_std.numpy() ** 2)
    analysis, spread = field.copy(), np.empty_like(field)
    for j in range(grid.ny):
        for i in range(grid.nx):
            place = (
                grid.x[i],
                grid.y[j],
                static.orography[j, i],
                bool(static.land_mask[j, i]),
                field[j, i] - field.mean(),
            )
            b = np.array([brute_force_covariance(error, place, q) for q in data])
            analysis[j, i] += b @ np.linalg.solve(A, np.array(innovations))
            spread[j, i] = brute_force_covariance(error, place, place) - b @ np.linalg.solve(A, b)
    return analysis, spread


@pytest.mark.parametrize("function", ["gaussian", "soar", "exponential"])
def test_equals_a_brute_force_solution(make_problem, function):
    problem, static = make_problem(count=25, seed=3)
    error = replace(FULL, function=function)
    analysis, spread = brute_force(problem, static, error)
    found = OptimalInterpolation(static, {"t2m": error}).analyse(problem, generator=GENERATOR)
    np.testing.assert_allclose(found.state.values[0, 0].numpy(), analysis, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.error_std[0].numpy() ** 2, spread, rtol=0, atol=1e-6)


def test_one_datum_has_the_scalar_answer(make_problem):
    problem, static = make_problem(count=1, seed=1)
    error = BackgroundError(std=2.0, horizontal_length=5e4)
    found = OptimalInterpolation(static, {"t2m": error}).analyse_at(problem, problem.observations)
    r2, b2 = float(problem.observations.error_std) ** 2, 4.0
    gain = b2 / (b2 + r2)
    expected = float(problem.observations.value) - (1 - gain) * float(problem.innovations())
    assert float(found.mean) == pytest.approx(expected, abs=1e-9)
    assert float(found.error_std) == pytest.approx(math.sqrt(b2 * (1 - gain)), abs=1e-9)


def test_analysis_at_a_grid_point_equals_the_grids(make_problem):
    problem, static = make_problem(count=40, seed=2)
    grid = static.grid
    method = OptimalInterpolation(static, {"t2m": FULL})
    on_grid = method.analyse(problem, generator=GENERATOR)
    targets = problem.observations.select(np.zeros(1, int))
    targets = replace(
        targets,
        latitude=torch.tensor([grid.latitude()[5, 6]]),
        longitude=torch.tensor([grid.longitude()[5, 6]]),
        elevation=torch.tensor([static.orography[5, 6]]),
        network=np.array(["unknown"], dtype=object),
    )
    at_station = method.analyse_at(problem, targets)
    assert float(at_station.mean) == pytest.approx(float(on_grid.state.values[0, 0, 5, 6]), abs=1e-6)
    assert float(at_station.error_std) == pytest.approx(float(on_grid.error_std[0, 5, 6]), abs=1e-6)


def test_a_station_on_another_surface_takes_less_of_the_increment(make_problem):
    problem, static = make_problem(count=1, seed=1)
    method = OptimalInterpolation(
        static, {"t2m": BackgroundError(std=2.0, horizontal_length=5e4, land_sea_factor=0.25)}
    )
    moved = replace(problem.observations, network=np.array(["metar"], dtype=object))
    problem = replace(problem, observations=moved)
    same, other = moved, replace(moved, network=np.array(["ship"], dtype=object))
    background = problem.operator(problem.background.values, moved)
    increments = [float(method.analyse_at(problem, place).mean - background) for place in (same, other)]
    assert increments[1] == pytest.approx(0.25 * increments[0], rel=1e-9)


def test_no_data_gives_the_background_and_its_error(make_problem):
    problem, static = make_problem(count=0, members=2)
    found = OptimalInterpolation(static, {"t2m": FULL}).analyse(problem, generator=GENERATOR)
    assert torch.equal(found.state.values, problem.background.values)
    departure = problem.background.values[:, 0] - problem.background.values[:, 0].mean(dim=(1, 2), keepdim=True)
    height = torch.from_numpy(static.orography)
    expected = 2.0**2 + 0.8**2 + (1e-3 * height) ** 2 + (0.1 * departure).square().mean(dim=0)
    torch.testing.assert_close(found.error_std[0] ** 2, expected)


def test_observation_error_factor_is_a_larger_observation_error(make_problem):
    problem, static = make_problem(count=12, seed=5)
    errors = {"t2m": replace(FULL, background_length=None, background_drift_std=0.0)}
    doubled = replace(problem, observations=replace(problem.observations, error_std=2 * problem.observations.error_std))
    by_factor = OptimalInterpolation(static, errors, {"t2m": 2.0}).analyse(problem, generator=GENERATOR)
    by_data = OptimalInterpolation(static, errors).analyse(doubled, generator=GENERATOR)
    torch.testing.assert_close(by_factor.state.values, by_data.state.values)


def test_unknown_terrain_is_said(make_problem):
    problem, static = make_problem(count=5)
    flat = OptimalInterpolation(StaticFields(static.grid), {"t2m": FULL}).analyse(problem, generator=GENERATOR)
    assert flat.degraded == (NO_TERRAIN,)
    assert OptimalInterpolation(static, {"t2m": FULL}).analyse(problem, generator=GENERATOR).degraded == ()


def test_a_channel_without_background_error_is_refused(make_problem):
    problem, static = make_problem(names=("t2m", "d2m"))
    with pytest.raises(UsageError, match="no background error for 'd2m'"):
        OptimalInterpolation(static, {"t2m": FULL}).analyse(problem, generator=GENERATOR)


def test_local_solution_is_close_to_the_exact_one(make_problem):
    problem, static = make_problem(count=700, seed=4, shape=(40, 44))
    errors = {"t2m": BackgroundError(std=2.0, horizontal_length=3e4, vertical_length=300.0, function="soar")}
    exact = OptimalInterpolation(static, errors, solver=ExactSolver()).analyse(problem, generator=GENERATOR)
    local = OptimalInterpolation(static, errors, solver=LocalSolver(128)).analyse(problem, generator=GENERATOR)
    difference = (local.increment() - exact.increment()).square().mean().sqrt()
    assert float(difference) < 0.02 * float(exact.increment().square().mean().sqrt())
    assert float((local.error_std / exact.error_std - 1).abs().max()) < 0.05


def test_local_solution_is_continuous_across_tiles(make_problem):
    """Along a line, neighbouring values differ as little as those of the exact solution do."""
    problem, static = make_problem(count=600, seed=6, shape=(30, 31))
    errors = {"t2m": BackgroundError(std=2.0, horizontal_length=6e4, function="gaussian")}
    many = 2000
    targets = problem.observations.select(np.zeros(many, int))
    grid = static.grid
    x = np.linspace(grid.x[1], grid.x[-2], many)
    lon, lat = transformer(grid.projection).transform(x, np.full(many, grid.y[14]), direction="INVERSE")
    targets = replace(targets, latitude=torch.from_numpy(lat), longitude=torch.from_numpy(lon))
    flat = replace(
        problem, background=problem.background.with_values(torch.full_like(problem.background.values, 280.0))
    )
    steps = {}
    for solver in (ExactSolver(), LocalSolver(64, dtype=torch.float64)):
        method = OptimalInterpolation(static, errors, solver=solver)
        steps[type(solver).__name__] = method.analyse_at(flat, targets).mean.diff().abs().max()
    assert float(steps["LocalSolver"]) < 3.0 * float(steps["ExactSolver"])
