"""Multivariate interpolation against a dense solution, the univariate one, and what correlations must gain."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from twin_cases import GRID, STATIC, cases_of, gaussian_fields, problem_of, stations

from rtma_diffda.assimilation.correlation import BackgroundError
from rtma_diffda.assimilation.multivariate_error import MultivariateError
from rtma_diffda.assimilation.multivariate_interpolation import MultivariateInterpolation
from rtma_diffda.assimilation.optimal_interpolation import OptimalInterpolation
from rtma_diffda.assimilation.posterior import ExactSolver
from rtma_diffda.assimilation.sample_covariance import localised, sample_correlations
from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State

NAMES = ("t2m", "u10m")
LAYOUT = Layout.of(GRID, NAMES)
SHARED = BackgroundError(1.0, 2.5e4, function="soar")
OWN = {
    "t2m": BackgroundError(0.8, 3e4, 500.0, land_sea_factor=0.6, function="soar", bias_std=0.2),
    "u10m": BackgroundError(0.5, 4e4, 900.0, function="exponential"),
}
GENERATOR = torch.Generator()


def correlated_errors(count: int, seed: int) -> torch.Tensor:
    """(count, 2, y, x): wind errors are those of temperature, half a unit weaker, with little of their own."""
    rng = np.random.default_rng(seed)
    shared, own = (gaussian_fields(SHARED, LAYOUT, count, rng) for _ in range(2))
    return torch.stack([1.5 * shared, shared + 0.3 * own], dim=1)


@pytest.fixture(scope="module")
def error() -> MultivariateError:
    sampled = localised(sample_correlations([correlated_errors(60, seed=0)], LAYOUT), 1.5e5)
    return MultivariateError(sampled, {"t2m": 1.2, "u10m": 0.9}, {"t2m": 500.0, "u10m": 800.0}, 0.7, OWN)


@pytest.fixture(scope="module")
def problem():
    return cases_of(correlated_errors(1, seed=5), LAYOUT, stations_each=25, error_std=0.5, seed=6)[0].problem


def method_of(error: MultivariateError, **settings) -> MultivariateInterpolation:
    return MultivariateInterpolation(STATIC, error, dtype=torch.float64, **settings)


def dense_answer(error: MultivariateError, problem):
    """Analysis increment and variance (channel · point) with B between all grid points, each term in numpy."""
    ny, nx = GRID.shape
    y, x = (index.ravel() for index in np.indices(GRID.shape))
    height, land = STATIC.orography.ravel(), STATIC.land_mask.ravel()
    m_y, m_x = error.sampled.reach
    same = np.where(land[:, None] == land[None, :], 1.0, error.land_sea_factor)
    rise = height[:, None] - height[None, :]
    distance = 1e4 * np.hypot(x[:, None] - x, y[:, None] - y)
    blocks = [[None, None], [None, None]]
    for i, first in enumerate(NAMES):
        for j, second in enumerate(NAMES):
            rho = error.sampled.table[i, j].numpy()[y[None, :] - y[:, None] + m_y, x[None, :] - x[:, None] + m_x]
            l_i, l_j = error.vertical_length[first], error.vertical_length[second]
            T = np.sqrt(2 * l_i * l_j / (l_i**2 + l_j**2)) * np.exp(-(rise**2) / (l_i**2 + l_j**2))
            blocks[i][j] = same * error.std[first] * error.std[second] * rho * T
        own = error.univariate[first]
        r = np.hypot(distance / own.horizontal_length, rise / own.vertical_length)
        phi = (1 + r) * np.exp(-r) if own.function == "soar" else np.exp(-r)
        surface = np.where(land[:, None] == land[None, :], 1.0, own.land_sea_factor)
        blocks[i][i] = blocks[i][i] + surface * (own.std**2 * phi + own.bias_std**2)
    B, n = np.block(blocks), ny * nx
    data = problem.observations
    H = problem.operator.adjoint(torch.eye(len(data), dtype=torch.float64), data).flatten(1).numpy()
    d = problem.innovations()[0].numpy()
    A = H @ B @ H.T + np.diag(data.error_std.numpy() ** 2)
    spread = np.diag(B) - np.einsum("ij,ji->i", B @ H.T, np.linalg.solve(A, H @ B))
    return (B @ H.T @ np.linalg.solve(A, d)).reshape(2, n), spread.reshape(2, n)


def at_grid_points(problem, count: int, seed: int = 1):
    """The problem with data at grid points, where B at the data's places is B at the grid's."""
    rng = np.random.default_rng(seed)
    rows, cols = rng.integers(0, GRID.ny, 2 * count), rng.integers(0, GRID.nx, 2 * count)
    data = problem.observations.select(np.arange(2 * count))
    return replace(
        problem,
        observations=replace(
            data,
            latitude=torch.from_numpy(GRID.latitude()[rows, cols]),
            longitude=torch.from_numpy(GRID.longitude()[rows, cols]),
            channel=torch.from_numpy(rng.integers(0, 2, 2 * count)),
        ),
    )


def test_equals_a_dense_solution(error, problem):
    problem = at_grid_points(problem, 12)
    increment, spread = dense_answer(error, problem)
    found = method_of(error).analyse(problem, generator=GENERATOR)
    np.testing.assert_allclose(found.increment()[0].flatten(1).numpy(), increment, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.error_std.flatten(1).numpy() ** 2, spread, rtol=0, atol=1e-6)


def test_float32_differs_little(error, problem):
    precise = method_of(error).analyse(problem, generator=GENERATOR)
    quick = MultivariateInterpolation(STATIC, error).analyse(problem, generator=GENERATOR)
    torch.testing.assert_close(quick.state.values, precise.state.values, rtol=0, atol=1e-4)
    torch.testing.assert_close(quick.error_std, precise.error_std, rtol=0, atol=1e-4)


def test_without_sampled_part_it_is_univariate(error, problem):
    looks = {name: replace(own, background_length=4.0, background_drift_std=0.1) for name, own in OWN.items()}
    members = problem.background.values + torch.tensor([0.0, 1.0])[:, None, None, None] * torch.linspace(0, 3, GRID.nx)
    problem = replace(problem, background=problem.background.with_values(members))
    none = replace(error, std={"t2m": 0.0, "u10m": 0.0}, univariate=looks)
    factors = {"t2m": 1.2, "u10m": 0.8}
    joint = method_of(none, observation_error_factors=factors)
    alone = OptimalInterpolation(STATIC, looks, factors, solver=ExactSolver())
    found, expected = (method.analyse(problem, generator=GENERATOR) for method in (joint, alone))
    torch.testing.assert_close(found.state.values, expected.state.values, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.error_std, expected.error_std, rtol=0, atol=1e-6)
    targets = stations(LAYOUT, 9, np.random.default_rng(8))
    at, same = (method.analyse_at(problem, targets) for method in (joint, alone))
    torch.testing.assert_close(at.mean, same.mean, rtol=0, atol=1e-6)
    torch.testing.assert_close(at.error_std, same.error_std, rtol=0, atol=1e-6)


def test_order_of_observations_does_not_matter(error, problem):
    shuffled = problem.observations.select(np.random.default_rng(1).permutation(len(problem.observations)))
    first, second = (
        method_of(error).analyse(given, generator=GENERATOR)
        for given in (problem, replace(problem, observations=shuffled))
    )
    torch.testing.assert_close(first.state.values, second.state.values, rtol=0, atol=1e-8)
    torch.testing.assert_close(first.error_std, second.error_std, rtol=0, atol=1e-8)


def test_without_observations_the_background_stands(error, problem):
    empty = replace(problem, observations=problem.observations.select(np.empty(0, np.int64)))
    analysis = method_of(error).analyse(empty, generator=GENERATOR)
    assert torch.equal(analysis.state.values, problem.background.values)
    expected = [0.8**2 + 0.2**2 + 1.2**2, 0.5**2 + 0.9**2]
    assert analysis.error_std.square().amax(dim=(1, 2)).tolist() == pytest.approx(expected)


def test_analysis_at_a_grid_point_is_the_grids(error, problem):
    analysis = method_of(error).analyse(problem, generator=GENERATOR)
    at, target = (6, 11), stations(LAYOUT, 1, np.random.default_rng(0))
    target = replace(
        target,
        latitude=torch.full((2,), GRID.latitude()[at], dtype=torch.float64),
        longitude=torch.full((2,), GRID.longitude()[at], dtype=torch.float64),
    )
    found = method_of(error).analyse_at(problem, target)
    torch.testing.assert_close(found.mean[0], analysis.state.values[0, :, at[0], at[1]], rtol=0, atol=1e-6)
    torch.testing.assert_close(found.error_std, analysis.error_std[:, at[0], at[1]], rtol=0, atol=1e-6)


def test_data_of_one_variable_improve_the_other(error):
    """Only temperature is observed; the wind, whose error is nearly the same, must follow."""
    shares = {"t2m": 1.5, "u10m": 1.04}
    sampled = replace(error, std=shares, vertical_length=dict.fromkeys(NAMES, 1e5), land_sea_factor=1.0,
                      univariate={name: replace(own, std=1e-3, bias_std=0.0) for name, own in OWN.items()})  # fmt: skip
    ratios = []
    for case in cases_of(correlated_errors(8, seed=11), LAYOUT, stations_each=60, error_std=0.3, seed=12):
        only = replace(case.problem, observations=case.problem.observations.of_channel(0))
        analysis = method_of(sampled).analyse(only, generator=GENERATOR)
        errors = [(state.values - case.truth.values)[0, 1].square() for state in (analysis.state, only.background)]
        ratios.append(float((errors[0].mean() / errors[1].mean()).sqrt()))
    assert np.mean(ratios) < 0.75


def test_another_grid_is_refused(error, problem):
    other = Layout.of(replace(GRID, dx=8e3), NAMES)
    background = State(problem.background.values, other, problem.background.valid_time)
    with pytest.raises(InputError, match="do not serve a grid"):
        method_of(error).analyse(
            problem_of(background, problem.observations, replace(STATIC, grid=other.grid)), generator=GENERATOR
        )
